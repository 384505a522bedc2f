"""How captures are damaged: what lines, gateways and attackers do to bytes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

_INTERESTING = (0x00, 0x01, 0x02, 0x7F, 0x80, 0x83, 0xFE, 0xFF)
_LONGEST = 2_000


def mutated(captures: Sequence[bytes], draw: Random) -> bytes:
    """One input: a capture damaged in some ways, or noise."""
    if not captures or draw.random() < 0.1:
        return draw.randbytes(draw.randrange(draw.choice((8, 64, 400))))
    data = bytearray(draw.choice(captures))
    for _ in range(draw.choice((0, 1, 1, 1, 2, 3, 8))):
        _damage(data, captures, draw)
    return bytes(data[:_LONGEST])


def _damage(data: bytearray, captures: Sequence[bytes], draw: Random) -> None:
    at = draw.randrange(len(data) + 1)
    match draw.randrange(8):
        case 0 if data:
            data[at % len(data)] ^= 1 << draw.randrange(8)
        case 1 if data:
            data[at % len(data)] = draw.choice(_INTERESTING)
        case 2:
            del data[at:]
        case 3:
            del data[at : at + draw.randrange(1, 9)]
        case 4:
            data[at:at] = draw.randbytes(draw.randrange(1, 9))
        case 5:
            data[at:at] = data[: draw.randrange(len(data) + 1)]
        case 6:
            data += draw.choice(captures)
        case _ if len(data) >= 4:
            place = at % (len(data) - 3)
            size = draw.choice((2, 4))
            number = draw.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)) & ((1 << 8 * size) - 1)
            data[place : place + size] = number.to_bytes(size, draw.choice(("big", "little")))
