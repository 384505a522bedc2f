"""The control socket's server: Starlette on uvicorn, over a Unix socket of mode 0600.

Who may open the socket may do what it offers: the file's mode is the access check. A socket file left behind by a
crash is replaced; one that a living gateway answers on is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import TidegateError

__all__ = ["ControlServer"]

_UNIX_PATH_BYTES = 107


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


class ControlServer:
    """Serves the control calls until cancelled.

    Args:
        path: where the socket is made; its folder is made when it is missing.
        status: answers `GET /status`; its result is encoded as JSON.
        live: called with True once the socket answers.
    """

    def __init__(
        self, path: Path, *, status: Callable[[], dict[str, Any]], live: Callable[[bool], None] = lambda _up: None
    ) -> None:
        self._path = path
        self._status = status
        self._live = live

    async def run(self) -> None:
        """Listens until cancelled.

        Raises:
            TidegateError: the socket cannot be made.
        """
        app = Starlette(routes=[Route("/status", self._get_status)])
        listener = self._listen()
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
        )
        server = _Server(config, self._live)
        try:
            await server.serve(sockets=[listener])
        except asyncio.CancelledError:
            # uvicorn closes its connections only when it ends by itself.
            if server.started:
                await server.shutdown(sockets=[listener])
            raise
        finally:
            listener.close()
            self._path.unlink(missing_ok=True)

    async def _get_status(self, _request: Request) -> Response:
        return Response(msgspec.json.encode(self._status()), media_type="application/json")

    def _listen(self) -> socket.socket:
        path = self._path
        if len(os.fsencode(path)) > _UNIX_PATH_BYTES:
            raise TidegateError(
                f"control.socket: {path} is longer than the {_UNIX_PATH_BYTES} bytes a Unix socket allows"
            )
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_stale(path)
            # The mode must be right from the first moment, not after a chmod.
            before = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
            listener.listen(16)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            raise TidegateError(f"control socket {path} cannot be made: {error.strerror or error}") from None
        except TidegateError:
            listener.close()
            raise
        return listener


def _remove_stale(path: Path) -> None:
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise TidegateError(f"another gateway answers at {path}: stop it, or give this one another control.socket")
