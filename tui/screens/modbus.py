"""The editor of a Modbus device: where it is, its table of registers, and what they say right now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from tui import place, shown
from tui.backend.contract import ReadOnce
from tui.inputs import assign, free_name, number, text
from tui.screens.editor import Editor
from tui.screens.register import BYTE_ORDERS, RegisterForm
from tui.session import Session
from tui.theme import mark
from tui.widgets.form import Choice, Field, Press
from tui.widgets.grid import Cell, Column, Grid, Row
from tui.widgets.say import Hint, Say

__all__ = ["ModbusEditor", "next_register"]

_COLUMNS: Final = (
    Column("col.tag", 12, grow=2),
    Column("col.register", 8),
    Column("col.at", 6, right=True),
    Column("col.type", 7),
    Column("col.order", 6),
    Column("col.scale", 6, right=True),
    Column("col.unit", 5),
    Column("col.quality", 10),
    Column("col.value", 9, grow=2, right=True),
)
_WORDS: Final = {"int32": 2, "uint32": 2, "float32": 2, "int64": 4, "uint64": 4, "float64": 4, "bcd32": 2}
_NUMBERS: Final = ("unit_id", "interval_s", "timeout_s")
_HINTS: Final = {
    "host": "192.168.0.20",
    "port": "502",
    "line": "/dev/ttyUSB0",
    "unit_id": "1",
    "interval_s": "1",
    "timeout_s": "1",
}
"""What holds where nothing is filled in; host and line are examples."""
_TLS_PORT: Final = "802"


class ModbusEditor(Editor):
    """Edits one Modbus device.

    Args:
        session: what all screens share.
        section: the device as it stands in the draft.
        is_new: whether it is yet to be added.
    """

    HELP = "help.modbus"
    HINTS: ClassVar[Sequence[Hint]] = (
        Hint("a", "key.add"),
        Hint("Enter", "key.edit"),
        Hint("c", "key.copy"),
        Hint("d", "key.delete"),
        Hint("r", "key.read"),
        Hint("^S", "key.keep"),
        Hint("Esc", "key.back"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", show=False),
        Binding("c", "copy", show=False),
        Binding("d,delete", "delete", show=False),
        Binding("r", "read", show=False),
    ]
    DEFAULT_CSS = """
    ModbusEditor Horizontal { height: 1; }
    ModbusEditor .bar { background: $surface; }
    ModbusEditor .bar > Say { width: 1fr; padding: 0 1; }
    """

    def __init__(self, session: Session, section: dict[str, Any], *, is_new: bool = False) -> None:
        super().__init__(session, section, is_new=is_new)
        self._tags: list[dict[str, Any]] = [dict(tag) for tag in section.get("tags", ())]
        self._read: dict[str, ReadOnce] = {}
        plain = {key: text(section.get(key)) for key in ("name", "byte_order", *_NUMBERS)}
        self._filled = plain | place.filled(section)

    def body(self) -> ComposeResult:
        """Where it is, and its registers."""
        with Horizontal():
            yield self._field("name")
            yield self._choice("transport", place.TRANSPORTS, "transport.tcp", family="transport")
        with Horizontal(classes="network"):
            yield self._field("host")
            yield self._field("port")
        with Horizontal(classes="line"):
            yield self._field("line")
            yield self._choice("baudrate", place.BAUD_RATES, "modbus.default_baudrate")
        with Horizontal(classes="line"):
            yield self._choice("parity", place.PARITIES, "modbus.default_parity", family="parity")
            yield self._choice("stop_bits", place.STOP_BITS, "modbus.default_stop_bits")
        with Horizontal(classes="tls"):
            yield self._field("ca_file")
            yield self._field("server_name")
        with Horizontal(classes="tls"):
            yield self._field("cert_file")
            yield self._field("key_file")
        with Horizontal():
            yield self._field("unit_id")
            yield self._choice("byte_order", BYTE_ORDERS, "modbus.default_order")
        with Horizontal():
            yield self._field("interval_s")
            yield self._field("timeout_s")
        with Horizontal(classes="bar"):
            yield Say("modbus.tags", self.words, tone="head")
            if "tags_file" in self.section:
                yield Say("editor.tags_file", self.words, tone="dim", file=self.section["tags_file"])
            yield Press("do.read", self.words)
        yield Grid(_COLUMNS, self.words, empty="modbus.none", id="tags")

    def edited(self) -> dict[str, Any]:
        """The section as the form says it shall be."""
        typed = {field.key: field.value for field in self.query(Field)}
        typed |= {choice.key: choice.value for choice in self.query(Choice)}
        values: dict[str, Any] = {key: number(typed[key]) for key in _NUMBERS}
        values |= {"name": typed["name"], "byte_order": typed["byte_order"]}
        section = place.placed(assign(self.section, values), typed)
        if self._tags or "tags" in section:
            section["tags"] = self._tags
        return section

    def show(self) -> None:
        """Shows the fields of the transport, the registers and what was read."""
        transport = self.query_one("#in-transport", Choice).value
        for name, is_shown in (
            ("network", transport != "rtu"),
            ("line", transport == "rtu"),
            ("tls", transport == "tls"),
        ):
            self.query(f".{name}").set(display=is_shown)
        self.query_one("#in-port", Input).placeholder = _TLS_PORT if transport == "tls" else _HINTS["port"]
        self.query_one("#tags", Grid).show([self._row(tag) for tag in self._tags])

    def on_choice_turned(self) -> None:
        """Another transport has other fields."""
        self.show()

    def on_press_pressed(self) -> None:
        """Read now."""
        self.action_read()

    def on_input_submitted(self) -> None:
        """Enter in a field goes on to the registers."""
        self.query_one("#tags", Grid).focus()

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """Edits a register."""
        tag = self._tag(event.row)
        if tag is not None:
            self.app.push_screen(RegisterForm(tag, self.words), lambda new: self._edited(tag, new))

    def action_add(self) -> None:
        """Adds a register."""
        name = free_name("tag-1", self._names())
        self.app.push_screen(RegisterForm({"name": name}, self.words), lambda new: self._edited(None, new))

    def action_copy(self) -> None:
        """Adds a register that follows the chosen one."""
        tag = self._tag(self.query_one("#tags", Grid).row)
        if tag is not None:
            new = next_register(tag, self._names())
            self.app.push_screen(RegisterForm(new, self.words), lambda made: self._edited(None, made))

    def action_delete(self) -> None:
        """Takes the chosen register out."""
        row = self.query_one("#tags", Grid).row
        self._tags = [tag for tag in self._tags if tag.get("name") != row]
        self.show()

    def action_read(self) -> None:
        """Reads all registers once."""
        if not self._tags:
            self.note(self.words("modbus.nothing_to_read"), "warn")
            return
        self.note(self.words("modbus.reading"))
        self.ask(self._read_now, "read")

    async def _read_now(self) -> None:
        section = {key: value for key, value in self.edited().items() if key != "tags_file"}
        read = await self.session.backend.read({**section, "name": section.get("name") or "new"})
        self._read = {one.tag: one for one in read}
        good = sum(one.quality == "good" for one in read)
        self.note(self.words("modbus.read", good=good, n=len(read)), "good" if good == len(read) else "warn")
        self.show()

    def _edited(self, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        if new is None:
            return
        if any(tag is not old and tag.get("name") == new.get("name") for tag in self._tags):
            self.note(self.words("editor.tag_taken", name=new.get("name")), "bad")
            return
        self._tags = [*self._tags, new] if old is None else [new if tag is old else tag for tag in self._tags]
        self.show()
        grid = self.query_one("#tags", Grid)
        grid.go(str(new.get("name")))
        grid.focus()

    def _tag(self, name: str | None) -> dict[str, Any] | None:
        return next((tag for tag in self._tags if tag.get("name") == name), None)

    def _names(self) -> set[str]:
        return {str(tag.get("name")) for tag in self._tags}

    def _field(self, key: str) -> Field:
        return Field(key, f"field.{key}", self.words, value=self._filled[key], hint=_HINTS.get(key, ""))

    def _choice(self, key: str, options: Sequence[str], otherwise: str, *, family: str = "") -> Choice:
        value = self._filled[key]
        return Choice(key, f"field.{key}", self.words, options=options, value=value, otherwise=otherwise, family=family)

    def _row(self, tag: dict[str, Any]) -> Row:
        read = self._read.get(str(tag.get("name")))
        sign, tone = mark(read.quality) if read else ("", "")
        return Row(
            str(tag.get("name")),
            [
                str(tag.get("name")),
                Cell(text(tag.get("register")), "dim"),
                text(tag.get("address")),
                text(tag.get("type")),
                Cell(text(tag.get("byte_order")), "dim"),
                text(tag.get("scale")),
                Cell(text(tag.get("unit")), "dim"),
                Cell(f"{sign} {self.words.known('quality', read.quality)}" if read else "", tone),
                shown.value(read.value) if read else "",
            ],
        )


def next_register(tag: dict[str, Any], taken: set[str]) -> dict[str, Any]:
    """The register that follows one of the same type; an address that is not a number is kept.

    Args:
        tag: the one before.
        taken: names that are taken.
    """
    stem = str(tag.get("name", "tag")).rstrip("0123456789").rstrip("-")
    new = {**tag, "name": free_name(f"{stem}-2", taken)}
    before = tag.get("address")
    step = _WORDS.get(str(tag.get("type")), 1)
    if tag.get("type") == "string":
        step = (int(tag.get("length", 2)) + 1) // 2
    if isinstance(before, int):
        new["address"] = before + step
    elif isinstance(before, str) and before.isdecimal():
        new["address"] = str(int(before) + step).rjust(len(before), "0")
    return new
