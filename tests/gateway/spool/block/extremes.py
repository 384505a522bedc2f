"""Batches at the ends of every range."""

from __future__ import annotations

import struct
from random import Random

from gateway.batch import Batch, Kind, Reading
from gateway.spool.block import Entry

_RECORD = struct.Struct("<qQIHBB")
_LEAST, _MOST = -(2**63), 2**63 - 1
_F64 = int(Kind.F64)


def word(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def batch(*records: tuple[int, int, int, int, int, int], heap: bytes = b"") -> Batch:
    return Batch(b"".join(_RECORD.pack(*record) for record in records), heap)


def values(words: list[int], kind: int = _F64) -> list[Entry]:
    return [Entry(9, 0, "plc", batch(*((place, one, 1, 0, kind, 0) for place, one in enumerate(words))))]


def _times(times: list[int], points: int = 1) -> list[Entry]:
    records = [(time, word(1.0), place % points, 0, _F64, 0) for place, time in enumerate(times)]
    return [Entry(9, _MOST, "plc", batch(*records)), Entry(10, _LEAST, "plc", batch(*records))]


def _texts(*texts: str) -> Batch:
    return Batch.of([Reading(0, text, 1, kind=Kind.STR) for text in texts])


_draw = Random(7)
_tenths = [word(place / 10) for place in range(40)]

EXTREMES: dict[str, list[Entry]] = {
    "zeroed memory": [Entry(0, 0, "", batch((0, 0, 0, 0, 0, 0)))],
    "all bits set": [Entry(-1, -1, "\U0010ffff", batch(*[(-1, 2**64 - 1, 2**32 - 1, 2**16 - 1, 255, 255)] * 3))],
    "numbers at both ends": [Entry(seq, seq, "a", batch((0, 0, 0, 0, 4, 0))) for seq in (_LEAST, _MOST, 0, -1, _MOST)],
    "times that jump from end to end": _times([_LEAST, _MOST] * 20),
    "jumps of one even length": _times([_LEAST, _MOST - 1] * 20),
    "jumps that threes divide": _times([_LEAST, _LEAST + 3 * (2**64 // 3)] * 20),
    "times of many points from end to end": _times([_draw.choice((_LEAST, _MOST, 0, 1)) for _ in range(60)], points=7),
    "equal times": _times([5] * 50, points=3),
    "times that fall": _times(list(range(50, 0, -1))),
    "NaN of every payload": values([0x7FF0000000000001 + _draw.getrandbits(51) for _ in range(50)]),
    "one NaN among decimals": values([*_tenths[:7], 0x7FF8000000000000, *_tenths[7:]]),
    "one NaN at the end": values([*_tenths, 0xFFF8000000000001]),
    "one infinity among decimals": values([*_tenths[:7], word(float("-inf")), *_tenths[7:]]),
    "zero below zero among decimals": values([*_tenths[:7], word(-0.0), *_tenths[7:]]),
    "only zeros of both signs": values([word(0.0), word(-0.0)] * 9),
    "denormals": values([_draw.getrandbits(52) for _ in range(50)]),
    "the largest doubles": values([word(1.7976931348623157e308), word(-1.7976931348623157e308), word(5.0)] * 9),
    "where doubles stop to be exact": values([word(float(2**53 - 20 + place)) for place in range(40)]),
    "doubles of 32 bits": values([word(struct.unpack("<f", struct.pack("<f", n / 7))[0]) for n in range(40)]),
    "decimals of every length": values([word(n / 10**places) for places in range(8) for n in (1, 12_345, -7)]),
    "decimals of each length by themselves": [
        Entry(1 + places, 0, "plc", batch(*((n, word(n / 10**places), places, 0, _F64, 0) for n in range(1, 12))))
        for places in range(9)
    ],
    "i64 from end to end": values([2**63, 2**63 - 1, 0, 2**64 - 1] * 9, kind=int(Kind.I64)),
    "u64 from end to end": values([0, 2**64 - 1] * 9, kind=int(Kind.U64)),
    "empty texts": [Entry(1 + n, 0, "plc", _texts("", "x" * (n % 3), "")) for n in range(20)],
    "nothing but empty texts": [Entry(1 + n, 0, "plc", _texts("")) for n in range(20)],
    "a heap that nobody points into": [Entry(1, 0, "plc", Batch(batch((0, 0, 1, 0, 4, 0)).records, b"junk"))],
    "texts that overlap": [
        Entry(1, 0, "plc", batch((0, 3 << 32, 1, 0, 5, 0), (0, 3 << 32 | 2, 1, 0, 6, 0), heap=b"abcde"))
    ],
    "texts that point nowhere": [Entry(1, 0, "plc", batch((0, 2**64 - 1, 1, 0, 5, 0), heap=b"abc"))],
    "many devices": [Entry(1 + n, n, f"ü{n}", batch((n, n, n, n, 2, n))) for n in range(60)],
    "no two alike": [
        Entry(
            1 + n,
            _draw.getrandbits(62),
            "plc",
            batch(*((_draw.getrandbits(63), *map(_draw.getrandbits, (64, 32, 16, 8, 8))) for _ in range(9))),
        )
        for n in range(20)
    ],
}
