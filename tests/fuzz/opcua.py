"""The body of a data-change notification. Captures are written by asyncua."""

from __future__ import annotations

import datetime as dt
import math
from random import Random
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from adapters.opcua.decode import Items, decode
from gateway.batch import GOOD, Kind, is_bad
from tests.fuzz.targets import Target

TIME = dt.datetime(2026, 1, 31, 7, 0, 0, tzinfo=dt.UTC)
NOW_NS = 1_800_000_000_000_000_000
_V = ua.VariantType
_HANDLES = 50
_ITEMS = Items(range(1, _HANDLES + 1), {3: Kind.F64, 4: Kind.STR, 5: Kind.U64})


def body(*variants: Any) -> bytes:
    """A data change notification of these values, handles from 0."""
    return struct_to_binary(
        ua.DataChangeNotification(
            [
                ua.MonitoredItemNotification(handle, ua.DataValue(variant, SourceTimestamp=TIME))
                for handle, variant in enumerate(variants)
            ]
        )
    )


CAPTURES = [
    body(*(ua.Variant(float(i), _V.Double) for i in range(20))),
    body(*(ua.Variant(i, _V.Int32) for i in range(20))),
    body(ua.Variant("running", _V.String), ua.Variant(True, _V.Boolean), ua.Variant(b"abc", _V.ByteString)),
    body(ua.Variant(None, _V.Null), ua.Variant([1, 2, 3], _V.UInt16), ua.Variant(math.nan, _V.Float)),
    body(ua.Variant(TIME, _V.DateTime), ua.Variant(ua.LocalizedText("a"), _V.LocalizedText)),
]


def notification(data: bytes, _draw: Random) -> None:
    """Whatever comes, the batch is sound, names known points, and a bad reading has no value."""
    decoded = decode(data, _ITEMS, now_ns=NOW_NS, lost=set())
    batch = decoded.batch.check()
    for reading in batch:
        assert 1 <= reading.point <= _HANDLES
        if is_bad(reading.status):
            assert reading.value is None
        if reading.status == GOOD and decoded.complete:
            assert reading.value is not None


TARGETS = [Target("opcua.notification", CAPTURES, notification)]
