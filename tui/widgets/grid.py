"""A list with columns that line up in every language: one line a row, one row chosen.

Column widths follow the width of the screen; what does not fit is cut with an ellipsis. The chosen row has a sign, not
only a colour. Rows are known by an id, so that the choice stays on the same thing when rows come and go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.cells import clean, fit
from tui.i18n import Words
from tui.theme import style

__all__ = ["Cell", "Column", "Grid", "Row"]

_SIGN = 2
_GAP = 1


class Cell(NamedTuple):
    """A text and its tone."""

    text: str
    tone: str = ""


class Row(NamedTuple):
    """One row; `id` is what messages call it by."""

    id: str
    cells: Sequence[str | Cell]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        title: key of its heading; empty for none.
        cells: least width.
        grow: its share of the width that is left.
        right: numbers stand at the right.
        wide_only: shown where the grid has at least this many cells.
    """

    title: str
    cells: int
    grow: int = 0
    right: bool = False
    wide_only: int = 0


class Grid(ScrollView, can_focus=True):
    """The list.

    Args:
        columns: from left to right.
        words: the language.
        empty: key of what stands there while there are no rows.
        id: of the widget.
    """

    DEFAULT_CSS = """
    Grid { height: 1fr; background: $background; scrollbar-size-vertical: 1; overflow-x: hidden; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--heading", "grid--chosen"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("end", "move(1000000)", show=False),
        Binding("enter", "choose", show=False),
    ]

    class Chosen(Message):
        """Enter was pressed on a row."""

        def __init__(self, grid: Grid, row: str) -> None:
            self.grid = grid
            self.row = row
            super().__init__()

        @property
        def control(self) -> Grid:
            """The grid it came from."""
            return self.grid

    class Moved(Chosen):
        """Another row is the chosen one."""

    def __init__(self, columns: Sequence[Column], words: Words, *, empty: str, id: str) -> None:  # noqa: A002 - Textual's
        super().__init__(id=id)
        self._columns = columns
        self._words = words
        self._empty = empty
        self._rows: Sequence[Row] = ()
        self._at = 0

    @property
    def row(self) -> str | None:
        """Id of the chosen row; None where there are none."""
        return self._rows[self._at].id if self._rows else None

    @property
    def row_ids(self) -> list[str]:
        """Ids of all rows."""
        return [row.id for row in self._rows]

    @property
    def seen(self) -> list[str]:
        """Ids of the rows that are in sight."""
        top = int(self.scroll_offset.y)
        return [row.id for row in self._rows[top : top + max(1, self.size.height - 1)]]

    def show(self, rows: Sequence[Row]) -> None:
        """Shows these rows; the choice stays on its row, or near it."""
        chosen = self.row
        self._rows = rows
        ids = self.row_ids
        self._at = ids.index(chosen) if chosen in ids else max(0, min(self._at, len(rows) - 1))
        self.virtual_size = Size(self.size.width, len(rows) + 1)
        self.refresh()

    def go(self, row: str) -> None:
        """Chooses the row of this id."""
        if row in self.row_ids:
            self.action_move(self.row_ids.index(row) - self._at)

    def action_move(self, rows: int) -> None:
        """Chooses another row."""
        if not self._rows:
            return
        before, self._at = self._at, max(0, min(len(self._rows) - 1, self._at + rows))
        # The heading takes the first line of the window.
        self.scroll_to_region(Region(0, self._at, 1, 2), animate=False, force=True)
        self.refresh()
        if self._at != before:
            self.post_message(self.Moved(self, self._rows[self._at].id))

    def action_page(self, pages: int) -> None:
        """Chooses a row one window away."""
        self.action_move(pages * max(1, self.size.height - 2))

    def action_choose(self) -> None:
        """Enter."""
        if self._rows:
            self.post_message(self.Chosen(self, self._rows[self._at].id))

    def on_click(self, event: events.Click) -> None:
        """A click chooses the row under it."""
        self.action_move(event.y - 1 + int(self.scroll_offset.y) - self._at)

    def on_resize(self) -> None:
        """Keeps the chosen row in sight."""
        self.virtual_size = Size(self.size.width, len(self._rows) + 1)
        self.action_move(0)

    def on_focus(self) -> None:
        """Shows the sign of the chosen row."""
        self.refresh()

    def on_blur(self) -> None:
        """Hides it."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line: the heading, a row, or nothing."""
        cells = self.size.width
        ground = self.rich_style
        if y == 0:
            return self._line(
                "  ", [Cell(self._words(c.title) if c.title else "", "dim") for c in self._columns], ground
            )
        if not self._rows:
            text = fit("  " + self._words(self._empty), cells) if y == 1 else " " * cells
            return Strip([Segment(text, ground + style("dim"))], cells)
        place = y - 1 + int(self.scroll_offset.y)
        if place >= len(self._rows):
            return Strip.blank(cells, ground)
        chosen = place == self._at
        if chosen:
            ground += Style(bgcolor="#2b3d4b" if self.has_focus else "#1f2a33")
        sign = "> " if chosen and self.has_focus else "  "
        row = self._rows[place]
        return self._line(sign, [cell if isinstance(cell, Cell) else Cell(cell) for cell in row.cells], ground)

    def _line(self, sign: str, cells: Sequence[Cell], ground: Style) -> Strip:
        segments = [Segment(sign, ground + style("head"))]
        for column, cell, wide in zip(self._columns, cells, self._widths(), strict=True):
            if wide:
                segments.append(Segment(fit(clean(cell.text), wide, right=column.right), ground + style(cell.tone)))
                segments.append(Segment(" " * _GAP, ground))
        return Strip(segments).adjust_cell_length(self.size.width, ground)

    def _widths(self) -> list[int]:
        total = self.size.width
        widths = [0 if total < column.wide_only else column.cells for column in self._columns]
        shown = [column for column, wide in zip(self._columns, widths, strict=True) if wide]
        left = total - _SIGN - sum(wide + _GAP for wide in widths if wide)
        shares = sum(column.grow for column in shown)
        if left > 0 and shares:
            widths = [
                wide + left * column.grow // shares if wide else 0
                for column, wide in zip(self._columns, widths, strict=True)
            ]
        return widths
