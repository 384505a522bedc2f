"""The short form of `make fuzz`, and that the runner finds what it is there to find."""

from __future__ import annotations

import time
from random import Random

import pytest

from tests.fuzz import run as runner
from tests.fuzz.run import Broken, run
from tests.fuzz.targets import Target, targets


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_no_input_breaks_a_decoder(target: Target) -> None:
    run(target, inputs=2_000, seed=1)


def test_a_decoder_that_raises_is_found_and_can_be_seen_again() -> None:
    def feed(data: bytes, _draw: Random) -> None:
        assert b"\xff" not in data

    with pytest.raises(Broken, match=r"(?s)frail, input (\d+) .*--seed 7 --only \1"):
        run(Target("frail", [b"\0" * 8], feed), inputs=2_000, seed=7)


def test_a_decoder_that_hangs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LONGEST_S", 0.05)
    with pytest.raises(Broken, match="no end after"):
        run(Target("slow", [b"a"], lambda _data, _draw: time.sleep(60)), inputs=1, seed=1)
