"""What two pages of `/status` say of the flow: rates from the differences of counters, by the gateway's own clock.

Pure. A gateway that was started anew begins at zero: there is no rate until its second page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

__all__ = ["Component", "Device", "Filter", "Flow", "flow"]

_NS_PER_S: Final = 1e9
_LATE_S: Final = 5.0
_WORSE: Final = ("idle", "working", "failing", "parked")


class Component(NamedTuple):
    """State of one part, why, and since when (seconds since 1970)."""

    name: str
    state: str
    why: str
    since_s: float


class Device(NamedTuple):
    """One device: state, why, readings so far, and a second."""

    name: str
    state: str
    why: str
    readings: int
    per_s: float | None


class Filter(NamedTuple):
    """One filter, over all devices it is at work on: the worst state, and readings left out a second."""

    name: str
    state: str
    filtered_per_s: float | None


class Flow(NamedTuple):
    """The flow as it runs. Rates are None where they are not known yet.

    `full_in_s` is how long the spool's room lasts; None too where nothing comes in.
    `latency_s` is the mean of the messages acknowledged since the page before, None where there were none.
    """

    gateway: str
    state: str
    version: str
    uptime_s: float
    devices: tuple[Device, ...]
    filters: tuple[Filter, ...]
    spool_state: str
    spool_error: str
    stored_per_s: float | None
    backlog_readings: int
    backlog_bytes: int
    oldest_s: float | None
    file_bytes: int
    full_in_s: float | None
    dropped: int
    set_aside: int
    broker_state: str
    broker: str
    broker_error: str
    live_per_s: float | None
    late_per_s: float | None
    latency_s: float | None
    in_flight: int
    window: int
    components: tuple[Component, ...]

    @property
    def late(self) -> bool:
        """Whether readings have waited so long that it is no longer the rhythm of commits and acknowledgements."""
        return self.oldest_s is not None and self.oldest_s > _LATE_S

    @property
    def in_per_s(self) -> float | None:
        """Readings that all devices gave, a second."""
        known = [device.per_s for device in self.devices if device.per_s is not None]
        return sum(known) if known else None


def flow(page: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Flow:
    """The flow that a status page shows.

    Args:
        page: the newest page.
        before: the one before it, for rates.
    """
    told = _Told(page, before)
    spool, uplink = _map(page, "spool"), _map(page, "uplink")
    components = {name: _map(_map(page, "components"), name) for name in _map(page, "components")}
    oldest_ns = spool.get("oldest_at_ns")
    now_s = float(page.get("began", 0)) + float(page.get("uptime_s", 0))
    return Flow(
        gateway=str(page.get("gateway", "")),
        state=str(page.get("state", "")),
        version=str(page.get("version", "")),
        uptime_s=float(page.get("uptime_s", 0)),
        devices=tuple(
            _device(name, _map(_map(page, "devices"), name), components, told) for name in _map(page, "devices")
        ),
        filters=_filters(_map(page, "filters"), told),
        spool_state=str(spool.get("state", "")),
        spool_error=str(spool.get("error") or ""),
        stored_per_s=told.rate("tidegate_readings_stored_total", ""),
        backlog_readings=int(spool.get("backlog_readings", 0)),
        backlog_bytes=int(spool.get("backlog_bytes", 0)),
        oldest_s=None if oldest_ns is None else max(0.0, now_s - oldest_ns / _NS_PER_S),
        file_bytes=int(spool.get("file_bytes", 0)),
        full_in_s=_map(spool, "forecast").get("full_in_s"),
        dropped=sum(int(lost) for lost in _map(spool, "dropped").values()),
        set_aside=int(spool.get("set_aside_readings", 0)),
        broker_state=str(uplink.get("state", "")),
        broker=str(uplink.get("broker") or ""),
        broker_error=str(uplink.get("last_error") or ""),
        live_per_s=told.rate("tidegate_readings_published_total", "false"),
        late_per_s=told.rate("tidegate_readings_published_total", "true"),
        latency_s=told.mean("tidegate_latency_seconds"),
        in_flight=int(uplink.get("in_flight", 0)),
        window=int(uplink.get("window", 0)),
        components=tuple(
            Component(name, str(one.get("state", "")), str(one.get("why", "")), float(one.get("since", 0)))
            for name, one in components.items()
        ),
    )


class _Told:
    """Counters of two pages and the seconds between them."""

    def __init__(self, page: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
        self._new = _map(page, "counters")
        same_life = before is not None and before.get("began") == page.get("began")
        self._old = _map(before, "counters") if same_life and before is not None else {}
        self._seconds = float(page["uptime_s"]) - float(before["uptime_s"]) if same_life and before is not None else 0.0

    def rate(self, name: str, label: str) -> float | None:
        """Increase a second."""
        return None if self._seconds <= 0 else self._step(name, label) / self._seconds

    def mean(self, name: str) -> float | None:
        """Mean of what a histogram took in between the pages."""
        if self._seconds <= 0:
            return None
        seen = self._step(f"{name}_count", "")
        return self._step(f"{name}_sum", "") / seen if seen > 0 else None

    def _step(self, name: str, label: str) -> float:
        new, old = _map(self._new, name).get(label, 0), _map(self._old, name).get(label, 0)
        return max(0.0, float(new) - float(old))


def _device(name: str, page: Mapping[str, Any], components: Mapping[str, Mapping[str, Any]], told: _Told) -> Device:
    state = str(page.get("state", ""))
    why = str(components.get(f"device {name}", {}).get("why", ""))
    per_s = told.rate("tidegate_readings_received_total", name)
    return Device(name, state, why, int(page.get("readings", 0)), per_s)


def _filters(page: Mapping[str, Any], told: _Told) -> tuple[Filter, ...]:
    states: dict[str, str] = {}
    for chain in page.values():
        for one in chain:
            name, state = str(one.get("name", "")), str(one.get("state", ""))
            states[name] = max(states.get(name, state), state, key=_badness)
    return tuple(
        Filter(name, state, told.rate("tidegate_readings_filtered_total", name)) for name, state in states.items()
    )


def _badness(state: str) -> int:
    return _WORSE.index(state) if state in _WORSE else len(_WORSE)


def _map(page: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = page.get(key)
    return found if isinstance(found, Mapping) else {}
