from __future__ import annotations

import io
import math

from gateway.demo.screen import Screen, Snapshot, line, table


def snapshot(elapsed_s: float = 0.0, p50_ms: float = 12.4) -> Snapshot:
    return Snapshot(
        elapsed_s=elapsed_s,
        phase="live",
        gateway_up=True,
        network_up=False,
        accepted=1234,
        waiting=56,
        received=1178,
        replayed=0,
        duplicates=3,
        p50_ms=p50_ms,
        p99_ms=p50_ms,
        machines="press 400 kN",
    )


def test_numbers_are_in_the_table_and_in_the_line() -> None:
    for text in ("\n".join(table(snapshot(61.0))), line(snapshot(61.0))):
        assert "1:01" in text
        assert "1234" in text.replace(",", "")
        assert "12 ms" in text
    assert "no live readings yet" in line(snapshot(p50_ms=math.nan))


def test_a_log_has_no_control_characters_and_a_line_every_other_second() -> None:
    stream = io.StringIO()
    screen = Screen(stream, width=80, live=False)
    screen.say("begins")
    for tenth in range(50):
        screen.show(snapshot(tenth / 10))
    lines = stream.getvalue().splitlines()
    assert "\x1b" not in stream.getvalue()
    assert len(lines) == 1 + 3


def test_a_terminal_draws_its_table_over_the_last_one() -> None:
    stream = io.StringIO()
    screen = Screen(stream, width=30, live=True)
    screen.show(snapshot())
    first = stream.getvalue()
    rows = len(first.splitlines())
    assert all(len(row) < 30 for row in first.splitlines())
    screen.say("the network is cut")
    screen.show(snapshot())
    assert stream.getvalue() == first + f"\x1b[{rows}A\r\x1b[J" + "the network is cut\n" + first
