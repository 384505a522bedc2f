"""What requests put on the wire: bytes, and how long a serial line is busy with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from adapters.modbus.endpoint import Endpoint, char_s, gap_s
from adapters.modbus.planner import Request

__all__ = ["USUAL_ANSWER_S", "Load", "bytes_a_second", "cycle_s", "load_of", "utilisation"]

USUAL_ANSWER_S: Final = 0.005
"""What a device usually takes from the end of a request to the beginning of its answer."""
_OWN_S: Final = 0.0002
"""What a request costs the gateway itself on a small box, be it for 1 or 125 registers. `make bench` measures it."""
_ASKED_BYTES: Final = 5
_HEAD_BYTES: Final = 2
_MBAP_BYTES: Final = 7
_RTU_BYTES: Final = 3


class Load(NamedTuple):
    """One request and its answer.

    Attributes:
        asked_bytes: of the request.
        answer_bytes: of the answer.
        wire_s: how long they keep a serial line busy, with the silence before each; 0 on a network.
    """

    asked_bytes: int
    answer_bytes: int
    wire_s: float


def load_of(request: Request, endpoint: Endpoint) -> Load:
    """What a request and its answer put on the wire; on a network without the headers of TCP and TLS."""
    frame = _RTU_BYTES if endpoint.is_rtu else _MBAP_BYTES
    data = (request.count + 7) // 8 if request.table.is_bits else 2 * request.count
    asked, answer = frame + _ASKED_BYTES, frame + _HEAD_BYTES + data
    serial = endpoint.serial
    wire_s = 0.0 if serial is None else (asked + answer) * char_s(serial) + 2 * gap_s(serial)
    return Load(asked, answer, wire_s)


def cycle_s(requests: Iterable[Request], endpoint: Endpoint, *, pause_s: float = 0.0) -> float:
    """How long it takes to read these once from a device that answers as usual, with a pause before each."""
    return sum(load_of(request, endpoint).wire_s + pause_s + USUAL_ANSWER_S + _OWN_S for request in requests)


def utilisation(requests: Iterable[Request], endpoint: Endpoint) -> float:
    """Share of the time in which these keep a serial line busy."""
    return sum(load_of(request, endpoint).wire_s / request.interval_s for request in requests)


def bytes_a_second(requests: Iterable[Request], endpoint: Endpoint) -> float:
    """Bytes of requests and answers in a second, both ways together."""
    loads = ((load_of(request, endpoint), request.interval_s) for request in requests)
    return sum((load.asked_bytes + load.answer_bytes) / interval_s for load, interval_s in loads)
