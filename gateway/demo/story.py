"""The story, from the first reading to the comparison of the books.

Readings flow; the network to the broker is cut; the gateway is killed meanwhile and comes back; the network is mended
and the backlog drains beside live readings; the gateway stops cleanly; what the spool accepted is held against what
the subscriber got.

Owns the order of things and nothing else: each part is a child process or a task that ends with the story, however it
ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from adapters.plant.config import gateway_config
from gateway.demo.books import read_books
from gateway.demo.broker import Broker
from gateway.demo.cutter import Cutter
from gateway.demo.gateway_process import GatewayProcess
from gateway.demo.ledger import Ledger
from gateway.demo.plant_process import PlantProcess
from gateway.demo.screen import Screen
from gateway.demo.subscriber import Subscriber
from gateway.demo.verdict import Facts, Window, unexplained
from gateway.demo.waiting import running, until
from gateway.demo.watch import Watch
from gateway.errors import TidegateError

__all__ = ["Report", "Story", "Timeline", "timeline"]

GATEWAY_ID: Final = "demo"
LOAD_TAGS: Final = 40
RATE_HZ: Final = 20.0
_SUBSCRIBED_S: Final = 30.0
_FIRST_READING_S: Final = 60.0
_DRAIN_S: Final = 60.0
_LAST_MESSAGES_S: Final = 15.0


class Timeline(NamedTuple):
    """How long each part of the story lasts, in seconds."""

    live_s: float
    cut_s: float
    cut_after_kill_s: float
    mended_s: float


def timeline(seconds: float) -> Timeline:
    """Shares out the whole time; what starting and draining need comes on top."""
    return Timeline(live_s=seconds * 0.25, cut_s=seconds * 0.25, cut_after_kill_s=seconds * 0.2, mended_s=seconds * 0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened.

    Attributes:
        facts: what the verdict needs.
        duplicates: readings that came once more.
        latency_ms: median and 99th percentile of the live readings.
        counters: load counters that arrived.
        missed_while_dead: counts the plant made while no gateway looked.
        outage_s: how long the network was cut.
        drain_s: from the mending until no number was missing; NaN where that never was.
        seconds: how long all of it took.
        broker: kind of broker.
        log: the last lines of the gateway's log.
        filters: readings that each filter left out, and added, in the gateway's last life.
    """

    facts: Facts
    duplicates: int
    latency_ms: tuple[float, float]
    counters: int
    missed_while_dead: int
    outage_s: float
    drain_s: float
    seconds: float
    broker: str
    log: tuple[str, ...]
    filters: dict[str, tuple[int, int]]


class Story:
    """Tells itself once.

    Args:
        folder: an empty folder for everything that is written.
        seconds: how long the story takes, from the first reading to the stop.
        screen: where it is shown.
        broker: kind of broker; `auto` takes mosquitto where it is installed.
        filters: more of them for the gateway's configuration.
    """

    def __init__(
        self,
        *,
        folder: Path,
        seconds: float,
        screen: Screen,
        broker: Literal["auto", "mosquitto", "amqtt"] = "auto",
        filters: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._filters = filters
        self._filtered: dict[str, tuple[int, int]] = {}
        self._folder = folder
        self._broker = broker
        self._times = timeline(seconds)
        self._screen = screen
        self._ledger = Ledger()
        self._outages: list[Window] = []
        self._deaths: list[Window] = []
        self._drain_s = math.nan

    async def tell(self) -> Report:
        """From nothing to the report.

        Raises:
            TidegateError: a part could not be started, or no reading ever arrived.
        """
        began_s = time.monotonic()
        say = self._screen.say
        async with contextlib.AsyncExitStack() as parts:
            broker = Broker(folder=self._folder / "broker", kind=self._broker)
            await parts.enter_async_context(broker)
            cutter = await parts.enter_async_context(Cutter(target_port=broker.port))
            say(f"A broker ({broker.kind}) listens, and a subscriber with a session of its own.")
            subscriber = Subscriber(
                host=broker.host, port=broker.port, topic=f"tidegate/{GATEWAY_ID}/data/#", ledger=self._ledger
            )
            await parts.enter_async_context(running(subscriber.run(), name="subscriber"))
            await until(
                subscriber.subscribed.is_set,
                within_s=_SUBSCRIBED_S,
                otherwise="the broker did not confirm the subscription",
            )
            plant = await parts.enter_async_context(
                PlantProcess(log=self._folder / "plant.log", tags=LOAD_TAGS, rate_hz=RATE_HZ)
            )
            say(f"The plant runs: press and line on OPC UA, tank and line on Modbus, {LOAD_TAGS} counters on each.")
            gateway = await parts.enter_async_context(
                GatewayProcess(folder=self._folder, config=self._config(broker, cutter, plant))
            )
            say("The gateway runs, as `tidegate run`, in a process of its own.")
            watch = Watch(gateway=gateway, cutter=cutter, ledger=self._ledger, screen=self._screen)
            watching = await parts.enter_async_context(running(watch.run(), name="watch"))
            await self._live(watch)
            await self._outage_with_a_kill(watch, cutter, gateway)
            await self._mended(watch, cutter)
            self._filtered = _by_filter(await gateway.status() or {})
            watch.phase = "a clean stop: SIGTERM to the gateway"
            say("The gateway is asked to stop (SIGTERM).")
            clean = await gateway.stop() == 0
            watching.cancel()
            return await self._compare(watch, gateway, broker, clean=clean, began_s=began_s)

    def _config(self, broker: Broker, cutter: Cutter, plant: PlantProcess) -> dict[str, object]:
        config = gateway_config(
            gateway_id=GATEWAY_ID,
            database=str(self._database),
            opcua_url=plant.opcua_url,
            modbus_port=plant.modbus_port,
            broker_port=cutter.port,
            mqtt="5" if broker.kind == "mosquitto" else "3.1.1",
            tags=LOAD_TAGS,
        )
        config["filters"] += self._filters
        return config

    @property
    def _database(self) -> Path:
        return self._folder / "tidegate.db"

    async def _live(self, watch: Watch) -> None:
        await until(
            lambda: self._ledger.received,
            within_s=_FIRST_READING_S,
            otherwise="no reading arrived at the subscriber",
        )
        watch.begin("live: readings flow from the plant to the subscriber")
        self._screen.say("The first readings have arrived.")
        await asyncio.sleep(self._times.live_s)

    async def _outage_with_a_kill(self, watch: Watch, cutter: Cutter, gateway: GatewayProcess) -> None:
        say = self._screen.say
        cut_ms = _now_ms()
        await cutter.cut()
        watch.phase = "outage: the broker cannot be reached, readings wait in the spool"
        say("The network to the broker is cut. Readings wait in the spool.")
        await asyncio.sleep(self._times.cut_s)
        killed_ms = _now_ms()
        await gateway.kill()
        watch.phase = "crash: the gateway was killed in the middle of the outage"
        say(f"The gateway is killed (SIGKILL) with {watch.waiting:,} readings waiting, and started again.")
        await gateway.start()
        await watch.look()
        accepted = watch.accepted
        await until(
            lambda: watch.accepted > accepted,
            within_s=_FIRST_READING_S,
            otherwise="the gateway read nothing after its restart",
        )
        self._deaths.append(Window(killed_ms, _now_ms()))
        watch.phase = "outage: the gateway is back, the broker is not"
        say(f"It is back without the broker, and reads; {watch.waiting:,} readings wait.")
        await asyncio.sleep(self._times.cut_after_kill_s)
        self._outages.append(Window(cut_ms, _now_ms()))

    async def _mended(self, watch: Watch, cutter: Cutter) -> None:
        await watch.look()
        backlog = watch.waiting
        last_seq = watch.last_seq
        mended_s = time.monotonic()
        cutter.mend()
        watch.phase = "mended: the backlog drains beside the live readings"
        self._screen.say(f"The network is mended. {backlog:,} readings wait; live ones go first.")
        try:
            await until(
                lambda: not self._ledger.seq_holes(last=last_seq),
                within_s=_DRAIN_S,
                otherwise="the backlog did not arrive",
            )
        except TidegateError as error:
            self._screen.say(f"{error}.")  # the verdict counts what is missing
        else:
            self._drain_s = time.monotonic() - mended_s
            self._screen.say(f"The backlog has arrived, {self._drain_s:.1f} s after the mending.")
        watch.phase = "live again"
        await asyncio.sleep(max(0.0, mended_s + self._times.mended_s - time.monotonic()))

    async def _compare(
        self, watch: Watch, gateway: GatewayProcess, broker: Broker, *, clean: bool, began_s: float
    ) -> Report:
        ledger = self._ledger
        books = await read_books(self._database)
        try:
            # What the broker has may still be on its way to the subscriber.
            await until(
                lambda: ledger.received + books.kept(ledger.seqs) >= books.accepted,
                within_s=_LAST_MESSAGES_S,
                otherwise="some readings have not arrived",
            )
        except TidegateError as error:
            self._screen.say(f"{error}.")  # the verdict counts them
        missing = [hole for found in ledger.counter_holes().values() for hole in found]
        unseen = unexplained(missing, self._deaths)
        p50_ms, p99_ms = ledger.latency_ms(0.5, 0.99)
        facts = Facts(
            accepted=books.accepted,
            received=ledger.received,
            kept=books.kept(ledger.seqs),
            missing_batches=books.missing_batches(ledger),
            conflicts=ledger.conflicts,
            counter_holes=unseen,
            backlog_max=watch.backlog_max,
            outages=len(self._outages),
            kills=len(self._deaths),
            replayed=ledger.replayed,
            clean_stop=clean,
        )
        return Report(
            facts=facts,
            duplicates=ledger.duplicates,
            latency_ms=(p50_ms, p99_ms),
            counters=ledger.counters,
            missed_while_dead=sum(hole.size for hole in missing) - unseen,
            outage_s=sum(window.to_ms - window.from_ms for window in self._outages) / 1e3,
            drain_s=self._drain_s,
            seconds=time.monotonic() - began_s,
            broker=broker.kind,
            filters=self._filtered,
            log=tuple(gateway.log.read_text(errors="replace").splitlines()[-10:]),
        )


def _now_ms() -> float:
    return time.time_ns() / 1e6


def _by_filter(status: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """What each filter left out and added, from the gateway's status."""
    counters = status.get("counters", {})
    left_out = counters.get("tidegate_readings_filtered_total", {})
    added = counters.get("tidegate_readings_derived_total", {})
    return {name: (int(count), int(added.get(name, 0))) for name, count in left_out.items()}
