"""A backend without a gateway: the same answers each time, so that pictures of the screens can be compared."""

from __future__ import annotations

import copy
import hashlib

from gateway.control.refusal import Refused
from gateway.errors import Problem, TidegateError
from tui.backend.contract import (
    Applied,
    ConfigText,
    Found,
    NeedsGateway,
    Node,
    PlainProblem,
    Point,
    ReadOnce,
    Tested,
    Verdict,
    Version,
)

NOW_S = 1_790_000_000.0

CONFIG = """\
# The press shop
[gateway]
id = "press-shop-1"
path = "hamburg/press-shop/line-1"

[uplink]
host = "broker.plant.example"   # the IT department's
# port = 1883

# The press
[[devices]]
name = "press"
type = "opcua"
url = "opc.tcp://192.168.0.10:4840"

[[devices.tags]]
name = "Force"
node = "ns=2;s=Press.Force"
unit = "kN"

# The tank, unit 1
[[devices]]
name = "tank"
type = "modbus"
host = "192.168.0.20"

[[devices.tags]]
name = "level"
register = "input"
address = 0
type = "float32"
unit = "%"

[[devices.tags]]
name = "液位设定"
address = "40001"
scale = 0.1
unit = "%"
"""

PAGE = {
    "gateway": "press-shop-1",
    "version": "0.1.0",
    "state": "degraded",
    "began": NOW_S - 7200,
    "uptime_s": 7199.0,
    "components": {
        "control": {"state": "up", "why": "listening", "since": NOW_S - 7200},
        "uplink": {"state": "up", "why": "connected", "since": NOW_S - 3600},
        "device press": {"state": "up", "why": "reading", "since": NOW_S - 7199},
        "device tank": {
            "state": "waiting",
            "why": "Modbus device tank at 192.168.0.20:502 did not answer within 1 s. Is it powered, and is its "
            "address right? (next attempt in 4.0 s)",
            "since": NOW_S - 42,
        },
    },
    "devices": {
        "press": {"state": "up", "readings": 71_990},
        "tank": {"state": "waiting", "readings": 50_000},
    },
    "filters": {
        "press": [{"name": "quiet-analogues", "module": "deadband 1.0.0", "state": "working"}],
        "tank": [{"name": "quiet-analogues", "module": "deadband 1.0.0", "state": "idle"}],
    },
    "spool": {
        "state": "ok",
        "error": "",
        "backlog_readings": 12_345,
        "backlog_bytes": 300_000,
        "set_aside_readings": 0,
        "oldest_at_ns": int((NOW_S - 31) * 1e9),
        "file_bytes": 8_777_568,
        "forecast": {"full_in_s": 273_600},
        "dropped": {},
    },
    "uplink": {
        "state": "connected",
        "broker": "broker.plant.example:1883",
        "last_error": None,
        "in_flight": 3,
        "window": 16,
    },
    "counters": {
        "tidegate_readings_received_total": {"press": 71_990.0, "tank": 50_000.0},
        "tidegate_readings_stored_total": {"": 110_000.0},
        "tidegate_readings_published_total": {"false": 90_000.0, "true": 8_000.0},
        "tidegate_readings_filtered_total": {"quiet-analogues": 11_990.0},
        "tidegate_latency_seconds_count": {"": 10_000.0},
        "tidegate_latency_seconds_sum": {"": 380.0},
    },
}

OBJECTS = [
    Node("i=2253", "Server", "Objects/Server", "object", children=True),
    Node("ns=2;s=Press", "Press", "Objects/Press", "object", children=True),
    Node("ns=2;s=中文", "生产线状态", "Objects/生产线状态", "object", children=True),
]
PRESS = [
    Node("ns=2;s=Press.Force", "Force", "Objects/Press/Force", "variable", "Double", "128.3"),
    Node("ns=2;s=Press.Oil", "油温", "Objects/Press/油温", "variable", "Float", "41.5"),
    Node("ns=2;s=Press.Running", "Running", "Objects/Press/Running", "variable", "Boolean", "true", writable=True),
    Node("ns=2;s=Press.State", "State", "Objects/Press/State", "variable", "String", "RUN"),
]
VALUES = {
    "ns=2;s=Press.Force": 131.25,
    "ns=2;s=Press.Oil": 41.62,
    "ns=2;s=Press.Running": True,
    "ns=2;s=Press.State": "RUN",
}
POINTS = [
    Point("press", "Force", "kN", 131.25, "good", (NOW_S - 0.2) * 1000),
    Point("press", "油温", "°C", 41.62, "good", (NOW_S - 0.3) * 1000),
    Point("press", "State", "", "RUN", "uncertain", (NOW_S - 3) * 1000),
    Point("tank", "level", "%", None, "bad", (NOW_S - 42) * 1000),
    Point("tank", "液位设定", "%", 75.5, "good", (NOW_S - 4000) * 1000),
]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


class FakeBackend:
    """A gateway with one text; each status page is one second later, with a bit more counted."""

    online = True
    place = "/run/tidegate/control.sock"

    def __init__(self, text=CONFIG, *, is_json=False):
        self.text = text
        self.file = "/etc/tidegate/config.json" if is_json else "/etc/tidegate/config.toml"
        self.kept = []
        self.calls = []
        self.gone = False
        self.problems = []
        self.refusal = None
        self.needs_restart = []
        self.steps = 0

    async def status(self):
        self._ask("status")
        page = copy.deepcopy(PAGE)
        self.steps += 1
        seconds = self.steps - 1
        page["uptime_s"] = 7199.0 + seconds
        for _ in range(seconds):
            counters = page["counters"]
            counters["tidegate_readings_received_total"]["press"] += 128.4
            counters["tidegate_readings_stored_total"][""] += 101
            counters["tidegate_readings_published_total"]["false"] += 97.5
            counters["tidegate_readings_published_total"]["true"] += 5000
            counters["tidegate_readings_filtered_total"]["quiet-analogues"] += 27.4
            counters["tidegate_latency_seconds_count"][""] += 10
            counters["tidegate_latency_seconds_sum"][""] += 0.37
        return page

    async def config(self):
        self._ask("config")
        return ConfigText(self.file, self.text, digest(self.text))

    async def check(self, text):
        self._ask("check", text)
        return Verdict(
            problems=[PlainProblem(*problem) for problem in self.problems],
            plan="" if self.problems else "Gateway   press-shop-1",
            needs_restart=self.needs_restart,
        )

    async def apply(self, text, base, *, restart_later=False):
        self._ask("apply", text, base, restart_later)
        if self.refusal is not None:
            raise self.refusal
        if base != digest(self.text):
            raise Refused("the configuration was changed since the draft was made from it", status=409)
        if self.problems:
            raise Refused(
                "the draft has mistakes", status=422, problems=[Problem(*problem) for problem in self.problems]
            )
        self.kept.insert(0, self.text)
        self.text = text
        return Applied(["device line was started"], digest(text))

    async def versions(self):
        self._ask("versions")
        return [Version("000002.toml", NOW_S - 3600, 812), Version("000001.toml", NOW_S - 86_400, 655)]

    async def browse(self, device, node):
        self._ask("browse", dict(device), node)
        return {None: OBJECTS, "ns=2;s=Press": PRESS}.get(node, [])

    async def search(self, device, text, limit):
        self._ask("search", text, limit)
        return Found([node for node in PRESS if text.lower() in node.path.lower()], complete=True)

    async def read(self, device):
        self._ask("read", dict(device))
        if device["type"] == "opcua":
            return [ReadOnce(tag["name"], VALUES.get(tag["node"]), "good", NOW_S * 1000) for tag in device["tags"]]
        return [
            ReadOnce(tag["name"], None if place == 1 else 60.5 + place, "bad" if place == 1 else "good", NOW_S * 1000)
            for place, tag in enumerate(device["tags"])
        ]

    async def live(self):
        self._ask("live")
        return POINTS

    async def test_uplink(self, uplink):
        self._ask("test_uplink", dict(uplink))
        return Tested(True, f"connected to {uplink.get('host')}:1883 within 12 ms")

    def _ask(self, *call):
        self.calls.append(call)
        if self.gone:
            raise TidegateError("no gateway listens at /run/tidegate/control.sock any more: the one that did has ended")

    def called(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


class FakeFile(FakeBackend):
    """No gateway, only a file."""

    online = False
    place = "/etc/tidegate/config.toml"

    async def status(self):
        raise NeedsGateway("offline")

    async def live(self):
        raise NeedsGateway("offline")

    async def browse(self, device, node):
        raise NeedsGateway("offline")
