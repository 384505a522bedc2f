"""One live module instance: its start, its parameters, and batches in and out of it (ABI 1, modules/README.md).

Invariants
- Every call is limited in time; every address and length that the guest gives is checked before it is used.
- After a `GuestFailure` the instance is not to be used again: its memory may hold anything. Make a new one.
- A batch that was handed in is never changed, whatever the guest does to its copy.

An instance belongs to one device and is used by one caller at a time.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from itertools import repeat
from operator import is_
from typing import Final, NoReturn

from wasmtime import Func, Memory, Trap, WasmtimeError

from gateway.batch import RECORD_BYTES, Batch
from gateway.errors import BadBatch, ModuleError
from gateway.wasm.failure import Cause, GuestFailure
from gateway.wasm.guest import GuestCall, GuestMemory, OutOfBounds, export_of, failure_of
from gateway.wasm.host import EXPORTS, OPTIONAL_EXPORTS, PAGE_BYTES, Host, LoadedModule
from gateway.wasm.manifest import ABI
from gateway.wasm.state import MOST_BYTES

__all__ = ["Instance", "StateTooLarge", "pack_table"]

_ANSWER: Final = struct.Struct("<IIII")
_ALIGNMENT: Final = 8
_SPAN: Final = struct.Struct("<II")
_UNCHANGED: Final = 0
_ERRORS: Final[dict[int, tuple[Cause, str]]] = {
    -1: ("refused", "it failed on its own account"),
    -2: ("memory", "it ran out of memory"),
    -3: ("refused", "these parameters, or this state, do not go together"),
}


def pack_table(
    points: Sequence[int], values: Sequence[Sequence[float]], outputs: Sequence[Sequence[int]] = ()
) -> bytes:
    """The table that `tg_configure` reads: a row for each point, of cells of eight bytes.

    Args:
        points: numbers of the points; in the first four bytes of the first cell, the other four are zero.
        values: parameters of each of them as f64, a cell each. Rows that are the same object are packed once.
        outputs: for each of the module's outputs the point that it makes of each point, 0 for none; a cell each, of
            which the last four bytes are zero.
    """
    if not points:
        return b""
    count = len(values[0])
    shape = f"<II{count}d{8 * len(outputs)}x"
    if all(map(is_, values, repeat(values[0]))):
        table = array("I", struct.pack(shape, 0, 0, *values[0]) * len(points))
    else:
        table = array("I", b"".join([struct.pack(shape, 0, 0, *row) for row in values]))
    row_words = len(table) // len(points)
    table[::row_words] = array("I", points)
    for place, column in enumerate(outputs):
        if any(column):
            table[2 + 2 * (count + place) :: row_words] = array("I", column)
    return table.tobytes()


class StateTooLarge(ModuleError):
    """What a module wants to keep is more than is kept. Its instance is whole, and works on."""


class Instance:
    """Starts a module and gives it its parameters.

    Args:
        host: whose limits hold.
        loaded: the module.
        points: numbers of the points it works on. Others pass untouched.
        values: for each point its parameters in the manifest's order.
        outputs: for each of its outputs the point that it makes of each point, 0 for none.
        who: what to call it in the log.

    Raises:
        GuestFailure: it does not start, is of another ABI, or refuses its parameters.
    """

    def __init__(
        self,
        host: Host,
        loaded: LoadedModule,
        points: Sequence[int],
        values: Sequence[Sequence[float]],
        *,
        outputs: Sequence[Sequence[int]] = (),
        who: str = "",
    ) -> None:
        self._host = host
        self._who = who or loaded.label
        self._batch_ns = 0
        self._loaded = loaded
        self._room_bytes = 0
        self._room_at = 0
        self._store = host.store()
        try:
            self._start()
            self._configure(points, values, outputs or [[0] * len(points)] * len(loaded.manifest.outputs))
        except BaseException:
            self._store.close()
            raise

    def close(self) -> None:
        """Gives the memory back."""
        self._store.close()

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory it has at the moment."""
        return len(self._memory)

    def process(self, batch: Batch, now_ns: int = 0) -> Batch:
        """What the module makes of a batch; the batch itself where nothing changed.

        Args:
            batch: readings of the device.
            now_ns: when it came, UTC ns: what `tidegate.batch_ns` answers.

        The answer keeps the layout, no more: whether it makes sense for this device is `answer.weigh`'s to say.

        Raises:
            GuestFailure: see `failure.Cause`.
        """
        records, heap = batch.records, batch.heap
        self._batch_ns = now_ns
        at = self._put(records, heap)
        answer = self._call(self._process, at, len(batch), len(heap))
        if answer == _UNCHANGED:
            return batch
        if answer < 0:
            self._error(answer, "tg_process")
        return self._read(answer)

    def save(self, most_bytes: int = MOST_BYTES) -> bytes:
        """The module's state as bytes of its own making; empty where it has none to save.

        Args:
            most_bytes: how long it may be.

        Raises:
            GuestFailure: see `failure.Cause`.
            StateTooLarge: it is longer, and nothing of it was copied.
        """
        if self._save is None:
            return b""
        answer = self._call(self._save)
        if answer < 0:
            self._error(answer, "tg_save")
        if answer == 0:
            return b""
        try:
            at, size = _SPAN.unpack(self._memory.read(answer, _SPAN.size))
            if most_bytes < size <= len(self._memory):
                raise StateTooLarge(f"its state of {size} bytes is not kept, at most {most_bytes} are")
            return self._memory.read(at, size)
        except OutOfBounds as error:
            self._bad(f"the state that it saved is not in its memory: {error}")

    def load(self, state: bytes) -> None:
        """Gives the module a state that an earlier instance saved; to be called before the first batch.

        Raises:
            GuestFailure: it does not take it.
        """
        if self._load is None or not state:
            return
        answer = self._call(self._load, self._put(state), len(state))
        if answer < 0:
            self._error(answer, "tg_load")

    def _start(self) -> None:
        store = self._store
        self._host.calls.begin(self._who, 0)
        self._host.arm(store)
        try:
            instance = self._loaded.linked.instantiate(store)
            initialize = export_of(store, instance, "_initialize")
            if isinstance(initialize, Func):
                initialize(store)
        except (Trap, WasmtimeError) as error:
            self._failed(failure_of(error), "its start")
        memory = export_of(store, instance, "memory")
        assert isinstance(memory, Memory)  # the host checked the module's exports
        self._memory = GuestMemory(store, memory)
        calls = {}
        for name, arguments in (EXPORTS | OPTIONAL_EXPORTS).items():
            function = export_of(store, instance, name)
            if isinstance(function, Func):
                calls[name] = GuestCall(store, function, arguments)
        self._reserve_call, self._configure_call = calls["tg_reserve"], calls["tg_configure"]
        self._process = calls["tg_process"]
        self._save, self._load = calls.get("tg_save"), calls.get("tg_load")
        abi = self._call(calls["tg_abi"])
        if abi != ABI:
            raise GuestFailure("load", f"module {self._loaded.label} speaks ABI {abi}, this gateway speaks ABI {ABI}")

    def _configure(
        self, points: Sequence[int], values: Sequence[Sequence[float]], outputs: Sequence[Sequence[int]]
    ) -> None:
        at = self._put(pack_table(points, values, outputs))
        answer = self._call(self._configure_call, at, len(points), len(self._loaded.manifest.params) + len(outputs))
        if answer < 0:
            self._error(answer, "tg_configure")

    def _put(self, content: bytes, more: bytes = b"") -> int:
        """Writes both into the input block, one behind the other; gives its address."""
        self._reserve(len(content) + len(more))
        at = self._room_at
        try:
            self._memory.write(at, content)
            if more:
                self._memory.write(at + len(content), more)
        except OutOfBounds as error:
            self._bad(f"the input block it gave is not in its memory: {error}")
        return at

    def _reserve(self, size: int) -> None:
        if size <= self._room_bytes:
            return
        room = -(-size // PAGE_BYTES) * PAGE_BYTES
        if room > self._host.memory_bytes:
            self._too_large(size)
        at = self._call(self._reserve_call, room)
        if at <= 0:
            self._too_large(size)
        if at % _ALIGNMENT or at + room > len(self._memory):
            self._bad(f"tg_reserve gave address {at} for {room} bytes, in a memory of {len(self._memory)}")
        self._room_at, self._room_bytes = at, room

    def _read(self, answer: int) -> Batch:
        memory = self._memory
        try:
            records_at, count, heap_at, heap_bytes = _ANSWER.unpack(memory.read(answer, _ANSWER.size))
            records = memory.read(records_at, count * RECORD_BYTES)
            heap = memory.read(heap_at, heap_bytes) if heap_bytes else b""
        except OutOfBounds as error:
            self._bad(f"its answer points outside its memory: {error}")
        try:
            return Batch(records, heap).check()
        except BadBatch as error:
            self._bad(f"its answer is no batch: {error}")

    def _call(self, function: GuestCall, *arguments: int) -> int:
        self._host.calls.begin(self._who, self._batch_ns)
        self._host.arm(self._store)
        try:
            answer = function(*arguments)
        except GuestFailure as failure:
            self._failed(failure, "its work")
        if self._host.calls.offence:
            self._failed(GuestFailure("trap", self._host.calls.offence), "its work")
        return answer

    # What went wrong, for people.

    def _failed(self, failure: GuestFailure, doing: str) -> NoReturn:
        if failure.cause == "timeout":
            limit_ms = self._host.batch_ms
            text = f"did not end {doing} within {limit_ms} ms; wasm.batch_ms is the limit"
        else:
            text = f"failed at {doing}: {failure}"
        raise GuestFailure(failure.cause, f"module {self._loaded.label} {text}") from None

    def _error(self, code: int, function: str) -> NoReturn:
        cause, text = _ERRORS.get(code, ("refused", "an error of its own"))
        raise GuestFailure(cause, f"module {self._loaded.label}: {function} answered {code}: {text}")

    def _too_large(self, size: int) -> NoReturn:
        limit = self._host.memory_bytes
        text = f"has no room for {size} bytes at once; wasm.memory_bytes is {limit}"
        raise GuestFailure("memory", f"module {self._loaded.label} {text}")

    def _bad(self, text: str) -> NoReturn:
        raise GuestFailure("bad_output", f"module {self._loaded.label}: {text}") from None
