"""Devices: those that run and those in the draft, in one list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from tui import shown
from tui.document import same
from tui.flow import Device
from tui.inputs import free_name
from tui.screens.dialogs import Ask, Pick
from tui.screens.modbus import ModbusEditor
from tui.screens.opcua import OpcuaEditor
from tui.theme import mark, style
from tui.view import View
from tui.widgets.grid import Cell, Column, Grid, Row
from tui.widgets.say import Hint, Say

__all__ = ["Devices"]

_EDITORS: Final = {"opcua": OpcuaEditor, "modbus": ModbusEditor}
_COLUMNS: Final = (
    Column("col.state", 12),
    Column("col.device", 12, grow=1),
    Column("col.protocol", 8),
    Column("col.address", 17, grow=2),
    Column("col.tags", 4, right=True),
    Column("col.rate", 7, right=True),
    Column("col.draft", 10),
)


class Devices(View):
    """The list of devices."""

    VIEW = "devices"
    HELP = "help.devices"
    HINTS: ClassVar[Sequence[Hint]] = (
        Hint("a", "key.add"),
        Hint("Enter", "key.edit"),
        Hint("o", "key.on_off"),
        Hint("d", "key.delete"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", show=False),
        Binding("o", "switch", show=False),
        Binding("d,delete", "delete", show=False),
    ]

    def body(self) -> ComposeResult:
        """The list, and the whole text of the chosen one."""
        yield Say("devices.title", self.words, classes="title")
        yield Grid(_COLUMNS, self.words, empty="devices.none", id="devices")
        yield Static(classes="detail", id="detail")

    def show(self) -> None:
        """Shows draft and gateway together."""
        flow, draft = self.session.flow, self.session.draft
        running = {one.name: one for one in flow.devices} if flow else {}
        sections = {str(one.get("name")): one for one in draft.devices} if draft else {}
        before = {str(one.get("name")): one for one in draft.base_devices} if draft else {}
        names = dict.fromkeys([*before, *sections, *running])
        rows = [self._row(name, sections.get(name), before.get(name), running.get(name)) for name in names]
        self.query_one(Grid).show(rows)
        self._detail()

    def on_grid_moved(self) -> None:
        """Another device's text."""
        self._detail()

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """Opens the editor of the device's protocol."""
        section = self._section(event.row)
        if section is None:
            return
        editor = _EDITORS.get(str(section.get("type")))
        if editor is None:
            self.note(self.words("devices.no_editor", type=section.get("type")), "warn")
            return
        self.app.push_screen(editor(self.session, section))

    def action_add(self) -> None:
        """Adds a device: asks for its protocol first."""
        if self.session.draft is None:
            self.note(self.session.draft_problem or self.words("draft.none"), "bad")
            return
        choices = [(name, self.words(f"protocol.{name}")) for name in _EDITORS]
        self.app.push_screen(Pick(self.words("devices.which"), choices, self.words), self._add)

    def action_switch(self) -> None:
        """Turns the reading of a device on or off."""
        section, draft = self._section(self.query_one(Grid).row), self.session.draft
        if section is None or draft is None:
            return
        name = str(section.get("name"))
        if section.pop("enabled", True):
            section["enabled"] = False
        draft.put_item("devices", section, name=name)
        self.news()

    def action_delete(self) -> None:
        """Takes a device out of the draft, after a question."""
        name = self.query_one(Grid).row
        if self._section(name) is None or name is None:
            return
        question = self.words("devices.delete", name=name)
        self.app.push_screen(Ask(question, "do.delete", self.words), lambda yes: self._delete(name) if yes else None)

    def _add(self, protocol: str | None) -> None:
        draft = self.session.draft
        if protocol is None or draft is None:
            return
        taken = {str(one.get("name")) for one in draft.devices}
        section = {"name": free_name(f"{protocol}-1", taken), "type": protocol}
        self.app.push_screen(_EDITORS[protocol](self.session, section, is_new=True))

    def _delete(self, name: str) -> None:
        if self.session.draft is not None:
            self.session.draft.remove_item("devices", name)
        self.news()

    def _section(self, name: str | None) -> dict[str, Any] | None:
        return self.session.draft.device(name) if self.session.draft and name is not None else None

    def _row(
        self, name: str, section: dict[str, Any] | None, before: dict[str, Any] | None, running: Device | None
    ) -> Row:
        told = section or before or {}
        state = running.state if running else "off" if told.get("enabled") is False else ""
        sign, tone = mark(state) if state else ("", "dim")
        if section is None:
            drafted = self.words("draft.removed") if before is not None else ""
        elif before is None:
            drafted = self.words("draft.new")
        else:
            drafted = "" if same(section, before) else self.words("draft.changed")
        return Row(
            name,
            [
                Cell(f"{sign} {self.words.known('state', state)}" if state else "", tone),
                name,
                Cell(str(told.get("type", "")), "dim"),
                Cell(_address(told), "dim"),
                str(len(told.get("tags", ()))) if told else "",
                shown.rate(running.per_s) if running else "",
                Cell(drafted, "warn"),
            ],
        )

    def _detail(self) -> None:
        chosen, flow = self.query_one(Grid).row, self.session.flow
        text = Text()
        if self.session.draft is None and self.session.draft_problem:
            text.append(self.session.draft_problem, style("bad"))
        elif flow is not None:
            text.append(next((one.why for one in flow.devices if one.name == chosen), ""))
        self.query_one("#detail", Static).update(text)


def _address(section: dict[str, Any]) -> str:
    if "url" in section:
        return str(section["url"]).removeprefix("opc.tcp://")
    if "host" in section:
        return f"{section['host']}:{section.get('port', 802 if section.get('transport') == 'tls' else 502)}"
    serial = section.get("serial")
    return str(serial.get("port", "")) if isinstance(serial, dict) else ""
