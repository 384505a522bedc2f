"""The outer shape of a Wasm file: its sections, and nothing of what stands in them.

Reads untrusted bytes with hard bounds: every length is checked against the bytes at hand before it is used, and a file
that breaks the format is a `ModuleError`, never another exception. Whether the code is valid is wasmtime's to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.errors import ModuleError

__all__ = ["MAX_WASM_BYTES", "Section", "custom_section", "sections", "with_custom_section"]

MAX_WASM_BYTES: Final = 8 << 20
"""Largest module that is read at all: compiling takes time and memory in proportion."""

_MAGIC: Final = b"\x00asm"
_CORE: Final = b"\x01\x00\x00\x00"
_COMPONENT_LAYER: Final = b"\x01\x00"
_CUSTOM: Final = 0
_MAX_SECTIONS: Final = 1_000
_U32_MAX_BYTES: Final = 5


class Section(NamedTuple):
    """One section: its id, its name where it is a custom one, what it holds, and all its bytes as they stand."""

    number: int
    name: str
    body: bytes
    raw: bytes


def sections(wasm: bytes) -> Iterator[Section]:
    """The sections of a core module, in order.

    Raises:
        ModuleError: these bytes are no core module, or a section reaches beyond the end.
    """
    if wasm[:4] != _MAGIC:
        raise ModuleError("this is no WebAssembly file: it does not begin with \\0asm")
    if wasm[4:8] != _CORE:
        if wasm[6:8] == _COMPONENT_LAYER:
            raise ModuleError("this is a WebAssembly component; a core module is needed (see modules/README.md)")
        raise ModuleError(f"WebAssembly of version {wasm[4:8].hex()}, expected {_CORE.hex()}")
    at = 8
    for _ in range(_MAX_SECTIONS):
        if at >= len(wasm):
            return
        start, number = at, wasm[at]
        size, at = _u32(wasm, at + 1)
        end = at + size
        if end > len(wasm):
            raise ModuleError(f"the file is cut short: section {number} ends {end - len(wasm)} bytes beyond it")
        name = ""
        if number == _CUSTOM:
            name, at = _name(wasm, at, end)
        yield Section(number, name, wasm[at:end], wasm[start:end])
        at = end
    if at < len(wasm):
        raise ModuleError(f"more than {_MAX_SECTIONS} sections")


def custom_section(wasm: bytes, name: str) -> bytes | None:
    """What the custom section of this name holds; None where there is none.

    Raises:
        ModuleError: the file breaks the format, or has the section twice.
    """
    found = [section.body for section in sections(wasm) if section.number == _CUSTOM and section.name == name]
    if len(found) > 1:
        raise ModuleError(f"the file has {len(found)} sections named {name}, expected one")
    return found[0] if found else None


def with_custom_section(wasm: bytes, name: str, body: bytes) -> bytes:
    """The module with this as its only custom section: what compilers leave about themselves is taken out."""
    kept = b"".join(section.raw for section in sections(wasm) if section.number != _CUSTOM)
    label = name.encode()
    content = _leb(len(label)) + label + body
    return wasm[:8] + kept + bytes([_CUSTOM]) + _leb(len(content)) + content


def _u32(wasm: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number of at most 32 bits, and where it ends (WebAssembly 5.2.2)."""
    value = 0
    for position in range(_U32_MAX_BYTES):
        if at >= len(wasm):
            raise ModuleError("the file is cut short in the middle of a number")
        byte = wasm[at]
        at += 1
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            if value > 0xFFFFFFFF:
                break
            return value, at
    raise ModuleError("a number in the file is longer than 32 bits")


def _name(wasm: bytes, at: int, end: int) -> tuple[str, int]:
    size, at = _u32(wasm, at)
    if at + size > end:
        raise ModuleError("a section's name reaches beyond its section")
    try:
        return wasm[at : at + size].decode(), at + size
    except UnicodeDecodeError:
        raise ModuleError("a section's name is not UTF-8") from None


def _leb(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
