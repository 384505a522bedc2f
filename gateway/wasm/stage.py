"""One filter at work on one device: its instance, its circuit breaker, its health.

The instance is made when it is first needed, and anew after each failure; until then, and while the breaker has it
parked, the filter fails without being called. A file that is missing or cannot be used is a failure like any other: the
gateway runs on, the policy applies, status shows why, and a file that comes back is taken up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gateway.batch import Batch
from gateway.errors import ModuleError
from gateway.metrics import Metrics
from gateway.wasm.answer import Change, weigh
from gateway.wasm.breaker import Breaker
from gateway.wasm.failure import GuestFailure
from gateway.wasm.host import Host, LoadedModule
from gateway.wasm.instance import Instance, StateTooLarge
from gateway.wasm.manifest import Manifest, resolve_params
from gateway.wasm.state import KeptState, fitting

if TYPE_CHECKING:
    from gateway.wasm.shadow import ShadowHealth

__all__ = ["BoundFilter", "FilterHealth", "FilterState", "Stage"]

log = logging.getLogger(__name__)

FilterState: TypeAlias = Literal["idle", "working", "failing", "parked"]
"""From the best to the worst."""


@dataclass(frozen=True, slots=True)
class BoundFilter:
    """A filter of the configuration, bound to the points of one device.

    Attributes:
        name: in logs, metrics and status.
        module: a built-in name or a path.
        points: numbers of the points it works on.
        params: the module's parameters by name, the same for all its points.
        on_failure: what becomes of these points' readings when the module fails on them.
        base: the folder that a relative module path starts from.
        sha256: what its file must be; a built-in module needs none.
        outputs: for each of the module's outputs the point that it makes of each of `points`; 0 for none.
        shadow: another module, or version of it, that runs beside it and is only compared.
        own_params: for each of `points` the parameters that differ from `params`; empty where none does.
        planned: whether its outputs were given points, and `outputs` has a column for each; else it makes none.
    """

    name: str
    module: str
    points: tuple[int, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    on_failure: Literal["pass", "set_aside"] = "pass"
    base: Path = Path()
    sha256: str | None = None
    outputs: tuple[tuple[int, ...], ...] = ()
    shadow: BoundFilter | None = None
    own_params: tuple[Mapping[str, Any], ...] = ()
    planned: bool = False


@dataclass(frozen=True, slots=True)
class FilterHealth:
    """What status shows of one filter on one device.

    Attributes:
        name: the filter's.
        module: its module, with the version once that is known.
        state: `idle` before its first work, `working`, `failing` after a failure, `parked` while it is not called.
        failures: failures since the start.
        last_error: text of the latest one; empty where there was none.
        parked_until_ns: UTC ns; None where it is not parked.
        shadow: how the module that runs beside it does; None where there is none.
    """

    name: str
    module: str
    state: FilterState
    failures: int
    last_error: str
    parked_until_ns: int | None
    shadow: ShadowHealth | None = None


class Stage:
    """Applies one filter to the batches of one device.

    Args:
        host: runs the module.
        bound: which filter, on which points.
        device: name of the device, for texts.
        known: numbers of all the device's points.
        key: its name in the device's chain, which no other filter of it has.
        metrics: where it is counted; the host's where None.
    """

    def __init__(
        self,
        host: Host,
        bound: BoundFilter,
        *,
        device: str,
        known: frozenset[int],
        key: str = "",
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or host.metrics
        self.worked_s = 0.0
        """Seconds that its instances worked on batches so far."""
        self.key = key or bound.name
        self.on_failure = bound.on_failure
        self.forgot = False
        """Whether it began anew since its state was taken last: what is kept of it is not what it remembers."""
        self._silent = False
        self.points = frozenset(bound.points)
        self._host = host
        self._bound = bound
        self._where = f"filter {bound.name} on device {device}"
        self._known = known
        self._label = bound.module
        self._instance: Instance | None = None
        self._loaded: LoadedModule | None = None
        self._values: Sequence[Sequence[float]] = ()
        self._kept: Sequence[KeptState] = ()
        self._keys: tuple[str, ...] = ()
        self._held = 0
        self._owed = 0
        self._outputs = sum(any(column) for column in bound.outputs)
        self._breaker = Breaker()
        self._failing = False
        self._worked = False
        self._failures = 0
        self._last_error = ""
        self._filtered = self._metrics.filtered.labels(bound.name)
        self._derived = self._metrics.derived.labels(bound.name)
        self._counted_s = self._metrics.filter_s.labels(bound.name)

    def start(self, now_ns: int) -> None:
        """Makes the instance ahead of the first batch. A failure shows in `health` and is tried again later."""
        if self._instance is None and self._breaker.allows(now_ns):
            try:
                self._instance = self._make()
            except GuestFailure as failure:
                self._note(failure, now_ns)

    def apply(self, batch: Batch, now_ns: int) -> Batch:
        """What the filter makes of a batch.

        Raises:
            GuestFailure: nothing, and the failure is counted and noted already.
        """
        try:
            if not self._breaker.allows(now_ns):
                raise GuestFailure("parked", self._last_error)
            if self._instance is None:
                self._instance = self._make()
            began_s = time.perf_counter()
            try:
                after = self._instance.process(batch, now_ns)
            finally:
                took_s = time.perf_counter() - began_s
                self.worked_s += took_s
                self._counted_s.inc(took_s)
            if after is not batch:
                change = weigh(batch, after, self._known, held=self._held, outputs=self._outputs)
                self._count(change)
        except GuestFailure as failure:
            self._metrics.filter_failures.labels(self._bound.name, failure.cause).inc()
            if failure.cause != "parked":
                self._note(failure, now_ns)
            raise
        self._breaker.worked()
        self._failing = False
        self._worked = True
        return after

    def health(self, now_ns: int) -> FilterHealth:
        """The filter's state at this moment, UTC ns."""
        parked_until_ns = None if self._breaker.allows(now_ns) else self._breaker.parked_until_ns
        state: FilterState
        if parked_until_ns is not None:
            state = "parked"
        elif self._failing:
            state = "failing"
        else:
            state = "working" if self._worked else "idle"
        return FilterHealth(self._bound.name, self._label, state, self._failures, self._last_error, parked_until_ns)

    def state(self) -> KeptState | None:
        """What the module remembers now; None where it saves nothing, or does not run.

        One that fails at saving costs its memory and the time of one call, and is not asked again.
        """
        instance, loaded = self._instance, self._loaded
        if instance is None or loaded is None or not loaded.manifest.state or self._silent:
            return None
        try:
            state = instance.save()
        except StateTooLarge as error:
            self._silent = self.forgot = True
            log.warning("%s: %s; it begins anew when filters are changed, or at a restart", self._where, error)
            return None
        except GuestFailure as failure:
            self._silent = True
            log.warning("%s: its state cannot be saved and is not asked for again: %s", self._where, failure)
            self._metrics.filter_failures.labels(self._bound.name, failure.cause).inc()
            self._failed(failure)
            return None
        self.forgot = False
        manifest = loaded.manifest
        return KeptState(self.key, manifest.name, manifest.state, loaded.digest, self._held, state) if state else None

    def resume(self, kept: Sequence[KeptState], *, also: str) -> None:
        """Lets the first instance go on from the state that fits it; to be called before the first batch.

        Args:
            kept: what there is.
            also: another name under which its state may be kept: a shadow's, or that of the filter that it follows.
        """
        self._kept = kept
        self._keys = (self.key, also)
        if self._instance is not None and self._loaded is not None:
            try:
                self._instance = self._resumed(self._instance, self._loaded)
            except GuestFailure as failure:
                log.warning("%s: it cannot be started anew: %s", self._where, failure)
                self._instance = None  # the next batch tries again

    def stop(self, failure: GuestFailure, now_ns: int) -> None:
        """Parks it for long, though it answered."""
        self._breaker.park(now_ns)
        self._failed(failure)

    def close(self) -> None:
        """Gives the instance's memory back; a later batch makes a new one."""
        if self._instance is not None:
            self._instance.close()
            self._instance = None

    def _count(self, change: Change) -> None:
        """Counts what was left out. A counter never falls: what is let go later is taken off what is left out next."""
        self._held += change.filtered
        self._owed += change.filtered
        if self._owed > 0:
            self._filtered.inc(self._owed)
            self._owed = 0
        self._derived.inc(change.derived)

    def _make(self) -> Instance:
        bound = self._bound
        try:
            loaded = self._host.load(bound.module, bound.base, bound.sha256)
            values = _table(loaded.manifest, bound)
        except GuestFailure:
            raise
        except ModuleError as error:
            raise GuestFailure("load", str(error)) from None
        if bound.planned and len(bound.outputs) != len(loaded.manifest.outputs):
            what = f"module {loaded.label} could not be read, or had other outputs, when the gateway started with it"
            raise GuestFailure("load", f"{what}; its points are made when the gateway starts anew")
        self._label = loaded.label
        self._loaded = loaded
        self._values = values
        self._held = 0
        return self._resumed(self._instance_of(loaded), loaded)

    def _instance_of(self, loaded: LoadedModule) -> Instance:
        bound = self._bound
        return Instance(self._host, loaded, bound.points, self._values, outputs=bound.outputs, who=self._where)

    def _resumed(self, instance: Instance, loaded: LoadedModule) -> Instance:
        """The instance with the state that was kept for it; one that does not take it begins anew."""
        manifest = loaded.manifest
        kept = fitting(self._kept, keys=self._keys, module=manifest.name, version=manifest.state, digest=loaded.digest)
        self._kept = ()  # after a failure it begins anew: the state may be what it failed on
        if kept is None:
            return instance
        try:
            instance.load(kept.state)
        except GuestFailure as failure:
            log.warning("%s: it begins anew, its state cannot be used: %s", self._where, failure)
            self.forgot = True
            instance.close()
            return self._instance_of(loaded)
        self._held = kept.held  # which it may let go now
        return instance

    def _note(self, failure: GuestFailure, now_ns: int) -> None:
        self._breaker.failed(now_ns)
        self._failed(failure)

    def _failed(self, failure: GuestFailure) -> None:
        self.forgot = self.forgot or self._instance is not None
        self.close()
        self._failing = True
        self._failures += 1
        self._last_error = f"{self._where}: {failure}"


def _table(manifest: Manifest, bound: BoundFilter) -> list[Sequence[float]]:
    """The parameters of each point; those of points that have none of their own are one object.

    Raises:
        ModuleError: some do not fit the module.
    """
    common = resolve_params(manifest, bound.params)
    if not any(bound.own_params):
        return [common] * len(bound.points)
    return [resolve_params(manifest, {**bound.params, **own}) if own else common for own in bound.own_params]
