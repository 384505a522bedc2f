"""Reads a configuration and holds it against what this build can do: what `run` and `check` both start with.

`gateway.config` knows the shape of the file. What needs a protocol, a policy or a Wasm module is checked here: each
protocol's own rules, whether the policy file compiles, whether a filter's module can be found, is the one that was
pinned and takes its parameters, and whether the chain of filters has anything to filter. Nothing is connected to, and
neither a protocol's library nor the Wasm engine is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.registry import NAMES, protocol
from gateway.config import keypath
from gateway.config.globs import matches
from gateway.config.models import Config, DeviceSettings, FilterSettings, ShadowSettings
from gateway.config.reader import Draft, read_draft
from gateway.config.words import found, many
from gateway.errors import ModuleError, Problem
from gateway.policy import policy_problems
from gateway.wasm.library import NotPinned, read_pinned, resolve
from gateway.wasm.manifest import Manifest, check_params, read_manifest
from gateway.wasm.plan import Step, Tag, output_mistakes, plan_chain

__all__ = ["MODELS", "chain_of", "chains_of", "load", "tags_of"]


class _Models(Mapping[str, type[DeviceSettings]]):
    """The device model of each protocol. A protocol's folder is imported only when its model is asked for."""

    def __getitem__(self, name: str) -> type[DeviceSettings]:
        return protocol(name).settings

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)

    def __contains__(self, name: object) -> bool:
        return name in NAMES


MODELS: Mapping[str, type[DeviceSettings]] = _Models()


def load(path: Path, *, env: Mapping[str, str] = os.environ, text: str | None = None) -> Config:
    """A configuration that can be run.

    Args:
        path: a TOML file, or a JSON file where its name ends in .json.
        env: the variables for `${NAME}`.
        text: what is to stand in the file; given, the file itself is not read.

    Raises:
        ConfigError: it cannot be read or used; carries every problem.
    """
    draft = read_draft(path, models=MODELS, env=env, text=text)
    problems = _device_problems(draft) + _problems_together(draft) + _alarm_problems(draft)
    # A pattern may mean a device that has a mistake, so patterns are only judged when all devices are right.
    whole = not problems and len(draft.devices) == len(draft.tree.get("devices", ()))
    problems += _filter_problems(draft, path.absolute().parent, [*draft.devices.values()] if whole else None)
    if draft.config is not None:
        problems += policy_problems(draft.config.policy)
    return draft.settle(problems)


def _device_problems(draft: Draft) -> list[Problem]:
    told = {problem.where.rpartition("[")[0] for problem in draft.problems if problem.where.endswith(".name")}
    return [
        Problem(keypath.join(keypath.item("devices", index), below), what)
        for index, device in draft.devices.items()
        for below, what in protocol(device.type).check(device)
        # The reader has told of names that stand twice; protocols that do so as well are not repeated.
        if not (below.endswith(".name") and f"devices[{index}].tags" in told)
    ]


def _alarm_problems(draft: Draft) -> list[Problem]:
    return [
        Problem(
            keypath.key(keypath.item(keypath.key(keypath.item("devices", index), "tags"), place), "thin_error"),
            "an alarm is never thinned; take alarm or thin_error away",
        )
        for index, device in draft.devices.items()
        for place, tag in enumerate(getattr(device, "tags", ()))
        if tag.alarm and tag.thin_error is not None
    ]


def _problems_together(draft: Draft) -> list[Problem]:
    problems = []
    for name in {device.type for device in draft.devices.values()}:
        judge = protocol(name).check_together
        if judge is not None:
            same = [(index, device) for index, device in draft.devices.items() if device.type == name]
            problems += [
                Problem(keypath.join(keypath.item("devices", same[place][0]), below), what)
                for place, below, what in judge([device for _, device in same])
            ]
    return problems


def chain_of(config: Config, device: DeviceSettings) -> list[Step]:
    """The filters at work on a device of a checked configuration, with the points that they make."""
    return chains_of(config, [device])[device.name]


def chains_of(config: Config, devices: Sequence[DeviceSettings]) -> dict[str, list[Step]]:
    """The same for several devices, by name; each module's file is read once."""
    told = [(place, one, read_manifest(resolve(one.module, Path()))) for place, one in enumerate(config.filters)]
    return _plans(told, devices)


def _plans(
    told: Sequence[tuple[int, FilterSettings, Manifest | None]], devices: Sequence[DeviceSettings]
) -> dict[str, list[Step]]:
    return {device.name: plan_chain(told, device=device.name, tags=tags_of(device)) for device in devices}


def tags_of(device: DeviceSettings) -> list[Tag]:
    """A device's tags, as a chain of filters gets them."""
    return [Tag(spec.tag, spec.unit, spec.kind) for spec in protocol(device.type).points(device)]


def _filter_problems(draft: Draft, base: Path, devices: list[DeviceSettings] | None) -> list[Problem]:
    problems = []
    told: list[tuple[int, FilterSettings, Manifest | None]] = []
    for index, settings in draft.filters.items():
        where = keypath.item("filters", index)
        manifest, wrong = _module(settings, settings.params, where, base)
        problems += wrong
        if manifest is not None:
            problems += [
                Problem(keypath.join(where, below), what) for below, what in output_mistakes(settings, manifest)
            ]
            problems += _own_params(settings, manifest, where)
        if settings.shadow is not None:
            params = settings.params if settings.shadow.params is None else settings.shadow.params
            problems += _module(settings.shadow, params, keypath.key(where, "shadow"), base)[1]
        told.append((index, settings, manifest))
    if devices is not None:
        plans = _plans(told, devices)
        for index, settings in draft.filters.items():
            problems += _idle_patterns(settings, keypath.item("filters", index), index, devices, plans)
    return problems


def _module(
    settings: FilterSettings | ShadowSettings, params: Mapping[str, Any], where: str, base: Path
) -> tuple[Manifest | None, list[Problem]]:
    try:
        manifest = read_pinned(settings.module, base, settings.sha256).manifest()
    except NotPinned as error:
        return None, [Problem(keypath.key(where, "sha256"), str(error))]
    except ModuleError as error:
        return None, [Problem(keypath.key(where, "module"), str(error))]
    place = keypath.key(where, "params")
    return manifest, [Problem(keypath.key(place, name), what) for name, what in check_params(manifest, params)]


def _own_params(settings: FilterSettings, manifest: Manifest, where: str) -> list[Problem]:
    """What is wrong with the parameters of single tags, beside what is wrong with the filter's."""
    place = keypath.key(where, "tag_params")
    return [
        Problem(keypath.key(keypath.key(place, pattern), name), what)
        for pattern, own in settings.tag_params.items()
        for name, what in check_params(manifest, {**settings.params, **own})
        if name in own
    ]


def _idle_patterns(
    settings: FilterSettings,
    where: str,
    place: int,
    devices: list[DeviceSettings],
    plans: Mapping[str, list[Step]],
) -> list[Problem]:
    if not devices:
        return [Problem(where, "there is no device in the file that this filter could be at work on")]
    problems = [
        Problem(keypath.item(keypath.key(where, "devices"), index), f"{found(pattern)} means no device of the file")
        for index, pattern in enumerate(settings.devices)
        if not any(matches([pattern], device.name) for device in devices)
    ]
    chosen = [device for device in devices if matches(settings.devices, device.name)]
    steps = {device.name: step for device in chosen for step in plans[device.name] if step.place == place}
    # A filter without a step at a device means no tag of it.
    tags = {tag for step in steps.values() for tag in step.seen}
    if chosen:
        problems += [
            Problem(
                keypath.item(keypath.key(where, "tags"), index),
                f"{found(pattern)} means no tag of {found(chosen[0].name)}"
                + (f" and {many(len(chosen) - 1, 'more device')}" if len(chosen) > 1 else ""),
            )
            for index, pattern in enumerate(settings.tags)
            if not any(matches([pattern], tag) for tag in tags)
        ]
    worked_on = {tag for step in steps.values() for tag in step.tags}
    problems += [
        Problem(keypath.key(keypath.key(where, "tag_params"), pattern), "means no tag that this filter works on")
        for pattern in (settings.tag_params if worked_on else ())
        if not any(matches([pattern], tag) for tag in worked_on)
    ]
    told = set()
    for name, step in steps.items():
        for below, what in step.mistakes:
            # A pattern may mean a text here and there; one that means nothing else is a mistake, and told once.
            if below not in told and not any(_is_of_use(settings, below, other) for other in steps.values()):
                problems.append(Problem(keypath.join(where, below), f"device {found(name)}: {what}"))
                told.add(below)
    return problems


def _is_of_use(settings: FilterSettings, below: str, step: Step) -> bool:
    """Whether the pattern at this key means a tag that the filter works on."""
    patterns = [pattern for index, pattern in enumerate(settings.tags) if below == f"tags[{index}]"]
    return any(matches(patterns, tag) for tag in step.tags)
