"""A running gateway, asked through its control socket. Each call runs in a thread: the screens never wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from gateway.control import client
from gateway.errors import TidegateError
from tui.backend.contract import Applied, ConfigText, Found, Node, Point, ReadOnce, Tested, Verdict, Version

__all__ = ["RunningGateway"]

_QUICK_S: Final = 5.0
_DEVICE_S: Final = 30.0
"""A device, a broker or a restart of devices may take its own time to answer."""

_T = TypeVar("_T")


class RunningGateway:
    """The gateway behind a control socket.

    Args:
        socket: path of the socket.
    """

    online: Final = True

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    @property
    def place(self) -> str:
        """The socket."""
        return str(self._socket)

    async def status(self) -> dict[str, Any]:
        """The page of `GET /status`."""
        return await self._call("GET", "/status")

    async def config(self) -> ConfigText:
        """The configuration that the gateway runs on."""
        return _as(await self._call("GET", "/config"), ConfigText)

    async def check(self, text: str) -> Verdict:
        """Lets the gateway check a draft."""
        return _as(await self._call("POST", "/config/check", {"text": text}), Verdict)

    async def apply(self, text: str, base: str, *, restart_later: bool = False) -> Applied:
        """Lets the gateway apply a draft; raises `Refused` where it does not."""
        body = {"text": text, "base": base, "restart_later": restart_later}
        return _as(await self._call("POST", "/config/apply", body, within_s=_DEVICE_S), Applied)

    async def versions(self) -> list[Version]:
        """The earlier texts that the gateway keeps."""
        return _as((await self._call("GET", "/config/versions")).get("versions"), list[Version])

    async def browse(self, device: Mapping[str, Any], node: str | None) -> list[Node]:
        """Lets the gateway browse a server."""
        answer = await self._call("POST", "/browse", {"device": device, "node": node}, within_s=_DEVICE_S)
        return _as(answer.get("nodes"), list[Node])

    async def search(self, device: Mapping[str, Any], text: str, limit: int) -> Found:
        """Lets the gateway search a server."""
        body = {"device": device, "text": text, "limit": limit}
        return _as(await self._call("POST", "/search", body, within_s=_DEVICE_S), Found)

    async def read(self, device: Mapping[str, Any]) -> list[ReadOnce]:
        """Lets the gateway read a device once."""
        answer = await self._call("POST", "/read", {"device": device}, within_s=_DEVICE_S)
        return _as(answer.get("readings"), list[ReadOnce])

    async def live(self) -> list[Point]:
        """The latest reading of each point."""
        return _as((await self._call("GET", "/live")).get("readings"), list[Point])

    async def test_uplink(self, uplink: Mapping[str, Any]) -> Tested:
        """Lets the gateway try a broker."""
        return _as(await self._call("POST", "/uplink/test", {"uplink": uplink}, within_s=_DEVICE_S), Tested)

    async def _call(
        self, method: str, target: str, body: object = None, *, within_s: float = _QUICK_S
    ) -> dict[str, Any]:
        return await asyncio.to_thread(client.call, self._socket, method, target, body, timeout_s=within_s)


def _as(answer: object, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise TidegateError(f"the gateway's answer was not understood; is it of another version? {error}") from None
