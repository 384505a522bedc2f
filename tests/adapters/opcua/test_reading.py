"""What an adapter reads from a real server."""

import asyncio
from datetime import UTC, datetime

import pytest
from asyncua import ua

from gateway.batch import Flag, Kind, Reading
from gateway.errors import SourceLost
from tests.adapters.opcua.plc import NOW_NS, URI, Plc, Rig
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

V = ua.VariantType
TIME = datetime(2026, 1, 31, 7, 0, 0, 123456, tzinfo=UTC)
TIME_NS = 1_769_842_800_123_456_000


async def test_values_of_every_type(plc: Plc) -> None:
    expected = {
        "flag": (ua.Variant(True), Kind.BOOL, True),
        "int16": (ua.Variant(-5, V.Int16), Kind.I64, -5),
        "uint64": (ua.Variant(2**64 - 1, V.UInt64), Kind.U64, 2**64 - 1),
        "float": (ua.Variant(1.5, V.Float), Kind.F64, 1.5),
        "double": (ua.Variant(0.1), Kind.F64, 0.1),
        "text": (ua.Variant("Grüße"), Kind.STR, "Grüße"),
        "bytes": (ua.Variant(b"\x00\x01"), Kind.BYTES, b"\x00\x01"),
        "when": (ua.Variant(TIME), Kind.STR, "2026-01-31T07:00:00.1234560Z"),
        "state": (ua.Variant(ua.ServerState.Suspended, V.Int32), Kind.I64, 3),
        "label": (ua.Variant(ua.LocalizedText("Ein", "de")), Kind.STR, "Ein"),
    }
    await plc.add_all({name: variant for name, (variant, _, _) in expected.items()})
    await plc.add("array", [1.0, 2.0])
    await plc.add("structure", ua.Variant(ua.Argument(Name="a"), V.ExtensionObject))
    rig = Rig(plc.port, {name: f"ns=2;s={name}" for name in [*expected, "array", "structure"]})
    async with rig.running():
        await rig.seen()
    for name, (_, kind, value) in expected.items():
        (reading,) = rig.of(name)
        assert (reading.kind, reading.value, reading.status) == (kind, value, 0)
    for name in ("array", "structure"):
        assert [(reading.value, reading.status) for reading in rig.of(name)] == [(None, 0x803D)]
    assert rig.errors("unsupported_value") == 2


async def test_statuses_times_and_the_overflow_bit_telegraf_10849(plc: Plc) -> None:
    """telegraf#10849: the last good value came with a bad status. Here what is bad has no value."""
    await plc.add("mixed", 1.0)
    rig = Rig(plc.port, {"mixed": "ns=2;s=mixed"})
    async with rig.running():
        await rig.seen(readings=1)
        for count, value in enumerate(
            [
                ua.DataValue(ua.Variant(2.0), ua.StatusCode(0), TIME),
                ua.DataValue(ua.Variant(3.0), ua.StatusCode(0x40900000), TIME),
                ua.DataValue(ua.Variant(5.0), ua.StatusCode(0x00000480), TIME),
                ua.DataValue(ua.Variant(6.0), ua.StatusCode(0), None, TIME),
                ua.DataValue(ua.Variant(7.0), ua.StatusCode(0), None, None),
                ua.DataValue(ua.Variant(4.0), ua.StatusCode(0x80050000), TIME),
            ],
            start=2,
        ):
            await plc.write("mixed", value)
            await rig.seen(readings=count)
    assert rig.of("mixed")[1:] == [
        Reading(TIME_NS, 2.0, 101),
        Reading(TIME_NS, 3.0, 101, 0x4090),
        Reading(TIME_NS, 5.0, 101, flags=Flag.LOST_BEFORE),
        Reading(TIME_NS, 6.0, 101),
        Reading(NOW_NS, 7.0, 101, flags=Flag.GATEWAY_TIME),
        Reading(TIME_NS, None, 101, 0x8005),
    ]
    assert rig.errors("queue_overflow") == 1
    assert rig.gaps.causes == [("queue_overflow", "mixed")]


async def test_a_bad_node_among_good_ones_is_named_and_harms_nothing(plc: Plc) -> None:
    await plc.add("good", 1.0)
    nodes = {"missing": "ns=2;s=missing", "good": "ns=2;s=good", "foreign": "nsu=urn:nobody;s=good"}
    rig = Rig(plc.port, nodes, retry_refused_s=0.1)
    async with rig.running():
        await rig.seen()
        assert rig.context.facts["items_monitored"] == 1
        assert rig.context.facts["tags_refused"] == 2
        assert {*rig.context.facts["refused_tags"]} == {
            "missing (ns=2;s=missing): BadNodeIdUnknown",
            "foreign (nsu=urn:nobody;s=good): BadNodeIdUnknown",
        }
        # Asked for again and again, but told once.
        await until(lambda: rig.errors("refused_tag") >= 6)
        assert rig.of("missing") == [Reading(NOW_NS, None, 102 - 1, 0x8034, flags=Flag.GATEWAY_TIME)]
        await plc.add("missing", 42.0)
        await rig.seen("missing", readings=2)
        await until(lambda: rig.context.facts["tags_refused"] == 1)
    assert rig.of("missing")[-1].value == 42.0


async def test_a_namespace_given_by_its_uri_is_looked_up(plc: Plc) -> None:
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": f"nsu={URI};s=t"})
    async with rig.running():
        await rig.seen()
    assert rig.of("t")[0].value == 1.0


async def test_many_items_are_created_in_chunks(plc: Plc, monkeypatch: pytest.MonkeyPatch) -> None:
    number = 1_100
    await plc.add_all({f"t{index}": float(index) for index in range(number)})
    chunks: list[int] = []
    create = plc.service.create_monitored_items

    async def counted(parameters: ua.CreateMonitoredItemsParameters) -> list[ua.MonitoredItemCreateResult]:
        chunks.append(len(parameters.ItemsToCreate))
        return await create(parameters)

    monkeypatch.setattr(plc.service, "create_monitored_items", counted)
    rig = Rig(plc.port, {f"t{index}": f"ns=2;s=t{index}" for index in range(number)})
    async with rig.running():
        await until(lambda: sum(map(len, rig.batches)) >= number)
    assert chunks == [1000, 100]
    assert rig.context.facts["items_monitored"] == number
    values = {reading.point: reading.value for batch in rig.batches for reading in batch}
    assert values == {101 + index: float(index) for index in range(number)}


@pytest.mark.parametrize("told", [True, False], ids=["limit told", "limit found out"])
async def test_a_limit_of_items_per_request_is_kept(plc: Plc, monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    await plc.add_all({f"t{index}": float(index) for index in range(20)})
    limit = ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall)
    await plc.server.write_attribute_value(limit, ua.DataValue(ua.Variant(7 if told else 0, V.UInt32)))
    create = plc.service.create_monitored_items
    refused: list[int] = []

    async def limited(parameters: ua.CreateMonitoredItemsParameters) -> list[ua.MonitoredItemCreateResult]:
        if len(parameters.ItemsToCreate) > 7:
            refused.append(len(parameters.ItemsToCreate))
            raise ua.uaerrors.BadTooManyOperations
        return await create(parameters)

    monkeypatch.setattr(plc.service, "create_monitored_items", limited)
    rig = Rig(plc.port, {f"t{index}": f"ns=2;s=t{index}" for index in range(20)})
    async with rig.running():
        await rig.seen()
        await plc.server.write_attribute_value(limit, ua.DataValue(ua.Variant(0, V.UInt32)))
    assert refused == ([] if told else [20, 10])
    assert rig.context.facts["items_monitored"] == 20


async def test_logs_in_by_user_name_and_says_so_when_refused(plc: Plc) -> None:
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"}, username="op", password="right")
    async with rig.running():
        await rig.seen()
    refused = Rig(plc.port, {"t": "ns=2;s=t"}, username="op", password="mistyped")
    with pytest.raises(SourceLost, match=r"opening a session: .*check username and password") as refusal:
        await refused.adapter.run(refused.emit)
    assert "mistyped" not in str(refusal.value)
    await until(lambda: plc.connections == 0)


async def test_state_and_facts_follow_the_session(plc: Plc) -> None:
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"}, publishing_interval_ms=30)
    async with rig.running():
        await rig.seen()
        assert rig.lives == [True]
        assert rig.context.facts["publishing_interval_ms"] == 30.0
        assert rig.context.facts["notifications"] == 1
    assert rig.lives == [True, False]


async def test_a_failing_emit_comes_out_as_itself(plc: Plc) -> None:
    await plc.add("t", 1.0)
    rig = Rig(plc.port, {"t": "ns=2;s=t"})

    async def full(batch: object, mark: bytes = b"", /) -> None:
        raise OverflowError("disk full")

    with pytest.raises(OverflowError, match="disk full"):
        async with asyncio.timeout(30):
            await rig.adapter.run(full)
    await until(lambda: plc.connections == 0)


async def test_the_times_of_a_clock_that_is_far_away_are_the_gateway_s(plc: Plc) -> None:
    """The gateway's clock stands weeks after the server's in these tests."""
    await plc.add("away", 1.0)
    rig = Rig(plc.port, {"away": "ns=2;s=away"}, max_clock_skew_s=60.0)
    async with rig.running():
        await rig.seen()
        await plc.write("away", ua.DataValue(ua.Variant(2.0), SourceTimestamp=datetime.now(UTC)))
        await rig.seen(readings=2)
    newest = rig.of("away")[-1]
    assert newest.flags & Flag.GATEWAY_TIME
    assert abs(newest.ts_ns - NOW_NS) < 60e9
    assert rig.errors("clock_away") >= 1
    assert rig.gaps.causes == [("clock", None)]
    assert rig.context.facts["clock_ahead_s"] < -60


async def test_a_clock_that_is_trusted_is_taken_at_its_word(plc: Plc) -> None:
    await plc.add("trusted", 1.0)
    rig = Rig(plc.port, {"trusted": "ns=2;s=trusted"})
    async with rig.running():
        await rig.seen()
    assert not rig.of("trusted")[0].flags & Flag.GATEWAY_TIME
    assert rig.errors("clock_away") == 0
