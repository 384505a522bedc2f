"""Colours. They only repeat what a word or a mark already says."""

from __future__ import annotations

from typing import Final

from rich.style import Style
from textual.theme import Theme

__all__ = ["THEME", "mark", "style"]

THEME: Final = Theme(
    name="tidegate",
    primary="#4f9fd0",
    secondary="#7a8c99",
    accent="#4f9fd0",
    foreground="#d7dee4",
    background="#11171c",
    surface="#182027",
    panel="#1f2a33",
    success="#5cc08a",
    warning="#e0b050",
    error="#ef7b6c",
    dark=True,
)

_TONES: Final = {
    "": Style(),
    "good": Style(color=THEME.success),
    "warn": Style(color=THEME.warning),
    "bad": Style(color=THEME.error, bold=True),
    "dim": Style(color="#8796a3"),
    "head": Style(color=THEME.primary, bold=True),
    "bold": Style(bold=True),
    "key": Style(color="#11171c", bgcolor="#7a8c99", bold=True),
    "on": Style(color="#ffffff", bgcolor="#2f6f9c", bold=True),
}

_MARKS: Final = {
    **dict.fromkeys(("up", "ok", "connected", "working", "good"), ("●", "good")),
    **dict.fromkeys(("starting", "connecting", "idle"), ("○", "dim")),
    **dict.fromkeys(("degraded", "uncertain", "failing"), ("▲", "warn")),
    **dict.fromkeys(("waiting", "parked", "not connected", "bad"), ("■", "bad")),
    **dict.fromkeys(("stopped", "off"), ("-", "dim")),
    "draft": ("+", "warn"),
}


def style(tone: str) -> Style:
    """The look of a tone."""
    return _TONES[tone]


def mark(state: str) -> tuple[str, str]:
    """The sign of a state, one cell wide, and its tone. Each tone has signs of its own."""
    return _MARKS.get(state, ("?", "warn"))
