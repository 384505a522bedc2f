"""Sections one behind another, and the hash over all of them. Knows nothing of what stands in them."""

from __future__ import annotations

import hashlib
import struct
from typing import BinaryIO, Final

from gateway.errors import SpoolError

__all__ = ["LARGEST_SECTION_BYTES", "MAGIC", "FrameReader", "FrameWriter"]

MAGIC: Final = b"\x89TIDE\r\n\n"
VERSION: Final = 1
LARGEST_SECTION_BYTES: Final = 80 * 1024 * 1024
"""Above the largest batch that a spool takes."""

_HEAD: Final = struct.Struct("<8sHH")
_SECTION: Final = struct.Struct("<BI")


class FrameWriter:
    """Writes sections.

    Args:
        file: open for writing, empty.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._write(_HEAD.pack(MAGIC, VERSION, 0))

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that was written so far."""
        return self._hash.digest()

    def section(self, kind: int, *parts: bytes) -> None:
        """One section, of these parts."""
        self._write(_SECTION.pack(kind, sum(map(len, parts))), *parts)

    def _write(self, *parts: bytes) -> None:
        for part in parts:
            self._hash.update(part)
            self._file.write(part)


class FrameReader:
    """Reads sections.

    Args:
        file: open for reading, at its begin.
        size_bytes: of the file.

    Attributes:
        at: where the next section begins.

    Raises:
        SpoolError: it is no such file, or one of a newer version.
    """

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._hash = hashlib.sha256()
        self._before = b""
        head = file.read(_HEAD.size)
        magic, version, _ = _HEAD.unpack(head) if len(head) == _HEAD.size else (head, VERSION, 0)
        if magic != MAGIC:
            raise SpoolError("it is no file of `tidegate spool export`")
        if version != VERSION:
            raise SpoolError(
                f"a newer version of tidegate made it (format {version}, this one knows {VERSION}). "
                "Use that version, or a later one, here as well"
            )
        self._hash.update(head)
        self.at = _HEAD.size

    @property
    def digest_before(self) -> bytes:
        """SHA-256 of all before the section that was read last."""
        return self._before

    @property
    def at_end(self) -> bool:
        """Whether nothing follows."""
        return self.at == self._size_bytes

    def seek(self, at: int) -> None:
        """Goes to a section; the hash means nothing from here on."""
        self._file.seek(at)
        self.at = at

    def section(self) -> tuple[int, bytes]:
        """The next section: its kind and content.

        Raises:
            SpoolError: the file ends within it, or it is longer than any can be.
        """
        head = self._file.read(_SECTION.size)
        if len(head) < _SECTION.size:
            raise SpoolError(f"it ends at byte {self._size_bytes}, before it is complete. Copy it again")
        kind, length = _SECTION.unpack(head)
        if self.at + _SECTION.size + length > self._size_bytes:
            raise SpoolError(f"it ends in the section at byte {self.at}, or is damaged there. Copy it again")
        if length > LARGEST_SECTION_BYTES:
            raise SpoolError(f"it is damaged at byte {self.at}: no section is {length} bytes long")
        content = self._file.read(length)
        self._before = self._hash.digest()
        self._hash.update(head)
        self._hash.update(content)
        self.at += _SECTION.size + length
        return kind, content
