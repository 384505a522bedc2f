"""Compiled modules on disk, so that a filter starts in less than a millisecond instead of some tens.

A file's name says what it was made from: the digest of the Wasm bytes, and a digest of everything else that decides
about the machine code (wasmtime's version, the engine's settings, the processor). Another version of any of them has
another name, so nothing stale is ever looked at.

Invariants
- Loading compiled code is trusting it: it runs outside the sandbox. The folder is ours alone (0700) and so is each file
  (0600); a folder that others may write to is not used.
- A file is written under another name, flushed to the disk and then renamed: it is whole or absent.
- Only modules that passed the caller's check are kept, so a module from the cache needs none.
- A file begins with the digest of what follows. One that was cut short or altered by a failing disk is compiled anew.
- The cache never stands in the way: where the folder cannot be used, modules are compiled in memory and `problem`
  says why. At most `KEEP_FILES` files are kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from wasmtime import Engine, Module, WasmtimeError

from gateway.errors import ModuleError
from gateway.files import write_whole
from gateway.wasm.failure import one_line

__all__ = ["KEEP_FILES", "ModuleCache", "machine_id"]

KEEP_FILES: Final = 64
_MAGIC: Final = b"TGCWASM1"
_DIGEST_BYTES: Final = 32
_HEAD_BYTES: Final = len(_MAGIC) + _DIGEST_BYTES
_MAX_FILE_BYTES: Final = 256 << 20


def machine_id() -> str:
    """What decides about compiled code besides its source: wasmtime's version and the processor with its features."""
    features = ""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as cpuinfo:
        features = next((line for line in cpuinfo if line.startswith(("flags", "Features"))), "")
    return "\n".join((version("wasmtime"), platform.system(), platform.machine(), features))


class ModuleCache:
    """Compiles modules, or loads them compiled.

    Args:
        engine: the engine the modules are for.
        folder: where compiled modules are kept; made when it is missing. None: nothing is kept.
        settings: the engine's settings, and what modules are checked by, as text.
        machine: `machine_id()`.
    """

    def __init__(self, engine: Engine, folder: Path | None, *, settings: str, machine: str) -> None:
        self._engine = engine
        self._made_for = hashlib.sha256(f"{machine}\n{settings}".encode()).hexdigest()[:16]
        self.problem = "" if folder is None else _make_ours(folder)
        """Why nothing can be kept; empty when all is well."""
        self._folder = None if self.problem else folder

    def module(self, wasm: bytes, digest: str, check: Callable[[Module], None]) -> Module:
        """The compiled module of these bytes.

        Args:
            wasm: the module's file.
            digest: its SHA-256.
            check: raises ModuleError on a module that is not to be used; what it goes by is part of `settings`.

        Raises:
            ModuleError: they are no valid module, or not one to be used.
        """
        path = self._path(digest)
        code = _read(path) if path else None
        if code is not None:
            # Another wasmtime than its version says, a processor with less than its flags say: compiled anew.
            with contextlib.suppress(WasmtimeError):
                return Module.deserialize(self._engine, code)
        module = self._compile(wasm)
        check(module)
        if path is not None:
            self._keep(path, bytes(module.serialize()))
        return module

    def _path(self, digest: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{digest}-{self._made_for}.cwasm"

    def _compile(self, wasm: bytes) -> Module:
        try:
            return Module(self._engine, wasm)
        except WasmtimeError as error:
            raise ModuleError(f"it is no valid WebAssembly: {one_line(error)}") from None

    def _keep(self, path: Path, code: bytes) -> None:
        try:
            write_whole(path, _MAGIC + hashlib.sha256(code).digest() + code, mode=0o600)
            _prune(path.parent)
        except OSError as error:
            self.problem = f"compiled modules cannot be kept in {path.parent}: {error.strerror or error}"
        else:
            self.problem = ""


def _make_ours(folder: Path) -> str:
    """Makes the folder ours alone; says what is in the way, or nothing."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        if status.st_uid != os.geteuid():
            return f"compiled modules are not kept: {folder} belongs to another user"
        if stat.S_IMODE(status.st_mode) != 0o700:
            folder.chmod(0o700)
    except OSError as error:
        return f"compiled modules are not kept: {folder} cannot be used: {error.strerror or error}"
    return ""


def _read(path: Path) -> bytes | None:
    """The code in a file; None where there is none that can be trusted."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        trusted = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
        if not trusted or status.st_size > _MAX_FILE_BYTES:
            return None
        try:
            content = file.read(status.st_size)
        except OSError:
            return None
    code = content[_HEAD_BYTES:]
    if content[:_HEAD_BYTES] != _MAGIC + hashlib.sha256(code).digest():
        return None
    return code


def _prune(folder: Path) -> None:
    """Removes all but the newest files, left-overs of a crash in the middle of writing included."""
    ages: list[tuple[float, Path]] = []
    for pattern in ("*.cwasm", "*.tmp"):
        for path in folder.glob(pattern):
            with contextlib.suppress(FileNotFoundError):  # another gateway may be pruning the same folder
                ages.append((path.stat().st_mtime, path))
    for _, path in sorted(ages, reverse=True)[KEEP_FILES:]:
        path.unlink(missing_ok=True)
