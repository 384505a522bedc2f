"""Devices and gateways that misbehave."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from adapters.modbus import units
from adapters.modbus.settings import ModbusTag
from gateway.errors import SourceLost
from gateway.gap import Gap
from tests.adapters.modbus.rig import Exchange, Script, Site, device, gateway, numbered, plc, settings
from tests.waiting import until

TWO_UNITS = [ModbusTag(name="a", address=0), ModbusTag(name="b", address=0, unit_id=2)]


async def test_one_illegal_address_is_isolated_and_the_others_are_read_in_the_same_cycle() -> None:
    holding = {0: list(range(50)), 51: list(range(51, 100))}  # 50 is missing
    async with plc(device(holding=holding)) as server:
        site = Site(settings(server.port, [*numbered(100)]))
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 5)
    good = [i for i in range(100) if i != 50]
    first = {reading.point: reading for reading in site.inbox.batches[0]}
    assert [first[i + 1].value for i in good] == good
    assert (first[51].value, first[51].status) == (None, 0x8034)
    assert len(site.inbox.of(51)) == 1
    for batch in site.inbox.batches[1:]:
        assert sorted(batch.values()) == good
    assert site.errors("illegal_address") == 1
    assert Counter(server.requests)[1, 3, 50, 1] == 1
    assert site.fact("bad_tag_names") == ["t50"]
    assert site.fact("requests") <= 9


async def test_registers_of_a_gap_that_do_not_exist_cost_one_refusal() -> None:
    async with plc(device(holding={0: [1], 10: [2]})) as server:
        site = Site(settings(server.port, [*numbered(2, step=10)]))
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 5)
    assert all(batch.values() == [1, 2] for batch in site.inbox.batches)
    assert site.errors("illegal_address") == 0
    assert Counter(server.requests)[1, 3, 0, 11] == 1


async def test_an_address_that_begins_to_exist_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "RETRY_REFUSED_S", 0.05)
    exists = False

    async def script(exchange: Exchange) -> None:
        if exchange.address <= 1 < exchange.address + exchange.count and not exists:
            exchange.refuse(2)
        else:
            await exchange.forward()

    async with plc(device(holding={0: [1, 2]})) as server, gateway(server.port, script) as port:
        site = Site(settings(port, [*numbered(2)]))
        async with site.running():
            await until(lambda: site.errors("illegal_address") >= 3)
            exists = True
            await until(lambda: site.inbox.last()[2].value == 2)
            seen = len(site.inbox.batches)
            await until(lambda: len(site.inbox.batches) >= seen + 3)
    assert all(sorted(batch.values()) == [1, 2] for batch in site.inbox.batches[seen:])
    assert [reading.value for reading in site.inbox.of(2)].count(None) == 1


async def test_a_device_that_takes_few_registers_at_once_is_read_nevertheless() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.count > 32:
            exchange.refuse(3)
        else:
            await exchange.forward()

    async with plc(device(holding={0: list(range(125))})) as server, gateway(server.port, script) as port:
        site = Site(settings(port, [*numbered(125)]))
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 3)
    assert all(batch.values() == list(range(125)) for batch in site.inbox.batches)
    assert site.errors("split") == 3


async def test_what_a_device_takes_at_once_is_learned_for_all_its_requests() -> None:
    refused = 0

    async def script(exchange: Exchange) -> None:
        nonlocal refused
        if exchange.count > 100:
            refused += 1
            exchange.refuse(3)
        else:
            await exchange.forward()

    async with plc(device(holding={0: list(range(1_250))})) as server, gateway(server.port, script) as port:
        site = Site(settings(port, [*numbered(1_250)]))
        async with site.running():
            await until(lambda: len(site.inbox.of(1_250)) >= 3)
            assert site.fact("most_registers") <= 124
        assert refused <= 10  # those of the first cycle at most; no later one asked for so much
    assert [reading.value for reading in site.inbox.of(1_250)][-1] == 1_249


async def test_a_device_that_refuses_everything_is_not_lost() -> None:
    async with plc(device()) as server:
        site = Site(settings(server.port, [*numbered(50)]))
        async with site.running():
            await until(lambda: site.errors("illegal_address") == 50)
    assert sorted(site.inbox.last()) == list(range(1, 51))
    assert sum(len(batch) for batch in site.inbox.batches) == 50
    assert site.live == [False]


@pytest.mark.parametrize(("code", "cause", "status"), [(4, "device_failure", 0x808B), (6, "device_busy", 0x8004)])
async def test_a_passing_fault_is_bad_once_and_then_good_again(code: int, cause: str, status: int) -> None:
    failing = True

    async def script(exchange: Exchange) -> None:
        if failing and exchange.unit_id == 2:
            exchange.refuse(code)
        else:
            await exchange.forward()

    async with (
        plc(device(1, holding={0: [11]}), device(2, holding={0: [22]})) as server,
        gateway(server.port, script) as port,
    ):
        site = Site(settings(port, TWO_UNITS))
        async with site.running():
            await until(lambda: site.errors(cause) >= 5)
            failing = False
            await until(lambda: site.inbox.last()[2].value == 22)
    assert [(reading.value, reading.status) for reading in site.inbox.of(2)][:2] == [(None, status), (22, 0)]
    assert all(reading.value == 11 for reading in site.inbox.of(1))


def fails_at(address: int, code: int = 4) -> Script:
    async def script(exchange: Exchange) -> None:
        if exchange.address <= address < exchange.address + exchange.count:
            exchange.refuse(code)
        else:
            await exchange.forward()

    return script


@pytest.mark.parametrize(
    ("code", "cause", "status"), [(4, "device_failure", 0x808B), (0x80, "unknown_exception", 0x8001)]
)
async def test_one_failing_register_does_not_fail_its_block(code: int, cause: str, status: int) -> None:
    async with plc(device(holding={0: list(range(100))})) as server, gateway(server.port, fails_at(50, code)) as port:
        site = Site(settings(port, [*numbered(100)]))
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 5)
            asked = site.fact("requests")
    good = [i for i in range(100) if i != 50]
    first = {reading.point: reading for reading in site.inbox.batches[0]}
    assert [first[i + 1].value for i in good] == good
    assert (first[51].value, first[51].status) == (None, status)
    assert len(site.inbox.of(51)) == 1
    assert all(sorted(batch.values()) == good for batch in site.inbox.batches[1:])
    assert asked <= 8
    assert site.errors(cause) == 1  # set aside, and not asked in each cycle


async def test_a_device_that_fails_as_a_whole_is_not_taken_to_pieces() -> None:
    failing = True
    asked: list[int] = []

    async def script(exchange: Exchange) -> None:
        asked.append(exchange.count)
        if failing:
            exchange.refuse(4)
        else:
            await exchange.forward()

    async with plc(device(holding={0: list(range(100))})) as server, gateway(server.port, script) as port:
        site = Site(settings(port, [*numbered(100)]))
        async with site.running():
            await until(lambda: site.errors("device_failure") >= 5)
            # Looked at more closely in the first cycle only: 16 splits, two requests for each.
            assert [count for count in asked if count < 100] == asked[1:33]
            failing = False
            await until(lambda: site.inbox.last()[100].value == 99)
            assert asked[-1] == 100
    assert site.errors("split") == 0
    assert [reading.value for reading in site.inbox.of(1)].count(None) == 1


async def test_a_failing_register_is_found_also_when_the_whole_device_failed_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(units, "RETRY_REFUSED_S", 0.05)
    whole = True
    one = fails_at(7)

    async def script(exchange: Exchange) -> None:
        if whole:
            exchange.refuse(4)
        else:
            await one(exchange)

    async with plc(device(holding={0: list(range(20))})) as server, gateway(server.port, script) as port:
        site = Site(settings(port, [*numbered(20)]))
        async with site.running():
            await until(lambda: site.errors("device_failure") >= 5)
            whole = False
            await until(lambda: site.inbox.last()[20].value == 19)
    assert site.inbox.last()[8].value is None
    assert all(site.inbox.last()[i + 1].value == i for i in range(20) if i != 7)


async def test_a_unit_that_falls_silent_while_it_is_looked_at_is_lost_like_any_other() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.unit_id == 1:
            await exchange.forward()
        elif exchange.count == 8:
            exchange.refuse(4)

    tags = [ModbusTag(name="a", address=0), *numbered(8, unit_id=2)]
    async with plc(device(1, holding={0: [11]})) as server, gateway(server.port, script) as port:
        site = Site(settings(port, tags, timeout_s=0.1))
        async with site.running():
            # Its probe is the whole request, which is answered; a closer look follows after a while only.
            await until(lambda: site.errors("device_failure") >= 3)
    assert site.errors("timeout") == 1
    for point in range(2, 10):
        assert [reading.status for reading in site.inbox.of(point)] == [0x8005, 0x808B]
    assert {reading.value for reading in site.inbox.of(1)} == {11}


async def test_readings_do_not_wait_for_many_dead_units() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.unit_id == 1:
            await exchange.forward()

    tags = [ModbusTag(name=f"u{i}", address=0, unit_id=i) for i in (1, 2, 3, 4)]
    async with plc(device(1, holding={0: [11]})) as server, gateway(server.port, script) as port:
        site = Site(settings(port, tags, timeout_s=0.1))
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 5)
    batches = [[(reading.point, reading.value) for reading in batch] for batch in site.inbox.batches]
    # One vain wait a cycle, and what is known to answer comes before it; then nobody is waited for.
    assert batches[:5] == [[(1, 11), (2, None)], [(1, 11), (3, None)], [(1, 11), (4, None)], [(1, 11)], [(1, 11)]]
    assert site.errors("left_out") == 3
    assert site.live == [True, False]


@pytest.mark.parametrize("due", [False, True], ids=["too early to ask again", "time to ask again"])
async def test_dead_units_are_not_waited_for_again_after_the_connection_was_lost(
    due: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "probe_delay_s", lambda *_args, **_kwargs: 0.0 if due else 1_000.0)
    lost = False
    asked: list[int] = []

    async def script(exchange: Exchange) -> None:
        asked.append(exchange.unit_id)
        if lost:
            exchange.go_away()
            exchange.hang_up()
        elif exchange.unit_id == 3:
            await exchange.forward()

    tags = [ModbusTag(name=f"u{i}", address=0, unit_id=i) for i in (1, 2, 3)]
    async with plc(device(3, holding={0: [33]})) as server:
        async with gateway(server.port, script) as port:
            site = Site(settings(port, tags, timeout_s=0.1))
            run = asyncio.create_task(site.run())
            await until(lambda: len(site.inbox.of(3)) >= 2)
            lost = True
            with pytest.raises(SourceLost):
                await run
        lost = False
        asked.clear()
        async with gateway(server.port, script) as port:
            site.adapter._settings = settings(port, tags, timeout_s=0.1)
            before = len(site.inbox.of(3))
            async with site.running():
                await until(lambda: len(site.inbox.of(3)) >= before + 3)
                assert asked[0] == 3
                if due:
                    await until(lambda: {1, 2} <= set(asked))
                else:
                    assert set(asked) == {3}
    assert [reading.value for point in (1, 2) for reading in site.inbox.of(point)] == [None, None]


async def silent(exchange: Exchange) -> None:
    """The unit is switched off; the gateway says nothing."""


async def says_so(exchange: Exchange) -> None:
    """The unit is switched off; the gateway says exception 0B."""
    exchange.refuse(11)


async def hangs_up(exchange: Exchange) -> None:
    """The gateway closes the connection when a unit does not answer."""
    exchange.hang_up()


async def babbles(exchange: Exchange) -> None:
    """The unit answers with a function that Modbus does not have."""
    exchange.reply(exchange.request[:4] + b"\x00\x04" + bytes([exchange.unit_id, 0x63, 1, 1]))


@pytest.mark.parametrize(
    ("death", "cause"),
    [
        (silent, "timeout"),
        (says_so, "gateway_target"),
        (hangs_up, "connection_broken"),
        (babbles, "undecodable_answer"),
    ],
)
async def test_a_dead_unit_harms_no_other_and_comes_back(death: Any, cause: str) -> None:
    dead = True

    async def script(exchange: Exchange) -> None:
        if dead and exchange.unit_id == 2:
            await death(exchange)
        else:
            await exchange.forward()

    units_ = [device(i, holding={0: [11 * i]}) for i in (1, 2, 3)]
    tags = [*TWO_UNITS, ModbusTag(name="c", address=0, unit_id=3)]
    async with plc(*units_) as server, gateway(server.port, script) as port:
        site = Site(settings(port, tags, interval_s=0.2, timeout_s=0.15))
        async with site.running() as run:
            await until(lambda: site.errors(cause) >= 3)
            assert site.fact("silent_units") == [2]
            assert [(reading.value, reading.status) for reading in site.inbox.of(2)] == [(None, 0x8005)]
            # Unit 2 failed three times; the others were read in each cycle, but for the one that its death took.
            assert len(site.inbox.of(1)) >= 3
            assert len(site.inbox.of(1)) - len(site.inbox.of(3)) == site.errors("left_out") <= 1
            dead = False
            await until(lambda: site.inbox.last()[2].value == 22)
            assert not run.done()
            await until(lambda: site.fact("silent_units") == [])
    assert {reading.value for reading in site.inbox.of(1)} == {11}
    assert {reading.value for reading in site.inbox.of(3)} == {33}
    assert site.live == [True, False]
    assert site.gaps.all == [], "it never spoke before"


async def test_a_unit_that_dies_and_comes_back_leaves_a_gap_of_its_own() -> None:
    dead = False

    async def script(exchange: Exchange) -> None:
        if dead and exchange.unit_id == 2:
            await hangs_up(exchange)
        else:
            await exchange.forward()

    units_ = [device(1, holding={0: [11]}), device(2, holding={0: [22]})]
    async with plc(*units_) as server, gateway(server.port, script) as port:
        site = Site(settings(port, TWO_UNITS))
        async with site.running():
            await until(lambda: 2 in site.inbox.last())
            dead = True
            await until(lambda: site.inbox.last()[2].value is None)
            before_ns = [reading.ts_ns for reading in site.inbox.of(2) if reading.value == 22][-1]
            assert site.gaps.all == []
            dead = False
            await until(lambda: site.inbox.last()[2].value == 22)
            back_ns = next(one.ts_ns for one in site.inbox.of(2) if one.value == 22 and one.ts_ns > before_ns)
    assert site.gaps.all == [Gap("plc", "unreachable", before_ns, back_ns, None, group="unit 2")]


async def test_when_no_unit_answers_the_source_is_lost() -> None:
    async with plc(device()) as server, gateway(server.port, silent) as port:
        site = Site(settings(port, TWO_UNITS, timeout_s=0.05))
        for _ in range(2):
            with pytest.raises(
                SourceLost, match=r"takes the connection, but no unit answers \(asked: 1, 2; waited 0\.05"
            ):
                await site.run()
    assert [(reading.point, reading.status) for batch in site.inbox.batches for reading in batch] == [
        (1, 0x8005),
        (2, 0x8005),
    ]


async def test_a_peer_that_hangs_up_is_not_told_as_one_that_was_waited_for() -> None:
    async def hang_up(exchange: Exchange) -> None:
        exchange.hang_up()

    async with plc(device()) as server, gateway(server.port, hang_up) as port:
        site = Site(settings(port, TWO_UNITS))
        with pytest.raises(
            SourceLost, match=r"no unit answers \(asked: 1, 2; it closes the connection when asked\)\. Check"
        ):
            await site.run()


async def test_what_was_read_before_the_loss_is_emitted() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.unit_id == 1:
            await exchange.forward()
        else:
            exchange.go_away()
            exchange.hang_up()

    tags = [*TWO_UNITS, ModbusTag(name="c", address=0, unit_id=3)]
    async with plc(device(1, holding={0: [11]})) as server, gateway(server.port, script) as port:
        site = Site(settings(port, tags))
        with pytest.raises(SourceLost, match="no Modbus connection"):
            await site.run()
    batches = [[(reading.point, reading.value) for reading in batch] for batch in site.inbox.batches]
    assert batches == [[(1, 11), (2, None)], [(1, None), (3, None)]]


async def test_a_connection_that_is_closed_between_polls_is_dialled_anew() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.forward()
        exchange.hang_up()

    async with plc(device(holding={0: [7]})) as server, gateway(server.port, script) as port:
        site = Site(settings(port, [*numbered(1)], interval_s=0.05))
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 5)
    assert all(batch.values() == [7] for batch in site.inbox.batches)


async def test_a_late_answer_is_never_taken_for_the_next_one() -> None:
    """benthos-umh#340: unit 1's answer comes while unit 2's is awaited, forged as badly as devices do: as unit 2's."""
    late: list[bool] = []
    withheld: list[tuple[Exchange, bytes]] = []

    async def script(exchange: Exchange) -> None:
        if exchange.unit_id == 1:
            withheld.append((exchange, await exchange.ask()))
            return
        for old, answer in withheld:
            forged = b"\x00\x00" + answer[2:6] + bytes([exchange.unit_id]) + answer[7:]
            old.reply(forged)
            late.append(True)
        withheld.clear()
        await asyncio.sleep(0.05)  # time enough for the late answer to overtake
        await exchange.forward()

    async with (
        plc(device(1, holding={0: [11]}), device(2, holding={0: [22]})) as server,
        gateway(server.port, script) as port,
    ):
        site = Site(settings(port, TWO_UNITS, interval_s=0.6, timeout_s=0.5))
        async with site.running():
            await until(lambda: len(late) >= 2)
            seen = len(site.inbox.batches)
            await until(lambda: len(site.inbox.batches) >= seen + 2)
    assert {reading.value for reading in site.inbox.of(2)} == {22}
    assert {reading.value for reading in site.inbox.of(1)} == {None}


async def test_an_answer_of_the_wrong_length_is_not_decoded() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.count == 4:
            # Three registers for four: right unit, right transaction, wrong content.
            exchange.reply(exchange.request[:4] + b"\x00\x09" + bytes([exchange.unit_id, 3, 6, 0, 1, 0, 2, 0, 3]))
        else:
            await exchange.forward()

    async with plc(device(holding={0: [9, 8, 7, 6]})) as server, gateway(server.port, script) as port:
        site = Site(settings(port, [*numbered(4)]))
        async with site.running():
            await until(lambda: len(site.inbox.batches) >= 3)
    assert all(batch.values() == [9, 8, 7, 6] for batch in site.inbox.batches)
    assert site.errors("split") == 1
