"""The Read service (OPC 10000-4, 5.11.2), with each answer kept raw.

Invariants
- A value that nobody can decode spoils none beside it: an answer is cut into DataValues before any is looked into.
- A value becomes a reading by the very rules of the subscription (`decode`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from asyncua import ua
from asyncua.common.utils import Buffer

from adapters.opcua.ask import as_many, in_parts, or_lost
from adapters.opcua.binary import read_struct
from adapters.opcua.decode import BAD_NOT_SUPPORTED, Items, decode
from adapters.opcua.failures import FAILURES
from adapters.opcua.places import Found
from adapters.opcua.session import Session
from adapters.opcua.wire import DAMAGE, U32, Malformed, count, skip_data_value
from gateway.batch import Flag, Kind, Reading

__all__ = [
    "Attribute",
    "as_reading",
    "as_readings",
    "attribute",
    "data_values",
    "notification",
    "read",
    "refusal",
    "refused_value",
    "values_of",
]

_READS_PER_REQUEST: Final = 1_000

Attribute: TypeAlias = tuple[ua.NodeId, ua.AttributeIds]
"""What to read: an attribute of a node."""


async def read(session: Session, wanted: Sequence[Attribute], *, doing: str) -> list[bytes]:
    """Reads attributes: one encoded DataValue each, in the order asked for.

    Args:
        session: where to ask.
        wanted: nodes and attributes.
        doing: what this is for, as an error would say it.

    Raises:
        SourceLost: there was no answer, or none that can be understood.
    """

    async def ask(part: Sequence[Attribute]) -> list[bytes]:
        request = ua.ReadRequest()
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.NodesToRead = [ua.ReadValueId(node, number) for node, number in part]
        return as_many(data_values(await session.call(request)), part)

    with or_lost(session, doing):
        return await in_parts(wanted, _READS_PER_REQUEST, ask, refused_value)


async def values_of(session: Session, found: Mapping[int, Found], *, doing: str) -> dict[int, bytes]:
    """The values of variables: one encoded DataValue each, by handle; of one that was not found, its StatusCode.

    Raises:
        SourceLost: there was no answer, or none that can be understood.
    """
    nodes = {handle: node for handle, node in found.items() if not isinstance(node, int)}
    answers = await read(session, [(node, ua.AttributeIds.Value) for node in nodes.values()], doing=doing)
    values = dict(zip(nodes, answers, strict=True))
    return {handle: refused_value(node) if isinstance(node, int) else values[handle] for handle, node in found.items()}


def notification(values: Mapping[int, bytes]) -> bytes:
    """The body of a data-change notification that says these DataValues, by handle (OPC 10000-4, 7.25.2)."""
    return U32.pack(len(values)) + b"".join(U32.pack(handle) + value for handle, value in values.items())


def refused_value(code: int) -> bytes:
    """A DataValue that holds nothing but a StatusCode."""
    return b"\x02" + U32.pack(code)


def attribute(data_value: bytes) -> object:
    """The Python value of an attribute; None where the server gave none, or none that can be understood."""
    decoded = _decoded(data_value)
    if decoded is None or decoded.Value is None or _refusal(decoded):
        return None
    value: object = decoded.Value.Value
    return value


def refusal(data_value: bytes) -> int:
    """The StatusCode with which the server refuses an attribute; 0 where it does not."""
    decoded = _decoded(data_value)
    return 0 if decoded is None else _refusal(decoded)


def _refusal(decoded: ua.DataValue) -> int:
    if decoded.StatusCode is None or not decoded.StatusCode.is_bad():
        return 0
    return int(decoded.StatusCode.value)


def _decoded(data_value: bytes) -> ua.DataValue | None:
    try:
        return read_struct(ua.DataValue, Buffer(data_value))
    except FAILURES:
        return None


def as_reading(data_value: bytes, *, point: int, kind: Kind | None, now_ns: int) -> Reading:
    """A variable's value as the subscription would have it.

    Args:
        data_value: encoded, as `read` gives it.
        point: number in the point table.
        kind: kind that the tag is declared to have.
        now_ns: the gateway's time, UTC ns since 1970.
    """
    declared = {} if kind is None else {0: kind}
    return as_readings(data_value, 0, Items((point,), declared), now_ns=now_ns)[0]


def as_readings(data_value: bytes, handle: int, items: Items, *, now_ns: int) -> list[Reading]:
    """A variable's value as the subscription would have it: one reading for each point of its tag.

    Args:
        data_value: encoded, as `read` gives it.
        handle: the tag.
        items: the points of the device.
        now_ns: the gateway's time, UTC ns since 1970.
    """
    readings = [*decode(notification({handle: data_value}), items, now_ns=now_ns, lost=set()).batch]
    return readings or [
        Reading(now_ns, None, point, BAD_NOT_SUPPORTED, flags=Flag.GATEWAY_TIME) for point in items.points_of(handle)
    ]


def data_values(body: bytes) -> list[bytes]:
    """Cuts a read response into its DataValues (OPC 10000-6, 5.2.2.17)."""
    try:
        number, at = count(body, 0)
        values: list[bytes] = []
        for _ in range(number):
            end = skip_data_value(body, at)
            values.append(body[at:end])
            at = end
    except DAMAGE as error:
        raise Malformed(f"read response of {len(body)} bytes: {error}") from None
    return values
