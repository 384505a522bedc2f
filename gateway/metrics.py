"""What is counted, in one place: names, labels and help of every metric.

Rooms are handed a `Metrics` and increment its counters by the batch. Each cause of a dropped reading is a label value
of `dropped`, so that received = stored + passed + dropped + still waiting, and nothing disappears silently.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from gateway.gap import CAUSES

__all__ = ["DROP_CAUSES", "LATENCY_BUCKETS_S", "Metrics"]

DROP_CAUSES: Final = (
    "corrupt",
    "offline_disabled",
    "spool_closed",
    "spool_damaged",
    "spool_full",
    "thinned",
    "unstorable",
)
"""Every cause of a dropped reading. Each one is there from the start, as 0: Prometheus does not see the first step of a
counter that appears with it, and that step may be the only one."""
_COMMAND_STATUSES: Final = ("accepted", "denied", "failed")

LATENCY_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)


class Metrics:
    """All counters of one gateway, in a registry of their own (several gateways may live in one test process)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.received = self._counter(
            "tidegate_readings_received", "Readings that a device's adapter emitted.", "device"
        )
        self.stored = self._counter("tidegate_readings_stored", "Readings committed to the spool.")
        self.passed = self._counter(
            "tidegate_readings_passed", "Readings that the broker took before they were to be written (hold_ms)."
        )
        self.published = self._counter(
            "tidegate_readings_published", "Readings whose messages the broker acknowledged.", "replayed"
        )
        self.refused = self._counter(
            "tidegate_messages_refused", "Messages that the broker refused; their rows stay in the spool.", "reason"
        )
        self.filtered = self._counter(
            "tidegate_readings_filtered", "Readings that a module left out on purpose.", "filter"
        )
        self.derived = self._counter("tidegate_readings_derived", "Readings that a module added.", "filter")
        self.dropped = self._counter("tidegate_readings_dropped", "Readings lost, by cause.", "cause")
        self.gaps = self._counter(
            "tidegate_gaps", "Intervals with missing readings that were noted in the gap ledger, by cause.", "cause"
        )
        self.source_errors = self._counter(
            "tidegate_source_errors", "Failed requests, refused tags and odd values, by device.", "device", "cause"
        )
        self.filter_failures = self._counter(
            "tidegate_filter_failures", "Batches that a module failed on.", "filter", "cause"
        )
        self.filter_s = self._counter(
            "tidegate_filter_seconds",
            "Time that a module's instances worked on batches, failed ones included.",
            "filter",
        )
        self.commands = self._counter("tidegate_commands", "Commands, by what became of them.", "status")
        self.restarts = self._counter("tidegate_component_restarts", "Restarts of a supervised component.", "component")
        self.latency_s = Histogram(
            "tidegate_latency_seconds",
            "From a live reading's source time to the broker's acknowledgement, newest reading of each message.",
            registry=self.registry,
            buckets=LATENCY_BUCKETS_S,
        )
        for counter, values in (
            (self.dropped, DROP_CAUSES),
            (self.gaps, CAUSES),
            (self.published, ("false", "true")),
            (self.commands, _COMMAND_STATUSES),
        ):
            for value in values:
                counter.labels(value)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def snapshot(self) -> dict[str, dict[str, float]]:
        """Every counter's values: metric name to "label,label" (or "") to value; histograms as their sum and count."""
        values: dict[str, dict[str, float]] = {}
        for family in self.registry.collect():
            for sample in family.samples:
                if sample.name.endswith(("_created", "_bucket")):
                    continue
                values.setdefault(sample.name, {})[",".join(sample.labels.values())] = sample.value
        return values
