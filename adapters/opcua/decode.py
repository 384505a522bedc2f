"""From the body of a data-change notification to a batch, in one step and without an object per item.

Owns the encoding of DataChangeNotification and DataValue (OPC 10000-4, 7.25.2; OPC 10000-6, 5.2.2.17).

Invariants
- Nothing is made up: a null, a value of a type that is no reading and a value that does not fit the tag's declared
  kind become bad readings; a bad status wins over any value that came with it.
- Source time counts, else server time, else `now_ns` and `Flag.GATEWAY_TIME`. A time before 1970 or after 2262 is no
  time: it is what a clock that was never set says, and the record could not hold it.
- A body that breaks off or lies gives the readings before the damage and `complete=False`; it never raises.

Where all items have one fixed layout, which a look at the mask and type bytes proves, the body is unpacked by columns;
else item by item. A tag whose elements or fields are points of their own has its value taken apart (`spread`): an array
of numbers as a column, anything else as a tree.
"""

from __future__ import annotations

import functools
import struct
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from adapters.opcua.oddities import CAUSES, what_it_is, why_not
from adapters.opcua.spread import BAD_INDEX_RANGE_NO_DATA, BAD_TYPE_MISMATCH, Selector, Spread, column, leaves
from adapters.opcua.structures import BAD_DECODING, BAD_NO_DATA, BAD_NOT_SUPPORTED, Leaf, Types
from adapters.opcua.values import COLUMN_CODES, FIXED, TICKS_1970, Scalar, fit, read_scalar
from adapters.opcua.wire import DAMAGE, Malformed, count, skip_variant
from gateway.batch import EMPTY, NO_VALUE, Batch, Flag, Kind, is_bad

__all__ = ["BAD_NOT_SUPPORTED", "BAD_NO_DATA", "BAD_TYPE_MISMATCH", "Decoded", "Items", "decode"]

_VALUE, _STATUS, _SOURCE_TIME, _SERVER_TIME, _SOURCE_PICOSECONDS, _SERVER_PICOSECONDS = 1, 2, 4, 8, 16, 32
_OVERFLOW_MASK: Final = 0x0C80
_OVERFLOW: Final = 0x0480
"""Info type DataValue with the overflow bit: the item's queue ran over (OPC 10000-4, 7.39, table 177)."""

_MOST_READINGS: Final = 2_000_000
"""Readings of one notification after which no further array or structure is taken apart."""
_HEAD: Final = struct.Struct("<IB")
_LEAST_ITEM_BYTES: Final = _HEAD.size
_TICKS_END: Final = TICKS_1970 + (1 << 63) // 100
_I64: Final = struct.Struct("<q")
_U32: Final = struct.Struct("<I")
_U16: Final = struct.Struct("<H")
_SPAN: Final = struct.Struct("<II")
_NO_WORD: Final = struct.pack("<d", NO_VALUE)
_PACK: Final = {
    Kind.BOOL: struct.Struct("<Q").pack,
    Kind.I64: struct.Struct("<q").pack,
    Kind.U64: struct.Struct("<Q").pack,
    Kind.F64: struct.Struct("<d").pack,
}


_NOT_STRANGE: Final[Mapping[int, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Items:
    """What the client handles of a subscription stand for: handle n is the n-th tag.

    Attributes:
        points: number of each tag's point; of the first where it has several.
        declared: kinds of the tags that have a declared one, by handle.
        spreads: the points of the tags whose elements or fields are points of their own, by handle.
        types: structures that the server described.
    """

    points: Sequence[int]
    declared: Mapping[int, Kind]
    spreads: Mapping[int, Spread] = field(default_factory=dict)
    types: Types = field(default_factory=Types)

    def points_of(self, handle: int) -> Sequence[int]:
        """Numbers of all the points of a tag."""
        spread = self.spreads.get(handle)
        return (self.points[handle],) if spread is None else spread.points


class Decoded(NamedTuple):
    """What a notification held.

    Attributes:
        batch: its readings, in the server's order.
        odd: how many of them were odd, by cause; a label of `Metrics.source_errors`.
        complete: whether the whole body could be read.
        strange: values that nobody could make a reading of, in words, by handle.
    """

    batch: Batch
    odd: Mapping[str, int]
    complete: bool
    strange: Mapping[int, str] = _NOT_STRANGE


def decode(body: bytes, items: Items, *, now_ns: int, lost: set[int]) -> Decoded:
    """Decodes the body of one DataChangeNotification.

    Args:
        body: the extension object's content.
        items: what the client handles stand for.
        now_ns: the gateway's time, UTC ns since 1970.
        lost: handles whose next reading is to be marked `Flag.LOST_BEFORE`; those that were marked are taken out.
    """
    try:
        number, at = count(body, 0, _LEAST_ITEM_BYTES)
    except DAMAGE:
        return Decoded(EMPTY, {"damaged_notification": 1}, complete=False)
    if not number:
        return Decoded(EMPTY, {}, complete=True)
    batch = _by_columns(body, at, number, items, lost)
    if batch is not None:
        return Decoded(batch, {}, complete=True)
    return _Items(body, items, now_ns, lost).read(at, number)


@functools.lru_cache(maxsize=256)
def _layout(mask: int, type_id: int) -> struct.Struct | None:
    """The item's layout where it has a fixed one: handle, mask, type, value, status, source time, server time."""
    fixed = FIXED.get(type_id)
    if fixed is None or mask & ~(_STATUS | _SERVER_TIME) != _VALUE | _SOURCE_TIME:
        return None
    status = "I" if mask & _STATUS else ""
    server_time = "8x" if mask & _SERVER_TIME else ""
    return struct.Struct(f"<IBB{fixed.code}{status}q{server_time}")


def _by_columns(body: bytes, at: int, number: int, items: Items, lost: set[int]) -> Batch | None:
    """The batch of a body whose items are all good, timed, known, and of one fixed layout; None where they are not."""
    if len(body) < at + 6:
        return None
    mask, type_id = body[at + 4], body[at + 5]
    layout = _layout(mask, type_id)
    if layout is None:
        return None
    size = layout.size
    end = at + number * size
    # Each item's mask and type say how long it is: if all of them are those of the first, each one starts where the
    # last one ends, and the columns are proven.
    if end > len(body) or body[at + 4 : end : size].count(mask) != number:
        return None
    if body[at + 5 : end : size].count(type_id) != number:
        return None
    handles, _, _, values, *rest = zip(*layout.iter_unpack(memoryview(body)[at:end]), strict=True)
    ticks = rest[-1]
    kind = FIXED[type_id].kind
    if mask & _STATUS and any(rest[0]):
        return None
    if max(handles) >= len(items.points) or min(ticks) < TICKS_1970 or max(ticks) >= _TICKS_END:
        return None
    if lost and not lost.isdisjoint(handles):
        return None
    if items.spreads and not items.spreads.keys().isdisjoint(handles):
        return None
    declared = items.declared
    if declared and any(declared.get(handle, kind) != kind for handle in handles):
        return None
    points = items.points
    return Batch.of_columns(
        ts_ns=[(tick - TICKS_1970) * 100 for tick in ticks],
        words=array(COLUMN_CODES[kind], values).tobytes(),
        points=[points[handle] for handle in handles],
        statuses=[0] * number,
        kinds=bytes((kind,)) * number,
        flags=bytes(number),
    )


class _Items:
    """Reads a body item by item into columns: any mix of types, statuses and times."""

    def __init__(self, body: bytes, items: Items, now_ns: int, lost: set[int]) -> None:
        self._body = body
        self._items = items
        self._now_ns = now_ns
        self._lost = lost
        self._spreads = items.spreads
        self._odd: Counter[str] = Counter()
        self._strange: dict[int, str] = {}
        self._ts_ns: list[int] = []
        self._words: list[bytes] = []
        self._points: list[int] = []
        self._statuses: list[int] = []
        self._kinds = bytearray()
        self._flags = bytearray()
        self._heap = bytearray()

    def read(self, at: int, number: int) -> Decoded:
        complete = True
        try:
            for _ in range(number):
                at = self._item(at)
        except DAMAGE:
            self._odd["damaged_notification"] += 1
            complete = False
        batch = Batch.of_columns(
            ts_ns=self._ts_ns,
            words=b"".join(self._words),
            points=self._points,
            statuses=self._statuses,
            kinds=bytes(self._kinds),
            flags=bytes(self._flags),
            heap=bytes(self._heap),
        )
        return Decoded(batch, self._odd, complete, self._strange)

    def _item(self, at: int) -> int:
        """Reads one MonitoredItemNotification. Nothing is kept of an item before all of it is read."""
        body = self._body
        handle, mask = _HEAD.unpack_from(body, at)
        at += _HEAD.size
        kind: Kind | None = None
        value: Scalar | None = None
        value_at = -1
        spread = self._spreads.get(handle)
        if mask & _VALUE:
            value_at = at
            if spread is None:
                kind, value, at = read_scalar(body, at)
            else:
                at = skip_variant(body, at)
        status = source = server = picoseconds = 0
        if mask & _STATUS:
            status = _U32.unpack_from(body, at)[0]
            at += 4
        if mask & _SOURCE_TIME:
            source = _I64.unpack_from(body, at)[0]
            at += 8
        if mask & _SOURCE_PICOSECONDS:
            picoseconds = _U16.unpack_from(body, at)[0]
            at += 2
        if mask & _SERVER_TIME:
            server = _I64.unpack_from(body, at)[0]
            at += 8
        if mask & _SERVER_PICOSECONDS:
            _U16.unpack_from(body, at)
            at += 2
        if handle >= len(self._items.points):
            self._odd["unknown_item"] += 1
            return at
        first = len(self._points)
        if spread is None:
            self._value(handle, status >> 16, kind, value, value_at)
            self._points.append(self._items.points[handle])
            self._when(source, server, picoseconds)
        else:
            self._spread(handle, spread, status >> 16, value_at)
            self._points += spread.points
            self._when(source, server, picoseconds)
            more = len(spread.points) - 1
            self._ts_ns += self._ts_ns[-1:] * more
            self._flags += self._flags[-1:] * more
        if status & _OVERFLOW_MASK == _OVERFLOW:
            self._mark_lost(first)
            self._odd["queue_overflow"] += 1
        if handle in self._lost:
            self._lost.discard(handle)
            self._mark_lost(first)
        return at

    def _mark_lost(self, first: int) -> None:
        for at in range(first, len(self._flags)):
            self._flags[at] |= Flag.LOST_BEFORE

    def _value(self, handle: int, status: int, kind: Kind | None, value: Scalar | None, at: int) -> None:
        """Appends status, kind and value bytes of a single value."""
        if is_bad(status):
            self._append_bad(status)
        elif kind is None:
            self._bad(BAD_NO_DATA)
        elif value is None:
            self._bad(BAD_NOT_SUPPORTED)
            self._strange[handle] = what_it_is(self._body, at)
        else:
            self._leaf(handle, status, kind, value)

    def _spread(self, handle: int, spread: Spread, status: int, at: int) -> None:
        """Appends status, kind and value bytes of each point of an array or a structure."""
        number = len(spread.points)
        if len(self._points) > _MOST_READINGS:
            raise Malformed("more readings than a notification can mean: an item of five bytes may stand for thousands")
        if is_bad(status):
            self._append_bad(status, number)
            return
        if at < 0:
            self._bad(BAD_NO_DATA, number)
            return
        whole = column(self._body, at, spread, self._items.declared.get(handle))
        if whole is not None:
            self._statuses += [status] * whole.taken
            self._kinds += bytes((whole.kind,)) * whole.taken
            self._words.append(whole.words)
            self._bad(BAD_INDEX_RANGE_NO_DATA, number - whole.taken)
            beyond = whole.beyond
        else:
            beyond = self._leaves(handle, spread, status, at)
        if beyond:
            self._odd["element_beyond"] += beyond
            self._strange[handle] = f"the array has {beyond} more than the {spread.elements} elements that are read"

    def _leaves(self, handle: int, spread: Spread, status: int, at: int) -> int:
        """Appends what a tree of values holds for each point; gives how many elements no point is named for."""
        try:
            found, beyond = leaves(self._body, at, spread, self._items.types)
        except DAMAGE:
            found, beyond = [Leaf(None, None, BAD_DECODING)] * len(spread.points), 0
        self._items.types.note(handle)
        # Words look at the whole value, so they are found once for each cause, and not for each of ten thousand points.
        strange: dict[int, Selector] = {}
        for selector, leaf in zip(spread.selectors, found, strict=True):
            if leaf.kind is None or leaf.value is None:
                self._bad(leaf.status)
                strange[leaf.status] = selector
            else:
                self._leaf(handle, status, leaf.kind, leaf.value)
        for cause, selector in strange.items():
            if words := why_not(cause, selector, self._body, at):
                self._strange[handle] = words
        return beyond

    def _leaf(self, handle: int, status: int, kind: Kind, value: Scalar) -> None:
        """Appends one value, as the kind that the tag is declared to have."""
        declared = self._items.declared.get(handle, kind)
        if declared != kind:
            fitting = fit(kind, value, declared)
            if fitting is None:
                self._bad(BAD_TYPE_MISMATCH)
                return
            kind, value = declared, fitting
        self._statuses.append(status)
        self._kinds.append(kind)
        if isinstance(value, bytes):
            self._words.append(_SPAN.pack(len(self._heap), len(value)))
            self._heap += value
        else:
            self._words.append(_PACK[kind](value))

    def _bad(self, status: int, number: int = 1) -> None:
        """Appends points whose value is none, and counts why."""
        if number:
            self._odd[CAUSES[status]] += number
            self._append_bad(status, number)

    def _append_bad(self, status: int, number: int = 1) -> None:
        self._statuses += [status] * number
        self._kinds += bytes((Kind.F64,)) * number
        self._words.append(_NO_WORD * number)

    def _when(self, source: int, server: int, picoseconds: int) -> None:
        """Appends time and flags."""
        if TICKS_1970 <= source < _TICKS_END:
            # 10 ps steps within the 100 ns of a tick (5.2.2.17); above 9999 is to be read as 9999.
            self._ts_ns.append((source - TICKS_1970) * 100 + min(picoseconds, 9999) // 100)
            self._flags.append(0)
        elif TICKS_1970 <= server < _TICKS_END:
            self._ts_ns.append((server - TICKS_1970) * 100)
            self._flags.append(0)
        else:
            self._ts_ns.append(self._now_ns)
            self._flags.append(Flag.GATEWAY_TIME)
