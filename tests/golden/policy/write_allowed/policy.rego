# A policy to start from. Try it: tidegate policy eval config/policy.rego --action write --device press --tag force \
#     --value 5 --user Anna --role operator
#
# What a rule may look at: input.action ("collect", "write", "configure"), input.device.name, .type (the device's key
# `kind`) and .protocol, input.tag, input.value, input.user.name, input.user.role, input.gateway.
package industrial

default allow = false

# The gateway reads every device, in the role of [policy] role.
allow {
    input.action == "collect"
    input.user.role == "operator"
}

# Operators set what is listed here, within its limits.
allow {
    input.action == "write"
    input.user.role == "operator"
    limits := writable[input.device.name][input.tag]
    input.value >= limits.least
    input.value <= limits.most
}

# Engineers change the configuration.
allow {
    input.action == "configure"
    input.user.role == "engineer"
}

writable := {
    "press": {"force": {"least": 0, "most": 80}},
    "energy-meter": {"demand-limit": {"least": 10, "most": 400}},
}

# Why not, for whoever asked. Where no such rule holds, the gateway finds words of its own.
reason := "only operators may write" {
    input.action == "write"
    input.user.role != "operator"
} else := "this tag is not on the list of writable tags" {
    input.action == "write"
    not writable[input.device.name][input.tag]
} else := sprintf("the value must lie between %v and %v", [limits.least, limits.most]) {
    input.action == "write"
    limits := writable[input.device.name][input.tag]
} else := "only engineers may change the configuration" {
    input.action == "configure"
}
