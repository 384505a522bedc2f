"""The way of a command, on a real spool: what reaches the device, what is answered, what the audit says."""

import asyncio

import pytest

from gateway.batch import BAD_COMMUNICATION, Kind, Reading
from gateway.commands.reply import UNKNOWN_RESULT
from gateway.errors import SourceLost, SpoolError, TidegateError
from gateway.policy import User
from tests.gateway.commands.rig import NOW_MS, Allow, Deny, FakeDevice, Rig, payload
from tests.waiting import until


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spool.db"


async def test_an_allowed_command_is_written_read_back_answered_and_audited(path):
    async with Rig.running(path) as rig:
        reply = await rig.ask(payload("a1", 5, user={"name": "Anna", "role": "operator"}))
        [entry] = await rig.audit.recent(10)
    assert rig.device.written == [("force", 5)]
    assert rig.sent[0][:2] == ("press", "force")
    assert reply == {
        "id": "a1",
        "device": "press",
        "tag": "force",
        "status": "accepted",
        "reason": "[policy] allow lists it",
        "value": 5,
        "ts": NOW_MS,
    }
    assert (entry.user, entry.role, entry.action, entry.value) == ("Anna", "operator", "write", "5")
    assert (entry.allowed, entry.status, entry.read_back) == (True, "accepted", "5")
    assert entry.at_ns == entry.finished_ns == NOW_MS * 1_000_000
    assert rig.count("accepted") == 1


async def test_a_denied_command_reaches_nothing(path):
    async with Rig.running(path, policy=Deny()) as rig:
        reply = await rig.ask(payload(user={"name": "Ben"}))
        [entry] = await rig.audit.recent(10)
    assert rig.device.written == []
    assert (reply["status"], reply["reason"], reply["value"]) == ("denied", "Ben may not", None)
    assert (entry.allowed, entry.status, entry.reason) == (False, "denied", "Ben may not")
    assert rig.count("denied") == 1


async def test_the_policy_is_asked_with_what_is_written(path):
    policy = Allow()
    async with Rig.running(path, policy=policy) as rig:
        await rig.ask(payload(value="on", user={"name": "Anna", "role": "operator"}), tag="speed")
    [request] = policy.asked
    assert (request.action, request.gateway, request.tag, request.value) == ("write", "gw", "speed", "on")
    assert request.device is rig.targets["press"].device
    assert request.user == User(name="Anna", role="operator")


async def test_the_yes_is_on_disk_before_the_write(path):
    device = FakeDevice()
    async with Rig.running(path, device=device) as rig:

        async def look():
            [entry] = await rig.audit.recent(10)
            seen.append((entry.allowed, entry.status, entry.finished_ns))

        seen = []
        device.before = look
        await rig.ask()
    assert seen == [(True, "in progress", None)]


@pytest.mark.parametrize(
    ("sent", "how", "reason"),
    [
        (payload(), {"device": "oven"}, 'this gateway has no device "oven"'),
        (payload(), {"device": ""}, 'this gateway has no device ""'),
        (payload(), {"tag": "colour"}, 'device "press" has no tag "colour"'),
        (payload(), {"device": "meter", "tag": "volts"}, 'device "meter": it is only read'),
        (
            payload(),
            {"retained": True},
            "a retained message is not carried out; publish commands without the retain flag",
        ),
        (payload(expires=NOW_MS - 1500), {}, "it expired 1.5 s ago by this gateway's clock"),
        (payload(expires=NOW_MS + 90_000_000), {}, "it expires more than a day ahead"),
    ],
)
async def test_what_cannot_be_done_fails_with_a_reason_and_leaves_a_row(path, sent, how, reason):
    policy = Allow()
    async with Rig.running(path, policy=policy) as rig:
        reply = await rig.ask(sent, **how)
        [entry] = await rig.audit.recent(10)
    assert rig.device.written == policy.asked == []
    assert reply["status"] == "failed"
    assert reply["reason"].startswith(reason)
    assert (entry.status, entry.allowed, entry.reason) == ("failed", False, "the policy was not asked")


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (b'{"id":"a1","value":[]}', "failed", 'this is no command: "value" must be a number'),
        (b'{"id":"a1","value":1,"x":2}', "failed", 'this is no command: "x" is no key of a command'),
    ],
)
async def test_a_bad_payload_is_answered_where_its_id_can_be_read(path, sent, status, reason):
    async with Rig.running(path) as rig:
        reply = await rig.ask(sent)
        assert await rig.audit.recent(10) == []
    assert (reply["id"], reply["status"]) == ("a1", status)
    assert reply["reason"].startswith(reason)
    assert rig.device.written == []


async def test_a_payload_without_an_id_is_counted(path):
    async with Rig.running(path) as rig:
        rig.handle(b"\xff")
        rig.handle(b'{"value":5}')
        await rig.ask()
    assert rig.count("unreadable") == 2
    assert len(rig.replies) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SourceLost("press is not there"), "press is not there"),
        (TidegateError("tag force may not be written"), "tag force may not be written"),
    ],
)
async def test_what_the_device_refuses_is_told(path, error, reason):
    async def refuse():
        raise error

    device = FakeDevice()
    device.before = refuse
    async with Rig.running(path, device=device) as rig:
        reply = await rig.ask()
        [entry] = await rig.audit.recent(10)
        device.before = device._nothing
        assert (await rig.ask(payload("a2")))["status"] == "accepted"
    assert (reply["status"], reply["reason"]) == ("failed", reason)
    assert (entry.allowed, entry.status, entry.result) == (True, "failed", reason)


async def test_a_device_that_does_not_answer_fails_as_unknown(path):
    device = FakeDevice()
    device.before = asyncio.Event().wait
    async with Rig.running(path, device=device, write_timeout_s=0.01) as rig:
        reply = await rig.ask()
    assert reply["status"] == "failed"
    assert reply["reason"] == 'device "press" did not answer within 0.01 s; whether it took the value is not known'


@pytest.mark.parametrize(
    ("reading", "value", "note"),
    [
        (Reading(1, 0.10000000149, 1), 0.10000000149, "[policy] allow lists it"),
        (Reading(1, 7.0, 1), 7.0, "written, but the device shows another value after it"),
        (Reading(1, "0.1", 1, 0, Kind.STR), "0.1", "written, but the device shows another value after it"),
        (
            Reading(1, None, 1, BAD_COMMUNICATION),
            None,
            "written, but the device shows no good value after it (status 0x8005)",
        ),
    ],
)
async def test_the_read_back_is_shown_as_it_is(path, reading, value, note):
    device = FakeDevice()
    device.read_back = lambda _value: reading
    async with Rig.running(path, device=device) as rig:
        reply = await rig.ask(payload(value=0.1))
    assert (reply["status"], reply["value"], reply["reason"]) == ("accepted", value, note)


async def test_a_repeated_id_gets_the_same_answer_and_writes_nothing(path):
    async with Rig.running(path) as rig:
        await rig.ask()
        rig.now_ms += 3_600_000
        await rig.ask()
        # It expired long since, and still: it is answered with what came of it.
        await rig.ask(payload(expires=NOW_MS))
    async with Rig.running(path) as after_restart:
        await after_restart.ask()
    assert rig.device.written == [("force", 5)]
    assert after_restart.device.written == []
    assert len({*rig.raw, *after_restart.raw}) == 1
    assert rig.count("accepted") == 1
    assert rig.count("repeated") == 2


async def test_a_denial_stays_a_denial_for_its_id(path):
    async with Rig.running(path, policy=Deny()) as rig:
        await rig.ask()
        rig.commands.policy = Allow()
        assert (await rig.ask())["status"] == "denied"
        assert (await rig.ask(payload("a2")))["status"] == "accepted"
    assert rig.device.written == [("force", 5)]


@pytest.mark.parametrize(
    ("sent", "how"),
    [
        (payload(value=6), {}),
        (payload(value=5.0), {}),
        (payload(), {"tag": "speed"}),
        (payload(), {"device": "meter", "tag": "volts"}),
        (payload(user={"name": "Ben"}), {}),
    ],
)
async def test_an_id_of_another_command_is_refused(path, sent, how):
    async with Rig.running(path) as rig:
        await rig.ask()
        reply = await rig.ask(sent, **how)
        assert len(await rig.audit.recent(10)) == 1
    assert reply["status"] == "failed"
    assert reply["reason"] == 'the id "a1" belongs to another command; give each command an id of its own'
    assert rig.device.written == [("force", 5)]


async def test_one_command_at_a_time_and_in_order(path):
    device = FakeDevice()
    running = []

    async def alone():
        assert not running
        running.append(1)
        await asyncio.sleep(0.001)
        running.clear()

    device.before = alone
    async with Rig.running(path, device=device) as rig:
        for number in range(20):
            rig.handle(payload(str(number), number))
        await until(lambda: len(rig.replies) == 20)
    assert rig.device.written == [("force", number) for number in range(20)]
    assert {reply["status"] for reply in rig.replies} == {"accepted"}


async def test_a_device_that_hangs_holds_up_no_other(path):
    device, gate = FakeDevice(), asyncio.Event()
    device.before = gate.wait
    async with Rig.running(path, device=device) as rig:
        rig.handle(payload("slow"))
        assert (await rig.ask(payload("b1"), device="meter", tag="volts"))["id"] == "b1"
        assert (await rig.ask(payload("b2"), device="oven"))["id"] == "b2"
        gate.set()
        await until(lambda: len(rig.replies) == 3)
    assert device.written == [("force", 5)]


async def test_what_exceeds_the_line_is_refused_and_may_be_sent_again(path):
    device, gate = FakeDevice(), asyncio.Event()
    device.before = gate.wait
    async with Rig.running(path, device=device, max_waiting=2) as rig:
        rig.handle(payload("0"))
        await until(lambda: not rig.commands._lines["press"])
        for number in range(1, 4):
            rig.handle(payload(str(number)))
        assert [reply["id"] for reply in rig.replies] == ["3"]
        assert rig.replies[0]["reason"].startswith("2 commands wait for this device already")
        gate.set()
        await until(lambda: len(rig.replies) == 4)
        assert (await rig.ask(payload("3")))["status"] == "accepted"
    assert len(device.written) == 4


async def test_made_up_device_names_share_one_line(path):
    async with Rig.running(path, max_waiting=3) as rig:
        for number in range(5):
            rig.handle(payload(str(number)), device=f"made-up-{number}")
        assert set(rig.commands._lines) == {""}
        assert [reply["id"] for reply in rig.replies] == ["3", "4"]
        await until(lambda: len(rig.replies) == 5)


async def test_a_second_message_of_a_command_under_way_is_answered_once(path):
    device, gate = FakeDevice(), asyncio.Event()
    device.before = gate.wait
    async with Rig.running(path, device=device) as rig:
        rig.handle()
        rig.handle()
        rig.handle(payload(value=6))
        assert [reply["reason"] for reply in rig.replies] == [
            'the id "a1" belongs to another command; give each command an id of its own'
        ]
        gate.set()
        await until(lambda: len(rig.replies) == 2)
        assert (await rig.ask(payload("a2")))["status"] == "accepted"
    assert len(device.written) == 2
    assert rig.count("repeated") == 1


async def test_a_command_that_waits_too_long_expires(path):
    device, gate = FakeDevice(), asyncio.Event()
    device.before = gate.wait
    async with Rig.running(path, device=device, max_age_s=30) as rig:
        rig.handle(payload("a1"))
        await until(lambda: not rig.commands._lines["press"])
        rig.handle(payload("a2"))
        rig.handle(payload("a3", expires=NOW_MS + 60_000))
        rig.handle(payload("a4"), expiry_s=1)
        rig.now_ms += 30_001
        gate.set()
        await until(lambda: len(rig.replies) == 4)
    assert [reply["status"] for reply in rig.replies] == ["accepted", "failed", "accepted", "failed"]
    assert len(device.written) == 2


async def test_a_command_that_expires_while_it_is_recorded_is_not_written(path):
    async with Rig.running(path) as rig:
        begin = rig.audit.begin

        async def slow(entry):
            answer = await begin(entry)
            rig.now_ms += 31_000
            return answer

        rig.audit.begin = slow
        reply = await rig.ask()
    assert (reply["status"], reply["reason"]) == (
        "failed",
        "it expired while its decision was recorded; nothing was written",
    )
    assert rig.device.written == []


async def test_what_cannot_be_recorded_is_not_written(path):
    async with Rig.running(path) as rig:
        begin = rig.audit.begin

        async def refuse(entry):
            raise SpoolError("the disk is full")

        rig.audit.begin = refuse
        reply = await rig.ask()
        rig.audit.begin = begin
        assert (reply["status"], reply["reason"]) == (
            "failed",
            "it could not be recorded, so nothing was written: the disk is full",
        )
        assert rig.device.written == []
        assert (await rig.ask())["status"] == "accepted"


async def test_a_result_is_recorded_before_it_is_told_however_often_the_disk_refuses(path):
    async with Rig.running(path) as rig:
        finish, refusals = rig.audit.finish, []

        async def refuse_thrice(entry):
            if len(refusals) < 3:
                refusals.append(len(rig.replies))
                raise SpoolError("the disk is full")
            await finish(entry)

        rig.audit.finish = refuse_thrice
        assert (await rig.ask())["status"] == "accepted"
        [entry] = await rig.audit.recent(10)
    assert refusals == [0, 0, 0]
    assert entry.status == "accepted"
    assert rig.device.written == [("force", 5)]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_crash_in_the_middle_of_a_write_is_answered_as_unknown_and_not_repeated(path, moment):
    device, reached = FakeDevice(), asyncio.Event()

    async def hang():
        reached.set()
        await asyncio.Event().wait()

    setattr(device, moment, hang)
    async with Rig.running(path, device=device) as rig:
        rig.handle()
        await reached.wait()
        await rig.crash()
        assert rig.replies == []
    async with Rig.running(path) as after:
        await until(lambda: after.replies)
        [told] = after.replies
        assert (told["id"], told["status"], told["reason"]) == ("a1", "failed", UNKNOWN_RESULT)
        assert await after.ask() == told
        [entry] = await after.audit.recent(10)
    assert after.device.written == []
    assert len(device.written) == (moment == "after")
    assert (entry.allowed, entry.status, entry.result) == (True, "failed", UNKNOWN_RESULT)


async def test_a_defect_in_an_adapter_ends_the_run_and_the_next_one_goes_on(path):
    async def broken():
        raise RuntimeError("a defect")

    device = FakeDevice()
    device.after = broken
    async with Rig.running(path, device=device) as rig:
        rig.handle(payload("a1"))
        rig.handle(payload("a2"))
        with pytest.raises(ExceptionGroup):
            await rig.task
        device.after = device._nothing
        rig.task = asyncio.create_task(rig.commands.run())
        await until(lambda: len(rig.replies) == 2)
    assert [(reply["id"], reply["status"]) for reply in rig.replies] == [("a1", "failed"), ("a2", "accepted")]
    assert len(device.written) == 2
