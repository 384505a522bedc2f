"""One showing of the demo: a terminal, a temporary folder, the story, the verdict. Leaves nothing behind."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, TextIO

from gateway.demo.screen import Screen
from gateway.demo.story import Report, Story
from gateway.demo.verdict import judge
from gateway.wasm.library import resolve
from gateway.wasm.manifest import parse_manifest, read_wasm
from gateway.workshop.shown import some_params

__all__ = ["show", "summary"]

INTERRUPTED: Final = 130


def show(*, seconds: float, as_json: bool, module: Path | None = None) -> int:
    """Tells the story and its verdict; see `gateway.demo.run`.

    Raises:
        TidegateError: a part could not be started.
    """
    filters = [] if module is None else [_filter(module)]
    stream = sys.stderr if as_json else sys.stdout
    screen = Screen(stream, width=shutil.get_terminal_size().columns, live=_is_terminal(stream))
    # A short name: the control socket's path in it has to fit into 107 bytes.
    with tempfile.TemporaryDirectory(prefix="tidegate-") as folder:
        try:
            story = Story(folder=Path(folder), seconds=seconds, screen=screen, filters=filters)
            report = asyncio.run(_tell(story))
        except (KeyboardInterrupt, asyncio.CancelledError):
            screen.say("interrupted; everything that was started has been ended")
            return INTERRUPTED
    verdict = judge(report.facts)
    for text in _words(report):
        screen.say(text)
    if as_json:
        sys.stdout.write(json.dumps(summary(report)) + "\n")
        sys.stdout.flush()
    return 0 if verdict.ok else 1


def summary(report: Report) -> dict[str, object]:
    """The verdict and the numbers behind it, ready for JSON."""
    facts = report.facts
    verdict = judge(facts)
    p50_ms, p99_ms = report.latency_ms
    return {
        "ok": verdict.ok,
        "produced": facts.accepted,
        "received": facts.received,
        "kept": facts.kept,
        "lost": verdict.lost,
        "duplicates": report.duplicates,
        "replayed": facts.replayed,
        "latency_ms": {"p50": _rounded(p50_ms), "p99": _rounded(p99_ms)},
        "backlog_max": facts.backlog_max,
        "filters": report.filters,
        "outages": facts.outages,
        "outage_s": round(report.outage_s, 1),
        "kills": facts.kills,
        "counters": report.counters,
        "missed_while_dead": report.missed_while_dead,
        "missed_otherwise": facts.counter_holes,
        "drain_s": _rounded(report.drain_s),
        "broker": report.broker,
        "seconds": round(report.seconds, 1),
        "against": list(verdict.against),
    }


async def _tell(story: Story) -> Report:
    task = asyncio.current_task()
    assert task is not None
    # Ctrl-C is asyncio.run's; a supervisor's SIGTERM takes the same orderly way out.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await story.tell()


def _words(report: Report) -> list[str]:
    facts = report.facts
    verdict = judge(facts)
    p50_ms, p99_ms = report.latency_ms
    lines = [
        "",
        f"  accepted by the spool   {facts.accepted:>9,} readings",
        f"  received, deduplicated  {facts.received:>9,} readings, {facts.replayed:,} of them replayed",
        f"  duplicates              {report.duplicates:>9,} readings, removed by (seq, part)",
        f"  still in the spool      {facts.kept:>9,} readings",
        f"  lost                    {verdict.lost:>9,}",
        f"  latency, live           p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms, from source time to subscriber",
        f"  never read              {report.missed_while_dead:>9,} counts of the plant, while the gateway was dead",
        *(
            f"  filter {name:<17}{left_out:>9,} readings left out, {added:,} added, since the crash"
            for name, (left_out, added) in report.filters.items()
        ),
        "",
    ]
    if verdict.ok:
        return [*lines, f"Nothing was lost: {facts.outages} outage, {facts.kills} kill, {facts.replayed:,} replayed."]
    log = [f"  gateway: {line}" for line in report.log]
    return [*lines, "This run does not show what it should:", *(f"  - {text}" for text in verdict.against), *log]


def _filter(module: Path) -> dict[str, Any]:
    """A filter for the machines' tags; the counters that show a loss pass through none."""
    path = resolve(str(module), Path())
    wasm = read_wasm(path)
    params = some_params(parse_manifest(wasm, str(path)))
    pin = hashlib.sha256(wasm).hexdigest()
    return {"module": str(path.absolute()), "sha256": pin, "devices": ["press", "tank"], "params": params}


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 1)
