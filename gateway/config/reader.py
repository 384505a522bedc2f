"""From a file to a `Config`: reads it, fills in the environment and the secrets, and tells all that is wrong at once.

Invariants
- A `Config` that was returned is right in every key, its local paths are absolute, its secrets are read.
- All mistakes are told together. Only a file that cannot be parsed at all stops at its first one.
- Relative paths start from the folder that the file is in as it was named: a symbolic link is not followed, because
  Kubernetes mounts a ConfigMap as a link into a folder whose name changes with each update.

The device models are handed in: this package knows no protocol. `gateway.check` adds what needs one, or a Wasm module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gateway.config import keypath
from gateway.config.interpolation import interpolate
from gateway.config.models import Config, DeviceSettings, FilterSettings
from gateway.config.rules import config_problems, duplicate_names
from gateway.config.source import read_tree
from gateway.config.tagsfile import TagsFile, with_tags_files
from gateway.config.validate import Walk
from gateway.errors import ConfigError, Problem

__all__ = ["Draft", "read_config", "read_draft"]

_Model = TypeVar("_Model", bound=msgspec.Struct)

_SECTIONS = Config.__struct_fields__
_DEVICE = re.compile(r"devices\[(\d+)\]")
_PLACE = re.compile(r" - at `\$\.?(?P<below>.*)`$")


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that was read, with what is wrong in it so far.

    Attributes:
        source: the file, as it was named.
        tree: its content, with the environment's values.
        problems: what was found.
        config: the whole, when nothing was found.
        devices: the devices that are right, by their index in the file, whatever is wrong elsewhere.
        filters: the filters that are right, by their index in the file.
        tags_files: where the tags stand that came from a file of their own, by the device's index.
    """

    source: str
    # Holds secrets as the file gave them.
    tree: Mapping[str, Any] = field(repr=False)
    problems: Sequence[Problem]
    config: Config | None
    devices: Mapping[int, DeviceSettings]
    filters: Mapping[int, FilterSettings]
    tags_files: Mapping[int, TagsFile] = field(default_factory=dict)

    def settle(self, more: Sequence[Problem] = ()) -> Config:
        """The configuration, when nothing is wrong with it.

        Args:
            more: problems that were found since.

        Raises:
            ConfigError: something is wrong; carries all of it, in the order of the sections.
        """
        problems = sorted((*self.problems, *more), key=lambda problem: keypath.sort_key(_SECTIONS, problem.where))
        if problems or self.config is None:
            raise ConfigError(self.source, [keypath.named(self.tree, self._located(problem)) for problem in problems])
        return self.config

    def _located(self, problem: Problem) -> Problem:
        """The problem by file and line where it is about a tag that came from a file."""
        match = _DEVICE.match(problem.where)
        file = self.tags_files.get(int(match[1])) if match else None
        return problem if match is None or file is None else file.told(match[0], problem)


def read_config(
    path: Path, *, models: Mapping[str, type[DeviceSettings]], env: Mapping[str, str] = os.environ
) -> Config:
    """Reads a configuration.

    Args:
        path: a TOML file, or a JSON file where its name ends in .json.
        models: the device model of each protocol, by the device's `type`.
        env: the variables for `${NAME}`.

    Raises:
        ConfigError: it cannot be read or used; carries every problem.
    """
    return read_draft(path, models=models, env=env).settle()


def read_draft(
    path: Path,
    *,
    models: Mapping[str, type[DeviceSettings]],
    env: Mapping[str, str] = os.environ,
    text: str | None = None,
) -> Draft:
    """Reads a configuration and keeps what is right even where something is wrong, for those who check further.

    Args:
        path: a TOML file, or a JSON file where its name ends in .json.
        models: the device model of each protocol, by the device's `type`.
        env: the variables for `${NAME}`.
        text: what is to stand in the file. Given, the file itself is not read: its path says how the text is written,
            and where relative paths start.

    Raises:
        ConfigError: the file cannot be read or parsed.
    """
    problems: list[Problem] = []
    tree = interpolate(read_tree(path, text), env, problems)
    assert isinstance(tree, dict)
    base = path.absolute().parent
    tags_files = with_tags_files(tree, models=models, base=base, problems=problems)
    walk = Walk(models=models, base=base, problems=problems)
    final = walk.section(Config, tree)
    wrong = {match[0] for problem in problems if (match := re.match(r"\w+\[\d+\]", problem.where))}
    devices: dict[int, DeviceSettings] = {}
    for index, device in _right(final, "devices", wrong):
        made = _convert(device, models[device["type"]], keypath.item("devices", index), problems)
        if made is not None:
            devices[index] = made
    filters: dict[int, FilterSettings] = {}
    for index, settings in _right(final, "filters", wrong):
        made_filter = _convert(settings, FilterSettings, keypath.item("filters", index), problems)
        if made_filter is not None:
            filters[index] = made_filter
    problems += duplicate_names(tree)
    config = None
    if not problems:
        parts = {**final, "devices": [], "filters": []}
        config = _convert(parts, Config, "", problems)
    if config is not None:
        config = msgspec.structs.replace(config, devices=[*devices.values()], filters=[*filters.values()])
        problems += config_problems(config)
    return Draft(str(path), tree, problems, config, devices, filters, tags_files)


def _right(final: Mapping[str, Any], section: str, wrong: set[str]) -> list[tuple[int, dict[str, Any]]]:
    """The items of a section in which nothing was found wrong, by their index."""
    items = final.get(section)
    if not isinstance(items, list):
        return []
    return [(index, item) for index, item in enumerate(items) if keypath.item(section, index) not in wrong]


def _convert(value: Mapping[str, Any], model: type[_Model], where: str, problems: list[Problem]) -> _Model | None:
    """The model's object; msgspec's own words where it finds what the walk let pass."""
    try:
        return msgspec.convert(value, model)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        below = place["below"] if place else ""
        problems.append(Problem(keypath.join(where, below), _PLACE.sub("", str(error))))
        return None
