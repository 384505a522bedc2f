"""Texts of the catalogue, which change with the language at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text
from textual.widgets import Static

from tui.cells import clean, width
from tui.i18n import Words
from tui.theme import style

__all__ = ["Hint", "KeyBar", "Note", "Say"]


class Say(Static):
    """One text of the catalogue.

    Args:
        key: its key.
        words: the language.
        tone: its look.
        classes: for the style sheet.
        told: what stands in its braces.
    """

    def __init__(self, key: str, words: Words, *, tone: str = "", classes: str = "", **told: object) -> None:
        super().__init__(classes=classes)
        self._key = key
        self._words = words
        self._tone = tone
        self._told = told
        self._sign = ""

    def show_sign(self, sign: str) -> None:
        """Puts a sign before the text, as for the field that has the focus."""
        self._sign = sign
        self.refresh()

    def render(self) -> Text:
        """The text in the language of now."""
        return Text(self._sign + clean(self._words(self._key, **self._told)), style=style(self._tone))


class Hint(NamedTuple):
    """A key and the catalogue's key of what it does."""

    key: str
    does: str


class KeyBar(Static):
    """The keys that work here, in as many lines as they need.

    Args:
        hints: what works.
        words: the language.
    """

    DEFAULT_CSS = "KeyBar { dock: bottom; height: auto; background: $panel; color: $foreground; padding: 0 1; }"

    def __init__(self, hints: Sequence[Hint], words: Words) -> None:
        super().__init__()
        self._hints = hints
        self._words = words

    def render(self) -> Text:
        """The keys; a key and its word are never torn apart."""
        room = max(20, (self.size.width or self.app.size.width - 2))
        text = Text()
        used = 0
        for key, does in self._hints:
            word = self._words(does)
            wide = width(key) + width(word) + 3
            if used and used + 2 + wide > room:
                text.append("\n")
                used = 0
            elif used:
                text.append("  ")
                used += 2
            text.append(f" {key} ", style("key"))
            text.append(f" {word}")
            used += wide
        return text


class Note(Static):
    """What came of the last thing that was done; stays until the next one."""

    DEFAULT_CSS = "Note { height: auto; max-height: 5; padding: 0 1; background: $surface; display: none; }"

    def say(self, text: str, tone: str = "") -> None:
        """Shows the text; an empty one hides the line."""
        self.display = bool(text)
        sign = {"good": "● ", "warn": "▲ ", "bad": "■ "}.get(tone, "")
        body = "\n".join(map(clean, text.splitlines()))
        self.update(Text(sign + body, style=style(tone)))
