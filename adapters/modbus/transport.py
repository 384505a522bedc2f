"""The one connection to a device or a bus: made here, used for one request at a time, and not trusted after a doubt.

Invariants
- At most one connection, and one request at a time: `line` gives the turns.
- Whatever leaves a request's answer in doubt (time-out, broken connection, cancellation, noise) closes a network
  connection before the caller hears of it. A late answer therefore meets a closed socket and can never be taken for the
  answer to the next request, not even from devices that do not echo the transaction id.
- RTU has no transaction id, and what stands behind the connection, or the wire itself, may still hold a late answer.
  So after a doubt the line is listened to until it is silent, what comes is thrown away, and the unit is a suspect. It
  is not asked again before twice the time-out has passed since the request that was left open, so that an answer that
  comes until then meets nobody; and its next answer counts only when nothing follows it for as long as an answer may
  take: if that was a still later one, the true one follows and shows it. What this cannot see are two answers in a row
  that both come later than twice the time-out. An answer that came whole but for its CRC leaves none to wait for.
- No request is ever sent twice: `gateway.supervise` and the poll loop decide what is asked again, and nobody decides
  that of a write.
- After `end` nothing is dialled and nothing is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from adapters.modbus.channel import Channel, open_channel
from adapters.modbus.encode import Write
from adapters.modbus.endpoint import Endpoint, char_s, gap_s
from adapters.modbus.errors import Refused, Silent, Unreachable
from adapters.modbus.frames import Damaged, Framer, Garbled, Mbap, Rtu
from adapters.modbus.pdu import answer_bytes, confirm, read_pdu, values, write_pdu
from adapters.modbus.planner import Request

__all__ = ["Link"]

_SETTLED_S: Final = 0.05
"""Silence after which a line in doubt counts as quiet. USB converters hold bytes back for 16 ms."""
_LONGEST_NOISE_S: Final = 2.0
_PASSED_TIMEOUTS: Final = 2
_FRAME_BYTES: Final = 4
"""Of RTU around a PDU: unit id, and CRC at the end; one more for good measure."""


class Link:
    """The connection to a device or a bus. Dials when a request needs it; one in doubt is closed and dialled anew.

    Args:
        endpoint: where it is.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.pause_s = 0.0
        """Least pause before each request; that of the device whose turn it is."""
        self._channel: Channel | None = None
        self._opening: asyncio.Future[Channel] | None = None
        self._framer: Framer = Mbap()
        self._dropped = 0
        self._ended = False
        self._in_doubt = False
        self._suspects: dict[int, float] = {}
        self._sent_s = 0.0
        serial = endpoint.serial
        self._gap_s = 0.0 if serial is None else gap_s(serial)
        self._char_s = 0.0 if serial is None else char_s(serial)

    @property
    def dropped(self) -> int:
        """Sound answers to something else that were dropped so far."""
        return self._dropped + self._framer.dropped

    async def dial(self, *, timeout_s: float) -> Channel:
        """The connection; a new one where there is none.

        Args:
            timeout_s: longest wait.

        Raises:
            Unreachable: no connection could be made.
        """
        if self._channel is not None and self._channel.usable:
            return self._channel
        self.close()
        if self._ended:
            raise _stopped()
        self._dropped += self._framer.dropped
        self._framer = Rtu() if self._endpoint.is_rtu else Mbap()
        self._opening = asyncio.ensure_future(
            open_channel(self._endpoint, timeout_s=timeout_s, opening=self._note_opening)
        )
        try:
            return await self._opening
        except asyncio.CancelledError:
            self.close()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise _stopped() from None
        except Unreachable:
            self.close()
            raise
        finally:
            self._opening = None

    async def read(self, request: Request, *, timeout_s: float, patience_s: float | None = None) -> Sequence[int]:
        """What the request's registers hold, 0 to 65535 each, or its bits, 0 or 1 each, padded to whole bytes.

        Args:
            request: what to read.
            timeout_s: longest wait for the connection, and what an answer may take to begin.
            patience_s: wait no longer than this for it, where that is less.

        Raises:
            Unreachable: no connection could be made.
            Silent: no usable answer came; the connection is not used again.
            Refused: the answer is an exception, or not what was asked for.
        """
        pdu = read_pdu(request)
        answer = await self._ask(request.unit_id, pdu, timeout_s, patience_s)
        try:
            return values(answer, request)
        except (Silent, Refused) as failure:
            self._judge(failure, request.unit_id)
            raise

    async def write(self, write: Write, *, timeout_s: float) -> None:
        """Writes, once. Returns when the device has confirmed it.

        Args:
            write: what to write.
            timeout_s: longest wait for the connection, and for the answer to begin.

        Raises:
            Unreachable: no connection could be made, so nothing was sent.
            Silent: it was sent and no usable answer came; the connection is not used again.
            Refused: the answer is an exception, or confirms something else.
        """
        answer = await self._ask(write.unit_id, write_pdu(write), timeout_s)
        try:
            confirm(answer, write)
        except (Silent, Refused) as failure:
            self._judge(failure, write.unit_id)
            raise

    def close(self) -> None:
        """Closes the connection, if there is one; a request under way fails. The next request dials anew."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        if self._opening is not None:
            self._opening.cancel()

    def end(self) -> None:
        """Closes the connection for good."""
        self._ended = True
        self.close()

    def _note_opening(self, channel: Channel) -> None:
        self._channel = channel

    async def _ask(self, unit_id: int, pdu: bytes, timeout_s: float, patience_s: float | None = None) -> bytes:
        """The answer's PDU.

        Raises:
            Unreachable: no connection could be made.
            Silent: no usable answer came.
        """
        wire_s = (len(pdu) + answer_bytes(pdu) + 2 * _FRAME_BYTES) * self._char_s
        if unit_id in self._suspects:
            await self._let_pass(self._suspects[unit_id] + _PASSED_TIMEOUTS * (timeout_s + wire_s))
        channel = await self._ready(timeout_s)
        try:
            self._sent_s = asyncio.get_running_loop().time()
            channel.send(self._framer.pack(unit_id, pdu))
            answer = await self._answer(channel, timeout_s if patience_s is None else patience_s, wire_s)
            self._framer.forget()
            if unit_id in self._suspects:
                await self._prove(channel, timeout_s, wire_s)
                del self._suspects[unit_id]
        except Silent as failure:
            self._doubt(unit_id, outstanding=failure.outstanding)
            raise
        except BaseException:
            self._doubt(unit_id)
            raise
        return answer

    async def _let_pass(self, until_s: float) -> None:
        """Waits until a late answer has come, if it comes at all; what comes is thrown away by `_ready`."""
        wait_s = until_s - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def _ready(self, timeout_s: float) -> Channel:
        """An open connection on which nothing is to be heard.

        Raises:
            Unreachable: no connection could be made, or a serial line is never quiet.
        """
        channel = await self._rested(timeout_s)
        if not self._endpoint.is_rtu:
            if channel.buffer and not self._is_settled(channel):
                self.close()
                channel = await self._rested(timeout_s)
            return channel
        if self._in_doubt or channel.buffer:
            await self._drain(channel)
            self._in_doubt = False
            if not channel.usable:
                return await self._rested(timeout_s)
        quiet_s = asyncio.get_running_loop().time() - channel.at_s
        if quiet_s < self._gap_s:
            await asyncio.sleep(self._gap_s - quiet_s)
        return channel

    async def _rested(self, timeout_s: float) -> Channel:
        """An open connection on which nothing has happened for as long as the device needs.

        Raises:
            Unreachable: no connection could be made.
        """
        channel = await self.dial(timeout_s=timeout_s)
        rest_s = channel.at_s + self.pause_s - asyncio.get_running_loop().time()
        if self.pause_s and rest_s > 0:
            await asyncio.sleep(rest_s)
            if not channel.usable:  # the device has closed it meanwhile
                channel = await self.dial(timeout_s=timeout_s)
                await asyncio.sleep(self.pause_s)
        return channel

    def _is_settled(self, channel: Channel) -> bool:
        """Whether whole frames is all that came unasked; they are dropped."""
        try:
            self._framer.take(channel.buffer)
        except Garbled:
            return False
        return not channel.buffer

    async def _drain(self, channel: Channel) -> None:
        """Throws away what comes until nothing comes.

        Raises:
            Unreachable: something always comes.
        """
        clock = asyncio.get_running_loop().time
        until_s = clock() + _LONGEST_NOISE_S
        quiet_s = max(_SETTLED_S, self._gap_s)
        while clock() < until_s:
            channel.buffer.clear()
            if not await _comes(channel, quiet_s):
                channel.buffer.clear()
                return
        self.close()
        raise Unreachable("the line is never quiet: there is noise on it, or another master")

    async def _answer(self, channel: Channel, timeout_s: float, wire_s: float) -> bytes:
        try:
            async with asyncio.timeout(timeout_s + wire_s):
                while True:
                    answer = self._framer.take(channel.buffer)
                    if answer is not None:
                        return answer
                    await channel.more()
        except TimeoutError:
            if channel.buffer:
                raise Silent("garbled_answer", f"only {len(channel.buffer)} bytes of an answer came") from None
            raise Silent("timeout", f"no answer came within {timeout_s:g} s") from None
        except Garbled as why:
            cause = "garbled_answer" if self._endpoint.is_rtu else "undecodable_answer"
            outstanding = not isinstance(why, Damaged)
            raise Silent(cause, f"what came back is no answer of Modbus: {why}", outstanding=outstanding) from None

    async def _prove(self, channel: Channel, timeout_s: float, wire_s: float) -> None:
        """Listens whether another answer follows.

        Raises:
            Silent: it does: the first one was late.
        """
        if await _comes(channel, timeout_s + wire_s) or channel.buffer:
            raise Silent("late_answer", f"its answers come later than {timeout_s:g} s; raise timeout_s")
        if not channel.usable:
            raise Silent("connection_broken", "the connection was closed behind the answer")

    def _judge(self, failure: Silent | Refused, unit_id: int) -> None:
        """After an answer that is none; one that the device gave on purpose leaves no doubt."""
        if isinstance(failure, Silent) or failure.is_malformed:
            self._doubt(unit_id)

    def _doubt(self, unit_id: int, *, outstanding: bool = True) -> None:
        self._framer.forget()
        if self._endpoint.is_rtu:
            self._in_doubt = True
            if outstanding:
                self._suspects[unit_id] = self._sent_s
        if self._endpoint.serial is None:
            self.close()


async def _comes(channel: Channel, within_s: float) -> bool:
    """Whether anything comes in within this time, or the channel is lost."""
    try:
        async with asyncio.timeout(within_s):
            await channel.more()
    except TimeoutError:
        return False
    except Silent:
        return False
    return True


def _stopped() -> Unreachable:
    return Unreachable("the gateway has just stopped reading this device")
