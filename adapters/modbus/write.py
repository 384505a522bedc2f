"""Writing one tag over the connection that polls: when it may be sent, and what came of it.

Invariants
- A value that does not fit, a tag that cannot be written and a unit that does not answer are refused before anything
  is sent.
- A write is sent at most once. Where no answer came, or one that leaves it open, the outcome is unknown and said to be.
- Write and read-back are one turn on the connection: what is read back is what this write left, as far as this gateway
  is concerned. So are the read and the write of a bit where the settings ask for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapters.modbus import texts
from adapters.modbus.decode import Decoder, bad_record
from adapters.modbus.encode import Function, NotWritable, Write, encode, with_bit
from adapters.modbus.errors import Busy, ExchangeFailed, Refused, Silent, Unreachable
from adapters.modbus.items import Item
from adapters.modbus.line import Line
from adapters.modbus.planner import plan_requests
from adapters.modbus.settings import ModbusSettings
from adapters.modbus.transport import Link
from gateway.batch import BAD_COMMUNICATION, Batch, Reading, Value
from gateway.errors import SourceLost, TidegateError

__all__ = ["TagWriter"]


class TagWriter:
    """Writes tags of one device.

    Args:
        settings: the device.
        points: number of each tag's point, by `Item.index`.
        count: counts a source error by cause.
        now_ns: UTC ns since 1970.
    """

    def __init__(
        self,
        settings: ModbusSettings,
        *,
        points: Sequence[int],
        count: Callable[[str, int], None],
        now_ns: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._points = points
        self._count = count
        self._now_ns = now_ns

    def prepare(self, item: Item, value: Value) -> Write:
        """The request that writes this value.

        Raises:
            TidegateError: the tag cannot be written, or the value does not fit it.
        """
        try:
            return encode(item, value, single=self._settings.single_writes)
        except NotWritable as reason:
            raise TidegateError(texts.unwritable(self._settings, item.name, reason)) from None

    async def write(self, line: Line, item: Item, write: Write) -> Reading:
        """Sends a prepared write in a turn of its own, and reads the tag back.

        Args:
            line: the connection.
            item: the tag.
            write: what `prepare` gave.

        Returns:
            What the device shows now. A bad status means: the device has confirmed the write, but the tag could not be
            read back.

        Raises:
            SourceLost: no connection could be made; nothing was sent.
            TidegateError: the device refused, or it is unknown whether it has done it; the text says which.
        """
        try:
            async with line.turn() as link:
                if write.function is Function.MASK and self._settings.bit_writes == "read_modify_write":
                    write = await self._whole(link, item, write)
                await self._send(link, item, write)
                return await self._read_back(link, item)
        except Busy as failure:
            self._count(failure.cause, 1)
            raise TidegateError(texts.not_done(self._settings, item.name, write, failure)) from None
        except Unreachable as failure:
            self._count(failure.cause, 1)
            raise SourceLost(texts.not_done(self._settings, item.name, write, failure)) from None

    async def _whole(self, link: Link, item: Item, write: Write) -> Write:
        """The mask write as one of the whole register, as it is now.

        Raises:
            Unreachable: no connection could be made.
            TidegateError: the register could not be read, so nothing was written.
        """
        (request,) = plan_requests([item], max_registers=item.count, max_gap=0)
        try:
            (register,) = await link.read(request, timeout_s=self._settings.timeout_s)
        except (Silent, Refused) as failure:
            self._count(failure.cause, 1)
            raise TidegateError(texts.not_read_first(self._settings, item.name, failure)) from None
        return with_bit(write, register, single=self._settings.single_writes)

    async def _send(self, link: Link, item: Item, write: Write) -> None:
        settings = self._settings
        try:
            await link.write(write, timeout_s=settings.timeout_s)
        except (Silent, Refused) as failure:
            self._count(failure.cause, 1)
            untouched = isinstance(failure, Refused) and failure.fault.untouched
            text = texts.not_done if untouched else texts.unknown_outcome
            raise TidegateError(text(settings, item.name, write, failure)) from None

    async def _read_back(self, link: Link, item: Item) -> Reading:
        (request,) = plan_requests([item], max_registers=item.count, max_gap=0)
        try:
            words = await link.read(request, timeout_s=self._settings.timeout_s)
        except ExchangeFailed as failure:
            self._count(failure.cause, 1)
            status = failure.fault.status if isinstance(failure, Refused) else BAD_COMMUNICATION
            (reading,) = Batch(bad_record(self._points[item.index], status, self._now_ns()))
        else:
            heap = bytearray()
            records = Decoder(request, self._points).decode(words, self._now_ns(), heap).records
            (reading,) = Batch(bytes(records), bytes(heap))
        return reading
