"""How a tag's address may be written.

The rule, complete:

- A number is the address as it stands in the request, 0 to 65535, counted from 0. It names no table.
- A string that starts with 0x is the same in hexadecimal.
- A string of five or six decimal digits is a reference as manuals print it. Its first digit names the table (0 coil,
  1 discrete, 3 input, 4 holding), the rest counts from 1: '40001' and '400001' are both holding address 0.
- Any other string is refused, above all short decimal ones: '100' could mean either way of counting.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final, NamedTuple

__all__ = ["ADDRESSES", "Address", "AddressError", "Table", "parse_address"]

ADDRESSES: Final = 65_536
"""Addresses in one table (MODBUS Application Protocol V1.1b3, 4.4)."""

_HEX: Final = re.compile(r"0[xX][0-9a-fA-F]{1,4}")
_REFERENCE: Final = re.compile(r"([0-9])([0-9]{4,5})", re.ASCII)


class Table(IntEnum):
    """The four tables of the data model; the number is that of the function that reads it."""

    COIL = 1
    DISCRETE = 2
    HOLDING = 3
    INPUT = 4

    @property
    def is_bits(self) -> bool:
        """Whether one address is one bit, not one register."""
        return self <= Table.DISCRETE

    @property
    def word(self) -> str:
        """The table's name in the configuration."""
        return self.name.lower()


_LEADING_DIGIT: Final = {"0": Table.COIL, "1": Table.DISCRETE, "3": Table.INPUT, "4": Table.HOLDING}


class AddressError(ValueError):
    """An address that cannot be understood; the text says what to write."""


class Address(NamedTuple):
    """An address counted from 0, and the table where its way of writing names one."""

    number: int
    table: Table | None


def parse_address(text: int | str) -> Address:
    """Reads an address by the rule of this module.

    Raises:
        AddressError: it is none of the forms, or lies outside its table.
    """
    if isinstance(text, int):
        number, table = text, None
    elif _HEX.fullmatch(text):
        number, table = int(text, 16), None
    elif reference := _REFERENCE.fullmatch(text):
        digit, rest = reference.groups()
        table = _LEADING_DIGIT.get(digit)
        if table is None:
            raise AddressError(f"'{text}' begins with {digit}; references begin with 0, 1, 3 or 4")
        if int(rest) == 0:
            raise AddressError(f"'{text}' counts from 1, so its digits after the first cannot all be 0")
        number = int(rest) - 1
    else:
        raise AddressError(
            f"'{text}' is no address; write a number counted from 0 (100), hexadecimal ('0x64'), "
            "or a reference of five or six digits ('40101')"
        )
    if not 0 <= number < ADDRESSES:
        raise AddressError(f"{text!r} lies outside the {ADDRESSES} addresses of a table")
    return Address(number, table)
