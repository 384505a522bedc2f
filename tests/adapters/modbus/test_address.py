import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.modbus.address import Address, AddressError, Table, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (0, Address(0, None)),
        (65_535, Address(65_535, None)),
        (40_001, Address(40_001, None)),
        ("0x10", Address(16, None)),
        ("0XfFfF", Address(65_535, None)),
        ("40001", Address(0, Table.HOLDING)),
        ("400001", Address(0, Table.HOLDING)),
        ("49999", Address(9_998, Table.HOLDING)),
        ("465536", Address(65_535, Table.HOLDING)),
        ("30011", Address(10, Table.INPUT)),
        ("300011", Address(10, Table.INPUT)),
        ("10001", Address(0, Table.DISCRETE)),
        ("00001", Address(0, Table.COIL)),
        ("000100", Address(99, Table.COIL)),
    ],
)
def test_forms(text: int | str, expected: Address) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("100", "no address"),
        ("1", "no address"),
        ("4000001", "no address"),
        ("0x", "no address"),
        ("0x10000", "no address"),
        ("40 001", "no address"),
        ("٤٠٠٠١", "no address"),
        ("-1", "no address"),
        ("20001", "begins with 2"),
        ("50001", "begins with 5"),
        ("40000", "counts from 1"),
        ("400000", "counts from 1"),
        ("465537", "outside"),
        (65_536, "outside"),
        (-1, "outside"),
    ],
)
def test_what_is_refused(text: int | str, hint: str) -> None:
    with pytest.raises(AddressError, match=hint):
        parse_address(text)


@given(st.text(max_size=8) | st.integers(-70_000, 70_000))
def test_an_address_lies_in_its_table_or_is_refused(text: int | str) -> None:
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert 0 <= address.number <= 65_535
