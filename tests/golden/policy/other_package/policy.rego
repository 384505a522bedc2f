# industrial-iot-policy.rego
package plant

default allow = false

allow {
    input.action == "collect"
    input.device.type == "sensor"
    input.user.role == "operator"
}
