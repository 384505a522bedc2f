"""HTTP inside the gateway's event loop: uvicorn on a socket that its owner has opened.

It owns how such a server begins and ends; which calls it answers, and who may reach the socket, is its owner's.
Signals are the app's, never uvicorn's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

__all__ = ["serve"]


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers (signals are the app's), and with a word when it listens."""

    def __init__(self, config: uvicorn.Config, live: Callable[[bool], None]) -> None:
        super().__init__(config)
        self._live = live

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._live(self.started)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: ASGIApp, listener: socket.socket, *, live: Callable[[bool], None], max_connections: int | None = None
) -> None:
    """Answers until cancelled.

    Args:
        app: what answers.
        listener: a listening socket; closed at the end.
        live: called with True once it answers.
        max_connections: beyond it the answer is 503; None: not limited here.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        limit_concurrency=max_connections,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config, live)
    try:
        await server.serve(sockets=[listener])
    except asyncio.CancelledError:
        # uvicorn closes its connections only when it ends by itself.
        if server.started:
            await server.shutdown(sockets=[listener])
        raise
    finally:
        listener.close()
