"""Late answers on a line without transaction ids: whatever the delays, no value is another register's.

The line is a fake in a time of the tests' own; frames, framer and everything above them are the real thing.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.modbus import transport
from adapters.modbus.address import Table
from adapters.modbus.channel import Channel
from adapters.modbus.endpoint import Endpoint
from adapters.modbus.errors import Silent
from adapters.modbus.frames import crc16
from adapters.modbus.planner import Request
from adapters.modbus.settings import SerialSettings
from tests.adapters.modbus.test_virtual import live

TIMEOUT_S = 1.0
ENDPOINT = Endpoint("rtu", serial=SerialSettings(port="/dev/none"))


class Slave(Channel):
    """Answers each request after its own delay; what it says of an address is the address."""

    def __init__(self, delays_s: list[float]) -> None:
        super().__init__()
        self._delays_s = iter(delays_s)

    def send(self, data: bytes) -> None:
        delay_s = next(self._delays_s, 0.01)
        frame = data[:2] + b"\x02" + data[2:4]
        self._loop.call_later(delay_s, self._came, frame + crc16(frame).to_bytes(2, "little"))


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[int, int, float, float]]:
    """Unit, address, delay of the answer and pause before the next request, of each request."""
    return draw(
        st.lists(
            st.tuples(
                st.integers(1, 2),
                st.integers(0, 2),
                st.one_of(st.floats(0.001, 0.9), st.floats(1.01, 1.95)),
                st.sampled_from([0.0, 0.0, 0.3, 2.0]),
            ),
            min_size=1,
            max_size=8,
        )
    )


async def _asked(story: list[tuple[int, int, float, float]]) -> list[tuple[int, Any]]:
    slave: list[Slave] = []

    async def open_channel(_endpoint: Endpoint, *, timeout_s: float, opening: Any) -> Channel:
        slave.append(Slave([delay_s for _, _, delay_s, _ in story]))
        opening(slave[-1])
        return slave[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport, "open_channel", open_channel)
        link = transport.Link(ENDPOINT)
        got: list[tuple[int, Any]] = []
        for unit_id, address, _, pause_s in story:
            request = Request(unit_id, Table.HOLDING, address, 1, ())
            try:
                got.append((address, (await link.read(request, timeout_s=TIMEOUT_S))[0]))
            except Silent as failure:
                got.append((address, failure.cause))
            await asyncio.sleep(pause_s)
        link.end()
    return got


@given(stories())
def test_no_answer_up_to_twice_the_time_out_late_is_taken_for_another(
    story: list[tuple[int, int, float, float]],
) -> None:
    async def told() -> None:
        for address, value in await _asked(story):
            assert value == address or isinstance(value, str)

    live(told)


def test_a_slave_that_is_slow_once_is_believed_again_at_once() -> None:
    async def told() -> None:
        story = [(1, 0, 0.01, 0.0), (1, 1, 1.2, 0.0), (1, 2, 0.01, 0.0), (1, 0, 0.01, 0.0)]
        assert await _asked(story) == [(0, 0), (1, "timeout"), (2, 2), (0, 0)]

    live(told)


def test_one_answer_that_is_later_than_anything_is_found_out() -> None:
    async def told() -> None:
        got = await _asked([(1, 1, 2.3, 0.0), (1, 2, 0.8, 0.0), (1, 0, 0.01, 0.0)])
        assert got[:2] == [(1, "timeout"), (2, "late_answer")]
        assert got[2] == (0, 0)

    live(told)


def test_a_slave_that_is_always_late_is_never_believed() -> None:
    async def told() -> None:
        got = await _asked([(1, i % 3, 1.4, 0.0) for i in range(9)])
        assert {value for _, value in got} == {"timeout"}

    live(told)
