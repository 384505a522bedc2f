"""Which values fit which built-in type."""

import math
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.coerce import TYPE_NAMES, coerce
from gateway.batch import Value

IDS = {name: number for number, name in TYPE_NAMES.items()}
CODES = {
    "SByte": "b",
    "Byte": "B",
    "Int16": "h",
    "UInt16": "H",
    "Int32": "i",
    "UInt32": "I",
    "Int64": "q",
    "UInt64": "Q",
}
GUID = "09087e75-8e5e-499b-954f-f2a9603db28a"
NOON = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)


@pytest.mark.parametrize(
    ("type_name", "value", "fitting"),
    [
        ("Boolean", True, True),
        ("Boolean", 0, False),
        ("Boolean", 1.0, True),
        ("Int16", -3.0, -3),
        ("UInt64", 2**64 - 1, 2**64 - 1),
        ("Float", 0.1, 0.1),
        ("Float", 16_777_216, 16_777_216.0),
        ("Double", 2**60, 2.0**60),
        ("String", "Grüße\n", "Grüße\n"),
        ("String", "", ""),
        ("LocalizedText", "Ein", "Ein"),
        ("Guid", GUID, UUID(GUID)),
        ("ByteString", b"\x00\xff", b"\x00\xff"),
        ("DateTime", "2026-01-31T12:00:00.1234560Z", NOON),
        ("DateTime", "2026-01-31T13:00:00.123456+01:00", NOON),
        ("DateTime", "1601-01-01T00:00:00Z", datetime(1601, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_fits(type_name: str, value: Value, fitting: object) -> None:
    held = coerce(value, IDS[type_name])
    assert held == fitting
    assert type(held) is type(fitting)


@pytest.mark.parametrize(
    ("type_name", "value", "says"),
    [
        ("Boolean", 2, "true or false"),
        ("Boolean", "true", "true or false"),
        ("Byte", -1, "whole number from 0 to 255"),
        ("Int32", 2**31, "whole number from -2147483648 to 2147483647"),
        ("Int32", 1.5, "whole number"),
        ("Int32", True, "whole number"),
        ("Int32", "5", "whole number"),
        ("Int32", math.inf, "whole number"),
        ("Int32", math.nan, "whole number"),
        ("Float", 1e39, "32-bit float"),
        ("Float", 16_777_217, "32-bit float"),
        ("Float", math.nan, "finite"),
        ("Float", "1.5", "finite"),
        ("Double", 10**400, "64-bit float"),
        ("Double", 2**53 + 1, "64-bit float"),
        ("Double", -math.inf, "finite"),
        ("Double", False, "finite"),
        ("String", 5, "expected text"),
        ("String", "\ud800", "expected text"),
        ("LocalizedText", None, "no value is not a value of type LocalizedText"),
        ("Guid", "123", "expected a GUID"),
        ("Guid", 5, "expected a GUID"),
        ("ByteString", "00ff", "expected bytes"),
        ("DateTime", "2026-01-31T12:00:00", "with its zone"),
        ("DateTime", "2026-01-31T12:00:00.0000001Z", "to the microsecond"),
        ("DateTime", "2026-01-31T12:00:00,0000001Z", "to the microsecond"),
        ("DateTime", "1600-12-31T23:59:59Z", "expected a time"),
        ("DateTime", "0001-01-01T00:00:00+05:00", "expected a time"),
        ("DateTime", "soon", "expected a time"),
        ("DateTime", 1_800_000_000, "expected a time"),
    ],
)
def test_what_does_not_fit_says_what_would(type_name: str, value: Value, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        coerce(value, IDS[type_name])
    assert type_name in str(refusal.value)


def test_a_long_value_is_not_repeated_whole() -> None:
    with pytest.raises(ValueError, match="…") as refusal:
        coerce("x" * 10_000, IDS["Double"])
    assert len(str(refusal.value)) < 300


@given(st.sampled_from(sorted(CODES)), st.integers(-(2**70), 2**70) | st.integers(-300, 300))
def test_an_integer_fits_exactly_where_the_encoding_can_hold_it(type_name: str, value: int) -> None:
    try:
        struct.pack("<" + CODES[type_name], value)
    except struct.error:
        with pytest.raises(ValueError, match=type_name):
            coerce(value, IDS[type_name])
    else:
        assert coerce(value, IDS[type_name]) == value


@given(st.sampled_from(sorted(TYPE_NAMES)), st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_a_value_fits_or_is_refused_in_words(type_id: int, value: Value) -> None:
    with suppress(ValueError):
        assert coerce(value, type_id) is not None
        return
    with pytest.raises(ValueError, match=TYPE_NAMES[type_id]):
        coerce(value, type_id)


@given(
    st.datetimes(datetime(1700, 1, 1), datetime(9000, 1, 1)),  # noqa: DTZ001 - the zone is given below
    st.integers(-14 * 60, 14 * 60),
)
def test_a_time_keeps_its_instant(time: datetime, offset_min: int) -> None:
    zoned = time.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    assert coerce(zoned.isoformat(), IDS["DateTime"]) == zoned
