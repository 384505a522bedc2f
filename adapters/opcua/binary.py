"""asyncua's decoder, with one way to fail.

Given bytes that do not keep the encoding it raises whatever Python raises where it happens to stumble. A server's
answer is not to be trusted, and what is wrong with it is no defect of ours: it is `Malformed`, as in our own decoders.
"""

from __future__ import annotations

from typing import Final, TypeVar

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary

from adapters.opcua.wire import Malformed

__all__ = ["STUMBLES", "check_header", "read_struct"]

STUMBLES: Final = (TypeError, LookupError, AttributeError, OverflowError, RecursionError, MemoryError)
"""What it raises besides `failures.FAILURES`."""

_Struct = TypeVar("_Struct")


def read_struct(kind: type[_Struct], data: Buffer) -> _Struct:
    """Reads one of asyncua's structures, and leaves the buffer behind it.

    Raises:
        one of `failures.FAILURES`: the bytes do not keep its encoding.
    """
    try:
        read: _Struct = struct_from_binary(kind, data)
    except STUMBLES as error:
        raise Malformed(f"{kind.__name__}: {error or type(error).__name__}") from None
    return read


def check_header(body: Buffer) -> None:
    """Reads a response's type and header, and leaves the buffer behind them.

    Raises:
        one of `failures.FAILURES`: the server refuses, or the bytes are no response.
    """
    try:
        nodeid_from_binary(body)
    except STUMBLES as error:
        raise Malformed(f"a response without a type: {error}") from None
    read_struct(ua.ResponseHeader, body).ServiceResult.check()
