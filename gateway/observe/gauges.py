"""The metrics that are gathered at each scrape: states, ages, and what waits. Pure.

Invariants
- No two samples of one metric have the same labels: filters of one name on one device are shown as one, in the worst
  of their states. Prometheus would take one of the two, and nobody could say which.
- A state is one sample for each state there is, 1 where it holds: so a state that has passed is 0, not missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from gateway.health import DEVICE_PREFIX, State
from gateway.observe.readiness import Readiness
from gateway.spool import SpoolStats
from gateway.spool.budget.forecast import Forecast
from gateway.wasm.stage import FilterHealth, FilterState
from gateway.wear import Wear

__all__ = ["Seen", "gauges"]

_FILTER_STATES: Final[tuple[FilterState, ...]] = get_args(FilterState)
"""From the best to the worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is to be seen of a gateway at one moment.

    Attributes:
        gateway_id: its name.
        version: of this program.
        at_ns: the moment, UTC ns.
        readiness: the answer to a probe.
        components: state of each component; a device's is called `device` and its name.
        ages_s: seconds since each device's last good reading, for the devices that are read.
        spool: what waits.
        max_bytes: most bytes that stored readings may take.
        wear: what was written to the flash.
        uplink: what the uplink tells of itself; None where no broker is configured.
        filters: the filters of each device.
    """

    gateway_id: str
    version: str
    at_ns: int
    readiness: Readiness
    components: Mapping[str, State]
    ages_s: Mapping[str, float]
    spool: SpoolStats
    max_bytes: int
    wear: Wear
    uplink: Mapping[str, Any] | None
    filters: Mapping[str, Iterable[FilterHealth]]


def gauges(seen: Seen) -> Iterator[Metric]:
    """The metrics of one moment."""
    yield InfoMetricFamily(
        "tidegate_gateway",
        "Name of the gateway and version of the program; always 1.",
        {"gateway": seen.gateway_id, "version": seen.version},
    )
    yield _gauge(
        "tidegate_ready", "1 while the gateway can store what comes in: what /readyz answers.", seen.readiness.ready
    )
    yield from _states(seen)
    yield from _spool(seen)
    yield from _flash(seen.wear)
    if seen.uplink is not None:
        yield from _uplink(seen.uplink)
    yield _filters(seen)


def _states(seen: Seen) -> Iterator[Metric]:
    devices = GaugeMetricFamily(
        "tidegate_device_state", "1 for the state that a device is in, 0 for all others.", labels=("device", "state")
    )
    others = GaugeMetricFamily(
        "tidegate_component_state",
        "1 for the state that a component which is no device is in, 0 for all others.",
        labels=("component", "state"),
    )
    for name, now in seen.components.items():
        device = name.removeprefix(DEVICE_PREFIX)
        family = others if device == name else devices
        for state in State:
            family.add_metric((device, str(state)), state == now)
    ages = GaugeMetricFamily(
        "tidegate_device_last_good_age_seconds",
        "Since the arrival of a device's last good reading, or since it began to be read.",
        labels=("device",),
    )
    for device, age_s in seen.ages_s.items():
        ages.add_metric((device,), age_s)
    yield from (devices, others, ages)


def _spool(seen: Seen) -> Iterator[Metric]:
    spool = seen.spool
    oldest_s = 0.0 if spool.oldest_at_ns is None else max(0, seen.at_ns - spool.oldest_at_ns) / 1e9
    yield _gauge("tidegate_backlog_readings", "Readings on disk that wait for the broker.", spool.backlog_readings)
    yield _gauge("tidegate_backlog_batches", "Batches on disk that wait for the broker.", spool.backlog_batches)
    yield _gauge("tidegate_backlog_bytes", "Bytes of the batches that wait for the broker.", spool.backlog_bytes)
    yield _gauge(
        "tidegate_backlog_oldest_age_seconds", "Age of the oldest batch that waits for the broker; 0: none.", oldest_s
    )
    yield _gauge("tidegate_set_aside_readings", "Readings kept for a person to look at.", spool.set_aside_readings)
    yield _gauge("tidegate_set_aside_bytes", "Bytes of the batches kept for a person.", spool.set_aside_bytes)
    yield _gauge(
        "tidegate_spool_waiting_readings", "Readings in memory that wait for their commit.", spool.waiting_readings
    )
    yield _gauge("tidegate_spool_max_bytes", "Most bytes that stored readings may take.", seen.max_bytes)
    if spool.forecast is not None:
        yield from _forecast(spool.forecast)
    yield _gauge("tidegate_spool_file_bytes", "Database and write-ahead log on disk.", spool.file_bytes)
    yield _gauge(
        "tidegate_gaps_to_tell", "Rows of the gap ledger that the broker has not taken yet.", spool.gaps_to_tell
    )
    yield _gauge("tidegate_spool_failing", "1 while the disk does not take what waits.", spool.state == "failing")
    yield CounterMetricFamily("tidegate_spool_commits", "Transactions of the spool.", value=spool.commits)


def _forecast(seen: Forecast) -> Iterator[Metric]:
    """Without a sample as long as nothing is known; infinite where nothing comes in."""
    at_no_rate = math.inf if seen.readings_per_s == 0 else None
    for name, help_text, seconds in (
        (
            "full_in",
            "Until the spool is full where the broker takes nothing, at the rate of today.",
            at_no_rate if seen.full_in_s is None else seen.full_in_s,
        ),
        (
            "autonomy",
            "The longest outage that the empty spool could hold, at the rate of today.",
            at_no_rate if seen.autonomy_s is None else seen.autonomy_s,
        ),
        ("autonomy_wanted", "The outage that database.autonomy_hours asks for.", seen.wanted_s),
    ):
        family = GaugeMetricFamily(f"tidegate_spool_{name}_seconds", help_text)
        if seconds is not None:
            family.add_metric((), seconds)
        yield family


def _flash(wear: Wear) -> Iterator[Metric]:
    for name, help_text, written_bytes in (
        ("tidegate_written_bytes", "Bytes that this process has written to the disk.", wear.written_bytes),
        ("tidegate_spool_written_bytes", "Those of them that the spool has written.", wear.spool_written_bytes),
        ("tidegate_spool_payload_bytes", "Bytes of the batches that the spool has stored.", wear.payload_bytes),
    ):
        if written_bytes is not None:
            yield CounterMetricFamily(name, help_text, value=written_bytes)
    if wear.bytes_per_day is not None:
        yield _gauge(
            "tidegate_flash_bytes_per_day", "Bytes written a day, at the rate of the last day.", wear.bytes_per_day
        )
    if wear.life_years is not None:
        yield _gauge("tidegate_flash_life_years", "How long a new disk bears that rate.", wear.life_years)


def _uplink(uplink: Mapping[str, Any]) -> Iterator[Metric]:
    yield _gauge("tidegate_uplink_connected", "1 while the broker is connected.", uplink.get("state") == "connected")
    yield _gauge(
        "tidegate_uplink_in_flight_messages",
        "Messages that the broker has not acknowledged yet.",
        uplink.get("in_flight", 0),
    )
    yield _gauge(
        "tidegate_uplink_live_readings", "Readings in memory that wait to be sent.", uplink.get("live_readings", 0)
    )


def _filters(seen: Seen) -> Metric:
    family = GaugeMetricFamily(
        "tidegate_filter_state",
        "1 for the state that a filter of a device is in, 0 for all others.",
        labels=("device", "filter", "state"),
    )
    for device, filters in seen.filters.items():
        worst: dict[str, int] = {}
        for one in filters:
            worst[one.name] = max(worst.get(one.name, 0), _FILTER_STATES.index(one.state))
        for name, place in worst.items():
            for number, state in enumerate(_FILTER_STATES):
                family.add_metric((device, name, state), number == place)
    return family


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)
