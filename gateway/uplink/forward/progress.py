"""What of a carried file a broker has, kept in a small file beside it, so that a second run goes on where one ended.

The file is JSON: {"file": the carried file's hash, "brokers": {"HOST:PORT": [[first, last], ...]}}. A range says that
the broker has acknowledged every batch of the file with a number in it. It is written anew, under another name first,
at most once a second and at the end: after a crash at most the last second's batches are sent again, and dropped by
their numbers.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from gateway.errors import UplinkError

__all__ = ["Progress", "Ranges"]

_INTERVAL_S: Final = 1.0
_LARGEST_BYTES: Final = 16 * 1024 * 1024
_Range = tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]]


class _Kept(Struct):
    file: str
    brokers: dict[str, list[_Range]]


class Ranges:
    """A set of numbers that are mostly neighbours. Pure."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]

    def add(self, first: int, last: int) -> None:
        """All numbers from `first` to `last`."""
        start = bisect_right(self._lasts, first - 2)
        stop = bisect_right(self._firsts, last + 1)
        if start < stop:
            first, last = min(first, self._firsts[start]), max(last, self._lasts[stop - 1])
        self._firsts[start:stop] = [first]
        self._lasts[start:stop] = [last]

    def copy(self) -> Ranges:
        """The same numbers; it does not change with this one."""
        other = Ranges()
        other._firsts, other._lasts = self._firsts[:], self._lasts[:]
        return other

    def pairs(self) -> list[tuple[int, int]]:
        """First and last of each run."""
        return list(zip(self._firsts, self._lasts, strict=True))


class Progress:
    """What one broker has of one carried file.

    Args:
        path: where it is kept.
        file: hash of the carried file.
        broker: host:port.
        clock: seconds of a steady clock.
        again: what was noted of this broker does not count.

    Raises:
        UplinkError: it cannot be read, or is of another file.
    """

    def __init__(
        self, path: Path, *, file: bytes, broker: str, clock: Callable[[], float], again: bool = False
    ) -> None:
        self._path = path
        self._broker = broker
        self._clock = clock
        self._written_s = clock()
        self._kept = self._read(file.hex())
        self.delivered = Ranges()
        if not again:
            for first, last in self._kept.brokers.get(broker, ()):
                self.delivered.add(first, last)

    def add(self, first: int, last: int) -> None:
        """The broker has what lies in these numbers."""
        self.delivered.add(first, last)

    def save_if_due(self) -> None:
        """Writes it once a second.

        Raises:
            UplinkError: it cannot be written.
        """
        if self._clock() - self._written_s >= _INTERVAL_S:
            self.save()

    def save(self) -> None:
        """Writes it.

        Raises:
            UplinkError: it cannot be written.
        """
        self._written_s = self._clock()
        self._kept.brokers[self._broker] = self.delivered.pairs()
        new = self._path.with_name(self._path.name + ".new")
        try:
            with new.open("wb") as file:
                file.write(msgspec.json.encode(self._kept))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise UplinkError(
                f"What was forwarded cannot be noted in {self._path} ({error.strerror}). "
                "Where the medium cannot be written, give --progress a file elsewhere."
            ) from None
        finally:
            with suppress(OSError):
                new.unlink()

    def _read(self, file: str) -> _Kept:
        try:
            with self._path.open("rb") as kept_file:
                content = kept_file.read(_LARGEST_BYTES)
        except FileNotFoundError:
            return _Kept(file, {})
        except OSError as error:
            raise UplinkError(f"{self._path} cannot be read ({error.strerror}).") from None
        try:
            kept = msgspec.json.decode(content, type=_Kept)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise UplinkError(
                f"{self._path} does not say what was forwarded: it is damaged. Delete it; what was sent already is "
                "then sent once more, under the same numbers."
            ) from None
        if kept.file != file:
            raise UplinkError(
                f"{self._path} is about another file of that name. Delete it, or give --progress another file."
            )
        return kept
