"""The real gateway as a child process: `tidegate run`, SIGKILL, SIGTERM, and what its control socket tells."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.control import client
from gateway.demo import child
from gateway.errors import TidegateError

__all__ = ["GatewayProcess"]

START_S: Final = 60.0
STOP_S: Final = 30.0
_ASK_PAUSE_S: Final = 0.1


class GatewayProcess:
    """One gateway that may live several times, always with the same configuration and database.

    Args:
        folder: where its configuration, database, socket and log are.
        config: the configuration, as plain data.
        environment: variables on top of ours.
    """

    def __init__(self, *, folder: Path, config: dict[str, Any], environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment
        self._config = folder / "gateway.json"
        self._config.write_text(json.dumps(config, indent=2))
        self._socket = folder / "control.sock"
        self.log = folder / "gateway.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts it and waits until its control socket answers.

        Raises:
            TidegateError: it ended, or did not answer in time; the text carries the end of its log.
        """
        command = child.python_command("gateway.cli", "run", str(self._config))
        self._process = await child.spawn(command, log=self.log, environment=self._environment)
        try:
            async with asyncio.timeout(START_S):
                while await self.status() is None:
                    if not self.running:
                        raise TidegateError(f"the gateway ended as it started; its log: {child.last_lines(self.log)}")
                    await asyncio.sleep(_ASK_PAUSE_S)
        except TimeoutError:
            await self.kill()
            raise TidegateError(
                f"the gateway's control socket did not answer within {START_S:.0f} s; "
                f"its log: {child.last_lines(self.log)}"
            ) from None
        except BaseException:
            await self.kill()
            raise

    async def status(self) -> dict[str, Any] | None:
        """What it tells now; None while it cannot be asked."""
        try:
            return await asyncio.to_thread(client.status, self._socket)
        except TidegateError:
            return None

    async def kill(self) -> None:
        """Kills it without warning (SIGKILL), as a power cut would."""
        if self._process is not None:
            await child.kill(self._process)

    async def stop(self) -> int:
        """Asks it to stop (SIGTERM); returns its exit status, negative when it had to be killed."""
        assert self._process is not None, "stop needs a started gateway"
        return await child.end(self._process, grace_s=STOP_S)

    async def __aenter__(self) -> GatewayProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
