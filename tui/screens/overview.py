"""Overview: the flow as it runs, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from tui import shown
from tui.theme import mark, style
from tui.view import View
from tui.widgets.grid import Cell, Column, Grid, Row
from tui.widgets.picture import FlowPicture
from tui.widgets.say import Hint

__all__ = ["Overview"]

_QUIET: Final = ("up", "starting")
_COLUMNS: Final = (
    Column("col.state", 13),
    Column("col.part", 18, grow=1),
    Column("col.since", 9),
    Column("col.why", 30, grow=4),
)


class Overview(View):
    """The first screen."""

    VIEW = "overview"
    HELP = "help.overview"
    HINTS: ClassVar[Sequence[Hint]] = (Hint("1-5", "key.views"), Hint("↑↓", "key.rows"), Hint("F8", "key.language"))

    def body(self) -> ComposeResult:
        """Picture, components, the whole text of the chosen one."""
        yield FlowPicture(self.session)
        yield Grid(_COLUMNS, self.words, empty="flow.none", id="components")
        yield Static(classes="detail", id="detail")

    def show(self) -> None:
        """Shows the last status page."""
        self.query_one(FlowPicture).refresh(layout=True)
        flow = self.session.flow
        # What needs a hand comes first.
        parts = sorted(flow.components, key=lambda part: part.state in _QUIET) if flow else []
        self.query_one(Grid).show([self._row(*part) for part in parts])
        self._detail()

    def on_grid_moved(self) -> None:
        """Another part's text."""
        self._detail()

    def _row(self, name: str, state: str, why: str, since_s: float) -> Row:
        sign, tone = mark(state)
        tone = "dim" if self.session.silence else tone
        heard_s = self.session.heard_s
        age = shown.age(None if heard_s is None or not since_s else heard_s - since_s, self.words)
        return Row(name, [Cell(f"{sign} {self.words.known('state', state)}", tone), name, Cell(age, "dim"), why])

    def _detail(self) -> None:
        flow, chosen = self.session.flow, self.query_one(Grid).row
        text = Text()
        if not self.session.online:
            text.append(self.words("offline.note", file=self.session.backend.place), style("warn"))
        elif self.session.silence:
            text.append(self.session.silence, style("bad"))
        elif flow is not None:
            text.append(next((one.why for one in flow.components if one.name == chosen), ""))
        self.query_one("#detail", Static).update(text)
