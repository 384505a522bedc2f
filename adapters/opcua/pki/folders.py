"""The certificate folders on disk.

    own/        the gateway's certificate and key (`own`)
    trusted/    servers, or issuers of servers, that somebody has trusted
    rejected/   what servers have shown and nobody has trusted yet; the oldest make room when there are too many
    issuers/    issuers that are not trusted themselves, and are needed to get to one that is
    crl/        revocation lists

Each certificate is a file; DER or PEM, whatever its name. The folders are read anew for each connection, so that what a
person moves, with `tidegate pki` or with `mv`, counts from the next attempt on.

Invariants
- A file appears whole or not at all, and a move is one rename.
- Nothing is ever put into `trusted` but by a person.
- `rejected` holds at most `MOST_REJECTED` files, so that a server that makes up certificates fills no disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from adapters.opcua.pki.certificates import Certificate, read_certificate, read_crl, unpem
from gateway.errors import TidegateError
from gateway.files import write_whole

__all__ = ["MOST_REJECTED", "PLACES", "Entry", "Mark", "Pki", "Store"]

MOST_REJECTED: Final = 50
PLACES: Final = ("own", "trusted", "issuers", "rejected")
"""Folders of certificates, in the order in which people look at them."""
_MOST_BYTES: Final = 1 << 20
_LEAST_DIGITS: Final = 4
_MODE: Final = 0o644


class Store(NamedTuple):
    """What there is to judge a certificate by: certificates as DER, revocation lists as they are."""

    trusted: tuple[bytes, ...]
    issuers: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    unusable: tuple[str, ...]
    """Files that hold nothing that can be used, and why."""


class Mark(NamedTuple):
    """One file as it is on disk: another mark means that it may hold something else."""

    path: Path
    changed_ns: int
    size: int


class Entry(NamedTuple):
    """One file of a folder. `certificate` is None where the file holds none; then `problem` says why."""

    place: str
    path: Path
    certificate: Certificate | None
    problem: str


class Pki:
    """The folders below one folder.

    Args:
        folder: where they are, or will be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self) -> None:
        """Makes the folders that are not there, so that a person finds where to put what. May fail without harm."""
        with suppress(OSError):  # only read, as in a container; a folder that is not there counts as empty
            for place in (*PLACES, "crl"):
                (self.folder / place).mkdir(parents=True, exist_ok=True)

    def store(self) -> Store:
        """What is trusted now.

        Raises:
            TidegateError: a folder cannot be read.
        """
        crls, unusable = self.revocation_lists()
        found: dict[str, list[bytes]] = {"trusted": [], "issuers": []}
        for place, certificates in found.items():
            for entry in self._entries(place):
                if entry.certificate is None:
                    unusable.append(f"{entry.path}: {entry.problem}")
                else:
                    certificates.append(entry.certificate.der)
        return Store(tuple(found["trusted"]), tuple(found["issuers"]), tuple(crls), tuple(unusable))

    def revocation_lists(self) -> tuple[list[bytes], list[str]]:
        """The revocation lists, and files in their folder that are none, and why.

        Raises:
            TidegateError: the folder cannot be read.
        """
        crls: list[bytes] = []
        unusable: list[str] = []
        for path in self._files("crl"):
            try:
                data = _content(path)
                read_crl(data)
                crls.append(data)
            except (ValueError, OSError) as error:
                unusable.append(f"{path}: {error}")
        return crls, unusable

    def marks(self) -> frozenset[Mark]:
        """How everything that `store` reads stands on disk, without reading it.

        Raises:
            TidegateError: a folder cannot be read.
        """
        marks = set()
        for place in ("trusted", "issuers", "crl"):
            for path in self._files(place):
                with suppress(FileNotFoundError):  # it was taken away this very moment
                    told = path.stat()
                    marks.add(Mark(path, told.st_mtime_ns, told.st_size))
        return frozenset(marks)

    def entries(self) -> list[Entry]:
        """Every certificate there is, folder by folder."""
        return [entry for place in PLACES for entry in self._entries(place)]

    def find(self, text: str, *places: str) -> Entry:
        """The one certificate that is meant.

        Args:
            text: the first digits of its thumbprint or SHA-256, spaces and colons do not count; or its file's name.
            places: the folders to look in.

        Raises:
            TidegateError: there is none, or more than one.
        """
        digits = "".join(char for char in text.upper() if char not in " :-")
        found = []
        for place in places:
            for entry in self._entries(place):
                marks = (
                    () if entry.certificate is None else (entry.certificate.thumbprint, entry.certificate.fingerprint)
                )
                long_enough = len(digits) >= _LEAST_DIGITS
                if entry.path.name == text or (long_enough and any(mark.startswith(digits) for mark in marks)):
                    found.append(entry)
        where = ", ".join(f"{place}/" for place in places)
        if not found:
            raise TidegateError(
                f"no certificate {text!r} in {where} of {self.folder}; `tidegate pki list` shows what there is. Give "
                f"at least {_LEAST_DIGITS} digits of the thumbprint"
            )
        if len({entry.certificate and entry.certificate.der for entry in found}) > 1:
            names = ", ".join(f"{entry.place}/{entry.path.name}" for entry in found[:5])
            raise TidegateError(f"{text!r} means more than one certificate: {names}. Give more digits")
        return found[0]

    def keep_rejected(self, der: bytes) -> Path | None:
        """Puts a certificate where a person will find it; does nothing where it is there already.

        Returns:
            The file; None where it cannot be written, or is no certificate.
        """
        try:
            certificate = read_certificate(der)
        except ValueError:
            return None
        folder = self.folder / "rejected"
        path = folder / file_name(certificate)
        try:
            if not path.exists():
                folder.mkdir(parents=True, exist_ok=True)
                self._make_room(folder)
                write_whole(path, der, mode=_MODE)
        except OSError:
            # A folder that is only read, as in a container. The error that follows names the certificate all the same.
            return None
        return path

    def move(self, entry: Entry, place: str) -> Path:
        """Moves a certificate to another folder.

        Raises:
            TidegateError: it cannot be moved.
        """
        assert entry.certificate is not None
        folder = self.folder / place
        path = folder / file_name(entry.certificate)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if place == "rejected":
                self._make_room(folder)
            entry.path.replace(path)
        except OSError as error:
            raise TidegateError(
                f"{entry.path} cannot be moved to {folder}: {error.strerror or error}. Run this as the gateway's user"
            ) from None
        return path

    def add(self, certificate: Certificate, place: str) -> Path:
        """Puts a certificate from elsewhere into a folder.

        Raises:
            TidegateError: it cannot be written.
        """
        folder = self.folder / place
        path = folder / file_name(certificate)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, certificate.der, mode=_MODE)
        except OSError as error:
            raise TidegateError(
                f"{path} cannot be written: {error.strerror or error}. Run this as the gateway's user"
            ) from None
        return path

    def _make_room(self, folder: Path) -> None:
        waiting = sorted(_listed(folder), key=lambda path: path.stat().st_mtime_ns)
        for path in waiting[: max(0, len(waiting) - MOST_REJECTED + 1)]:
            path.unlink(missing_ok=True)

    def _files(self, place: str) -> list[Path]:
        try:
            return sorted(_listed(self.folder / place))
        except OSError as error:
            raise TidegateError(
                f"the certificate folder {self.folder / place} cannot be read: {error.strerror or error}. Let this "
                "user read it, or give another folder as pki.folder"
            ) from None

    def _entries(self, place: str) -> Iterator[Entry]:
        for path in self._files(place):
            if place == "own" and path.suffix not in (".der", ".crt", ".cer"):
                continue  # the keys
            try:
                yield Entry(place, path, read_certificate(unpem(_content(path))), "")
            except ValueError as error:
                yield Entry(place, path, None, str(error))
            except OSError as error:
                yield Entry(place, path, None, f"it cannot be read ({error.strerror or error})")


def file_name(certificate: Certificate) -> str:
    """What a certificate's file is called: readable, and the same for the same bytes alone."""
    name = "".join(char if char.isalnum() or char in "-_." else "_" for char in certificate.name)
    # Bytes count for the file system, and a name may be of any letters.
    short = name.encode()[:60].decode(errors="ignore").lstrip(".")
    return f"{short or 'certificate'}-{certificate.thumbprint[:16]}.der"


def _listed(folder: Path) -> Iterator[Path]:
    """The files of a folder but for hidden ones; none where there is no folder."""
    try:
        found = list(folder.iterdir())
    except FileNotFoundError:
        return
    yield from (path for path in found if not path.name.startswith(".") and path.is_file())


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError("the file is too long for a certificate")
    return data
