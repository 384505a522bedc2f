"""English."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final = {
    "age.s": "{n} s",
    "age.min": "{n} min",
    "age.h": "{n} h",
    "age.d": "{n} d",
    "view.overview": "Overview",
    "view.devices": "Devices",
    "view.live": "Live",
    "view.uplink": "Uplink",
    "view.review": "Review",
    "state.up": "up",
    "state.starting": "starting",
    "state.degraded": "degraded",
    "state.waiting": "waiting",
    "state.stopped": "stopped",
    "state.connected": "connected",
    "state.connecting": "connecting",
    "state.not connected": "not connected",
    "state.no broker is configured": "no broker",
    "state.ok": "ok",
    "state.failing": "failing",
    "state.off": "off",
    "state.offline": "offline",
    "state.silent": "no answer",
    "quality.good": "good",
    "quality.uncertain": "uncertain",
    "quality.bad": "bad",
    "protocol.opcua": "OPC UA server: connect, browse, tick variables",
    "protocol.modbus": "Modbus device: a table of registers",
    "col.state": "State",
    "col.part": "Part",
    "col.since": "Since",
    "col.why": "What it says",
    "col.device": "Device",
    "col.protocol": "Protocol",
    "col.address": "Address",
    "col.tags": "Tags",
    "col.rate": "Rate",
    "col.draft": "Draft",
    "col.node": "Node",
    "col.type": "Type",
    "col.value": "Value",
    "col.tag": "Tag",
    "col.unit": "Unit",
    "col.node_id": "Node id",
    "col.quality": "Quality",
    "col.age": "Age",
    "col.register": "Register",
    "col.at": "Addr.",
    "col.order": "Order",
    "col.scale": "Scale",
    "flow.devices": "Devices",
    "flow.filters": "Filters",
    "flow.spool": "Spool",
    "flow.broker": "Broker",
    "flow.none": "none",
    "flow.left_out": "omits",
    "flow.more": "and {n} more",
    "flow.stored": "stored",
    "flow.backlog": "waiting",
    "flow.oldest": "oldest",
    "flow.file": "on disk",
    "flow.dropped": "lost",
    "flow.set_aside": "set aside",
    "flow.live": "live",
    "flow.late": "late",
    "flow.latency": "latency",
    "flow.in_flight": "in flight",
    "flow.in": "Readings",
    "flow.unknown": "Nothing was heard of a gateway yet.",
    "key.help": "Help",
    "key.quit": "Quit",
    "key.views": "Screens",
    "key.rows": "Rows",
    "key.language": "中文",
    "key.add": "Add",
    "key.edit": "Edit",
    "key.on_off": "On/off",
    "key.delete": "Delete",
    "key.next": "Next",
    "key.open": "Open",
    "key.tick": "Tick",
    "key.untick": "Take out",
    "key.search": "Search",
    "key.filter": "Filter",
    "key.keep": "To draft",
    "key.back": "Back",
    "key.copy": "Copy on",
    "key.read": "Read now",
    "key.all": "All",
    "key.chosen_only": "Ticked only",
    "key.test": "Test",
    "key.leave_field": "Leave field",
    "key.apply": "Apply",
    "key.check": "Check",
    "key.discard": "Discard",
    "key.versions": "Versions",
    "do.cancel": "Cancel",
    "do.delete": "Delete",
    "do.leave": "Leave",
    "do.keep": "Keep",
    "do.connect": "Connect",
    "do.read": "Read now",
    "do.test": "Test",
    "do.discard": "Discard",
    "do.quit": "Quit",
    "do.apply": "Apply",
    "field.name": "Name",
    "field.server": "Server",
    "field.user": "User",
    "field.username": "User",
    "field.password": "Password",
    "field.security": "Security",
    "field.security_mode": "Mode",
    "field.password_file": "Password file",
    "field.search": "Search",
    "field.filter": "Filter",
    "field.host": "Host",
    "field.port": "Port",
    "field.unit_id": "Unit id",
    "field.interval_s": "Poll every s",
    "field.timeout_s": "Time-out s",
    "field.byte_order": "Byte order",
    "field.register": "Register",
    "field.address": "Address",
    "field.type": "Type",
    "field.bit": "Bit",
    "field.length": "String bytes",
    "field.scale": "Scale",
    "field.offset": "Offset",
    "field.elements": "Elements",
    "field.fields": "Fields",
    "field.unit": "Unit",
    "field.topic": "Topic",
    "field.client_id": "Client id",
    "field.keepalive": "Keep-alive s",
    "field.protocol": "MQTT version",
    "field.tls": "TLS",
    "field.ca_file": "CA file",
    "field.cert_file": "Certificate",
    "field.key_file": "Key file",
    "tls.off": "off",
    "tls.on": "on",
    "tls.unchecked": "on, broker not checked (trials only)",
    "draft.pending": "draft not applied",
    "draft.none": "There is no configuration to work on yet.",
    "draft.new": "+ new",
    "draft.changed": "~ changed",
    "draft.removed": "- removed",
    "draft.leave": "The draft was not applied. Quit and lose it?",
    "needs_gateway": "This needs a running gateway, and only a file is at hand. Start one with: tidegate run FILE",
    "offline.note": "No gateway answers. You are working on the file {file}; what you apply is written there.",
    "devices.title": "Devices of the gateway and of the draft",
    "devices.none": "No device yet. Press a to add one.",
    "devices.which": "Which kind of device?",
    "devices.delete": "Take the device {name} out of the draft?",
    "devices.no_editor": "There is no form for devices of type {type}. Edit the file for those.",
    "editor.name_missing": "Give the device a name first.",
    "editor.name_taken": "Another device is called {name}. Choose another name.",
    "editor.tag_taken": "Another tag is called {name}. Choose another name.",
    "editor.tags_file": "and those in {file}, which are edited there",
    "editor.leave": "Leave without putting the changes into the draft?",
    "editor.kept": "{name} is in the draft. 5 Review shows and applies it.",
    "editor.kept_wrong": (
        "{name} is in the draft, which cannot be applied yet ({n} problems; see 5 Review). The first:"
    ),
    "opcua.tree": "Variables",
    "opcua.tags": "Ticked tags",
    "opcua.connect_first": "Fill in the server and press Enter to connect.",
    "opcua.unsecured": "(none)",
    "opcua.encrypted": "SignAndEncrypt",
    "opcua.none": "Tick variables above with the space bar.",
    "opcua.connecting": "Connecting to {url} ...",
    "opcua.connected": "Connected. Enter opens, space ticks, / searches.",
    "opcua.searching": "Searching for {text} ...",
    "opcua.found": "{n} found for {text}. An empty search shows the tree again.",
    "opcua.found_some": "The first {n} found for {text}; there may be more. An empty search shows the tree again.",
    "modbus.tag": "One value and its registers",
    "modbus.tags": "Registers",
    "modbus.none": "No register yet. Press a to add one.",
    "modbus.default": "(default)",
    "modbus.default_order": "(default: ABCD)",
    "modbus.address_help": "100: as sent, from 0; 40101: as the manual",
    "modbus.nothing_to_read": "There is no register to read yet. Press a to add one.",
    "modbus.reading": "Reading ...",
    "modbus.read": "Read now: {good} of {n} values are good.",
    "live.title": "Latest readings",
    "live.none": "No reading yet.",
    "uplink.title": "The MQTT broker that readings go to",
    "uplink.default": "(default: 5)",
    "uplink.kept": "In the draft. 5 Review shows and applies it.",
    "uplink.testing": "Trying the broker ...",
    "review.nothing": "The draft changes nothing: there is nothing to apply.",
    "review.unchanged": "The draft changes nothing.",
    "review.checking": "Checking ...",
    "review.right": "The draft can be applied. Press a.",
    "review.problems": "The draft cannot be applied yet; {n} to mend:",
    "review.restart": "takes effect when the gateway is started anew: {name}",
    "review.changes": "Changes",
    "review.diff": "In the file",
    "review.plan": "The plan",
    "review.later": (
        "This only counts when the gateway is started anew: {names}. Write it all the same, and apply the rest now?"
    ),
    "review.applying": "Applying ...",
    "review.applied": "Applied.",
    "review.written": "Written. A gateway that is started with this file uses it.",
    "review.discard": "Give the draft up and take the configuration as it stands?",
    "review.discarded": "The draft is the configuration as it stands.",
    "review.changed_since": "Nothing was applied. x gives this draft up and takes the new text.",
    "review.versions": "Earlier texts of the file, newest first",
    "review.no_versions": "There are none.",
    "change.device.added": "device {where} is added; tags ({n}): {items}",
    "change.device.removed": "device {where} is removed",
    "change.tags.added": "{where}: tags added ({n}): {items}",
    "change.tags.removed": "{where}: tags removed ({n}): {items}",
    "change.filter.added": "filter {where} is added",
    "change.filter.removed": "filter {where} is removed",
    "change.key.added": "{where} = {new}",
    "change.key.changed": "{where}: {old} becomes {new}",
    "change.key.removed": "{where} is removed (was {old})",
    "help.overview": (
        "Overview\n\n"
        "Readings flow from the left to the right: devices give them, filters may change them or leave them "
        "out, the spool keeps them on disk until the broker has acknowledged them. Rates are readings a "
        "second. waiting and oldest say what has not been acknowledged yet; late is what is sent after an "
        "outage."
    ),
    "help.devices": (
        "Devices\n\n"
        "a adds a device, Enter edits it, o turns it on or off, d takes it out. Everything goes into the "
        "draft; the gateway changes only when you apply it in 5 Review."
    ),
    "help.opcua": (
        "An OPC UA device\n\n"
        "Fill in the server and press Enter. In the tree Enter or the right arrow opens a folder, the left "
        "arrow closes it, the space bar ticks a variable. / goes to the search. Tab goes to the ticked tags: "
        "Enter edits name and unit, d takes a tag out. Ctrl+S puts the device into the draft, Escape goes back.\n\n"
        "Security: auto takes the strongest policy that the server offers. Server and gateway must trust each other's "
        "certificate then: the message says which command does it here."
    ),
    "help.modbus": (
        "A Modbus device\n\n"
        "a adds a register, Enter edits it, c adds the one that follows, d takes it out, r reads all of them "
        "once. Tab goes from field to field. Ctrl+S puts the device into the draft, Escape goes back.\n\n"
        "Byte order: A is the most significant byte. ABCD is big-endian, CDAB has its words swapped."
    ),
    "help.live": (
        "Live\n\n"
        "The latest reading of each tag, as it came through the filters. The space bar ticks a tag, c shows "
        "the ticked ones alone, / filters by device and tag, Escape shows all. The age turns yellow after 10 "
        "seconds."
    ),
    "help.uplink": (
        "Uplink\n\n"
        "What is not filled in has the value shown in grey. Ctrl+T tries the broker as a second client, "
        "without publishing data. A field goes into the draft when it is left."
    ),
    "help.review": (
        "Review\n\n"
        "The changes in words, the problems that stand against them with their place in the file, and the "
        "file's lines. a applies: the gateway checks, writes the file in one step, keeps the earlier text, and "
        "restarts only what changed. x gives the draft up. v lists the earlier texts."
    ),
    "help.all": (
        "1-5 or F1-F5  go to a screen      Tab, Shift+Tab  next, previous field\n"
        "F8            language            F9 or ?         this help\n"
        "F10 or q      quit                Ctrl+Q          quit, also from a field\n\n"
        "● in order   ○ starting   ▲ degraded   ■ bad or waiting   - off"
    ),
}
