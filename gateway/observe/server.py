"""The port for machines: /metrics for Prometheus, /healthz and /readyz for probes. HTTP, read only.

Whoever reaches the port may read it, so nothing is told there but names, states and numbers: no reading, no address,
no text of an error. What is wrong in words is told on the control socket.

A probe of life asks whether the event loop turns: only then is a restart a cure. A probe of readiness is answered no
(503) where what comes in cannot be stored; a PLC or a broker that is away is shown as degraded, and answered yes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

import msgspec
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.config.models import MetricsSettings
from gateway.control.serving import serve
from gateway.errors import TidegateError
from gateway.observe.sight import Sight

__all__ = ["MAX_CONNECTIONS", "MetricsServer"]

MAX_CONNECTIONS: Final = 64
"""Beyond it the answer is 503: the port may stand open to a network, and the gateway's descriptors are its own."""


class MetricsServer:
    """Serves metrics and probes until cancelled.

    Args:
        settings: where to listen.
        sight: what is to be told.
        live: called with True once the port answers.
    """

    def __init__(
        self, settings: MetricsSettings, *, sight: Sight, live: Callable[[bool], None] = lambda _up: None
    ) -> None:
        self._settings = settings
        self._sight = sight
        self._live = live

    async def run(self) -> None:
        """Listens until cancelled.

        Raises:
            TidegateError: the port cannot be listened on.
        """
        app = Starlette(
            routes=[
                Route("/metrics", self._metrics, methods=["GET"]),
                Route("/healthz", self._alive, methods=["GET"]),
                Route("/readyz", self._ready, methods=["GET"]),
            ]
        )
        await serve(app, self._listen(), live=self._live, max_connections=MAX_CONNECTIONS)

    async def _metrics(self, _request: Request) -> Response:
        return Response(self._sight.exposition(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    async def _alive(self, _request: Request) -> Response:
        return _json(200, await self._sight.answer_alive({}))

    async def _ready(self, _request: Request) -> Response:
        seen = self._sight.readiness()
        return _json(200 if seen.ready else 503, seen.as_dict())

    def _listen(self) -> socket.socket:
        host, port = self._settings.host, self._settings.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")
        except OSError as error:
            raise TidegateError(
                f"metrics: listening on {host} port {port} failed: {error.strerror or error}. "
                "Set metrics.host to an address of this machine and metrics.port to a free port"
            ) from None
        listener.setblocking(False)
        return listener


def _json(status: int, content: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")
