"""`tidegate browse`: lists the variables of a device, or writes them as a file of tags.

Tags are named by the way from the root to them, joined by dots: unique in a tree, and right for a topic. The table is
written as it comes, under another name until it is whole: the file that was there is replaced at once or not at all.
"""

from __future__ import annotations

import asyncio
import csv
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from adapters.base import NOWHERE, Site, Survey, Surveyor, Variable
from adapters.registry import protocol
from gateway.check import load
from gateway.config.globs import matches
from gateway.config.models import DeviceSettings
from gateway.config.words import many
from gateway.errors import TidegateError
from gateway.files import whole_file

__all__ = ["Wanted", "browse", "device_at", "device_of", "told"]

_COLUMNS: Final = ("name", "node", "unit", "elements", "fields")
_NOTES: Final = ("#type", "#writable", "#path")
_NOT_IN_A_NAME: Final = re.compile(r"[/+#\x00-\x1f\x7f]")
_LONGEST_NAME: Final = 128
_MODE: Final = 0o644
"""Of a file that was not there before."""
_TIMEOUT_S: Final = 30.0
"""Longest wait for an answer of a server that nothing else is known of: some send thousands of nodes in one."""


class Wanted(NamedTuple):
    """What is to be listed.

    Attributes:
        root: id or path of the node to begin with; None is the root.
        include: patterns of paths; none means all.
        exclude: patterns of paths that are left out, with all that is below them.
        by_uri: name namespaces by their URI.
        properties: list properties as well.
    """

    root: str | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    by_uri: bool = False
    properties: bool = False


def device_at(url: str) -> tuple[DeviceSettings, Site]:
    """A device of which nothing but its address is known.

    Raises:
        TidegateError: it is no address.
    """
    opcua = protocol("opcua")
    settings = opcua.settings(name="browse", type="opcua", url=url, timeout_s=_TIMEOUT_S)  # type: ignore[call-arg]
    for _, what in opcua.check(settings):
        raise TidegateError(what)
    return settings, NOWHERE


def device_of(file: Path, name: str) -> tuple[DeviceSettings, Site]:
    """A device of a configuration, and what all devices there have in common.

    Raises:
        ConfigError: the configuration cannot be used.
        TidegateError: it has no such device.
    """
    config = load(file)
    devices = {device.name: device for device in config.devices}
    if name not in devices:
        raise TidegateError(f'{file} has no device "{name}"; it has {", ".join(devices) or "none"}')
    return devices[name], Site(config.gateway.id, config.pki_dir)


def browse(device: DeviceSettings, wanted: Wanted, *, file: Path | None, say: Callable[[str], None], site: Site) -> int:
    """Lists the variables of a device.

    Args:
        device: where to look.
        wanted: which of them.
        file: the file of tags to write; None prints a line for each variable, `-` the file of tags.
        say: is given each line for a person.
        site: where the certificates are, for a device that is secured.

    Returns:
        How many there are.

    Raises:
        SourceLost: the device cannot be reached or went away.
        TidegateError: it has no tree, or the file cannot be written.
    """
    if file is None:
        return asyncio.run(_take(device, site, wanted, lambda some, _names: say("\n".join(map(_line, some)))))
    with _table(file) as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow((*_COLUMNS, *_NOTES))
        return asyncio.run(_take(device, site, wanted, lambda some, names: writer.writerows(_rows(some, names))))


async def _take(
    device: DeviceSettings, site: Site, wanted: Wanted, take: Callable[[list[Variable], list[str]], object]
) -> int:
    speaks = protocol(device.type)
    if speaks.explore is None or not speaks.surveys:
        raise TidegateError(
            f"device {device.name}: {device.type} knows no names, so there is nothing to browse; write its tags from "
            "the device's manual"
        )
    number = 0
    async with speaks.explore(device, site) as explorer:
        assert isinstance(explorer, Surveyor)
        asked = Survey(
            wanted.root,
            enter=lambda path: not matches(wanted.exclude, path),
            wanted=lambda path: not wanted.include or matches(wanted.include, path),
            by_uri=wanted.by_uri,
            properties=wanted.properties,
        )
        names = _Names()
        async for some in explorer.survey(asked):
            number += len(some)
            take(some, [names.of(one.path) for one in some])
    return number


class _Names:
    """Names of tags, each given once."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def of(self, path: str) -> str:
        """A name for the variable at this path: without the first step, which all have in common."""
        below = path.partition("/")[2] or path
        wished = _NOT_IN_A_NAME.sub("_", below.replace("/", "."))[-_LONGEST_NAME:]
        name, number = wished, 1
        while name in self._given:
            number += 1
            end = f"-{number}"
            name = wished[: _LONGEST_NAME - len(end)] + end
        self._given.add(name)
        return name


def _line(variable: Variable) -> str:
    keys = variable.keys
    unit = f" {keys['unit']}" if "unit" in keys else ""
    elements = f", {keys['elements']} elements" if "elements" in keys else ""
    return f"{variable.path}  ({variable.type}{unit}{elements})  {keys['node']}"


def _rows(some: Sequence[Variable], names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for variable, name in zip(some, names, strict=True):
        keys = {"name": name, **variable.keys}
        yield (
            *(keys.get(column, "") for column in _COLUMNS),
            variable.type,
            "yes" if variable.writable else "no",
            variable.path,
        )


@contextmanager
def _table(file: Path) -> Iterator[TextIO]:
    """The file to write to; in its place once all of it is written."""
    if str(file) == "-":
        if sys.stdout is None:
            raise TidegateError("standard output is closed: there is nowhere to print to")
        yield sys.stdout
        return
    try:
        with whole_file(file.resolve(), mode=_MODE, keep=True) as whole:
            table = TextIOWrapper(whole, encoding="utf-8", newline="")
            try:
                yield table
            finally:
                table.detach()  # what it holds goes into the file, which is not its own to close
    except OSError as error:
        raise TidegateError(f"{file} cannot be written: {error.strerror or error}; check the folder") from None


def told(number: int, seconds: float, file: Path | None) -> str:
    """What came of it, for a person."""
    found = f"{many(number, 'variable')} in {seconds:.1f} s"
    return found if file is None or str(file) == "-" else f'{found}, written to {file}; give it as tags_file = "{file}"'
