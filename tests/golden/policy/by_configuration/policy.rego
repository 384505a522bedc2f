# industrial-iot-policy.rego
package industrial

default allow = false

allow {
    input.action == "collect"
    input.device.type == "sensor"
    input.user.role == "operator"
}
