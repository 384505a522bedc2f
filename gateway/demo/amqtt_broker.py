"""`python -m gateway.demo.amqtt_broker PORT`: amqtt on loopback until SIGTERM, for machines without mosquitto.

Anonymous, MQTT 3.1.1, sessions in memory. Only the demo starts it, as a child: see `gateway.demo.broker`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from amqtt.broker import Broker

__all__ = ["main"]

_SHUTDOWN_S = 5.0


async def _serve(port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    await stop.wait()
    async with asyncio.timeout(_SHUTDOWN_S):
        await broker.shutdown()


def main() -> None:
    """Serves until SIGTERM; connections that do not end in time are cut."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        asyncio.run(_serve(int(sys.argv[1])))
    except TimeoutError:
        logging.getLogger(__name__).warning("some connections were still open and have been cut")


if __name__ == "__main__":
    main()
