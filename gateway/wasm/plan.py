"""A device's chain of filters on paper: which tags each filter works on, and which points it makes. Pure.

Used by `check` (nothing is loaded), by the plan that people read, and by the chain itself, so that all three mean the
same. A filter sees the device's tags and the derived ones of the filters before it, never its own. What kinds of value
a tag can have is followed along the chain: a filter that can do nothing for a tag does not get it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final, NamedTuple

from gateway.batch import Kind
from gateway.config.globs import matches
from gateway.config.models import FilterSettings
from gateway.wasm.manifest import KINDS, Manifest, Output

__all__ = ["Derived", "Mistake", "Step", "Tag", "filter_name", "output_mistakes", "own_params", "plan_chain"]

_ANY: Final = frozenset(Kind)


class Tag(NamedTuple):
    """A tag as the chain gets it. `kind` is None where the device decides per reading."""

    name: str
    unit: str = ""
    kind: Kind | None = None


class Derived(NamedTuple):
    """A point that a filter makes of a tag."""

    tag: str
    of: str
    output: int
    """Place among the module's outputs."""
    unit: str
    kind: Kind


class Mistake(NamedTuple):
    """What cannot be, and below which key of the filter."""

    below: str
    what: str


@dataclass(frozen=True, slots=True)
class Step:
    """One filter at one device.

    Attributes:
        place: number of the filter in the configuration, from 0.
        name: the filter's name in logs and metrics.
        settings: as configured.
        manifest: the module's; None where it cannot be read.
        seen: all tags that there are at this place of the chain.
        tags: those that it works on, in that order.
        derived: the points that it makes.
        mistakes: what cannot be.
    """

    place: int
    name: str
    settings: FilterSettings
    manifest: Manifest | None
    seen: tuple[str, ...]
    tags: tuple[str, ...]
    derived: tuple[Derived, ...]
    mistakes: tuple[Mistake, ...]


def filter_name(settings: FilterSettings) -> str:
    """The filter's name in logs and metrics."""
    return settings.name or PurePath(settings.module).stem


def own_params(settings: FilterSettings, tag: str) -> Mapping[str, Any]:
    """The parameters of a tag that differ from those of the filter."""
    return next((own for pattern, own in settings.tag_params.items() if matches([pattern], tag)), {})


def output_mistakes(settings: FilterSettings, manifest: Manifest) -> list[Mistake]:
    """Outputs in the configuration that the module does not have."""
    names = [output.name for output in manifest.outputs]
    have = f"it has {', '.join(names)}" if names else "it has none"
    return [
        Mistake(f"outputs.{name}", f"is no output of {manifest.name}; {have}")
        for name in settings.outputs or ()
        if name not in names
    ]


def plan_chain(
    filters: Iterable[tuple[int, FilterSettings, Manifest | None]], *, device: str, tags: Sequence[Tag]
) -> list[Step]:
    """The filters at work on a device, in order. One that works on none of its tags is left out, unless by mistake.

    Args:
        filters: place in the configuration, settings, manifest; in the configuration's order.
        device: its name.
        tags: its tags.
    """
    shapes = {tag.name: _Shape(tag.unit, _ANY if tag.kind is None else frozenset([tag.kind])) for tag in tags}
    steps = []
    for place, settings, manifest in filters:
        if not matches(settings.devices, device):
            continue
        seen = tuple(shapes)
        meant = [name for name in seen if matches(settings.tags, name)]
        accepted = _ANY if manifest is None else frozenset(KINDS[name] for name in manifest.accepts)
        mine = [name for name in meant if shapes[name].kinds & accepted]
        mistakes = [] if manifest is None else _unfit(settings, manifest, shapes, meant, mine)
        derived, clashes = _derive(settings, manifest, shapes, mine)
        mistakes += clashes
        if mine or mistakes:
            steps.append(
                Step(
                    place,
                    filter_name(settings),
                    settings,
                    manifest,
                    seen,
                    tuple(mine),
                    tuple(derived),
                    tuple(mistakes),
                )
            )
        if manifest is not None and manifest.gives != "same":
            gives = frozenset([KINDS[manifest.gives]])
            for name in mine:
                unit, kinds = shapes[name]
                shapes[name] = _Shape(unit, (kinds - accepted) | gives)
        for one in derived:
            shapes[one.tag] = _Shape(one.unit, frozenset([one.kind]))
    return steps


class _Shape(NamedTuple):
    """What a tag can be at a place of the chain."""

    unit: str
    kinds: frozenset[Kind]


def _unfit(
    settings: FilterSettings, manifest: Manifest, shapes: Mapping[str, _Shape], meant: list[str], mine: list[str]
) -> list[Mistake]:
    """Patterns that mean tags which the module can do nothing for."""
    mistakes = []
    for index, pattern in enumerate(settings.tags):
        theirs = [name for name in meant if matches([pattern], name)]
        if theirs and not any(name in mine for name in theirs):
            is_now = ", ".join(sorted(kind.name.lower() for kind in shapes[theirs[0]].kinds))
            wants = ", ".join(manifest.accepts)
            what = f'tag "{theirs[0]}" is {is_now} at this place of the chain, and {manifest.name} works on {wants}'
            mistakes.append(Mistake(f"tags[{index}]", what))
    return mistakes


def _derive(
    settings: FilterSettings, manifest: Manifest | None, shapes: Mapping[str, _Shape], mine: list[str]
) -> tuple[list[Derived], list[Mistake]]:
    if manifest is None or not manifest.outputs:
        return [], []
    wanted = [
        (place, output, name)
        for place, output in enumerate(manifest.outputs)
        if (name := _named(settings, output)) is not None
    ]
    if mine and not wanted and not output_mistakes(settings, manifest):
        names = [output.name for output in manifest.outputs]
        some = ", ".join(names[:4]) + (f" to {names[-1]}" if len(names) > 4 else "")
        what = f'names nothing that {manifest.name} is to make; it has {some}: give {{ {names[0]} = "a name" }}'
        return [], [Mistake("outputs", what)]
    derived: list[Derived] = []
    mistakes = []
    taken = set(shapes)
    for of in mine:
        for place, output, name in wanted:
            tag = f"{of}.{name}"
            if tag in taken:
                what = f'would make a second tag "{tag}"; name it otherwise, such as {{ {output.name} = "{name}_2" }}'
                mistakes.append(Mistake("outputs", what))
                continue
            taken.add(tag)
            derived.append(Derived(tag, of, place, _unit(output, shapes[of].unit), KINDS[output.kind]))
    return derived, mistakes


def _unit(output: Output, of: str) -> str:
    """The unit of a derived point; none where it is made of the tag's own and the tag has none."""
    return "" if "{unit}" in output.unit and not of else output.unit.replace("{unit}", of)


def _named(settings: FilterSettings, output: Output) -> str | None:
    """What the output's points are called behind the tag; None where it is not made."""
    if settings.outputs is None:
        return None if output.optional else output.name
    return settings.outputs.get(output.name)
