"""Key paths: where in the file a value stands, written as the file's author would, such as `devices[2].tags[0].unit`.

Indices count from 0. Because nobody counts to the 212th tag, `owners` adds the names of the device and tag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.config.words import found
from gateway.errors import Problem

__all__ = ["item", "join", "key", "named", "sort_key"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ELEMENT = re.compile(r"(?:^|\.)([A-Za-z0-9_-]+)\[(\d+)\]")
_PARTS = re.compile(r"\d+|\D+")


def join(where: str, below: str) -> str:
    """A key path below another one; either may be empty."""
    return f"{where}.{below}" if where and below else where or below


def key(where: str, name: str) -> str:
    """The path of the key `name` below `where`; quoted where TOML would want it quoted."""
    return join(where, name if _BARE.fullmatch(name) else json.dumps(name))


def item(where: str, index: int) -> str:
    """The path of a list's item, counted from 0."""
    return f"{where}[{index}]"


def named(tree: Mapping[str, Any], problem: Problem) -> Problem:
    """The problem, with the names of the device, tag or filter that it is in put behind its text."""
    owners = _owners(tree, problem.where)
    return Problem(problem.where, f"{problem.what} ({', '.join(owners)})") if owners else problem


def _owners(tree: Mapping[str, Any], where: str) -> list[str]:
    owners = []
    here: Any = tree
    position = 0
    while (match := _ELEMENT.match(where, position)) is not None:
        items = here.get(match[1]) if isinstance(here, Mapping) else None
        index = int(match[2])
        if not isinstance(items, Sequence) or index >= len(items) or not isinstance(items[index], Mapping):
            break
        here = items[index]
        position = match.end()
        name = here.get("name")
        if isinstance(name, str) and where[position:] != ".name":
            owners.append(f"{match[1].removesuffix('s')} {found(name)}")
    return owners


def sort_key(sections: Sequence[str], where: str) -> tuple[int, list[tuple[int, str]]]:
    """Orders key paths as the models do: by section, then naturally (`tags[9]` before `tags[10]`)."""
    head = re.split(r"[.\[]", where, maxsplit=1)[0]
    rank = sections.index(head) if head in sections else -1
    return rank, [(int(part), "") if part.isdigit() else (-1, part) for part in _PARTS.findall(where)]
