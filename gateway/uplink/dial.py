"""A TCP or TLS connection as a plain non-blocking socket, made without a thread.

paho connects in blocking calls, which cannot be cancelled and leave a socket behind when they fail inside TLS. This
does the same steps on the event loop: cancelled or failed at any point, it leaves no socket.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

__all__ = ["dial"]


async def dial(host: str, port: int, *, tls: ssl.SSLContext | None) -> socket.socket:
    """Connects to the first address of `host` that answers.

    Args:
        host: name or address.
        port: TCP port.
        tls: present: a TLS handshake follows.

    Raises:
        OSError: no address answered, or the handshake failed (`ssl.SSLError`).
    """
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock: socket.socket = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            # Small packets wait for nobody: with Nagle's algorithm a reading could wait for a delayed ACK.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(sock, address)
            if tls is not None:
                sock = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
                await _handshake(sock)
        except OSError as error:
            sock.close()
            failure = failure or error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    assert failure is not None, "getaddrinfo raises when it finds no address"
    raise failure


async def _handshake(sock: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            await _ready(sock, loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _ready(sock, loop.add_writer, loop.remove_writer)
        else:
            return


async def _ready(sock: ssl.SSLSocket, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
    ready = asyncio.Event()
    descriptor = sock.fileno()
    add(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        remove(descriptor)
