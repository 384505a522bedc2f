"""Live: the latest reading of each point, all of them or those that were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from gateway.errors import TidegateError
from tui import shown
from tui.backend.contract import Point
from tui.session import Session
from tui.theme import mark
from tui.view import View
from tui.widgets.form import Field
from tui.widgets.grid import Cell, Column, Grid, Row
from tui.widgets.say import Hint, Say

__all__ = ["Live"]

_MS_PER_S: Final = 1000
_STALE_S: Final = 10.0
_COLUMNS: Final = (
    Column("", 3),
    Column("col.device", 12, grow=1),
    Column("col.tag", 16, grow=2),
    Column("col.value", 14, grow=1, right=True),
    Column("col.unit", 6),
    Column("col.quality", 11),
    Column("col.age", 8, right=True),
)


class Live(View):
    """The list of points."""

    VIEW = "live"
    HELP = "help.live"
    HINTS: ClassVar[Sequence[Hint]] = (
        Hint("Space", "key.tick"),
        Hint("c", "key.chosen_only"),
        Hint("/", "key.filter"),
        Hint("Esc", "key.all"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "tick", show=False),
        Binding("c", "chosen_only", show=False),
        Binding("slash", "filter", show=False),
        Binding("escape", "all", show=False),
    ]
    DEFAULT_CSS = """
    Live .bar { height: 1; background: $surface; }
    Live .bar > Say { width: auto; padding: 0 1; }
    """
    AUTO_FOCUS = "#points"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._points: list[Point] = []
        self._ticked: set[str] = set()
        self._chosen_only = False
        self._told = ""

    def body(self) -> ComposeResult:
        """Filter and list."""
        with Horizontal(classes="bar"):
            yield Say("live.title", self.words, tone="head")
            yield Field("filter", "field.filter", self.words)
        yield Grid(_COLUMNS, self.words, empty="live.none", id="points")

    async def poll(self) -> None:
        """Asks for the latest readings."""
        try:
            self._points = await self.session.backend.live()
        except TidegateError as error:
            self._tell(self.session.tell(error))
        else:
            self._tell("")
        self.show()

    def show(self) -> None:
        """Shows what passes the filter."""
        wanted = self.query_one(Field).value.lower()
        points = [
            point
            for point in self._points
            if wanted in f"{point.device}/{point.tag}".lower() and (not self._chosen_only or _id(point) in self._ticked)
        ]
        self.query_one(Grid).show([self._row(point) for point in points])

    def on_input_changed(self) -> None:
        """Filters while one types."""
        self.show()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """Back to the list."""
        self.query_one(Grid).focus()

    def action_tick(self) -> None:
        """Chooses the point under the cursor, or not."""
        row = self.query_one(Grid).row
        if row is not None:
            self._ticked ^= {row}
            self.show()

    def action_chosen_only(self) -> None:
        """Shows the chosen points alone, or all."""
        self._chosen_only = not self._chosen_only and bool(self._ticked)
        self.show()

    def action_filter(self) -> None:
        """Goes to the filter."""
        self.query_one(Field).input.focus()

    def action_all(self) -> None:
        """Shows all points again."""
        self._chosen_only = False
        self.query_one(Field).value = ""
        self.query_one(Grid).focus()
        self.show()

    def _tell(self, text: str) -> None:
        # Said once, so that a note of another kind is not overwritten each second.
        if text != self._told:
            self._told = text
            self.note(text, "bad")

    def _row(self, point: Point) -> Row:
        sign, tone = mark(point.quality)
        age_s = self.session.now_s() - point.ts / _MS_PER_S if point.ts else None
        return Row(
            _id(point),
            [
                "[x]" if _id(point) in self._ticked else "[ ]",
                Cell(point.device, "dim"),
                point.tag,
                Cell(shown.value(point.value), "" if point.quality == "good" else "dim"),
                Cell(point.unit, "dim"),
                Cell(f"{sign} {self.words.known('quality', point.quality)}", tone),
                Cell(shown.age(age_s, self.words), "warn" if age_s is not None and age_s > _STALE_S else "dim"),
            ],
        )


def _id(point: Point) -> str:
    return f"{point.device}/{point.tag}"
