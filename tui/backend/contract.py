"""The calls that the screens may make, and what they answer: the control API, as Python sees it.

Every call may raise a `TidegateError` whose text is meant for the person. `NeedsGateway` says that there is only a file
to work on; `Refused` (of `gateway.control.client`) carries the status and problems of a draft that was not accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct, field

from gateway.errors import TidegateError

__all__ = [
    "Applied",
    "Backend",
    "ConfigText",
    "Found",
    "NeedsGateway",
    "Node",
    "PlainProblem",
    "Point",
    "ReadOnce",
    "Tested",
    "Verdict",
    "Version",
]


class NeedsGateway(TidegateError):
    """Only a running gateway can do this."""


class PlainProblem(Struct, frozen=True):
    """One thing that is wrong: where in the file, and what."""

    where: str
    what: str


class ConfigText(Struct, frozen=True):
    """The configuration as it stands. `problem` says why it cannot be written, or is empty."""

    file: str
    text: str
    sha256: str
    writable: bool = True
    problem: str = ""


class Verdict(Struct, frozen=True):
    """What a draft would do, without doing it."""

    problems: list[PlainProblem] = field(default_factory=list)
    plan: str = ""
    changes: list[str] = field(default_factory=list)
    needs_restart: list[str] = field(default_factory=list)


class Applied(Struct, frozen=True):
    """What was changed, and the digest of what stands in the file now."""

    changes: list[str]
    sha256: str
    needs_restart: list[str] = field(default_factory=list)


class Version(Struct, frozen=True):
    """One earlier text of the file; `at` in seconds since 1970."""

    name: str
    at: float
    bytes: int


class Node(Struct, frozen=True):
    """One node of an OPC UA server."""

    id: str
    name: str
    path: str = ""
    kind: str = ""
    type: str = ""
    value: str = ""
    writable: bool = False
    children: bool = False
    keys: dict[str, Any] = field(default_factory=dict)

    @property
    def is_variable(self) -> bool:
        """Whether it has a value that can be read."""
        return self.kind == "variable"


class Found(Struct, frozen=True):
    """What a search found; `complete` is False where the limit or the time ended it."""

    nodes: list[Node]
    complete: bool = True


class ReadOnce(Struct, frozen=True):
    """One value read just now; `ts` in ms since 1970, 0 where there is none."""

    tag: str
    value: Any = None
    quality: str = "bad"
    ts: float | None = None
    status: Any = None


class Point(Struct, frozen=True):
    """The latest reading of one point; `ts` in ms since 1970."""

    device: str
    tag: str
    unit: str = ""
    value: Any = None
    quality: str = "bad"
    ts: float = 0.0


class Tested(Struct, frozen=True):
    """How an attempt to reach the broker went."""

    ok: bool
    text: str


class Backend(Protocol):
    """A gateway, as the screens see it."""

    @property
    def online(self) -> bool:
        """Whether there is a gateway behind it; else there is only a file."""

    @property
    def place(self) -> str:
        """Where it is: the socket or the file."""

    async def status(self) -> dict[str, Any]:
        """The page of `GET /status`."""

    async def config(self) -> ConfigText:
        """The configuration as it stands."""

    async def check(self, text: str) -> Verdict:
        """Holds a draft against the gateway; changes nothing."""

    async def apply(self, text: str, base: str, *, restart_later: bool = False) -> Applied:
        """Puts a draft to work.

        Args:
            text: the draft.
            base: digest of the text it was made from.
            restart_later: write also what only counts from the gateway's next start on.
        """

    async def versions(self) -> list[Version]:
        """The earlier texts of the file, newest first."""

    async def browse(self, device: Mapping[str, Any], node: str | None) -> list[Node]:
        """The nodes below `node`, or below the root where it is None."""

    async def search(self, device: Mapping[str, Any], text: str, limit: int) -> Found:
        """Variables whose path contains the text."""

    async def read(self, device: Mapping[str, Any]) -> list[ReadOnce]:
        """Reads every tag of a device section once; nothing is stored."""

    async def live(self) -> list[Point]:
        """The latest reading of each point."""

    async def test_uplink(self, uplink: Mapping[str, Any]) -> Tested:
        """Connects to a broker as a second client; publishes no data."""
