"""Values to write requests: what fits, what does not, and that the decoder reads back what was encoded."""

import math
import struct
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapters.modbus.decode import Decoder
from adapters.modbus.encode import Function, NotWritable, Write, encode, with_bit
from adapters.modbus.items import Item, check, resolve
from adapters.modbus.planner import plan_requests
from adapters.modbus.settings import ModbusSettings, ModbusTag
from gateway.batch import Batch, Value
from tests.adapters.modbus.test_decode import ORDERS

INTEGERS = {
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
    "bcd16": (0, 9_999),
    "bcd32": (0, 99_999_999),
}
REGISTERS = {"16": 1, "32": 2, "64": 4}


def tag(**keys: Any) -> Item:
    settings = ModbusSettings(name="plc", host="h", tags=[ModbusTag(**{"name": "t", "address": 100, **keys})])
    assert check(settings) == []
    (item,) = resolve(settings)
    return item


def read(item: Item, words: tuple[int, ...]) -> Value:
    (request,) = plan_requests([item], max_registers=125, max_gap=0)
    heap = bytearray()
    records = Decoder(request, [1]).decode(words, 0, heap).records
    (reading,) = Batch(bytes(records), bytes(heap))
    return reading.value


@pytest.mark.parametrize(
    ("keys", "value", "function", "words"),
    [
        ({"register": "coil"}, True, Function.COIL, (1,)),
        ({"register": "coil"}, False, Function.COIL, (0,)),
        ({"register": "coil"}, 1, Function.COIL, (1,)),
        ({"bit": 0}, True, Function.MASK, (0xFFFE, 0x0001)),
        ({"bit": 15}, False, Function.MASK, (0x7FFF, 0x0000)),
        ({"bit": 0, "byte_order": "BA"}, True, Function.MASK, (0xFEFF, 0x0100)),
        ({"type": "uint8_low"}, 0xAB, Function.MASK, (0xFF00, 0x00AB)),
        ({"type": "int8_high"}, -2, Function.MASK, (0x00FF, 0xFE00)),
        ({"type": "uint8_high", "byte_order": "BA"}, 0xAB, Function.MASK, (0xFF00, 0x00AB)),
        ({"type": "int8_low", "scale": 0.5}, -1.5, Function.MASK, (0xFF00, 0x00FD)),
        ({"type": "bool"}, True, Function.REGISTER, (1,)),
        ({"type": "bool", "byte_order": "BA"}, True, Function.REGISTER, (0x0100,)),
        ({}, 65_535, Function.REGISTER, (65_535,)),
        ({}, 5.0, Function.REGISTER, (5,)),
        ({"type": "int16"}, -2, Function.REGISTER, (0xFFFE,)),
        ({"type": "int16", "byte_order": "BA"}, 0x0102, Function.REGISTER, (0x0201,)),
        ({"type": "uint32"}, 0x01020304, Function.REGISTERS, (0x0102, 0x0304)),
        ({"type": "uint32", "byte_order": "CDAB"}, 0x01020304, Function.REGISTERS, (0x0304, 0x0102)),
        ({"type": "uint32", "byte_order": "BADC"}, 0x01020304, Function.REGISTERS, (0x0201, 0x0403)),
        ({"type": "uint32", "byte_order": "DCBA"}, 0x01020304, Function.REGISTERS, (0x0403, 0x0201)),
        ({"type": "float32"}, 1.5, Function.REGISTERS, (0x3FC0, 0)),
        ({"type": "float32"}, 2, Function.REGISTERS, (0x4000, 0)),
        ({"type": "string", "length": 5}, "abc", Function.REGISTERS, (0x6162, 0x6300, 0)),
        ({"type": "string", "length": 2}, "é", Function.REGISTER, (0xC3A9,)),
        ({"type": "string", "length": 4, "byte_order": "CDAB"}, "abcd", Function.REGISTERS, (0x6162, 0x6364)),
        ({"type": "string", "length": 4, "byte_order": "DCBA"}, "abcd", Function.REGISTERS, (0x6261, 0x6463)),
        ({"type": "string", "length": 2}, "", Function.REGISTER, (0,)),
        # raw = (value - offset) / scale, to the nearest, ties to even
        ({"scale": 0.1}, 21.5, Function.REGISTER, (215,)),
        ({"scale": 0.1}, 21.54, Function.REGISTER, (215,)),
        ({"scale": 2.0}, 5, Function.REGISTER, (2,)),
        ({"scale": 2.0}, 7, Function.REGISTER, (4,)),
        ({"scale": -0.5, "offset": 10}, 8.5, Function.REGISTER, (3,)),
        ({"offset": -40}, -40, Function.REGISTER, (0,)),
        ({"type": "float32", "scale": 2.0}, 3, Function.REGISTERS, (0x3FC0, 0)),
    ],
)
def test_what_is_sent(keys: dict[str, Any], value: Value, function: Function, words: tuple[int, ...]) -> None:
    assert encode(tag(**keys), value) == Write(1, function, 100, words)


def test_unit_and_address_are_the_tags() -> None:
    assert encode(tag(address="40011", unit_id=7), 1) == Write(7, Function.REGISTER, 10, (1,))


@pytest.mark.parametrize(
    ("keys", "value", "hint"),
    [
        ({"register": "input"}, 1, "input registers can only be read"),
        ({"register": "discrete"}, True, "discrete inputs can only be read"),
        ({"type": "string", "length": 247}, "a", "124 registers, and one write reaches 123 at most"),
        ({"register": "coil"}, 2, "2 does not fit: it takes true or false"),
        ({"register": "coil"}, 1.0, "true or false"),
        ({"register": "coil"}, "on", "'on' does not fit"),
        ({"register": "coil"}, None, "None does not fit"),
        ({"bit": 3}, -1, "true or false"),
        ({"type": "bool"}, 3, "true or false"),
        ({}, 65_536, r"65536 does not fit: it takes whole numbers from 0 to 65535 \(uint16\)"),
        ({}, -1, "from 0 to 65535"),
        ({}, 1.5, "whole numbers"),
        ({}, True, "true does not fit"),
        ({}, "5", "'5' does not fit"),
        ({}, b"\1", "whole numbers"),
        ({}, None, "whole numbers"),
        ({}, math.nan, "nan does not fit"),
        ({}, math.inf, "inf does not fit"),
        ({"type": "int16"}, -32_769, "from -32768 to 32767"),
        ({"type": "int32"}, 2**31, "from -2147483648 to 2147483647"),
        ({"type": "uint32"}, 2**32, "to 4294967295"),
        ({"type": "int64"}, 2**63, "to 9223372036854775807"),
        ({"type": "int64"}, 2.0**63, "to 9223372036854775807"),
        ({"type": "uint64"}, 2**64, "to 18446744073709551615"),
        ({"type": "uint64"}, 10**400, r"\.\.\. does not fit"),
        (
            {"scale": 0.1},
            6_554,
            r"6554 does not fit: it takes numbers from 0 to 6553\.5 \(uint16 times 0\.1\)",
        ),
        ({"scale": 0.1, "offset": -40}, -41, r"from -40 to 6513\.5 \(uint16 times 0\.1 plus -40\)"),
        ({"scale": -1.0}, 1, "from -65535 to 0"),
        ({"scale": 0.1}, 10**400, "does not fit"),
        ({"scale": 1e-300}, 1e300, "does not fit"),
        ({"type": "uint64", "scale": 1.0}, 2.0**64, "does not fit"),
        ({"type": "float32"}, 1e39, r"from -3\.40\S+ to 3\.40\S+ \(float32\)"),
        ({"type": "float32"}, math.nan, "nan does not fit"),
        ({"type": "float64"}, -math.inf, "-inf does not fit"),
        ({"type": "float64"}, 10**400, "does not fit"),
        ({"type": "float64", "scale": 10.0}, math.inf, r"from -1\.79\S+ to 1\.79\S+ \(float64 times 10\)"),
        ({"type": "float32"}, False, "false does not fit"),
        ({"type": "float32"}, "1", "'1' does not fit"),
        ({"type": "string", "length": 4}, "abcde", "5 bytes, and the tag takes 4 at most"),
        ({"type": "string", "length": 3}, "éé", "4 bytes"),
        ({"type": "string", "length": 4}, "a\0b", "NUL"),
        ({"type": "string", "length": 4}, "\ud800", "UTF-8 cannot hold"),
        ({"type": "string", "length": 4}, 7, "a text of at most 4 bytes"),
        ({"type": "string", "length": 4}, b"ab", "a text"),
    ],
)
def test_what_does_not_fit(keys: dict[str, Any], value: Value, hint: str) -> None:
    with pytest.raises(NotWritable, match=hint):
        encode(tag(**keys), value)


@given(st.data(), st.sampled_from(sorted(INTEGERS)))
def test_every_integer_comes_back(data: st.DataObject, type_: str) -> None:
    order = data.draw(st.sampled_from([name for name in ORDERS if REGISTERS[type_[-2:]] * 2 in ORDERS[name]]))
    value = data.draw(st.integers(*INTEGERS[type_]))
    item = tag(type=type_, byte_order=order)
    assert read(item, encode(item, value).words) == value


@given(st.data(), st.sampled_from(["float32", "float64"]))
def test_every_float_comes_back_as_its_type_can_hold_it(data: st.DataObject, type_: str) -> None:
    width = int(type_[-2:])
    order = data.draw(st.sampled_from([name for name in ORDERS if width // 8 in ORDERS[name]]))
    value = data.draw(st.floats(allow_nan=False, allow_infinity=False))
    assume(width == 64 or abs(value) <= 3.4028234663852886e38)
    form = "<f" if width == 32 else "<d"
    item = tag(type=type_, byte_order=order)
    assert read(item, encode(item, value).words) == struct.unpack(form, struct.pack(form, value))[0]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20), st.data())
def test_every_text_comes_back_without_the_blanks_at_its_end(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    length = data.draw(st.integers(max(len(raw), 1), len(raw) + 9))
    item = tag(type="string", length=length, byte_order=data.draw(st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"])))
    assert read(item, encode(item, text).words) == text.rstrip(" ")


@given(
    st.sampled_from(["int16", "uint16", "int32", "uint32"]),
    st.floats(0.001, 1000).flatmap(lambda scale: st.sampled_from([scale, -scale])),
    st.floats(-1e6, 1e6),
    st.data(),
)
def test_a_scaled_value_comes_back_within_half_a_step(
    type_: str, scale: float, offset: float, data: st.DataObject
) -> None:
    item = tag(type=type_, scale=scale, offset=offset)
    raw = data.draw(st.floats(*map(float, INTEGERS[type_])))
    value = raw * scale + offset
    back = read(item, encode(item, value).words)
    assert isinstance(back, float)
    assert abs(back - value) <= abs(scale) / 2 + 1e-9 * (abs(value) + abs(offset) + abs(raw * scale))


@given(st.one_of(st.integers(), st.floats(), st.text(), st.booleans(), st.binary(), st.none()), st.data())
def test_anything_fits_or_is_refused_with_a_text(value: Value, data: st.DataObject) -> None:
    type_ = data.draw(st.sampled_from([*INTEGERS, "float32", "float64", "bool"]))
    scale = data.draw(st.sampled_from([None, 0.1, -7.0, 1e-300, 1e300])) if type_ != "bool" else None
    item = tag(type=type_, scale=scale)
    try:
        write = encode(item, value)
    except NotWritable as reason:
        told = str(reason)
    else:
        told = ""
        assert len(write.words) == item.count
        assert all(0 <= word <= 65_535 for word in write.words)
    assert not told or "does not fit: it takes " in told


@given(st.integers(0, 65_535), st.integers(0, 15), st.booleans(), st.sampled_from(["AB", "BA"]))
def test_a_bit_put_into_its_register_leaves_the_others_alone(register: int, bit: int, value: bool, order: str) -> None:
    mask = encode(tag(bit=bit, byte_order=order), value)
    whole = with_bit(mask, register)
    assert (whole.function, whole.address) == (Function.REGISTER, 100)
    changed = 1 << (bit if order == "AB" else bit ^ 8)
    assert whole.words[0] & ~changed == register & ~changed
    assert bool(whole.words[0] & changed) == value


@pytest.mark.parametrize(
    ("keys", "value", "function"),
    [({"register": "coil"}, True, Function.COILS), ({}, 1, Function.REGISTERS), ({"bit": 1}, True, Function.MASK)],
)
def test_a_device_may_have_no_single_writes(keys: dict[str, Any], value: Value, function: Function) -> None:
    assert encode(tag(**keys), value, single=False).function is function
