"""A configuration file without a gateway: it can be read, checked and written, and nothing else.

The check is handed in: it needs the protocols' own rules, which no screen knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from gateway.config.source import MAX_FILE_BYTES, read_text
from gateway.config.versions import fingerprint, unwritable, versions, write_versioned
from gateway.control.client import Refused
from gateway.errors import ConfigError, Problem, TidegateError
from tui.backend.contract import (
    Applied,
    ConfigText,
    Found,
    NeedsGateway,
    Node,
    PlainProblem,
    Point,
    ReadOnce,
    Tested,
    Verdict,
    Version,
)

__all__ = ["Check", "ConfigFile"]

Check = Callable[[str], str]
"""Gives the plan of a configuration's text, or raises `ConfigError`."""

_CHANGED: Final = 409
_WRONG: Final = 422


class ConfigFile:
    """A configuration file.

    Args:
        path: the file; a missing one is made when a draft is applied.
        check: how a draft is checked.
    """

    online: Final = False

    def __init__(self, path: Path, *, check: Check) -> None:
        self._path = path
        self._check = check

    @property
    def place(self) -> str:
        """The file."""
        return str(self._path)

    async def status(self) -> dict[str, Any]:
        """There is no gateway whose status could be told."""
        self._refuse()

    async def config(self) -> ConfigText:
        """The file as it stands; an empty text where there is none."""
        text = await asyncio.to_thread(self._text)
        problem = unwritable(self._path)
        return ConfigText(str(self._path), text, fingerprint(text), writable=not problem, problem=problem)

    async def check(self, text: str) -> Verdict:
        """Checks a draft as `tidegate check` does."""
        try:
            return Verdict(plan=await asyncio.to_thread(self._check, text))
        except ConfigError as error:
            return Verdict(problems=[PlainProblem(*problem) for problem in error.problems])

    async def apply(self, text: str, base: str, *, restart_later: bool = False) -> Applied:  # noqa: ARG002 - the contract's
        """Writes a draft that is right into the file; raises `Refused` where it is not."""
        verdict = await self.check(text)
        if verdict.problems:
            problems = [Problem(problem.where, problem.what) for problem in verdict.problems]
            raise Refused(f"{self._path} was not written: the draft has mistakes", status=_WRONG, problems=problems)
        if fingerprint(await asyncio.to_thread(self._text)) != base:
            raise Refused(f"{self._path} was changed by someone else since it was read", status=_CHANGED)
        await asyncio.to_thread(write_versioned, self._path, text)
        return Applied([], fingerprint(text))

    async def versions(self) -> list[Version]:
        """The earlier texts that are kept beside the file."""
        return [Version(*version) for version in await asyncio.to_thread(versions, self._path)]

    async def browse(self, device: Mapping[str, Any], node: str | None) -> list[Node]:  # noqa: ARG002 - the contract's
        """Needs a gateway."""
        self._refuse()

    async def search(self, device: Mapping[str, Any], text: str, limit: int) -> Found:  # noqa: ARG002 - the contract's
        """Needs a gateway."""
        self._refuse()

    async def read(self, device: Mapping[str, Any]) -> list[ReadOnce]:  # noqa: ARG002 - the contract's
        """Needs a gateway."""
        self._refuse()

    async def live(self) -> list[Point]:
        """Needs a gateway."""
        self._refuse()

    async def test_uplink(self, uplink: Mapping[str, Any]) -> Tested:  # noqa: ARG002 - the contract's
        """Needs a gateway."""
        self._refuse()

    def _text(self) -> str:
        if not self._path.exists():
            return ""
        try:
            return read_text(self._path, most_bytes=MAX_FILE_BYTES)
        except ValueError as error:
            raise TidegateError(f"{self._path}: {error}") from None

    def _refuse(self) -> NoReturn:
        raise NeedsGateway(
            f"a running gateway is needed, and only {self._path} is at hand: `tidegate run FILE` starts one"
        )
