"""The flow as a picture: devices, filters, spool and broker in four boxes, and arrows between them.

`picture` is pure: a flow and a size in, lines of toned text out. The widget only draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from rich.text import Text
from textual.widgets import Static

from tui import shown
from tui.cells import clean, fit, width
from tui.flow import Flow
from tui.i18n import Words
from tui.session import Session
from tui.theme import mark, style
from tui.widgets.grid import Cell

__all__ = ["FlowPicture", "picture", "spark"]

_ARROW: Final = "─▶"
_SHORT_S: Final = 86_400
_BARS: Final = "▁▂▃▄▅▆▇█"
Content: TypeAlias = Sequence[Sequence[Cell]]
"""Lines of cells; the cells of a line fill exactly the width of a box."""


def picture(flow: Flow, words: Words, *, cells: int, lines: int) -> list[list[Cell]]:
    """The picture's lines.

    Args:
        flow: what to show.
        words: the language.
        cells: width of the whole.
        lines: height of the boxes' content.
    """
    room = cells - 3 * len(_ARROW)
    widths = [room // 4 + (1 if box < room % 4 else 0) for box in range(4)]
    inner = [wide - 4 for wide in widths]
    boxes = [
        _devices(flow, words, inner[0], lines),
        _filters(flow, words, inner[1], lines),
        _spool(flow, words, inner[2]),
        _broker(flow, words, inner[3]),
    ]
    titles = [words(f"flow.{name}") for name in ("devices", "filters", "spool", "broker")]
    rows: list[list[Cell]] = [
        _between([[_edge("┌", title, "┐", wide)] for title, wide in zip(titles, widths, strict=True)])
    ]
    for line in range(lines):
        filled = [
            [
                Cell("│ ", "dim"),
                *(content[line] if line < len(content) else [Cell(" " * wide)]),
                Cell(" │", "dim"),
            ]
            for content, wide in zip(boxes, inner, strict=True)
        ]
        rows.append(_between(filled, _ARROW if line == lines // 2 else ""))
    rows.append(_between([[_edge("└", "", "┘", wide)] for wide in widths]))
    return rows


def spark(values: Sequence[float], cells: int) -> str:
    """The newest values as bars, the newest at the right; the highest bar is the highest value."""
    last = [*values][-cells:] if cells > 0 else []
    top = max(last, default=0.0)
    if top <= 0:
        return _BARS[0] * len(last)
    return "".join(_BARS[min(len(_BARS) - 1, round(value / top * (len(_BARS) - 1)))] for value in last)


def _edge(left: str, title: str, right: str, cells: int) -> Cell:
    if not title:
        return Cell(left + "─" * (cells - 2) + right, "dim")
    title = fit(title, min(width(title), cells - 6))
    return Cell(f"{left}─ {title} " + "─" * (cells - 5 - width(title)) + right, "dim")


def _between(boxes: Sequence[Sequence[Cell]], arrow: str = "") -> list[Cell]:
    row: list[Cell] = []
    for place, box in enumerate(boxes):
        if place:
            row.append(Cell(arrow or " " * len(_ARROW), "head"))
        row += box
    return row


def _pair(left: str, right: str, cells: int, tone: str = "") -> list[Cell]:
    """A text at the left and one at the right; the right one is never cut."""
    room = cells - width(right) - 1
    return [Cell(fit(clean(left), room), "dim"), Cell(" "), Cell(fit(right, cells - room - 1, right=True), tone)]


def _named(state: str, name: str, right: str, cells: int) -> list[Cell]:
    sign, tone = mark(state)
    room = max(1, cells - 3 - width(right))
    return [
        Cell(f"{sign} ", tone),
        Cell(fit(clean(name), room)),
        Cell(" "),
        Cell(fit(right, cells - 3 - room, right=True), "dim"),
    ]


def _state(state: str, words: Words, cells: int) -> list[Cell]:
    sign, tone = mark(state)
    return [Cell(fit(f"{sign} {words.known('state', state)}", cells), tone)]


def _devices(flow: Flow, words: Words, cells: int, lines: int) -> Content:
    if not flow.devices:
        return [[Cell(fit(words("flow.none"), cells), "dim")]]
    devices = flow.devices
    if len(devices) > lines:
        # What needs a hand comes first when not all have room.
        devices = tuple(sorted(devices, key=lambda device: device.state == "up"))
    shown_devices = devices if len(devices) <= lines else devices[: lines - 1]
    rows = [_named(one.state, one.name, shown.rate(one.per_s), cells) for one in shown_devices]
    if len(shown_devices) < len(devices):
        rows.append([Cell(fit(words("flow.more", n=len(devices) - len(shown_devices)), cells), "dim")])
    return rows


def _filters(flow: Flow, words: Words, cells: int, lines: int) -> Content:
    if not flow.filters:
        return [[Cell(fit(words("flow.none"), cells), "dim")]]
    most = lines // 2 if 2 * len(flow.filters) <= lines else (lines - 1) // 2
    rows: list[Sequence[Cell]] = []
    for one in flow.filters[:most]:
        rows.append(_named(one.state, one.name, "", cells))
        rows.append(_pair("  " + words("flow.left_out"), shown.rate(one.filtered_per_s), cells))
    if len(flow.filters) > most:
        rows.append([Cell(fit(words("flow.more", n=len(flow.filters) - most), cells), "dim")])
    return rows


def _spool(flow: Flow, words: Words, cells: int) -> Content:
    rows = [
        _state(flow.spool_state, words, cells),
        _pair(words("flow.stored"), shown.rate(flow.stored_per_s), cells),
        _pair(words("flow.backlog"), shown.count(flow.backlog_readings), cells, "warn" if flow.late else ""),
        _pair(words("flow.oldest"), shown.age(flow.oldest_s, words), cells, "warn" if flow.late else ""),
        _room(flow, words, cells),
        _pair(words("flow.dropped"), shown.count(flow.dropped), cells, "bad" if flow.dropped else ""),
    ]
    if flow.set_aside:
        rows.append(_pair(words("flow.set_aside"), shown.count(flow.set_aside), cells, "warn"))
    return rows


def _room(flow: Flow, words: Words, cells: int) -> list[Cell]:
    """How long an outage may last still; where nobody knows yet, what the file takes."""
    if flow.full_in_s is None:
        return _pair(words("flow.file"), shown.size(flow.file_bytes), cells)
    tone = "warn" if flow.late and flow.full_in_s < _SHORT_S else ""
    return _pair(words("flow.full_in"), shown.age(flow.full_in_s, words), cells, tone)


def _broker(flow: Flow, words: Words, cells: int) -> Content:
    latency = "-" if flow.latency_s is None else f"{flow.latency_s * 1000:.0f} ms"
    return [
        _state(flow.broker_state, words, cells),
        [Cell(fit(clean(flow.broker), cells), "dim")],
        _pair(words("flow.live"), shown.rate(flow.live_per_s), cells),
        _pair(words("flow.late"), shown.rate(flow.late_per_s), cells),
        _pair(words("flow.latency"), latency, cells),
        _pair(words("flow.in_flight"), f"{flow.in_flight}/{flow.window}", cells),
    ]


class FlowPicture(Static):
    """Draws the picture, and a line of the last minutes' rates below it.

    Args:
        session: what is known.
    """

    DEFAULT_CSS = "FlowPicture { height: auto; padding: 0 1; }"
    CONTENT_LINES: Final = 6

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def render(self) -> Text:
        """The picture as of now."""
        flow, words = self._session.flow, self._session.words
        if flow is None:
            return Text(words("flow.unknown"), style=style("dim"))
        cells = max(60, self.app.size.width - 2)
        text = Text()
        lines = self.CONTENT_LINES + (2 if self.app.size.height >= 36 else 0)
        for row in picture(flow, words, cells=cells, lines=lines):
            for cell in row:
                # What is old is not shown in the colours of what is.
                text.append(cell.text, style("dim" if self._session.silence else cell.tone))
            text.append("\n")
        label = f"{words('flow.in')} {shown.rate(flow.in_per_s)}"
        text.append(fit(label, 22), style("bold"))
        text.append(spark([*self._session.history], cells - 22), style("head"))
        return text
