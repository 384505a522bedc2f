"""What must be done to a running gateway so that it does what a new configuration says. Pure: looks, and does nothing.

Invariants
- A device whose settings, point paths and filters are the same in both configurations is in no list: it is not touched.
- A device is in one list at most. One whose settings changed is restarted; one whose filters changed only gets a new
  chain between two batches, and its connection stays.
- What cannot be changed while the gateway runs is named in `needs_restart`, key by key, and left out of all else.

The sections that can be applied are listed here; any other section, also one that is added to the models later, needs
a restart until somebody decides otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from gateway.config.globs import matches
from gateway.config.keys import Section
from gateway.config.models import Config, DeviceSettings, FilterSettings

__all__ = ["Plan", "UplinkChange", "reconcile", "settled"]

TagsOf = Callable[[DeviceSettings], Sequence[str]]
"""Names of a device's tags; only its protocol knows them."""

DerivedOf = Callable[[Config, DeviceSettings], Sequence[str]]
"""Names of the tags that a device's filters make; only the modules know them."""

_FILTER_KEYS: Final = tuple(key for key in FilterSettings.__struct_fields__ if key not in ("devices", "tags"))
"""What of a filter matters to a device, beside the tags that it is at work on."""
_APPLIED: Final = frozenset({"gateway", "offline", "uplink", "log", "filters", "devices"})
_FIXED_KEYS: Final = {"gateway": frozenset({"id"})}
"""Keys of those sections that cannot be changed all the same: batches in the spool are published under the id."""


class UplinkChange(StrEnum):
    """What becomes of the way to the broker."""

    KEEP = "keep"
    START = "start"
    RESTART = "restart"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done, devices by name in the order of the configuration.

    Attributes:
        stop: devices that are read now and no longer will be.
        start: devices that are not read now and will be.
        restart: devices that are read with other settings, or under other point paths.
        rebuild: devices whose filters changed; their adapters are not touched.
        uplink: what becomes of the uplink.
        log_level: the new level; None where it stays.
        changes: all of it in words.
        needs_restart: key paths that differ and only count from the next start of the process on.
    """

    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    rebuild: tuple[str, ...] = ()
    uplink: UplinkChange = UplinkChange.KEEP
    log_level: str | None = None
    changes: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()


def reconcile(old: Config, new: Config, *, tags: TagsOf, derived: DerivedOf = lambda _config, _device: ()) -> Plan:
    """The steps from one configuration to another.

    Args:
        old: what the gateway runs with.
        new: what it is to run with; checked.
        tags: names of a device's tags.
        derived: names of those that its filters make.
    """

    def all_tags(config: Config) -> TagsOf:
        return lambda device: [*tags(device), *derived(config, device)]

    before = {device.name: device for device in old.devices if device.enabled}
    after = {device.name: device for device in new.devices if device.enabled}
    same = [name for name in after if name in before and _same_device(old, before[name], new, after[name])]
    kept = set(same)
    stop = tuple(name for name in before if name not in after)
    start = tuple(name for name in after if name not in before)
    restart = tuple(name for name in after if name in before and name not in kept)
    rebuild = tuple(
        name for name in same if _filters(old, before[name], all_tags(old)) != _filters(new, after[name], all_tags(new))
    )
    uplink = _uplink(old, new)
    log_level = new.log.level if new.log != old.log else None
    told = {device.name for device in new.devices}
    return Plan(
        stop=stop,
        start=start,
        restart=restart,
        rebuild=rebuild,
        uplink=uplink,
        log_level=log_level,
        changes=(
            *(f"device {name}: {'is disabled and stops' if name in told else 'is removed'}" for name in stop),
            *(f"device {name}: starts" for name in start),
            *(f"device {name}: restarts with its new settings" for name in restart),
            *(f"device {name}: gets new filters, its connection stays" for name in rebuild),
            *_uplink_words(uplink),
            *([f"log: writes from level {log_level} on"] if log_level else []),
        ),
        needs_restart=tuple(_fixed(old, new)),
    )


def settled(old: Config, new: Config) -> Config:
    """What the gateway runs with once a plan was applied: the new configuration, but for what needs a restart."""
    parts: dict[str, Any] = {}
    for name in Config.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if name not in _APPLIED:
            parts[name] = before
        elif name in _FIXED_KEYS:
            fixed = {key: getattr(before, key) for key in _FIXED_KEYS[name]}
            parts[name] = msgspec.structs.replace(after, **fixed)
    return msgspec.structs.replace(new, **parts)


def _same_device(old: Config, before: DeviceSettings, new: Config, after: DeviceSettings) -> bool:
    return before == after and old.point_path(before, "") == new.point_path(after, "")


def _filters(config: Config, device: DeviceSettings, tags: TagsOf) -> list[tuple[object, ...]]:
    """The filters at work on a device as far as they matter to it: patterns that mean the same are the same."""
    names = tags(device) if config.filters else ()
    found: list[tuple[object, ...]] = []
    for settings in config.filters:
        if not matches(settings.devices, device.name):
            continue
        mine = tuple(tag for tag in names if matches(settings.tags, tag))
        if mine:
            found.append((*(getattr(settings, key) for key in _FILTER_KEYS), mine))
    return found


def _uplink(old: Config, new: Config) -> UplinkChange:
    if new.uplink is None:
        return UplinkChange.KEEP if old.uplink is None else UplinkChange.STOP
    if old.uplink is None:
        return UplinkChange.START
    same = (old.uplink, old.offline) == (new.uplink, new.offline)
    return UplinkChange.KEEP if same else UplinkChange.RESTART


def _uplink_words(change: UplinkChange) -> list[str]:
    words = {
        UplinkChange.START: "uplink: connects to the broker and sends what waits",
        UplinkChange.RESTART: "uplink: finishes what is in flight and connects anew",
        UplinkChange.STOP: "uplink: disconnects; readings are stored and wait",
    }
    return [words[change]] if change in words else []


def _fixed(old: Config, new: Config) -> Iterator[str]:
    """Key paths of what differs and cannot be changed while the gateway runs."""
    for name in Config.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        keys = _FIXED_KEYS.get(name, frozenset()) if name in _APPLIED else None
        if isinstance(before, Section) and isinstance(after, Section):
            for key in before.__struct_fields__:
                if (keys is None or key in keys) and getattr(before, key) != getattr(after, key):
                    yield f"{name}.{key}"
        elif keys is None:
            yield name
