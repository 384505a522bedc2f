"""What a configuration may say: one msgspec model a section. Defaults, units and limits stand here and nowhere else.

What several sections have, the base and the types of single keys, is in `keys`.

Protocols bring their own device model: a subclass of `DeviceSettings` in the adapter's folder, chosen by `type`. This
module knows none of them; the reader is handed the table (`adapters.registry`). Field docstrings cannot be read at run
time, so the description of each key, which the JSON Schema and the TUI show, is in its `Meta`.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from gateway.config.keys import Digest, Host, LocalPath, ModuleRef, Name, PlantPath, Port, Seconds, Section

__all__ = [
    "Action",
    "CommandSettings",
    "Config",
    "ControlSettings",
    "DatabaseSettings",
    "DeviceSettings",
    "FilterSettings",
    "GatewaySettings",
    "LogSettings",
    "MetricsSettings",
    "OfflineSettings",
    "PkiSettings",
    "PolicySettings",
    "ShadowSettings",
    "TagSettings",
    "TlsSettings",
    "UplinkSettings",
    "WasmSettings",
]

Action = Literal["collect", "write", "configure"]
"""What a policy decides on: reading a device, writing to one of its tags, changing this configuration."""


class GatewaySettings(Section, frozen=True):
    """Who this gateway is."""

    id: Annotated[Name, Meta(description="Name of this gateway in topics and payloads. Default: the host name.")] = (
        field(default_factory=socket.gethostname)
    )
    path: Annotated[
        PlantPath,
        Meta(
            description="Where the plant stands in the enterprise, as site/area/line: the head of every point's path."
        ),
    ] = "site/area/line"


class DatabaseSettings(Section, frozen=True):
    """The spool: where readings wait until the broker has acknowledged them."""

    type: Annotated[Literal["sqlite"], Meta(description="Kind of database.")] = "sqlite"
    path: Annotated[LocalPath, Meta(description="The spool's file. Its folder is made when it is missing.")] = (
        "tidegate.db"
    )
    max_bytes: Annotated[int, Meta(ge=1_000_000, description="Most bytes that stored readings may take (64-bit).")] = (
        4_000_000_000
    )
    when_full: Annotated[
        Literal["drop_oldest", "drop_newest", "thin"],
        Meta(
            description="What happens at max_bytes. thin: of tags with a thin_error, old readings go that the line "
            "between their neighbours tells within it; when there are none left, the oldest are dropped. Each reading "
            "that goes is counted by cause."
        ),
    ] = "drop_oldest"
    linger_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="Longest time that a batch may wait for others to share its write with, in milliseconds. It "
            "waits only where that spares writes, and at thousands of readings a second no longer than 15.",
        ),
    ] = 100
    autonomy_hours: Annotated[
        Annotated[float, Meta(gt=0, le=87_600)] | None,
        Meta(
            description="The longest outage that the spool is meant to bridge, in hours. Nothing is dropped by age: "
            "status and an alert tell when max_bytes or the disk cannot hold that much at the rate that is measured."
        ),
    ] = None
    hold_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000,
            description="0: a batch is on disk before it is sent. More: while the broker is connected and nothing else "
            "waits for it, a batch is sent first, and is written only if the broker has not acknowledged it within so "
            "many milliseconds. A kill or a power cut then loses at most the readings of that time.",
        ),
    ] = 0
    endurance_tbw: Annotated[
        Annotated[float, Meta(gt=0, le=1_000_000)] | None,
        Meta(
            description="What the maker says that the flash bears, in terabytes written (TBW). Given, status tells how "
            "long a new one lives at today's rate."
        ),
    ] = None
    max_waiting_readings: Annotated[
        int,
        Meta(
            ge=1,
            description="Readings that may wait in memory for the next commit; beyond it, sources are made to wait.",
        ),
    ] = 200_000


class OfflineSettings(Section, frozen=True):
    """What happens while the broker cannot be reached."""

    enabled: Annotated[
        bool,
        Meta(
            description="true: readings taken while the broker is away are kept and sent later. "
            "false: they are dropped and counted."
        ),
    ] = True
    sync_interval: Annotated[
        Seconds, Meta(description="The longest pause between two attempts to reach the broker, in seconds.")
    ] = 60.0
    replay_rate: Annotated[
        int,
        Meta(
            ge=1,
            description="Most backlog readings a second sent beside the live ones after an outage; fewer while the "
            "broker answers slowly.",
        ),
    ] = 200_000


class TlsSettings(Section, frozen=True):
    """TLS: whom to trust, and who we are."""

    ca_file: Annotated[str | None, Meta(description="PEM file of trusted roots. Default: the system's.")] = None
    cert_file: Annotated[str | None, Meta(description="PEM file of the gateway's own certificate.")] = None
    key_file: Annotated[str | None, Meta(description="PEM file of the key of the gateway's own certificate.")] = None
    verify: Annotated[
        bool, Meta(description="Check the other side's certificate and name. false is for trials only.")
    ] = True


class UplinkSettings(Section, frozen=True):
    """The MQTT broker that readings go to."""

    host: Annotated[Host, Meta(description="Name or address of the broker.")]
    port: Annotated[Port | None, Meta(description="TCP port. Default: 1883, with TLS 8883.")] = None
    protocol: Annotated[Literal["3.1.1", "5"], Meta(description="MQTT version.")] = "5"
    client_id: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="MQTT client id. Default: tidegate- and the gateway's id."),
    ] = None
    username: Annotated[str | None, Meta(description="User name at the broker.")] = None
    password: Annotated[str | None, Meta(description="Password; better given as password_file.")] = None
    tls: Annotated[TlsSettings | None, Meta(description="Present: the connection is encrypted.")] = None
    keepalive: Annotated[int, Meta(ge=5, le=3600, description="MQTT keep-alive in seconds.")] = 30
    topic: Annotated[
        str,
        Meta(
            min_length=1,
            pattern=r"^[^+#\x00-\x1f\x7f]+(?!\n)$",
            extra={"rule": "an MQTT topic without the wildcards + and #"},
            description="Head of every topic; {gateway} stands for the gateway's id. Readings go to TOPIC/data/DEVICE, "
            "what is missing to TOPIC/gaps.",
        ),
    ] = "tidegate/{gateway}"
    format: Annotated[Literal["json"], Meta(description="Payload format.")] = "json"
    window: Annotated[
        int, Meta(ge=1, le=1000, description="Messages in flight, not yet acknowledged by the broker.")
    ] = 16
    max_message_bytes: Annotated[
        int, Meta(ge=1_000, le=268_435_455, description="Largest payload; a larger batch is cut into parts.")
    ] = 256_000
    max_live_readings: Annotated[
        int,
        Meta(
            ge=1, description="Readings kept in memory for immediate sending; what exceeds it is sent from the spool."
        ),
    ] = 100_000


class ShadowSettings(Section, frozen=True):
    """A module that runs beside a filter's own on the same readings, and is only compared."""

    module: Annotated[ModuleRef, Meta(description="A built-in module's name or the path of a .wasm file.")]
    sha256: Annotated[Digest | None, Meta(description="SHA-256 of its file, like the filter's.")] = None
    params: Annotated[dict[str, Any] | None, Meta(description="Its parameters. Default: the filter's.")] = None


class FilterSettings(Section, frozen=True):
    """One Wasm module at work on some devices' readings. Filters apply in the order of the file."""

    module: Annotated[
        ModuleRef, Meta(description="A built-in module's name (scale, deadband, ...) or the path of a .wasm file.")
    ]
    sha256: Annotated[
        Digest | None,
        Meta(
            description="SHA-256 of the .wasm file: no other file is run. Built-in modules need none; "
            "`tidegate module inspect FILE` prints it."
        ),
    ] = None
    name: Annotated[Name | None, Meta(description="Name in logs and metrics. Default: the module's.")] = None
    devices: Annotated[list[str], Meta(min_length=1, description="Device names; * and ? are wildcards.")] = field(
        default_factory=lambda: ["*"]
    )
    tags: Annotated[list[str], Meta(min_length=1, description="Tag names; * and ? are wildcards.")] = field(
        default_factory=lambda: ["*"]
    )
    params: Annotated[dict[str, Any], Meta(description="The module's parameters, by name.")] = field(
        default_factory=dict
    )
    tag_params: Annotated[
        dict[str, dict[str, Any]],
        Meta(
            description="Parameters of single tags where they differ from params, by tag name; * and ? are wildcards, "
            "and the first that means a tag counts."
        ),
    ] = field(default_factory=dict)
    outputs: Annotated[
        dict[str, Name] | None,
        Meta(
            description="Which of the module's outputs are made, and how the points are named behind the tag: "
            'mean = "average" gives TAG.average. Default: all but the optional ones, under their own names.'
        ),
    ] = None
    on_failure: Annotated[
        Literal["pass", "set_aside"],
        Meta(
            description="When the module fails on a batch: pass it on unfiltered, or set it aside (kept in the spool, "
            "not sent). Counted either way."
        ),
    ] = "pass"
    shadow: Annotated[
        ShadowSettings | None,
        Meta(
            description="Another module, or version of it, that runs beside this one on the same readings. What it "
            "makes of them goes nowhere: `tidegate module diff` shows where it differs, `tidegate module promote` "
            "swaps the two."
        ),
    ] = None


class WasmSettings(Section, frozen=True):
    """Limits of the Wasm host; they hold for each module instance."""

    cache_dir: Annotated[
        str | None, Meta(description="Folder of compiled modules. Default: wasm-cache beside the database.")
    ] = None
    memory_bytes: Annotated[int, Meta(ge=131_072, le=1 << 32, description="Most memory of one instance.")] = 16_777_216
    batch_ms: Annotated[int, Meta(ge=1, le=10_000, description="Longest time one batch may take, in milliseconds.")] = (
        50
    )


class PkiSettings(Section, frozen=True):
    """Certificates: this gateway's own, and those of the devices that it trusts."""

    folder: Annotated[
        LocalPath | None,
        Meta(description="Folder with own, trusted, rejected, issuers and crl. Default: pki beside the database."),
    ] = None


class PolicySettings(Section, frozen=True):
    """Who may do what. Whatever is not allowed here is denied."""

    file: Annotated[
        LocalPath | None,
        Meta(description="An OPA policy (Rego). It decides on everything; needs the extra tidegate[policy]."),
    ] = None
    query: Annotated[
        str,
        Meta(
            max_length=256,
            pattern=r"^data(\.[A-Za-z_][A-Za-z0-9_]*){2,}(?!\n)$",
            extra={"rule": "the path of a rule, such as data.industrial.allow"},
            description="The rule of the policy that must be true. Rules named deny and reason beside it say why not.",
        ),
    ] = "data.industrial.allow"
    role: Annotated[
        str,
        Meta(max_length=64, description="Role of the gateway itself, and of whoever uses its control socket."),
    ] = "operator"
    allow: Annotated[
        list[Action],
        Meta(description="Without a policy file: the actions that are allowed, to everybody."),
    ] = field(default_factory=lambda: ["collect"])


class CommandSettings(Section, frozen=True):
    """Writes to devices that come as MQTT messages. Each one needs the policy's yes as well."""

    enabled: Annotated[
        bool, Meta(description="true: commands are taken from TOPIC/cmd/DEVICE/TAG/set. false: none are.")
    ] = False
    max_age_s: Annotated[
        Seconds,
        Meta(description="Longest time that a command without its own expiry may wait here, in seconds."),
    ] = 30.0
    write_timeout_s: Annotated[
        Seconds, Meta(description="Longest wait for a write and its read-back together, in seconds.")
    ] = 10.0
    max_waiting: Annotated[
        int, Meta(ge=1, le=10_000, description="Commands that may wait for one device; what exceeds it is refused.")
    ] = 100
    audit_rows: Annotated[
        int,
        Meta(
            ge=100, le=10_000_000, description="Rows of the audit that are kept, and command ids that are remembered."
        ),
    ] = 10_000


class ControlSettings(Section, frozen=True):
    """The Unix socket that status, the TUI and curl speak to."""

    socket: Annotated[
        LocalPath | None, Meta(description="Path of the socket (mode 0600). Default: control.sock beside the database.")
    ] = None


class MetricsSettings(Section, frozen=True):
    """HTTP for Prometheus and for probes: /metrics, /healthz and /readyz. Nobody is asked who he is."""

    host: Annotated[
        Host,
        Meta(description="Address to listen on; 0.0.0.0 is every IPv4 address of this machine, :: every."),
    ] = "127.0.0.1"
    port: Annotated[Port, Meta(description="TCP port.")] = 9464


class LogSettings(Section, frozen=True):
    """JSON lines on standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level that is written.")] = (
        "info"
    )


class TagSettings(Section, frozen=True):
    """What every protocol's tag has. A protocol adds where to read it."""

    name: Annotated[Name, Meta(description="Name of the tag; the last segment of the point's path.")]
    unit: Annotated[str, Meta(max_length=32, description="Engineering unit, as it is shown.")] = ""
    thin_error: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(
            description="With when_full = thin: how far, in the tag's unit as it is published, a line between the "
            "readings that stay may be from one that goes. Default: the device's."
        ),
    ] = None
    alarm: Annotated[
        bool, Meta(description="true: each reading of the tag counts; it is never thinned, whatever the device says.")
    ] = False


class DeviceSettings(Section, frozen=True):
    """What every protocol's device has. `type` names the protocol; its model adds the rest."""

    name: Annotated[Name, Meta(description="Name of the device; unique in the file.")]
    type: Annotated[str, Meta(description="The protocol: opcua or modbus.")]
    path: Annotated[PlantPath | None, Meta(description="site/area/line of this device. Default: the gateway's.")] = None
    enabled: Annotated[bool, Meta(description="false: the device is known but not read.")] = True
    kind: Annotated[
        str, Meta(min_length=1, max_length=64, description="What the policy knows this device as: input.device.type.")
    ] = "sensor"
    thin_error: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="thin_error of tags that give none, in the unit of each. Default: they are not thinned."),
    ] = None
    tags_file: Annotated[
        LocalPath | None,
        Meta(
            description="A CSV file of more tags. Its first line names the columns, which are the keys of a tag; they "
            "are read behind those in tags."
        ),
    ] = None

    def thin_error_of(self, tag: TagSettings) -> float | None:
        """How far a reading of this tag that is thinned may be from the line between its neighbours; None: it stays."""
        if tag.alarm:
            return None
        return self.thin_error if tag.thin_error is None else tag.thin_error


class Config(Section, frozen=True):
    """The whole file. Everything has a default: an empty file is an idle gateway that has nowhere to send."""

    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    offline: OfflineSettings = field(default_factory=OfflineSettings)
    uplink: UplinkSettings | None = None
    wasm: WasmSettings = field(default_factory=WasmSettings)
    pki: PkiSettings = field(default_factory=PkiSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    commands: CommandSettings = field(default_factory=CommandSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    metrics: Annotated[
        MetricsSettings | None, Meta(description="Present: metrics and probes are served over HTTP.")
    ] = None
    log: LogSettings = field(default_factory=LogSettings)
    filters: Annotated[list[FilterSettings], Meta(description="Wasm modules, in the order they apply.")] = field(
        default_factory=list
    )
    devices: Annotated[list[DeviceSettings], Meta(description="The PLCs that are read.")] = field(default_factory=list)

    @property
    def socket_path(self) -> Path:
        """The control socket: as configured, else beside the database."""
        return Path(self.control.socket or Path(self.database.path).with_name("control.sock"))

    @property
    def wasm_cache_dir(self) -> Path:
        """The folder of compiled modules: as configured, else beside the database."""
        return Path(self.wasm.cache_dir or Path(self.database.path).with_name("wasm-cache"))

    @property
    def pki_dir(self) -> Path:
        """The folder of certificates: as configured, else beside the database."""
        return Path(self.pki.folder or Path(self.database.path).with_name("pki"))

    def point_path(self, device: DeviceSettings, tag: str) -> str:
        """The path of a point: plant path, device, tag.

        Neither of the last two can hold a slash, so unique names make unique paths.
        """
        return f"{device.path or self.gateway.path}/{device.name}/{tag}"
