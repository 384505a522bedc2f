"""Browse paths as people write them. Pure.

    /Objects/2:Press/2:Temperature                          by namespace index
    /Objects/nsu=urn:maker:line;Press/nsu=urn:maker:line;Temperature     by namespace URI, which survives a new index

A path begins at the server's root. A name without a namespace is one of namespace 0, as the standard has it (OPC
10000-4, A.2). A slash in a name is written &/, an & is written &&; a dot is part of a name. A `;` or `%` inside a URI
is written %3B or %25, as in a node id.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import unquote

from adapters.opcua.nodes import NodeAddress, parse_node

__all__ = ["BrowsePath", "Place", "Step", "parse_path", "parse_place"]

_STEP: Final = re.compile(r"/(?:(?P<index>[0-9]{1,5}):|nsu=(?P<uri>[^;]+);)?+(?P<name>(?:&.|[^&/])+)", re.DOTALL)
_ESCAPED: Final = re.compile(r"&(.)", re.DOTALL)


class Step(NamedTuple):
    """One name on the way. `uri` is given instead of `namespace` where the index is to be looked up at the device."""

    namespace: int
    uri: str | None
    name: str


class BrowsePath(NamedTuple):
    """The way from the server's root to a node."""

    steps: tuple[Step, ...]


Place: TypeAlias = NodeAddress | BrowsePath
"""Where a variable is, as a configuration says it."""


def parse_place(text: str) -> Place:
    """Reads a node id, or a browse path, which begins with a slash.

    Raises:
        ValueError: it is neither; says what was expected.
    """
    return parse_path(text) if text.startswith("/") else parse_node(text)


def parse_path(text: str) -> BrowsePath:
    """Reads a browse path.

    Raises:
        ValueError: it is none; says what was expected.
    """
    steps: list[Step] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            break
        namespace = int(match["index"] or 0)
        if namespace > 0xFFFF:
            raise ValueError(f"{text!r}: a namespace index is at most 65535")
        uri = unquote(match["uri"]) if match["uri"] else None
        steps.append(Step(namespace, uri, _ESCAPED.sub(r"\1", match["name"])))
        at = match.end()
    if at < len(text) or not steps:
        raise ValueError(
            f"{text!r} is not a browse path; expected one such as /Objects/2:Press/2:Temperature "
            "(a / in a name is written &/, an & is written &&)"
        )
    return BrowsePath(tuple(steps))
