"""Reads a configuration and holds it against what this build can do: what `run` and `check` both start with.

`gateway.config` knows the shape of the file. What needs a protocol, a policy or a Wasm module is checked here: each
protocol's own rules, whether the policy file compiles, whether a filter's module can be found and takes its parameters,
and whether the filter has anything to filter. Nothing is connected to, and neither a protocol's library nor the Wasm
engine is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapters.registry import NAMES, protocol
from gateway.config import keypath
from gateway.config.globs import matches
from gateway.config.models import Config, DeviceSettings, FilterSettings
from gateway.config.reader import Draft, read_draft
from gateway.config.words import found, many
from gateway.errors import ModuleError, Problem
from gateway.policy import policy_problems
from gateway.wasm.library import resolve
from gateway.wasm.manifest import check_params, read_manifest

__all__ = ["MODELS", "load", "matched_tags"]


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


def matched_tags(settings: FilterSettings, device: DeviceSettings) -> list[str]:
    """Names of the device's tags that a filter is at work on, in the device's order."""
    if not matches(settings.devices, device.name):
        return []
    return [spec.tag for spec in protocol(device.type).points(device) if matches(settings.tags, spec.tag)]


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


def _filter_problems(draft: Draft, base: Path, devices: list[DeviceSettings] | None) -> list[Problem]:
    problems = []
    for index, settings in draft.filters.items():
        where = keypath.item("filters", index)
        problems += _module_problems(settings, where, base)
        if devices is not None:
            problems += _idle_patterns(settings, where, devices)
    return problems


def _module_problems(settings: FilterSettings, where: str, base: Path) -> list[Problem]:
    try:
        manifest = read_manifest(resolve(settings.module, base))
    except ModuleError as error:
        return [Problem(keypath.key(where, "module"), str(error))]
    params: Mapping[str, Any] = settings.params
    place = keypath.key(where, "params")
    return [Problem(keypath.key(place, name), what) for name, what in check_params(manifest, params)]


def _idle_patterns(settings: FilterSettings, where: str, devices: list[DeviceSettings]) -> list[Problem]:
    if not devices:
        return [Problem(where, "there is no device in the file that this filter could be at work on")]
    problems = [
        Problem(keypath.item(keypath.key(where, "devices"), index), f"{found(pattern)} means no device of the file")
        for index, pattern in enumerate(settings.devices)
        if not any(matches([pattern], device.name) for device in devices)
    ]
    chosen = [device for device in devices if matches(settings.devices, device.name)]
    tags = [spec.tag for device in chosen for spec in protocol(device.type).points(device)]
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
    return problems
