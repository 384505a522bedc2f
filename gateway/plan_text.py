"""What `tidegate check` prints: the configuration as the gateway will understand it, for people. Shows no secret."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.registry import protocol
from gateway.check import chains_of
from gateway.config.models import Config, DatabaseSettings, DeviceSettings, FilterSettings, UplinkSettings
from gateway.config.words import hide_credentials, many
from gateway.thinrules import thinned_points
from gateway.wasm.plan import Step

__all__ = ["WIDTH", "plan_text"]

WIDTH: Final = 100
_LABEL: Final = 10
_MOST_TAGS: Final = 8
_USUAL_READING_BYTES: Final = 4
"""What a reading of a plant takes in the spool during an outage, or a little less."""

_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")


def plan_text(config: Config) -> str:
    """The plan, at most 100 columns wide unless a name is longer.

    Args:
        config: a checked configuration.
    """
    lines = [
        *_entry("Gateway", [config.gateway.id, f"points begin with {config.gateway.path}/"]),
        *_entry("Spool", _spool(config)),
        *_entry("Uplink", _uplink(config)),
        *_entry("Control", [f"socket {config.socket_path}"]),
    ]
    if any(getattr(device, "is_secured", False) for device in config.devices):
        lines += _entry("Pki", [f"certificates in {config.pki_dir}; `tidegate pki list` shows them"])
    if config.filters:
        wasm = config.wasm
        limits = f"each instance: at most {_size(wasm.memory_bytes)} of memory, {wasm.batch_ms} ms for one batch"
        lines += _entry("Wasm", [limits, f"compiled modules in {config.wasm_cache_dir}"])
    tags = sum(len(protocol(device.type).points(device)) for device in config.devices)
    lines += _entry("Devices", [f"{len(config.devices)}, with {many(tags, 'tag')} together"])
    for device in config.devices:
        lines += _device(config, device)
    lines += _together(config.devices)
    if config.filters:
        lines += _entry("Filters", [f"{len(config.filters)}, applied in this order"])
        chains = chains_of(config, config.devices)
        for place, settings in enumerate(config.filters):
            steps = {name: step for name, chain in chains.items() for step in chain if step.place == place}
            lines += _filter(place + 1, settings, steps)
    return "\n".join(map(hide_credentials, lines))


def _spool(config: Config) -> list[str]:
    database, offline = config.database, config.offline
    lost = {
        "drop_oldest": "the oldest readings are dropped",
        "drop_newest": "new readings are dropped",
        "thin": f"{_thinned(config)}; then the oldest readings are dropped",
    }
    kept = (
        f"while the broker is away readings are kept; then up to {offline.replay_rate} a second are sent late"
        if offline.enabled
        else "while the broker is away readings are dropped and counted"
    )
    bears = [] if database.endurance_tbw is None else [f"its flash bears {database.endurance_tbw:g} TB written"]
    held = (
        f"a batch that the broker acknowledges within {database.hold_ms} ms is not written; "
        "a kill or a power cut loses at most the readings of that time"
    )
    return [
        str(database.path),
        *([held] if database.hold_ms else []),
        *bears,
        f"at most {_size(database.max_bytes)}; when it is full, {lost[database.when_full]} and counted",
        kept,
        *_autonomy(database),
    ]


def _thinned(config: Config) -> str:
    count = len(thinned_points(config))
    tags = many(count, "tag")
    return f"old readings of {tags} are thinned within thin_error" if count else "no tag has a thin_error to be thinned"


def _autonomy(database: DatabaseSettings) -> list[str]:
    hours = database.autonomy_hours
    if hours is None:
        return []
    per_s = database.max_bytes / (hours * 3600 * _USUAL_READING_BYTES)
    at = f"at {_USUAL_READING_BYTES} bytes a reading up to {per_s:,.0f} readings a second"
    return [f"an outage of {hours:g} h is to be bridged: {at}; `tidegate status` tells what is measured"]


def _uplink(config: Config) -> list[str]:
    uplink = config.uplink
    if uplink is None:
        return ["none: readings are stored and not sent"]
    port = uplink.port or (8883 if uplink.tls else 1883)
    topic = uplink.topic.replace("{gateway}", config.gateway.id)
    return [
        f"{uplink.host}:{port}, MQTT {uplink.protocol}, {_tls(uplink)}, {_login(uplink)}",
        f"client id {uplink.client_id or f'tidegate-{config.gateway.id}'}",
        f"topics {topic}/data/DEVICE, format {uplink.format}",
        f"up to {many(uplink.window, 'message')} in flight, each of at most {_size(uplink.max_message_bytes)}",
        f"asks again at most every {config.offline.sync_interval:g} s while the broker is away",
    ]


def _tls(uplink: UplinkSettings) -> str:
    tls = uplink.tls
    if tls is None:
        return "not encrypted"
    roots = f"roots from {tls.ca_file}" if tls.ca_file else "the system's roots"
    own = ", own certificate" if tls.cert_file else ""
    return f"TLS ({roots}{own})" if tls.verify else f"TLS WITHOUT CHECKING THE BROKER'S CERTIFICATE{own}"


def _login(uplink: UplinkSettings) -> str:
    if uplink.username is None:
        return "anonymous" if uplink.password is None else "with a password"
    return f"user {uplink.username}" + (" with a password" if uplink.password is not None else "")


def _device(config: Config, device: DeviceSettings) -> list[str]:
    speaks = protocol(device.type)
    state = "" if device.enabled else ", not enabled: it is not read"
    head = f"{device.name} ({device.type}{state}): points {config.point_path(device, 'TAG')}"
    return [*_indented(head, 2), *(line for text in speaks.plan(device) for line in _indented(text, 6))]


def _together(devices: Sequence[DeviceSettings]) -> list[str]:
    lines = []
    for name in dict.fromkeys(device.type for device in devices):
        plan = protocol(name).plan_together
        if plan is not None:
            for text in plan([device for device in devices if device.type == name]):
                lines += _indented(text, 2)
    return lines


def _filter(number: int, settings: FilterSettings, steps: Mapping[str, Step]) -> list[str]:
    name = settings.name or settings.module
    params = _params(settings.params) or "no parameters"
    fails = {"pass": "its readings pass unfiltered", "set_aside": "its readings are set aside, not sent"}
    module = "" if name == settings.module else f" ({settings.module})"
    lines = [
        *_indented(f"{number}. {name}{module}: {params}", 2),
        *(line for pattern, own in settings.tag_params.items() for line in _indented(f"{pattern}: {_params(own)}", 6)),
        *_indented(f"when it fails on a batch, {fails[settings.on_failure]}", 6),
    ]
    if settings.shadow is not None:
        lines += _indented(f"{settings.shadow.module} runs beside it as its shadow and changes nothing", 6)
    for device, step in steps.items():
        lines += _indented(f"{device}: {_some(step.tags)}", 6)
        if step.derived:
            lines += _indented(f"makes {_some([one.tag for one in step.derived])}", 8)
    return lines


def _params(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in params.items())


def _some(tags: Sequence[str]) -> str:
    return ", ".join(tags[:_MOST_TAGS]) + (f" and {len(tags) - _MOST_TAGS} more" if len(tags) > _MOST_TAGS else "")


def _entry(label: str, texts: Sequence[str]) -> list[str]:
    lines = [line for text in texts for line in _indented(text, _LABEL)]
    return [label.ljust(_LABEL) + lines[0].lstrip(), *lines[1:]]


def _indented(text: str, columns: int) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * columns,
        subsequent_indent=" " * (columns + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _size(count_bytes: int) -> str:
    """Bytes in decimal units, as disks are sold."""
    power = min((len(str(count_bytes)) - 1) // 3, len(_UNITS) - 1)
    return f"{round(count_bytes / 1000**power, 1):g} {_UNITS[power]}"
