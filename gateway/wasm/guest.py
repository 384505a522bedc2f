"""Calls into a guest and access to its memory: the one place that goes below wasmtime's Python classes.

`Func.__call__` asks the engine for the function's type and builds new argument objects each time: 45 us a call. One
batch costs one call, and a batch may be a single reading, so `GuestCall` prepares the arguments of a function once and
calls the C API's own `wasmtime_func_call`, which checks types all the same: 3 us. The C API is public and stable; its
Python binding has an underscore, which is why wasmtime's major version is pinned.

`GuestMemory` copies bytes in and out of linear memory. Nothing outside this file touches a raw address, and every
access is bounded by the memory's size at that moment: what a guest says about addresses is not to be trusted.
"""

from __future__ import annotations

import ctypes
from typing import Final

from wasmtime import Func, Instance, Memory, Store, Trap, TrapCode, WasmtimeError
from wasmtime import _ffi as ffi

from gateway.wasm.failure import Cause, GuestFailure, one_line

__all__ = ["GuestCall", "GuestMemory", "OutOfBounds", "export_of", "failure_of"]

_CAUSES: Final[dict[TrapCode | None, Cause]] = {
    TrapCode.INTERRUPT: "timeout",
    TrapCode.ALLOCATION_TOO_LARGE: "memory",
}


class OutOfBounds(Exception):
    """A span of guest memory lies outside of it."""


def failure_of(error: Trap | WasmtimeError) -> GuestFailure:
    """What wasmtime raised, as a cause and one line of text."""
    if isinstance(error, Trap):
        lines = [line.strip() for line in error.message.splitlines() if line.strip()]
        return GuestFailure(_CAUSES.get(error.trap_code, "trap"), (lines[-1] if lines else "trap"))
    text = one_line(error)
    # A call of an import that has nothing behind it: no trap of wasmtime's own making, but one in all but its class.
    return GuestFailure("trap" if "unknown import" in text else "load", text)


def export_of(store: Store, instance: Instance, name: str) -> Func | Memory | None:
    """One export of an instance; None where it has no function or memory of this name.

    `Instance.exports` makes an object of each of them, and a module of 8 MiB may have half a million.
    """
    item = ffi.wasmtime_extern_t()
    label = name.encode()
    found = ffi.wasmtime_instance_export_get(
        store._context(),  # noqa: SLF001 - see the module's docstring
        ctypes.byref(instance._instance),  # noqa: SLF001
        ctypes.create_string_buffer(label, len(label)),
        len(label),
        ctypes.byref(item),
    )
    if not found:
        return None
    kind = int(item.kind)
    if kind == ffi.WASMTIME_EXTERN_FUNC.value:
        return Func._from_raw(item.of.func)  # noqa: SLF001
    if kind == ffi.WASMTIME_EXTERN_MEMORY.value:
        return Memory._from_raw(item.of.memory)  # noqa: SLF001
    return None


class GuestCall:
    """One exported function that takes i32s and returns an i32, ready to be called often."""

    __slots__ = ("_args", "_context", "_count", "_func", "_keep", "_result", "_trap")

    def __init__(self, store: Store, func: Func, arguments: int) -> None:
        self._keep = (store, func)
        self._context = store._context()  # noqa: SLF001 - see the module's docstring
        self._func = ctypes.byref(func._func)  # noqa: SLF001
        self._args = (ffi.wasmtime_val_t * max(arguments, 1))()
        self._result = (ffi.wasmtime_val_t * 1)()
        self._count = arguments
        self._trap = ctypes.POINTER(ffi.wasm_trap_t)()
        for value in self._args:
            value.kind = ffi.WASMTIME_I32

    def __call__(self, *arguments: int) -> int:
        """Calls the guest; each argument is an i32 given as 0 to 2**32 - 1.

        Raises:
            GuestFailure: it trapped or was stopped. Neither call nor store are to be used again.
        """
        for value, argument in zip(self._args, arguments, strict=False):
            value.of.i32 = argument
        error = ffi.wasmtime_func_call(
            self._context,
            self._func,
            self._args,
            self._count,
            self._result,
            1,
            ctypes.byref(self._trap),
        )
        if error:
            raise failure_of(WasmtimeError._from_ptr(error))  # noqa: SLF001
        if self._trap:
            trap, self._trap = self._trap, ctypes.POINTER(ffi.wasm_trap_t)()
            raise failure_of(Trap._from_ptr(trap))  # noqa: SLF001
        return int(self._result[0].of.i32)


class GuestMemory:
    """Bounded copies in and out of one linear memory, whose base does not move (the engine is configured so)."""

    __slots__ = ("_base", "_memory", "_store")

    def __init__(self, store: Store, memory: Memory) -> None:
        self._store = store
        self._memory = memory
        self._base = ctypes.addressof(memory.data_ptr(store).contents)

    def __len__(self) -> int:
        return self._memory.data_len(self._store)

    def read(self, at: int, size: int) -> bytes:
        """Copies `size` bytes out.

        Raises:
            OutOfBounds: they are not all inside the memory.
        """
        self._bound(at, size)
        return ctypes.string_at(self._base + at, size)

    def write(self, at: int, content: bytes) -> None:
        """Copies `content` in.

        Raises:
            OutOfBounds: it does not fit at this address.
        """
        self._bound(at, len(content))
        ctypes.memmove(self._base + at, content, len(content))

    def _bound(self, at: int, size: int) -> None:
        have = len(self)
        if at < 0 or size < 0 or at + size > have:
            raise OutOfBounds(f"{size} bytes at address {at}, where the memory has {have}")
