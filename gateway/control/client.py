"""The client of the control socket: plain HTTP over a Unix socket, from the standard library.

It is synchronous and small on purpose: `tidegate status` starts in a blink, and the TUI calls it from a thread.
"""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from typing import Any

import msgspec

from gateway.control.refusal import Refused
from gateway.errors import Problem, TidegateError

__all__ = ["Refused", "call", "status"]


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(path: Path, method: str, target: str, body: object = None, *, timeout_s: float = 5.0) -> dict[str, Any]:
    """One request to a running gateway.

    Args:
        path: the control socket.
        method: HTTP method.
        target: path of the call, such as `/status`.
        body: sent as JSON where it is not None.
        timeout_s: longest wait for each step, in seconds.

    Returns:
        The decoded JSON object.

    Raises:
        Refused: the gateway does not do that; says why.
        TidegateError: no gateway listens there, or it did not answer; the text says which and what to do.
    """
    connection = _UnixConnection(path, timeout_s)
    try:
        payload = None if body is None else msgspec.json.encode(body)
        connection.request(method, target, body=payload, headers={"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
    except FileNotFoundError:
        raise TidegateError(f"no gateway listens at {path}: start one with `tidegate run FILE`") from None
    except ConnectionRefusedError:
        if not path.is_socket():
            raise TidegateError(f"{path} is no socket: give the gateway's control socket, or its --config") from None
        raise TidegateError(f"no gateway listens at {path} any more: the one that did has ended") from None
    except PermissionError:
        raise TidegateError(f"{path} may not be opened by this user: run as the gateway's user or as root") from None
    except (OSError, http.client.HTTPException) as error:
        raise TidegateError(f"the gateway at {path} did not answer: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if response.status >= 400:
        raise _refusal(response.status, answer, f"the gateway at {path} refused {method} {target}")
    return msgspec.json.decode(answer, type=dict[str, Any])


class _Told(msgspec.Struct):
    error: str
    problems: list[dict[str, str]] = []


def _refusal(status: int, answer: bytes, beginning: str) -> Refused:
    try:
        told = msgspec.json.decode(answer, type=_Told)
    except msgspec.DecodeError:
        # A defect over there is told by the server's library, in its own way.
        return Refused(f"{beginning}: {answer.decode(errors='replace')}. Its log says more", status=status)
    problems = [Problem(problem.get("where", ""), problem.get("what", "")) for problem in told.problems]
    return Refused(told.error or beginning, status=status, problems=problems)


def status(path: Path) -> dict[str, Any]:
    """What the gateway behind this socket is doing.

    Raises:
        TidegateError: it cannot be asked.
    """
    return call(path, "GET", "/status")
