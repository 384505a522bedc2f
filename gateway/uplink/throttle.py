"""How fast the backlog may flow: up while the broker answers as usual, down when its answers take longer. Pure.

The rate rises by addition and falls by multiplication, as a sender's in a network does, once a round. A round is judged
by the answers to all messages in it, live ones too: what a broker, a line or a subscriber bears shows in how long they
take. Usual is the shortest time that was seen lately; the backlog may add `PATIENCE_S` to it, or double it where the
way is long. Without answers there is no judgement: the window bounds what is under way.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LEAST_PART", "PATIENCE_S", "ROUND_S", "Throttle", "next_rate"]

ROUND_S: Final = 0.2
PATIENCE_S: Final = 0.02
STEPS: Final = 50
"""Rounds from standstill to the full rate."""

FALL: Final = 0.7
LEAST_PART: Final = 0.01
"""The backlog never stops: it keeps this part of the full rate."""

FORGET_S: Final = 60.0
"""What was the shortest time this long ago says nothing about the broker of today."""


def next_rate(rate: float, *, most: float, answer_s: float, usual_s: float) -> float:
    """The rate of the next round, in readings a second.

    Args:
        rate: of this round.
        most: the configured one.
        answer_s: how long the answers of this round took.
        usual_s: the shortest that they take.
    """
    if answer_s > usual_s + max(PATIENCE_S, usual_s):
        return max(most * LEAST_PART, rate * FALL)
    return min(most, rate + most / STEPS)


class Throttle:
    """Judges rounds.

    Args:
        most: readings a second, as configured.
        now_s: seconds of a steady clock.

    Attributes:
        rate: readings a second, now.
        answer_s: how long the answers of the last round took; None before the first one.
        falls: how often the rate was lowered.
    """

    __slots__ = ("_answers_s", "_most", "_older_s", "_round_s", "_turned_s", "_usual_s", "answer_s", "falls", "rate")

    def __init__(self, *, most: float, now_s: float) -> None:
        self.rate = most / 4
        self.answer_s: float | None = None
        self.falls = 0
        self._most = most
        self._round_s = now_s
        self._answers_s: list[float] = []
        self._turned_s = now_s
        self._usual_s = self._older_s = float("inf")

    def answered(self, took_s: float, now_s: float, *, draining: bool) -> None:
        """Takes an answer.

        Args:
            took_s: from handing the message over to its acknowledgement.
            now_s: seconds of the clock.
            draining: whether the backlog flowed meanwhile; else it tells what is usual, and nothing is to be judged.
        """
        if now_s - self._turned_s >= FORGET_S:
            self._older_s, self._usual_s, self._turned_s = self._usual_s, took_s, now_s
        self._usual_s = min(self._usual_s, took_s)
        if not draining:
            return
        self._answers_s.append(took_s)
        if now_s - self._round_s >= ROUND_S:
            self._judge(now_s)

    def _judge(self, now_s: float) -> None:
        ordered = sorted(self._answers_s)
        self.answer_s = ordered[len(ordered) * 3 // 4]
        usual_s = min(self._usual_s, self._older_s)
        rate = next_rate(self.rate, most=self._most, answer_s=self.answer_s, usual_s=usual_s)
        self.falls += rate < self.rate
        self.rate = rate
        self._round_s, self._answers_s = now_s, []
