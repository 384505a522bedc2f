"""Which elements and fields of a variable become points of their own, and how they are found in its value. Pure.

A tag with `elements = 3` makes the points NAME[0], NAME[1], NAME[2]; one with `fields = ["Position.X", "Samples[2]"]`
makes NAME.Position.X and NAME.Samples[2]; with both, each element has the fields. Which points there are is said in the
configuration, before any server is asked: the point table, the filters and the plan know them all from the start.
"""

from __future__ import annotations

import functools
import re
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from adapters.opcua.structures import BAD_NO_DATA, BAD_NOT_SUPPORTED, Leaf, Tree, Types, read_tree
from adapters.opcua.values import COLUMN_CODES, FIXED
from adapters.opcua.wire import ARRAY, FIXED_BYTES, count
from gateway.batch import Kind

__all__ = [
    "BAD_INDEX_RANGE_NO_DATA",
    "BAD_NO_MATCH",
    "BAD_TYPE_MISMATCH",
    "MOST_ELEMENTS",
    "Column",
    "Selector",
    "Spread",
    "column",
    "leaves",
    "parse_field",
    "pick",
    "selectors",
    "suffix",
]

BAD_INDEX_RANGE_NO_DATA: Final = 0x8037
BAD_NO_MATCH: Final = 0x806F
BAD_TYPE_MISMATCH: Final = 0x8074

MOST_ELEMENTS: Final = 10_000
"""Elements of one variable that may become points."""

Selector: TypeAlias = tuple[str | int, ...]
"""The way from a value to one point: names of fields and indices of elements."""

_STEP: Final = re.compile(r"(?P<name>[^.\[\]]+)(?:\.|(?=\[)|$)|\[(?P<index>[0-9]{1,6})\](?:\.(?=.)|(?=\[)|$)")


@dataclass(frozen=True, slots=True)
class Spread:
    """The points of one variable.

    Attributes:
        points: their numbers.
        selectors: the way to each.
        elements: how many elements are named one by one, from the first on; 0 where fields alone are.
    """

    points: Sequence[int]
    selectors: Sequence[Selector]
    elements: int

    @property
    def is_plain(self) -> bool:
        """Whether the points are the elements themselves, in their order, and not fields of them."""
        return bool(self.elements) and len(self.selectors[0]) == 1


@functools.lru_cache(maxsize=4096)
def parse_field(text: str) -> Selector:
    """Reads a field's name, such as `Position.X` or `Samples[2].Value`.

    Raises:
        ValueError: it is none; says what was expected.
    """
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            break
        steps.append(match["name"] if match["name"] is not None else int(match["index"]))
        at = match.end()
    if at < len(text) or not steps or text.endswith("."):
        raise ValueError(f"{text!r} is not the name of a field; expected one such as Speed, Position.X or Samples[2]")
    return tuple(steps)


def selectors(elements: int | None, fields: Sequence[str] | None) -> list[Selector]:
    """The ways to all points of a tag; one empty way where it is a single value.

    Raises:
        ValueError: a field's name is none.
    """
    heads: list[Selector] = [()] if elements is None else [(index,) for index in range(elements)]
    if not fields:
        return heads
    tails = [parse_field(text) for text in fields]
    return [head + tail for head in heads for tail in tails]


def suffix(selector: Selector) -> str:
    """What stands behind the tag's name in the name of the point."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in selector)


def pick(tree: Tree, selector: Selector) -> Leaf:
    """The value at the end of a way; where there is none, a leaf whose status says why."""
    for step in selector:
        if isinstance(tree, Leaf):
            return tree if tree.status else Leaf(None, None, BAD_TYPE_MISMATCH)
        if isinstance(step, int):
            if not isinstance(tree, list):
                return Leaf(None, None, BAD_TYPE_MISMATCH)
            if step >= len(tree):
                return Leaf(None, None, BAD_INDEX_RANGE_NO_DATA)
            tree = tree[step]
        elif isinstance(tree, list):
            return Leaf(None, None, BAD_TYPE_MISMATCH)
        elif step not in tree:
            return Leaf(None, None, BAD_NO_MATCH)
        else:
            tree = tree[step]
    if isinstance(tree, Leaf):
        return tree
    return Leaf(None, None, BAD_NOT_SUPPORTED if tree else BAD_NO_DATA)


class Column(NamedTuple):
    """The elements of an array of numbers, ready for the records.

    Attributes:
        kind: of each of them.
        words: eight bytes each.
        taken: how many there are, at most as many as the tag names.
        beyond: how many more the array has.
    """

    kind: Kind
    words: bytes
    taken: int
    beyond: int


def column(body: bytes, at: int, spread: Spread, declared: Kind | None) -> Column | None:
    """The elements of the array in the Variant at this position, whole; None where it is no plain array of numbers.

    Args:
        body: the message.
        at: where the Variant stands; it was stepped over before, so it is whole.
        spread: the points of the tag.
        declared: kind that the tag is declared to have.
    """
    encoding = body[at]
    fixed = FIXED.get(encoding & 0x3F)
    if not encoding & ARRAY or fixed is None or not spread.is_plain or declared not in (None, fixed.kind):
        return None
    number, at = count(body, at + 1, FIXED_BYTES[encoding & 0x3F])
    taken = min(number, len(spread.points))
    values = struct.unpack_from(f"<{taken}{fixed.code}", body, at)
    return Column(fixed.kind, array(COLUMN_CODES[fixed.kind], values).tobytes(), taken, number - taken)


def leaves(body: bytes, at: int, spread: Spread, types: Types) -> tuple[list[Leaf], int]:
    """The value of each point in the Variant at this position, and how many elements no point is named for.

    Raises:
        one of `wire.DAMAGE`: the value is nested too deeply.
    """
    tree, _ = read_tree(body, at, types)
    beyond = max(0, len(tree) - spread.elements) if spread.elements and isinstance(tree, list) else 0
    return [pick(tree, selector) for selector in spread.selectors], beyond
