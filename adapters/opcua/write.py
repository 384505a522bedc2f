"""Writing one value to a tag, over the session that its readings come from.

Invariants
- What cannot fit never reaches the server: type, shape and access are asked for first, and the value is made to fit or
  refused.
- One write at a time, so that what is read back is what that write left behind.
- No write is repeated. Where no answer came, the text says that nobody knows.

Type and shape of a tag's variable are asked for once a session; whether it may be written is asked again as long as the
answer was no, since a key switch may allow it later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from asyncua import ua

from adapters.opcua.coerce import TYPE_NAMES, Fitting, coerce
from adapters.opcua.decode import Items
from adapters.opcua.failures import FAILURES, explain, status_name
from adapters.opcua.places import Places
from adapters.opcua.read import as_reading, attribute, read, refusal
from adapters.opcua.session import Session
from adapters.opcua.settings import OpcuaSettings
from adapters.opcua.types import VARIANT, built_in_type
from adapters.opcua.variables import may_be_written
from adapters.opcua.wire import ARRAY, DAMAGE, U32, Malformed, count
from gateway.batch import Reading, Value
from gateway.errors import SourceLost

__all__ = ["TagWriter"]

_ATTRIBUTES: Final = (
    ua.AttributeIds.DataType,
    ua.AttributeIds.ValueRank,
    ua.AttributeIds.AccessLevel,
    ua.AttributeIds.UserAccessLevel,
    ua.AttributeIds.Value,
)
_TYPE_BITS: Final = 0x3F
_LOCALIZED_TEXT: Final = 21
_BAD: Final = 0x80000000
_UNKNOWN: Final = "whether it was written is not known: read the tag before writing again"


class _Place(NamedTuple):
    """Where a tag's value is written to, and as what."""

    node: ua.NodeId
    type_id: int


class TagWriter:
    """Writes to the tags of one device, as long as one session lasts.

    Args:
        session: where to write.
        settings: the device; its tags are known by name.
        places: where each tag is, by its place in the settings.
        items: their points and declared kinds, for what is read back.
        now_ns: UTC nanoseconds since 1970.
    """

    def __init__(
        self,
        session: Session,
        settings: OpcuaSettings,
        places: Places,
        items: Items,
        now_ns: Callable[[], int],
    ) -> None:
        self._session = session
        self._places = places
        self._items = items
        self._now_ns = now_ns
        self._handles = {tag.name: handle for handle, tag in enumerate(settings.tags) if tag.is_single}
        self._spread = [tag for tag in settings.tags if not tag.is_single]
        self._targets: dict[int, _Place] = {}
        self._one_at_a_time = asyncio.Lock()

    async def write(self, tag: str, value: Value) -> Reading:
        """Writes one value and reads it back.

        Args:
            tag: name of a tag in the device's settings.
            value: what to write; see `coerce` for what fits which type.

        Raises:
            SourceLost: the server went away; the text says whether something may have been written.
            TidegateError: the tag is unknown, the value does not fit, the tag may not be written, the server refused,
                or it gave no answer; the text says which.
        """
        doing = f"writing tag {tag!r}"
        handle = self._handles.get(tag)
        if handle is None and any(tag in one.point_names for one in self._spread if tag.startswith(one.name)):
            # Servers that do not know ranges of an array would take the element for the whole of it.
            raise self._session.refused(
                doing, "it is a part of an array or a structure, which cannot be written; nothing was written"
            )
        if handle is None:
            raise self._session.refused(doing, "the device has no such tag; nothing was written")
        async with self._one_at_a_time:
            place = self._targets.get(handle)
            if place is None:
                place = self._targets[handle] = await self._find(handle, doing)
            try:
                fitting = coerce(value, place.type_id)
            except ValueError as error:
                raise self._session.refused(doing, f"{error}; nothing was written") from None
            await self._send(handle, place, fitting, doing)
            return await self._read_back(handle, place, doing)

    async def _find(self, handle: int, doing: str) -> _Place:
        """Where and as what a tag is written; remembered only when it may be written."""
        node = await self._node(handle, doing)
        answers = await read(self._session, [(node, number) for number in _ATTRIBUTES], doing=doing)
        data_type, rank, access, user_access, value = answers
        if code := refusal(data_type):
            raise self._session.refused(doing, f"the server answered {status_name(code)}; nothing was written")
        if not may_be_written(attribute(access), attribute(user_access)):
            raise self._session.refused(
                doing,
                "the server does not let this user write it; check its access rights there. Nothing was written",
            )
        encoding = value[1] if value[0] & 0x01 else 0
        dimensions = attribute(rank)
        if encoding & ARRAY or (isinstance(dimensions, int) and dimensions >= 0):
            raise self._session.refused(doing, "it is an array, which cannot be written; nothing was written")
        type_id = await self._type_id(attribute(data_type), encoding & _TYPE_BITS, doing)
        if type_id not in TYPE_NAMES:
            raise self._session.refused(
                doing,
                f"its type cannot be written, only {', '.join(TYPE_NAMES.values())} can. Nothing was written"
                if type_id
                else "it has no value yet that would tell its type; nothing was written",
            )
        return _Place(node, type_id)

    async def _node(self, handle: int, doing: str) -> ua.NodeId:
        if isinstance((await self._places.find([handle]))[handle], int):
            # It may have come meanwhile, with a namespace that is new as well.
            self._places.renew((await self._session.limits()).namespaces)
            self._places.forget([handle])
        return await self._places.one(handle, doing=doing, advice="nothing was written")

    async def _type_id(self, data_type: object, of_value: int, doing: str) -> int:
        """The built-in type behind a data type, which may be an alias, an enumeration or abstract.

        Args:
            data_type: the attribute of that name.
            of_value: type id of the value there now; 0 where there is none.
            doing: what this is for.
        """
        if isinstance(data_type, ua.NodeId):
            number = await built_in_type(self._session, data_type, self._places.namespaces, doing=doing)
            if number not in (None, VARIANT):
                return int(number)
        return of_value  # which says what the declared type leaves open

    async def _send(self, handle: int, place: _Place, value: Fitting, doing: str) -> None:
        session = self._session
        if not session.connected:
            raise session.lost(doing, "not connected any more; nothing was written")
        request = ua.WriteRequest()
        request.Parameters.NodesToWrite = [_write_value(place, value)]
        try:
            code = _status(await session.call(request))
        except FAILURES as error:
            if not session.connected:
                raise session.lost(doing, f"{explain(error)}; {_UNKNOWN}") from error
            raise session.refused(doing, explain(error) + ("" if _is_an_answer(error) else f"; {_UNKNOWN}")) from error
        if code & _BAD:
            # What was found out may be what has changed meanwhile.
            self._targets.clear()
            self._places.forget([handle])
            raise session.refused(doing, explain(ua.UaStatusCodeError(code)))

    async def _read_back(self, handle: int, place: _Place, doing: str) -> Reading:
        try:
            (answer,) = await read(
                self._session, [(place.node, ua.AttributeIds.Value)], doing=f"{doing}, reading it back"
            )
        except SourceLost as lost:
            raise SourceLost(f"{lost}. The server had accepted the write") from lost
        return as_reading(
            answer,
            point=self._items.points[handle],
            kind=self._items.declared.get(handle),
            now_ns=self._now_ns(),
        )


def _write_value(place: _Place, value: Fitting) -> ua.WriteValue:
    """The value alone: servers that do not take times or a status refuse all of it (OPC 10000-4, 5.11.4.1)."""
    content = ua.LocalizedText(value) if place.type_id == _LOCALIZED_TEXT else value
    wanted = ua.WriteValue()
    wanted.NodeId = place.node
    wanted.AttributeId = ua.AttributeIds.Value
    wanted.Value = ua.DataValue(ua.Variant(content, ua.VariantType(place.type_id)), StatusCode=None)
    return wanted


def _is_an_answer(error: BaseException) -> bool:
    """Whether the server has said no, and not only failed to say yes."""
    return isinstance(error, ua.UaStatusCodeError) and error.code != ua.StatusCodes.BadTimeout


def _status(body: bytes) -> int:
    """The StatusCode of the only write in a response."""
    try:
        number, at = count(body, 0, 4)
        code: int = U32.unpack_from(body, at)[0]
    except DAMAGE as error:
        raise Malformed(f"write response of {len(body)} bytes: {error}") from None
    if number != 1:
        raise Malformed(f"{number} results where one was asked for")
    return code
