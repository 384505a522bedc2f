"""A server's tree as far as it was opened, as the lines that are in sight. Pure: whoever asks the server puts it in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tui.backend.contract import Node

__all__ = ["Line", "NodeTree"]

_STEP: Final = "\n"
"""Between the node ids of a line's key; no node id has a line end."""


class Line(NamedTuple):
    """One line in sight. `key` tells apart the places at which one node stands."""

    key: str
    depth: int
    node: Node
    is_open: bool


class NodeTree:
    """The tree."""

    def __init__(self) -> None:
        self._below: dict[str | None, Sequence[Node]] = {}
        self._open: set[str] = set()
        self._found: Sequence[Node] | None = None

    @property
    def is_known(self) -> bool:
        """Whether anything was put in yet."""
        return bool(self._below)

    @property
    def is_search(self) -> bool:
        """Whether what is in sight is what a search found."""
        return self._found is not None

    def put(self, node: str | None, below: Sequence[Node]) -> None:
        """Puts in what stands below a node; None is the root."""
        self._below[node] = below

    def put_found(self, nodes: Sequence[Node] | None) -> None:
        """Shows what a search found instead of the tree; None shows the tree again."""
        self._found = nodes

    def lines(self) -> list[Line]:
        """What is in sight."""
        if self._found is not None:
            return [Line(node.id, 0, node, is_open=False) for node in self._found]
        return [*self._walk(None, "", 0)]

    def line(self, key: str | None) -> Line | None:
        """The line of this key."""
        return next((line for line in self.lines() if line.key == key), None)

    def needs(self, line: Line) -> bool:
        """Whether the server has to be asked before this line can be opened."""
        return line.node.id not in self._below

    def open(self, line: Line) -> None:
        """Opens a line."""
        self._open.add(line.key)

    def close(self, line: Line) -> None:
        """Closes a line."""
        self._open.discard(line.key)

    def _walk(self, node: str | None, key: str, depth: int) -> Iterator[Line]:
        for child in self._below.get(node, ()):
            own = f"{key}{_STEP}{child.id}"
            is_open = own in self._open
            yield Line(own, depth, child, is_open)
            if is_open:
                yield from self._walk(child.id, own, depth + 1)
