import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SourceLost
from gateway.health import Health, State
from gateway.metrics import Metrics
from gateway.supervise import Backoff, pause_s, supervise


@pytest.mark.parametrize(
    ("failures", "draw", "expected_s"),
    [(1, 1.0, 0.5), (1, 0.0, 0.25), (2, 1.0, 1.0), (5, 1.0, 8.0), (8, 1.0, 60.0), (10_000, 1.0, 60.0), (8, 0.0, 30.0)],
)
def test_pause(failures: int, draw: float, expected_s: float) -> None:
    assert pause_s(Backoff(), failures, draw) == expected_s


@given(st.integers(1, 10**9), st.floats(0, 1), st.floats(0.01, 10), st.floats(0.01, 1000))
def test_pause_is_bounded_and_never_zero(failures: int, draw: float, first_s: float, most_s: float) -> None:
    assert 0 < pause_s(Backoff(first_s=first_s, most_s=most_s), failures, draw) <= most_s


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, pause: float) -> None:
        self.pauses_s.append(pause)
        self.now_s += pause
        await asyncio.sleep(0)


async def lives(*lengths_s: float, error: Exception | None = None) -> tuple[Clock, Health, Metrics]:
    """Supervises a component that lives so long each time, then for good."""
    clock, health, metrics = Clock(), Health(), Metrics()
    remaining = list(lengths_s)
    settled = asyncio.Event()

    async def run() -> None:
        if not remaining:
            health.set("device press", State.UP, "reading")
            settled.set()
            await asyncio.Event().wait()
        clock.now_s += remaining.pop(0)
        if error is not None:
            raise error

    task = asyncio.create_task(
        supervise(
            "device press",
            run,
            health=health,
            metrics=metrics,
            draw=lambda: 1.0,
            monotonic=clock.monotonic,
            sleep=clock.sleep,
        )
    )
    await asyncio.wait_for(settled.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return clock, health, metrics


async def test_failures_are_retried_with_growing_pauses() -> None:
    clock, health, metrics = await lives(0, 0, 0, error=SourceLost("gone"))
    assert clock.pauses_s == [0.5, 1.0, 2.0]
    assert health["device press"].state is State.UP
    assert metrics.snapshot()["tidegate_component_restarts_total"] == {"device press": 3}


async def test_a_life_that_worked_starts_again_at_the_shortest_pause() -> None:
    clock, _, _ = await lives(0, 0, 31, 0, error=SourceLost("gone"))
    assert clock.pauses_s == [0.5, 1.0, 0.5, 1.0]


async def test_an_unexpected_error_costs_only_the_component(caplog: pytest.LogCaptureFixture) -> None:
    clock, _, _ = await lives(0, error=ZeroDivisionError("division by zero"))
    assert clock.pauses_s == [0.5]
    assert "device press failed in an unexpected way" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_a_component_that_ends_is_started_again() -> None:
    clock, _, _ = await lives(0)
    assert clock.pauses_s == [0.5]


def test_same_failure_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    health = Health(lambda: 5_000_000_000)
    for attempt in range(100):
        health.set("uplink", State.STARTING, f"trying again (attempt {attempt})")
        health.set("uplink", State.WAITING, f"refused (next attempt in {attempt} s)")
    assert len(caplog.records) == 1
    health.set("uplink", State.UP, "connected")
    health.set("uplink", State.WAITING, "refused (next attempt in 1 s)")
    assert len(caplog.records) == 3
    assert health.as_dict() == {"uplink": {"state": "waiting", "why": "refused (next attempt in 1 s)", "since": 5.0}}


def test_overall_state() -> None:
    health = Health()
    assert health.overall is State.UP
    health.set("a", State.UP)
    health.set("b", State.STARTING)
    assert health.overall is State.STARTING
    health.set("b", State.WAITING, "gone")
    assert health.overall is State.DEGRADED
