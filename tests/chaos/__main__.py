"""`python -m tests.chaos --seed N --rounds M`: rounds of random faults under load, and a verdict. See README.md."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from adapters.plant.config import LOAD_DEVICE, MODBUS_LOAD_DEVICE
from gateway.demo.books import read_books
from gateway.demo.ledger import Hole
from gateway.errors import TidegateError
from tests.chaos.disk import enter_namespace
from tests.chaos.plan import Kind, plan
from tests.chaos.stage import Stage, stage
from tests.chaos.verdict import Facts, Lost, judge
from tests.gateway.spool.harness import read_gaps

LOOK_ROUNDS = 10
"""After so many rounds everything is left alone until fresh readings arrive."""

ARRIVE_S = 10.0


async def play(folder: Path, *, seed: int, rounds: int) -> Lost:
    """All rounds, and the verdict."""
    began_s = time.monotonic()
    async with stage(folder) as play:
        for number, faults in enumerate(plan(seed, rounds), start=1):
            print(f"round {number}: {', '.join(map(str, faults))}", flush=True)
            await play.suffer(faults)
            if number % LOOK_ROUNDS == 0 or number == rounds:
                await play.goes_on()
        await play.goes_on()
        if await play.gateway.stop():
            raise TidegateError("the gateway did not stop cleanly")
        facts = await gather(play)
    lost = judge(facts)
    took_s = time.monotonic() - began_s
    happened = ", ".join(f"{count} times {kind}" for kind, count in sorted(play.happened.items()))
    book = play.book
    print(
        f"{rounds} rounds in {took_s:.0f} s, {took_s / rounds:.1f} s a round: {happened} (and felt {play.felt} times)"
    )
    print(
        f"{facts.accepted} readings accepted, {facts.received} received, {book.replayed} of them from the backlog, "
        f"{book.duplicates} came twice; {facts.kept} wait, {facts.dropped} dropped; {len(facts.gaps)} rows in the gap "
        f"ledger; the broker forgot {book.forgotten} messages; {book.counters} counters, "
        f"{book.samples} samples of registers"
    )
    for found in (book.counter_holes(), book.modbus_holes()):
        for tag, holes in list(found.items())[:1]:
            print(f"  {tag} was not seen at {', '.join(map(_text, holes))}")
    return lost


async def gather(play: Stage) -> Facts:
    """What both ends say, once all that was sent has arrived."""
    books = await read_books(play.database)
    gaps = [entry.gap for entry in read_gaps(play.database)]
    book = play.book
    deadline_s = time.monotonic() + ARRIVE_S
    while book.received + books.kept(book.seqs) < books.accepted and time.monotonic() < deadline_s:
        await asyncio.sleep(0.1)
    book.take_the_forgotten()
    if book.forgotten and not play.happened.get(Kind.BROKER_KILLED):
        raise TidegateError(f"{book.forgotten} messages did not reach the subscriber, and the broker was never killed")
    if not (book.replayed and book.counters and book.samples):
        raise TidegateError("there was no load, or nothing was replayed: the rounds prove nothing")
    return Facts(
        accepted=books.accepted,
        received=book.received,
        kept=books.kept(book.seqs),
        dropped=books.dropped,
        missing_batches=books.missing_batches(book),
        conflicts=book.conflicts,
        backwards=book.backwards(),
        opcua_holes=[hole for holes in book.counter_holes().values() for hole in holes],
        modbus_holes=[hole for holes in book.modbus_holes().values() for hole in holes],
        unread=play.unread,
        gaps=gaps,
        opcua_device=LOAD_DEVICE,
        modbus_device=MODBUS_LOAD_DEVICE,
    )


def _text(hole: Hole) -> str:
    return f"{hole.first} to {hole.last} ({hole.to_ms - hole.from_ms:.0f} ms)"


def main() -> int:
    """Exit status 0 where nothing is lost and nothing unexplained."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1 << 32), help="of the faults; drawn where not given"
    )
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    enter_namespace()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="tidegate-chaos-") as name:
        try:
            lost = asyncio.run(play(Path(name), seed=arguments.seed, rounds=arguments.rounds))
        except TidegateError as error:
            print(f"seed {arguments.seed}: {error}")
            return 1
    print(f"{lost.lost} lost, {lost.unexplained} unexplained")
    for text in lost.against:
        print(f"seed {arguments.seed}: {text}")
    return 1 if lost.against else 0


if __name__ == "__main__":
    sys.exit(main())
