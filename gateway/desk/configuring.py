"""The configuration file at the desk: read it, check a draft of it, and apply one to the running gateway.

Invariants
- A draft that is refused has changed nothing: neither what runs nor the file.
- A draft that is applied is in the file before the gateway begins to work by it, so that a crash in between starts the
  gateway with what the person asked for.
- The draft must have been made from the file as it stands: what somebody else wrote meanwhile is never overwritten.
- One draft is applied at a time, and none after `close`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from gateway.check import load
from gateway.config.models import Config
from gateway.config.source import MAX_FILE_BYTES, read_text
from gateway.config.versions import fingerprint, unwritable, versions, write_versioned
from gateway.control.refusal import Refused
from gateway.errors import ConfigError, Problem, TidegateError
from gateway.plan_text import plan_text
from gateway.reconcile import Plan

__all__ = ["ConfigDesk", "Granted", "Permit", "Runs"]


class Granted(Protocol):
    """An answer to the question whether the configuration may be changed."""

    allowed: bool
    reason: str

    async def used(self, failure: str) -> None:
        """Takes note of what came of it: why the change was not made, or nothing where it was."""


Permit = Callable[[str], Awaitable[Granted]]
"""Asked with the change in words, before anything is done."""


class Runs(Protocol):
    """What the desk needs of the running gateway."""

    def plan(self, config: Config) -> Plan:
        """What would be done to run with this configuration."""

    async def apply(self, config: Config, *, commit: Callable[[], Awaitable[None]]) -> Plan:
        """Runs with it from now on; `commit` is called once nothing can fail any more but itself."""


class _Text(NamedTuple):
    """The file as it stands."""

    text: str
    sha256: str


class ConfigDesk:
    """Reads, checks, applies.

    Args:
        file: the configuration file; None where the gateway was started without one.
        running: the gateway.
        permit: asked before anything is changed.
        env: the variables for `${NAME}`.
    """

    def __init__(
        self, file: Path | None, *, running: Runs, permit: Permit, env: Mapping[str, str] = os.environ
    ) -> None:
        self._file = file
        self._running = running
        self._permit = permit
        self._env = env
        self._lock = asyncio.Lock()
        self._closed = False

    async def show(self, _asked: dict[str, Any]) -> dict[str, Any]:
        """The file as it stands, and whether it can be written here."""
        file = self._named()
        stands = await asyncio.to_thread(_read, file)
        problem = await asyncio.to_thread(unwritable, file)
        return {
            "file": str(file),
            "text": stands.text,
            "sha256": stands.sha256,
            "writable": not problem,
            "problem": problem,
        }

    async def check(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What is wrong with a draft, or else what it means and what applying it would do. Changes nothing."""
        try:
            config = await self._load(_text(asked, "text"))
        except ConfigError as error:
            return {"problems": _told(error.problems), "plan": "", "changes": [], "needs_restart": []}
        plan = self._running.plan(config)
        return {
            "problems": [],
            "plan": await asyncio.to_thread(plan_text, config),
            "changes": [*plan.changes],
            "needs_restart": [*plan.needs_restart],
        }

    async def apply(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Applies a draft to the running gateway and writes it into the file.

        Raises:
            Refused: 403 the policy says no; 409 the file has changed since the draft was made, or cannot be written;
                422 the draft is wrong, cannot work here, or needs a restart that was not agreed to.
        """
        text, base, later = _text(asked, "text"), _text(asked, "base"), asked.get("restart_later", False)
        async with self._lock:
            if self._closed:
                raise Refused("the gateway is stopping; nothing was changed", status=409)
            await self._must_be_writable(base)
            try:
                config = await self._load(text)
            except ConfigError as error:
                raise Refused(
                    "the draft cannot be used; nothing was changed", status=422, problems=error.problems
                ) from None
            plan = self._running.plan(config)
            if plan.needs_restart and later is not True:
                raise Refused(_RESTART, status=422, problems=[Problem(key, _RESTART_KEY) for key in plan.needs_restart])
            granted = await self._permit("; ".join((*plan.changes, *plan.needs_restart)) or _NO_CHANGE)
            if not granted.allowed:
                raise Refused(f"changing the configuration is not allowed: {granted.reason}", status=403)
            return await self._put_in_place(config, text, base, granted)

    async def list_versions(self, _asked: dict[str, Any]) -> dict[str, Any]:
        """The earlier texts of the file, newest first."""
        found = await asyncio.to_thread(versions, self._named())
        return {"versions": [version._asdict() for version in found]}

    async def close(self) -> None:
        """Waits for the draft that is being applied; none is applied after this."""
        async with self._lock:
            self._closed = True

    async def _put_in_place(self, config: Config, text: str, base: str, granted: Granted) -> dict[str, Any]:
        file = self._named()

        async def commit() -> None:
            # Once more: building what the draft needs takes its time.
            await self._must_be_writable(base)
            if text != (await asyncio.to_thread(_read, file)).text:
                await asyncio.to_thread(write_versioned, file, text)

        try:
            done = await self._running.apply(config, commit=commit)
        except TidegateError as error:
            await granted.used(str(error))
            if isinstance(error, Refused):
                raise
            raise Refused(f"the draft cannot be applied; nothing was changed: {error}", status=422) from None
        await granted.used("")
        return {
            "changes": [*done.changes],
            "needs_restart": [*done.needs_restart],
            "sha256": fingerprint(text),
        }

    async def _must_be_writable(self, base: str) -> None:
        file = self._named()
        problem = await asyncio.to_thread(unwritable, file)
        if problem:
            raise Refused(
                f"{problem}. Nothing was changed, as the change would be gone after the next start", status=409
            )
        stands = await asyncio.to_thread(_read, file)
        if stands.sha256 != base:
            raise Refused(
                f"{file} has changed since this draft was made from it: load it anew; nothing was changed", status=409
            )

    async def _load(self, text: str) -> Config:
        return await asyncio.to_thread(load, self._named(), env=self._env, text=text)

    def _named(self) -> Path:
        if self._file is None:
            raise Refused("this gateway was started without a configuration file", status=409)
        return self._file


_NO_CHANGE = "nothing that runs"
_RESTART = "the draft changes what can only change when the gateway starts; nothing was changed"
_RESTART_KEY = (
    'this key needs a restart of the gateway. Leave it as it is, or send "restart_later": true: then it is written '
    "into the file and counts from the next start on"
)


def _read(file: Path) -> _Text:
    try:
        text = read_text(file, most_bytes=MAX_FILE_BYTES)
    except ValueError as error:
        raise Refused(f"{file}: {error}", status=409) from None
    return _Text(text, fingerprint(text))


def _text(asked: dict[str, Any], key: str) -> str:
    value = asked.get(key)
    if not isinstance(value, str):
        raise Refused(f'the request needs the text "{key}"', status=400)
    return value


def _told(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
    return [problem._asdict() for problem in problems]
