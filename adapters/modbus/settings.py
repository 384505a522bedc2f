"""What a configuration may say about a Modbus device. Defaults, units and limits stand here and nowhere else.

A model says what one key may hold; `items.check` and `endpoint.check` say which keys go together.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from gateway.config.keys import Host, LocalPath, Port, Section
from gateway.config.models import DeviceSettings, TagSettings, TlsSettings

__all__ = [
    "ByteOrder",
    "ModbusSettings",
    "ModbusTag",
    "RegisterName",
    "SerialSettings",
    "TlsClientSettings",
    "TransportName",
    "TypeName",
]

TransportName: TypeAlias = Literal["tcp", "rtu", "rtu_over_tcp", "tls"]

RegisterName: TypeAlias = Literal["holding", "input", "coil", "discrete"]
TypeName: TypeAlias = Literal[
    "bool",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float32",
    "float64",
    "bcd16",
    "bcd32",
    "string",
    "uint8_low",
    "uint8_high",
    "int8_low",
    "int8_high",
]
ByteOrder: TypeAlias = Literal[
    "AB", "BA", "ABCD", "CDAB", "BADC", "DCBA", "ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA"
]

UnitId = Annotated[int, Meta(ge=0, le=255)]
StringBytes = Annotated[int, Meta(ge=1, le=250)]
Bit = Annotated[int, Meta(ge=0, le=15)]
Interval = Annotated[float, Meta(ge=0.01, le=86_400)]


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
        Meta(
            description="Type of the value; low and high name the byte of one register. Default: bool for coil, "
            "discrete and where bit is given, else uint16."
        ),
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
    interval_s: Annotated[
        Interval | None,
        Meta(
            description="Seconds between two polls of this tag. Default: the device's. Tags of one interval are read "
            "together."
        ),
    ] = None


class SerialSettings(Section, frozen=True, kw_only=True):
    """A serial line, always with 8 data bits. Devices that name the same port share it, one request at a time."""

    port: Annotated[LocalPath, Meta(description="The serial port, such as /dev/ttyUSB0 or /dev/serial/by-id/...")]
    baudrate: Annotated[
        Literal[300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400],
        Meta(description="Bits a second; the same for all devices on the line."),
    ] = 19200
    parity: Annotated[Literal["even", "odd", "none"], Meta(description="Parity bit of each character.")] = "even"
    stop_bits: Annotated[
        Literal[1, 2], Meta(description="Stop bits of each character. The standard asks for 2 where parity is none.")
    ] = 1
    gap_ms: Annotated[
        Annotated[float, Meta(ge=0, le=1_000)] | None,
        Meta(
            description="Least silence before each request, in milliseconds. Default: 3.5 characters, at least 1.75. "
            "Slow converters and old devices need more."
        ),
    ] = None


class TlsClientSettings(TlsSettings, frozen=True, kw_only=True):
    """TLS towards the device (MODBUS/TCP Security)."""

    server_name: Annotated[
        Host | None, Meta(description="The name in the device's certificate. Default: the host.")
    ] = None


class ModbusSettings(DeviceSettings, frozen=True, kw_only=True):
    """A Modbus device, or a gateway or a bus with many units."""

    type: Annotated[Literal["modbus"], Meta(description="The protocol.")] = "modbus"
    transport: Annotated[
        TransportName,
        Meta(
            description="How frames travel: tcp is Modbus TCP, tls the same encrypted, rtu a serial line of this "
            "machine, rtu_over_tcp the frames of a serial line through a serial device server."
        ),
    ] = "tcp"
    host: Annotated[Host | None, Meta(description="Name or address of the device; not for rtu.")] = None
    port: Annotated[Port | None, Meta(description="TCP port. Default: 502, with TLS 802.")] = None
    serial: Annotated[SerialSettings | None, Meta(description="The serial line; only for rtu.")] = None
    tls: Annotated[TlsClientSettings | None, Meta(description="Certificates; only for tls.")] = None
    share_connection: Annotated[
        bool,
        Meta(
            description="true: all devices of this host and port that say so use one connection, one request at a "
            "time, for gateways that allow few. A serial line is always shared."
        ),
    ] = False
    unit_id: Annotated[UnitId, Meta(description="Unit id of tags that name none.")] = 1
    interval_s: Annotated[
        float, Meta(ge=0.01, le=86_400, description="Seconds from the start of one poll to the start of the next.")
    ] = 1.0
    timeout_s: Annotated[
        float, Meta(ge=0.01, le=600, description="Longest wait for the connection and for each answer, in seconds.")
    ] = 1.0
    pause_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=10_000,
            description="Least pause before each request, counted from the last answer or from the connection, in "
            "milliseconds, for devices and gateways that need one. A serial line has serial.gap_ms instead.",
        ),
    ] = 0
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
    single_writes: Annotated[
        bool,
        Meta(
            description="false: one coil or register, too, is written with function 15 or 16, for devices that do not "
            "know 5 and 6."
        ),
    ] = True
    bit_writes: Annotated[
        Literal["mask", "read_modify_write"],
        Meta(
            description="How a bit or a byte of a register is written: mask with function 22, which leaves the other "
            "bits to the device. read_modify_write reads the register and writes it back, which undoes what the device "
            "or another client changes in between: only for registers that nobody else writes."
        ),
    ] = "mask"
    tags: Annotated[list[ModbusTag], Meta(min_length=1, description="What is read.")]
