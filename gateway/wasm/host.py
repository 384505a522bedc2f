"""The Wasm host: one engine, its limits, its compiled modules and its watchdog, for all filters of a gateway.

A guest gets its own memory, a line in the log and the batch's time (`hostcalls`), and nothing else: there are no files,
no network and no clock to abuse. The few functions of WASI that a module needs to be a command elsewhere (`TOLERATED`)
are traps in here; one that wants anything else is refused.
What a guest can still do is take memory, stack and time, and all three are limited here. The address space of an
instance is reserved at its limit and never moves, so that many instances fit on a box with little of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from wasmtime import Config, Engine, FuncType, InstancePre, Linker, MemoryType, Module, Store, ValType, WasmtimeError

from gateway.errors import ModuleError
from gateway.metrics import Metrics
from gateway.wasm.cache import ModuleCache, machine_id
from gateway.wasm.failure import Cause, GuestFailure, one_line
from gateway.wasm.hostcalls import CALLS, HostCalls
from gateway.wasm.hostcalls import MODULE as HOST_CALLS
from gateway.wasm.library import read_pinned
from gateway.wasm.manifest import ABI, Manifest, parse_manifest
from gateway.wasm.recent import keep
from gateway.wasm.watchdog import DEADLINE_TICKS, Watchdog

__all__ = ["EXPORTS", "OPTIONAL_EXPORTS", "PAGE_BYTES", "TOLERATED", "Host", "LoadedModule"]

PAGE_BYTES: Final = 65_536
_STACK_BYTES: Final = 262_144
"""A thread of Python's has at least 512 KiB, of which the frames below the guest take some."""
_TABLE_ELEMENTS: Final = 10_000
EXPORTS: Final = {"tg_abi": 0, "tg_reserve": 1, "tg_configure": 3, "tg_process": 3}
"""The functions that ABI 1 asks for, with their number of i32 parameters; each gives an i32 back."""

OPTIONAL_EXPORTS: Final = {"tg_save": 0, "tg_load": 2}
"""The functions of a module that saves its state."""

TOLERATED: Final = frozenset(f"wasi_snapshot_preview1.{name}" for name in ("fd_read", "fd_write", "proc_exit"))
"""Imports that no module is refused for: those of `modules/sdk/tidegate_command.h`. Calling one in here is a trap."""
_GIVEN: Final = TOLERATED | {f"{HOST_CALLS}.{name}" for name in CALLS}

_HOST_CALLS: Final = HOST_CALLS.encode()
"""Stands in each module once, as the name of the manifest's section. Asking the engine what it imports is slow."""

_RULES: Final = 4
"""To be raised with each change of `Host._check`: what was compiled before is then checked anew."""


@dataclass(frozen=True, slots=True)
class LoadedModule:
    """A compiled module that has passed every check that needs no instance."""

    manifest: Manifest
    module: Module
    linked: InstancePre
    """The module with a trap in the place of each of its imports, ready to be instantiated in any store."""
    source: str
    digest: str
    """SHA-256 of its file."""

    @property
    def label(self) -> str:
        """Name and version, for texts."""
        return f"{self.manifest.name} {self.manifest.version}"


class Host:
    """Loads modules and makes stores for their instances. A context manager; close it after its chains.

    Args:
        cache_dir: where compiled modules are kept. None: nowhere.
        memory_bytes: most memory of one instance.
        batch_ms: longest time one call into a module may take, in milliseconds.
        metrics: where failures, drops and additions are counted.
    """

    def __init__(self, *, cache_dir: Path | None, memory_bytes: int, batch_ms: int, metrics: Metrics) -> None:
        self.metrics = metrics
        self.calls = HostCalls()
        self.memory_bytes = memory_bytes
        self.batch_ms = batch_ms
        settings = _settings(memory_bytes)
        self._engine = Engine(_config(settings))
        self._watchdog = Watchdog(self._engine, limit_s=batch_ms / 1000)
        rules = f"{settings} {memory_bytes} {ABI} {EXPORTS} {_RULES}"
        self._cache = ModuleCache(self._engine, cache_dir, settings=rules, machine=machine_id())
        self._loaded: dict[str, LoadedModule] = {}
        self._refused: dict[str, tuple[Cause, str]] = {}

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def cache_problem(self) -> str:
        """Why compiled modules cannot be kept; empty when all is well."""
        return self._cache.problem

    @property
    def idle(self) -> bool:
        """Whether the watchdog sleeps: no call was made lately."""
        return self._watchdog.asleep

    def load(self, module: str, base: Path, sha256: str | None = None) -> LoadedModule:
        """Reads, checks and compiles a module; one that was loaded before is not compiled again, nor one that failed.

        Compiling may take seconds. May be called in another thread ahead of time.

        Args:
            module: a built-in module's name, or a path.
            base: the folder that a relative path starts from.
            sha256: the digest that its file must have; a built-in module has one anyway.

        Raises:
            ModuleError: the file cannot be used as a module of this gateway, or is not the one that was pinned. A
                `GuestFailure` of cause `memory`: it asks for more memory than an instance may have.
        """
        file = read_pinned(module, base, sha256)
        return self._load(file.wasm, file.digest, file.path)

    def load_bytes(self, wasm: bytes, path: Path) -> LoadedModule:
        """Like `load`, of bytes that somebody vouches for.

        Args:
            wasm: the module.
            path: where it was read from, for texts.
        """
        return self._load(wasm, hashlib.sha256(wasm).hexdigest(), path)

    def _load(self, wasm: bytes, digest: str, path: Path) -> LoadedModule:
        known = self._loaded.get(digest)
        if known is not None:
            return known
        refused = self._refused.get(digest)
        if refused is not None:
            raise GuestFailure(refused[0], f"module {path}: {refused[1]}")
        manifest = parse_manifest(wasm, str(path), digest=digest)
        try:
            module = self._cache.module(wasm, digest, self._check)
            linked = self._link(module, calls=wasm.count(_HOST_CALLS) > 1)
        except ModuleError as error:
            cause: Cause = error.cause if isinstance(error, GuestFailure) else "load"
            keep(self._refused, digest, (cause, str(error)))
            raise GuestFailure(cause, f"module {path}: {error}") from None
        return keep(self._loaded, digest, LoadedModule(manifest, module, linked, str(path), digest))

    def store(self) -> Store:
        """A store with this host's limits, for one instance."""
        store = Store(self._engine)
        store.set_limits(
            memory_size=self.memory_bytes, table_elements=_TABLE_ELEMENTS, instances=1, tables=4, memories=1
        )
        return store

    def arm(self, store: Store) -> None:
        """Starts the time of the next call into this store's instance.

        Raises:
            ModuleError: the host is closed.
        """
        self._watchdog.arm()
        store.set_epoch_deadline(DEADLINE_TICKS)

    def forget(self) -> None:
        """Lets the loaded modules go; the next one comes from the cache of compiled modules again."""
        self._loaded.clear()
        self._refused.clear()

    def close(self) -> None:
        """Ends the watchdog and lets the compiled modules go. Chains can no longer be used."""
        self._watchdog.close()
        for loaded in self._loaded.values():
            loaded.linked.close()
            loaded.module.close()
        self._loaded.clear()
        self._engine.close()

    def _link(self, module: Module, *, calls: bool) -> InstancePre:
        try:
            with Linker(self._engine) as linker:
                if calls:
                    self.calls.define(linker)
                linker.define_unknown_imports_as_traps(module)
                linked: InstancePre = linker.instantiate_pre(module)
                return linked
        except WasmtimeError as error:
            raise ModuleError(f"what it imports cannot be given: {one_line(error)}") from None

    def _check(self, module: Module) -> None:
        imports = [(f"{wanted.module}.{wanted.name}", wanted.type) for wanted in module.imports]
        strange = [name for name, kind in imports if name not in _GIVEN or not isinstance(kind, FuncType)]
        if strange:
            raise ModuleError(
                f"it imports {', '.join(strange[:5])}, but a module is given tidegate.log and tidegate.batch_ns, "
                "and nothing else. Build it freestanding, without WASI (see modules/README.md)"
            )
        names = [name for name, _ in imports]
        if len(set(names)) < len(names):
            raise ModuleError("it imports one function twice; build it with modules/sdk/tidegate_command.h")
        exports = {export.name: export.type for export in module.exports}
        memory = exports.get("memory")
        if not isinstance(memory, MemoryType):
            raise ModuleError("it exports no memory named 'memory'")
        needed = memory.limits.min * PAGE_BYTES
        if needed > self.memory_bytes:
            raise GuestFailure(
                "memory",
                f"it asks for {needed} bytes of memory, an instance may have {self.memory_bytes} (wasm.memory_bytes)",
            )
        for name, parameters in EXPORTS.items():
            function = exports.get(name)
            if not isinstance(function, FuncType):
                raise ModuleError(f"it exports no function '{name}'")
            if not _takes_i32s(function, parameters, results=1):
                raise ModuleError(f"its '{name}' must take {parameters} and give back one i32")
        for name, parameters in OPTIONAL_EXPORTS.items():
            function = exports.get(name)
            if function is not None and not (
                isinstance(function, FuncType) and _takes_i32s(function, parameters, results=1)
            ):
                raise ModuleError(f"its '{name}' must be a function that takes {parameters} and gives back one i32")
        start = exports.get("_initialize")
        if start is not None and not (isinstance(start, FuncType) and _takes_i32s(start, 0, results=0)):
            raise ModuleError("its '_initialize' must be a function that takes nothing and gives nothing back")


def _takes_i32s(function: FuncType, parameters: int, *, results: int) -> bool:
    i32 = ValType.i32()
    return function.params == [i32] * parameters and function.results == [i32] * results


def _settings(memory_bytes: int) -> dict[str, int | bool]:
    """Every setting that compiled code depends on; the cache's names are made from them too."""
    return {
        "epoch_interruption": True,
        "max_wasm_stack": _STACK_BYTES,
        "memory_reservation": -(-memory_bytes // PAGE_BYTES) * PAGE_BYTES,
        "memory_guard_size": PAGE_BYTES,
        "memory_may_move": False,
        "native_unwind_info": False,  # for debuggers only, and half of the time that loading takes
        "parallel_compilation": False,  # the other core belongs to the flow
        "wasm_threads": False,
        "wasm_multi_memory": False,
        "wasm_memory64": False,
        "wasm_relaxed_simd": False,  # its results differ from processor to processor
    }


def _config(settings: dict[str, int | bool]) -> Config:
    config = Config()
    for name, value in settings.items():
        setattr(config, name, value)
    return config
