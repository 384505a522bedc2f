"""The control socket's server: Starlette on uvicorn, over a Unix socket of mode 0600.

Who may open the socket may do what it offers: the file's mode is the access check. A socket file left behind by a
crash is replaced; one that a living gateway answers on is not.

It knows no call: it is handed a table of them, and turns JSON into a dict and a dict into JSON. Whatever a call refuses
becomes HTTP 4xx with `{"error", "problems"}`; what it raises besides is a defect, told to the log, and HTTP 500.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.refusal import Refused
from gateway.control.serving import serve
from gateway.errors import ConfigError, SourceLost, TidegateError, UplinkError

__all__ = ["MAX_BODY_BYTES", "Call", "ControlServer", "Routes"]

Call: TypeAlias = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Answers one kind of request: from the body's JSON object, or the query of a GET, to the answer's."""

Routes: TypeAlias = Mapping[tuple[str, str], Call]
"""Calls by (method, path)."""

MAX_BODY_BYTES: Final = 40_000_000
"""More than twice the largest configuration, as JSON escapes what stands in it."""

_UNIX_PATH_BYTES = 107


class ControlServer:
    """Serves the control calls until cancelled.

    Args:
        path: where the socket is made; its folder is made when it is missing.
        routes: what it answers.
        live: called with True once the socket answers.
        max_body_bytes: a longer body is refused.
    """

    def __init__(
        self,
        path: Path,
        *,
        routes: Routes,
        live: Callable[[bool], None] = lambda _up: None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._path = path
        self._routes = routes
        self._live = live
        self._max_body_bytes = max_body_bytes

    async def run(self) -> None:
        """Listens until cancelled.

        Raises:
            TidegateError: the socket cannot be made.
        """
        app = Starlette(
            routes=[
                Route(path, self._endpoint(call), methods=[method]) for (method, path), call in self._routes.items()
            ],
            exception_handlers={TidegateError: _refused, HTTPException: _not_found},
        )
        listener = self._listen()
        try:
            await serve(app, listener, live=self._live)
        finally:
            self._path.unlink(missing_ok=True)

    def _endpoint(self, call: Call) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            asked = dict(request.query_params) if request.method in ("GET", "HEAD") else await self._body(request)
            return _json(200, await call(asked))

        return answer

    async def _body(self, request: Request) -> dict[str, Any]:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._max_body_bytes:
                raise Refused(f"the request is longer than {self._max_body_bytes:,} bytes", status=413)
        try:
            return msgspec.json.decode(body or b"{}", type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(f"the request's body is not a JSON object: {error}", status=400) from None

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


async def _refused(_request: Request, error: Exception) -> Response:
    problems = error.problems if isinstance(error, Refused | ConfigError) else ()
    text = error.text if isinstance(error, Refused) else _error_text(error)
    told = [{"where": where, "what": what} for where, what in problems]
    return _json(_status_of(error), {"error": text, "problems": told})


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = f"there is no {request.method} {request.url.path} on this socket: {error.detail}"
    return _json(error.status_code, {"error": text, "problems": []})


def _error_text(error: Exception) -> str:
    return f"{error.source} cannot be used" if isinstance(error, ConfigError) else str(error)


def _status_of(error: Exception) -> int:
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, ConfigError):
        return 422
    return 424 if isinstance(error, SourceLost | UplinkError) else 400


def _json(status: int, content: object) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")


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
