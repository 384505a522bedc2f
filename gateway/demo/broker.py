"""A real MQTT broker as a child process on loopback, for the demo and the tests.

mosquitto where it is installed; else amqtt, which is pure Python and speaks MQTT 3.1.1 only.

Invariants
- `start` returns once the broker has answered an MQTT CONNECT; the port stays the same across stop and start.
- No limit of the broker's own can lose a message: queues, messages in flight and message sizes are not bounded.
- mosquitto's sessions survive `stop` (it saves them as it ends). After `kill` it has what its last autosave had: add
  `autosave_interval 1` where that matters. amqtt keeps its sessions in memory only.
- No child is left behind: not after a failed or cancelled start, and on Linux not after our own death.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from gateway.demo import child
from gateway.errors import TidegateError

__all__ = ["Broker", "BrokerKind", "find_mosquitto", "free_port", "mosquitto_config", "port_is_free"]

BrokerKind = Literal["mosquitto", "amqtt"]

HOST: Final = "127.0.0.1"
START_S: Final = 20.0
_PROBE_PAUSE_S: Final = 0.02
_PROBE_ANSWER_S: Final = 2.0
_PORT_ATTEMPTS: Final = 3

# MQTT 3.1.1, 3.1 and 3.14: CONNECT of client "probe" with a clean session, and DISCONNECT.
_CONNECT: Final = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x05\x00\x05probe"
_DISCONNECT: Final = b"\xe0\x00"
_CONNACK: Final = 0x20


def find_mosquitto() -> str | None:
    """Path of the mosquitto program; Debian puts it into a folder that is not on every user's PATH."""
    return shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))


def free_port() -> int:
    """A loopback TCP port that nothing listens on right now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def port_is_free(port: int) -> bool:
    """Whether a listener may bind to this loopback port right now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True


def mosquitto_config(*, port: int, folder: Path, extra: Sequence[str], as_root: bool) -> str:
    """The text of mosquitto's configuration file. `extra` lines come last and belong to the one listener."""
    lines = [
        "per_listener_settings false",
        "persistence true",
        f"persistence_location {folder}/",
        "max_queued_messages 0",
        "max_queued_bytes 0",
        "max_inflight_messages 0",
        "set_tcp_nodelay true",
        "sys_interval 0",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_dest stderr",
    ]
    if as_root:
        lines.append("user root")  # else it becomes user mosquitto, who may not write into our folder
    if not any(line.split()[:1] == ["allow_anonymous"] for line in extra):
        lines.append("allow_anonymous true")
    return "\n".join([*lines, f"listener {port} {HOST}", *extra]) + "\n"


class Broker:
    """One broker. May be started, stopped and killed any number of times, from one task at a time.

    Args:
        folder: where its configuration, its log (`broker.log`) and mosquitto's database go; made when missing.
        port: TCP port on loopback; a free one when None.
        kind: `auto` takes mosquitto where it is installed, else amqtt.
        extra_config: lines for mosquitto's configuration file; TLS files given here make the listener a TLS one.

    Raises:
        TidegateError: the kind asked for is not installed, or `extra_config` was given for amqtt.
    """

    host: Final = HOST

    def __init__(
        self,
        *,
        folder: Path,
        port: int | None = None,
        kind: Literal["auto", "mosquitto", "amqtt"] = "auto",
        extra_config: Sequence[str] = (),
    ) -> None:
        self._mosquitto = find_mosquitto()
        if kind == "mosquitto" and self._mosquitto is None:
            raise TidegateError("mosquitto was looked for on PATH and in /usr/sbin and not found: install it")
        self.kind: BrokerKind = "amqtt" if kind == "amqtt" or self._mosquitto is None else "mosquitto"
        if self.kind == "amqtt" and extra_config:
            raise TidegateError("these broker settings need mosquitto, and only amqtt is here: install mosquitto")
        self._folder = folder
        self._extra_config = tuple(extra_config)
        self._port_is_ours = port is None
        self.port = free_port() if port is None else port
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Process id of the running broker.

        Raises:
            TidegateError: it is not running.
        """
        if self._process is None:
            raise TidegateError("the broker is not running: start it first")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the broker's process is there."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts the broker and waits until it answers.

        Raises:
            TidegateError: it ended or did not answer in time; the text carries the end of its log.
        """
        if self.running:
            return
        attempts = _PORT_ATTEMPTS if self._port_is_ours else 1
        for left in reversed(range(attempts)):
            try:
                await self._start_once()
            except TidegateError:
                if not left:
                    raise
                # Someone took our port between its choice and the broker's bind. It was never used: take another.
                self.port = free_port()
            else:
                self._port_is_ours = False
                return

    async def stop(self) -> None:
        """Ends the broker (SIGTERM) and waits for it; mosquitto saves its sessions as it ends."""
        process, self._process = self._process, None
        if process is not None:
            await child.end(process)

    async def kill(self) -> None:
        """Kills the broker (SIGKILL) and waits until its process is gone."""
        process, self._process = self._process, None
        if process is not None:
            await child.kill(process)

    async def __aenter__(self) -> Broker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _start_once(self) -> None:
        if not port_is_free(self.port):
            raise TidegateError(f"the {self.kind} broker cannot start: something else listens on {HOST}:{self.port}")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._process = await child.spawn(self._command(), log=self._log)
        try:
            async with asyncio.timeout(START_S):
                while not await self._answers():
                    if not self.running:
                        raise TidegateError(
                            f"the {self.kind} broker ended as it started; its log: {child.last_lines(self._log)}"
                        )
                    await asyncio.sleep(_PROBE_PAUSE_S)
        except TimeoutError:
            await self.kill()
            raise TidegateError(
                f"the {self.kind} broker did not answer on {HOST}:{self.port} within {START_S:.0f} s; "
                f"its log: {child.last_lines(self._log)}"
            ) from None
        except BaseException:
            await self.kill()
            raise

    def _command(self) -> list[str]:
        if self.kind == "amqtt":
            return child.python_command("gateway.demo.amqtt_broker", str(self.port))
        assert self._mosquitto is not None
        config = self._folder / "mosquitto.conf"
        config.write_text(
            mosquitto_config(port=self.port, folder=self._folder, extra=self._extra_config, as_root=os.geteuid() == 0)
        )
        return [self._mosquitto, "-c", str(config)]

    async def _answers(self) -> bool:
        """Whether an MQTT CONNECT is answered; a refusal is an answer too."""
        try:
            async with asyncio.timeout(_PROBE_ANSWER_S):
                reader, writer = await asyncio.open_connection(HOST, self.port, ssl=self._probe_tls())
        except ssl.SSLError:
            return True  # it speaks TLS, and wants a certificate that the probe does not have
        except (OSError, TimeoutError):
            return False
        try:
            writer.write(_CONNECT)
            async with asyncio.timeout(_PROBE_ANSWER_S):
                answer = await reader.read(4)
            writer.write(_DISCONNECT)
        except ssl.SSLError:
            return True
        except (OSError, TimeoutError):
            return False
        finally:
            writer.transport.abort()
        return bool(answer) and answer[0] == _CONNACK

    def _probe_tls(self) -> ssl.SSLContext | None:
        if not any(line.split()[:1] == ["certfile"] for line in self._extra_config):
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    @property
    def _log(self) -> Path:
        return self._folder / "broker.log"
