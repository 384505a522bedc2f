"""What a configuration may say about a Modbus device. Defaults, units and limits stand here and nowhere else.

A model says what one key may hold; `items.check` says which keys go together.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from gateway.config.models import DeviceSettings, Host, TagSettings

__all__ = ["ByteOrder", "ModbusSettings", "ModbusTag", "RegisterName", "TypeName"]

RegisterName: TypeAlias = Literal["holding", "input", "coil", "discrete"]
TypeName: TypeAlias = Literal[
    "bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "string"
]
ByteOrder: TypeAlias = Literal[
    "AB", "BA", "ABCD", "CDAB", "BADC", "DCBA", "ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA"
]

UnitId = Annotated[int, Meta(ge=0, le=255)]
StringBytes = Annotated[int, Meta(ge=1, le=250)]
Bit = Annotated[int, Meta(ge=0, le=15)]


class ModbusTag(TagSettings, frozen=True, kw_only=True):
    """One value of a Modbus device, and how its registers are to be read."""

    address: Annotated[
        Annotated[int, Meta(ge=0, le=65_535)] | Annotated[str, Meta(min_length=1, max_length=8)],
        Meta(
            description="A number, or hexadecimal in quotes such as '0x10': the address as sent, counted from 0. "
            "Five or six digits in quotes such as '40001' or '400001': the reference of the manual, whose first digit "
            "names the registers (0 coil, 1 discrete, 3 input, 4 holding) and whose rest counts from 1."
        ),
    ]
    register: Annotated[
        RegisterName | None,
        Meta(description="Which registers. Default: what the address says, else holding."),
    ] = None
    type: Annotated[
        TypeName | None,
        Meta(description="Type of the value. Default: bool for coil, discrete and where bit is given, else uint16."),
    ] = None
    length: Annotated[StringBytes | None, Meta(description="Bytes of a string; two in each register.")] = None
    byte_order: Annotated[
        ByteOrder | None,
        Meta(
            description="Order in which the value's bytes arrive, A being the most significant: ABCD is big-endian, "
            "CDAB has its words swapped, BADC the bytes of each word, DCBA both. Default: the device's."
        ),
    ] = None
    bit: Annotated[
        Bit | None,
        Meta(description="Bit of the register, 0 the lowest. Without it a bool is: register is not 0."),
    ] = None
    unit_id: Annotated[
        UnitId | None, Meta(description="Unit behind the same gateway that has this tag. Default: the device's.")
    ] = None
    scale: Annotated[
        float | None, Meta(description="The number read is multiplied by this; the tag is a float then.")
    ] = None
    offset: Annotated[float | None, Meta(description="Added after scale; the tag is a float then.")] = None


class ModbusSettings(DeviceSettings, frozen=True, kw_only=True):
    """A Modbus TCP device, or a gateway with many units behind it."""

    type: Annotated[Literal["modbus"], Meta(description="The protocol.")] = "modbus"
    host: Annotated[Host, Meta(description="Name or address of the device.")]
    port: Annotated[int, Meta(ge=1, le=65_535, description="TCP port.")] = 502
    unit_id: Annotated[UnitId, Meta(description="Unit id of tags that name none.")] = 1
    interval_s: Annotated[
        float, Meta(ge=0.01, le=86_400, description="Seconds from the start of one poll to the start of the next.")
    ] = 1.0
    timeout_s: Annotated[
        float, Meta(ge=0.01, le=600, description="Longest wait for the connection and for each answer, in seconds.")
    ] = 1.0
    max_registers: Annotated[
        int, Meta(ge=1, le=125, description="Most registers asked for at once; 16 coils count as one register.")
    ] = 125
    max_gap: Annotated[
        int,
        Meta(
            ge=0,
            le=124,
            description="Registers nobody asked for that may be read along to join two requests (16 coils count as "
            "one). Where the device refuses them the request is split again.",
        ),
    ] = 16
    byte_order: Annotated[ByteOrder, Meta(description="Byte order of tags that name none; see the tag's key.")] = "ABCD"
    tags: Annotated[list[ModbusTag], Meta(min_length=1, description="What is read.")]
