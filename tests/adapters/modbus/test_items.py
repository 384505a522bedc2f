"""Settings as a file gives them, and what `check` says of them."""

from typing import Any

import msgspec
import pytest

from adapters.base import PointSpec
from adapters.modbus import PROTOCOL
from adapters.modbus.settings import ModbusSettings
from gateway.batch import Kind


def load(*tags: dict[str, Any], **device: Any) -> ModbusSettings:
    named = [{"name": f"t{i}", **tag} for i, tag in enumerate(tags)]
    return msgspec.convert(
        {"name": "plc", "type": "modbus", "host": "h", "tags": named, **device}, type=PROTOCOL.settings
    )


@pytest.mark.parametrize(
    "tag",
    [
        {"address": 0},
        {"address": "40001", "register": "holding"},
        {"address": "30001"},
        {"address": "0x10", "register": "input", "type": "float64", "byte_order": "GHEFCDAB"},
        {"address": 65_534, "type": "uint32"},
        {"address": 5, "bit": 15},
        {"address": 5, "type": "bool"},
        {"address": 5, "type": "uint16", "byte_order": "BA"},
        {"address": "00001"},
        {"address": 7, "register": "discrete"},
        {"address": 7, "type": "string", "length": 250, "byte_order": "BADC"},
        {"address": 7, "type": "int16", "scale": -0.1, "offset": 3},
    ],
)
def test_right_tags(tag: dict[str, Any]) -> None:
    assert PROTOCOL.check(load(tag)) == []


@pytest.mark.parametrize(
    ("tag", "key", "hint"),
    [
        ({"address": "40001", "register": "input"}, "address", "reference of a holding"),
        ({"address": "30001", "register": "coil"}, "address", "reference of an input"),
        ({"address": "100"}, "address", "no address"),
        ({"address": 65_535, "type": "uint32"}, "address", "after address 65535"),
        ({"address": 0, "type": "string"}, "length", "needs its length"),
        ({"address": 0, "length": 4}, "length", "only a string"),
        ({"address": 0, "register": "coil", "type": "uint16"}, "type", "a coil is a bool"),
        ({"address": 0, "register": "coil", "bit": 1}, "bit", "holding or input"),
        ({"address": 0, "register": "coil", "byte_order": "BA"}, "byte_order", "has no byte order"),
        ({"address": 0, "type": "uint16", "bit": 1}, "bit", "only a bool"),
        ({"address": 0, "type": "float32", "byte_order": "ABCDEFGH"}, "byte_order", "8 bytes"),
        ({"address": 0, "type": "float32", "byte_order": "AB"}, "byte_order", "one register"),
        ({"address": 0, "type": "bool", "scale": 2}, "scale", "only numbers"),
        ({"address": 0, "type": "string", "length": 2, "offset": 2}, "offset", "only numbers"),
        ({"address": 0, "scale": 0}, "scale", "the same"),
        ({"address": 0, "scale": float("nan")}, "scale", "calculate"),
        ({"address": 0, "offset": float("inf")}, "offset", "calculate"),
    ],
)
def test_mistakes_are_named_at_their_key(tag: dict[str, Any], key: str, hint: str) -> None:
    problems = PROTOCOL.check(load({"address": 9}, tag))
    assert [where for where, _ in problems] == [f"tags[1].{key}"]
    assert hint in problems[0][1]


def test_a_value_must_fit_into_one_request() -> None:
    assert [where for where, _ in PROTOCOL.check(load({"address": 0, "type": "int64"}, max_registers=3))] == [
        "tags[0].type"
    ]


def test_names_must_differ() -> None:
    problems = PROTOCOL.check(load({"address": 0, "name": "a"}, {"address": 1}, {"address": 2, "name": "a"}))
    assert [where for where, _ in problems] == ["tags[0].name", "tags[2].name"]


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        ({"type": "int16"}, Kind.I64),
        ({"type": "int32"}, Kind.I64),
        ({"type": "int64"}, Kind.I64),
        ({}, Kind.U64),
        ({"type": "uint32"}, Kind.U64),
        ({"type": "uint64"}, Kind.U64),
        ({"type": "float32"}, Kind.F64),
        ({"type": "float64"}, Kind.F64),
        ({"type": "string", "length": 3}, Kind.STR),
        ({"bit": 3}, Kind.BOOL),
        ({"register": "coil"}, Kind.BOOL),
        ({"scale": 0.1}, Kind.F64),
        ({"type": "int32", "offset": 0}, Kind.F64),
    ],
)
def test_the_kind_of_each_point(tag: dict[str, Any], kind: Kind) -> None:
    assert PROTOCOL.points(load({"address": 0, "unit": "bar", **tag})) == [PointSpec("t0", "bar", kind)]


def test_a_key_nobody_knows_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="adress"):
        load({"adress": 0})


def test_a_device_without_tags_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="tags"):
        load()


def test_every_key_is_described_in_the_schema() -> None:
    _, definitions = msgspec.json.schema_components([ModbusSettings], ref_template="{name}")
    for model in ("ModbusSettings", "ModbusTag"):
        for key, schema in definitions[model]["properties"].items():
            assert schema.get("description"), key


def test_plan_names_requests_and_slips() -> None:
    lines = PROTOCOL.plan(load({"address": 40_001}, {"address": 40_003}, {"address": 0, "unit_id": 9}))
    assert lines[0] == (
        "note: tag 't0' is holding 40001, counted from 0 "
        '(if the manual says 40001, write address = "40001": that is holding 0)'
    )
    assert lines[1].startswith("note: tag 't1' is holding 40003, ")
    assert lines[2] == "Modbus TCP to h:502; one request at a time"
    assert lines[3].startswith("unit 1, function 3, holding 40001 to 40003: 3 registers for 2 tags (t0 to t1)")
    assert lines[4] == "unit 9, function 3, holding 0: 1 register for 1 tag (t2)"
    assert lines[5].startswith("every 1 s: 3 tags in 2 requests (4 registers); about 10 ms a cycle")


@pytest.mark.parametrize(
    ("tag", "meant"),
    [
        ({"address": 40_001, "register": "holding"}, "holding 0"),
        ({"address": 30_001}, "input 0"),
        ({"address": 30_011, "register": "input"}, "input 10"),
        ({"address": 10_001, "register": "discrete"}, "discrete 0"),
        ({"address": 30_001, "register": "holding"}, None),
        ({"address": 40_000}, None),
        ({"address": 50_000}, None),
        ({"address": "40001"}, None),
        ({"address": "0x9c41"}, None),
    ],
)
def test_a_number_that_looks_like_a_manuals_reference_is_a_slip(tag, meant) -> None:
    line = PROTOCOL.plan(load(tag))[0]
    assert line.startswith("note: ") == (meant is not None)
    assert meant is None or line.endswith(f": that is {meant})")


def test_many_slips_do_not_bury_the_plan() -> None:
    lines = PROTOCOL.plan(load(*({"address": 40_001 + i} for i in range(20))))
    assert sum(line.startswith("note: ") for line in lines) == 9
    assert lines[8] == "note: and so 12 tags more"


def test_plan_counts_one_of_each_rightly() -> None:
    lines = PROTOCOL.plan(load({"address": "00001"}))
    assert lines[1] == "unit 1, function 1, coil 0: 1 bit for 1 tag (t0)"
    assert lines[2].startswith("every 1 s: 1 tag in 1 request (1 bit); ")


def test_plan_says_when_the_interval_is_too_short() -> None:
    tags = [{"address": 100 * i} for i in range(50)]
    assert any("more than the interval" in line for line in PROTOCOL.plan(load(*tags, interval_s=0.1)))
    assert not any("more than the interval" in line for line in PROTOCOL.plan(load(*tags)))
    assert any("10 requests more" in line for line in PROTOCOL.plan(load(*tags)))
