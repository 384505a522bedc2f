"""The filters of one device, one after the other.

Invariants
- A batch is never lost to a module. Where one fails, the readings of the points it works on go on as they came to it
  (`pass`) or are handed back apart (`set_aside`); readings of other points go on either way.
- A failing filter costs its own instance. The filters after it, and other devices' chains, go on.
- What a module drops or adds on purpose is counted in `filtered` and `derived`, what it fails on in `filter_failures`.
- A shadow is given what its filter is given, and changes nothing.
- Without filters a batch passes through as the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from gateway.batch import EMPTY, Batch, Kind
from gateway.config.globs import matches
from gateway.config.models import FilterSettings, ShadowSettings
from gateway.errors import ModuleError
from gateway.wasm.failure import GuestFailure
from gateway.wasm.host import Host
from gateway.wasm.library import read_pinned
from gateway.wasm.manifest import Manifest
from gateway.wasm.plan import Tag, own_params, plan_chain
from gateway.wasm.shadow import Shadow
from gateway.wasm.split import join, split
from gateway.wasm.stage import BoundFilter, FilterHealth, Stage
from gateway.wasm.state import KeptState, shadow_key

__all__ = ["Applied", "Chain", "Intern", "bind", "build_chain"]

Intern: TypeAlias = Callable[[str, str, Kind], int]


class Applied(NamedTuple):
    """What a chain made of a batch. Both parts together hold every reading that no module left out on purpose."""

    batch: Batch
    """What goes on; may be empty."""
    set_aside: Batch | None
    """Readings that a filter with `on_failure = "set_aside"` failed on, as they came to that filter."""


class Chain:
    """Applies filters to the batches of one device, in order. Used by one caller at a time.

    Args:
        host: runs the modules.
        filters: what to apply.
        device: name of the device, for texts.
        known: numbers of all the device's points; a module that answers with another has failed.
        names: names of its points, for what is shown of shadows.
    """

    def __init__(
        self,
        host: Host,
        filters: Sequence[BoundFilter],
        *,
        device: str,
        known: frozenset[int],
        names: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        keys = _keys([bound.name for bound in filters])
        self._stages = tuple(
            Stage(host, bound, device=device, known=known, key=key) for bound, key in zip(filters, keys, strict=True)
        )
        self._shadows = {
            key: Shadow(host, bound.shadow, device=device, known=known, names=names, follows=key)
            for bound, key in zip(filters, keys, strict=True)
            if bound.shadow is not None
        }
        self._all = (*self._stages, *(shadow.stage for shadow in self._shadows.values()))

    def __len__(self) -> int:
        return len(self._stages)

    def start(self, now_ns: int) -> None:
        """Makes all instances ahead of the first batch. Never fails: what cannot start shows in `health`."""
        for stage in self._all:
            stage.start(now_ns)

    def apply(self, batch: Batch, now_ns: int) -> Applied:
        """What the filters make of a batch.

        Args:
            batch: readings of this chain's device.
            now_ns: UTC ns; decides whether a parked filter is tried again.
        """
        aside = EMPTY
        for stage in self._stages:
            if not batch:
                break
            before, worked_s = batch, stage.worked_s
            after: Batch | None = None
            try:
                batch = after = stage.apply(before, now_ns)
            except GuestFailure:
                if stage.on_failure == "set_aside":
                    batch, held = split(before, stage.points)
                    aside = join(aside, held)
            shadow = self._shadows.get(stage.key) if self._shadows else None
            if shadow is not None:
                shadow.look(before, after, stage.worked_s - worked_s, now_ns)
        return Applied(batch, aside or None)

    @property
    def keys(self) -> frozenset[str]:
        """The names that its filters' states are kept under."""
        return frozenset(stage.key for stage in self._all)

    @property
    def forgotten(self) -> frozenset[str]:
        """Of those names, whose filters began anew since their states were taken: what is kept of them is stale."""
        return frozenset(stage.key for stage in self._all if stage.forgot)

    def states(self) -> list[KeptState]:
        """What its modules remember now, of those that save it."""
        found = [stage.state() for stage in self._all]
        return [one for one in found if one is not None]

    def resume(self, kept: Sequence[KeptState]) -> None:
        """Lets its modules go on from these states; to be called before the first batch."""
        for stage in self._stages:
            stage.resume(kept, also=shadow_key(stage.key))
        for shadow in self._shadows.values():
            shadow.resume(kept)

    def health(self, now_ns: int) -> list[FilterHealth]:
        """The state of each filter at this moment, UTC ns."""
        return [self._health(stage, now_ns) for stage in self._stages]

    def close(self) -> None:
        """Gives all instances' memory back."""
        for stage in self._all:
            stage.close()

    def _health(self, stage: Stage, now_ns: int) -> FilterHealth:
        shadow = self._shadows.get(stage.key)
        health = stage.health(now_ns)
        return health if shadow is None else replace(health, shadow=shadow.health(now_ns))


def bind(
    settings: Sequence[FilterSettings],
    *,
    device: str,
    points: Sequence[tuple[int, Tag]],
    base: Path,
    intern: Intern | None = None,
) -> list[BoundFilter]:
    """The filters that apply to a device, each with its points; one without any is left out.

    Args:
        settings: all filters of the configuration, in its order.
        device: name of the device.
        points: its points, as (number, tag).
        base: the config file's folder.
        intern: gives the number of a derived point, by tag, unit and kind. None: no derived points are made.
    """
    told = [(place, one, _manifest(one, base)) for place, one in enumerate(settings) if matches(one.devices, device)]
    numbers = {tag.name: number for number, tag in points}
    bound: list[BoundFilter] = []
    for step in plan_chain(told, device=device, tags=[tag for _, tag in points]):
        outputs: tuple[tuple[int, ...], ...] = ()
        if intern is not None and step.manifest is not None:
            made = {(one.output, one.of): intern(one.tag, one.unit, one.kind) for one in step.derived}
            numbers |= {one.tag: made[one.output, one.of] for one in step.derived}
            outputs = tuple(
                tuple(made.get((place, tag), 0) for tag in step.tags) for place in range(len(step.manifest.outputs))
            )
        mine = tuple(numbers[tag] for tag in step.tags if tag in numbers)
        if not mine:
            continue
        one = step.settings
        own = tuple(own_params(one, tag) for tag in step.tags if tag in numbers) if one.tag_params else ()
        found = BoundFilter(
            step.name,
            one.module,
            mine,
            one.params,
            one.on_failure,
            base,
            one.sha256,
            outputs,
            own_params=own,
            planned=intern is not None,
        )
        bound.append(found if one.shadow is None else replace(found, shadow=_shadow(found, step.manifest, one.shadow)))
    return bound


def build_chain(
    host: Host,
    settings: Sequence[FilterSettings],
    *,
    device: str,
    points: Sequence[tuple[int, Tag]],
    base: Path,
    intern: Intern | None = None,
) -> Chain:
    """The chain of a device; `bind` says what the arguments are."""
    names = {number: tag.name for number, tag in points}

    def named(tag: str, unit: str, kind: Kind) -> int:
        assert intern is not None
        number = intern(tag, unit, kind)
        names[number] = tag
        return number

    filters = bind(settings, device=device, points=points, base=base, intern=named if intern else None)
    return Chain(host, filters, device=device, known=frozenset(names), names=names)


def _shadow(bound: BoundFilter, ours: Manifest | None, told: ShadowSettings) -> BoundFilter:
    """The filter's shadow, on the same points; what it makes is compared with what the filter makes, by name."""
    manifest = _manifest(told, bound.base)
    made = dict(zip((output.name for output in ours.outputs), bound.outputs, strict=False)) if ours else {}
    theirs: tuple[tuple[int, ...], ...] = ()
    if manifest is not None:
        theirs = tuple(made.get(output.name, (0,) * len(bound.points)) for output in manifest.outputs)
    shadow = replace(
        bound, module=told.module, on_failure="pass", sha256=told.sha256, outputs=theirs, planned=bool(made)
    )
    return shadow if told.params is None else replace(shadow, params=told.params, own_params=())


def _keys(names: Sequence[str]) -> list[str]:
    """The names, each with its number where it stands there again."""
    return [name if name not in names[:place] else f"{name}/{place}" for place, name in enumerate(names)]


def _manifest(settings: FilterSettings | ShadowSettings, base: Path) -> Manifest | None:
    """The module's manifest; None where it cannot be read, and then the filter fails and says why.

    Another file must not say which points the pinned one makes.
    """
    try:
        return read_pinned(settings.module, base, settings.sha256).manifest()
    except ModuleError:
        return None
