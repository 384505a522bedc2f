"""The form of one OPC UA tag: its name and unit, and how an array or a structure is taken apart."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.i18n import Words
from tui.inputs import assign, names, names_text, number, text
from tui.screens.dialogs import DIALOG_CSS
from tui.widgets.form import Field, Press

__all__ = ["TagForm"]


class TagForm(ModalScreen[dict[str, Any] | None]):
    """Edits one tag; Escape changes nothing.

    Args:
        tag: the tag as it stands.
        words: the language.
    """

    DEFAULT_CSS = DIALOG_CSS.format(name="TagForm", width=64)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", show=False),
        Binding("ctrl+s", "keep", show=False, priority=True),
    ]

    def __init__(self, tag: dict[str, Any], words: Words) -> None:
        super().__init__()
        self._tag = tag
        self._words = words

    def compose(self) -> ComposeResult:
        """Four fields and two buttons."""
        with Vertical(classes="box"):
            yield Static(Text(text(self._tag.get("node"))))
            yield Field("tag-name", "field.name", self._words, value=text(self._tag.get("name")))
            yield Field("tag-unit", "field.unit", self._words, value=text(self._tag.get("unit")))
            yield Field("tag-elements", "field.elements", self._words, value=text(self._tag.get("elements")))
            yield Field("tag-fields", "field.fields", self._words, value=names_text(self._tag.get("fields")))
            with Horizontal(classes="buttons"):
                yield Press("do.keep", self._words)
                yield Press("do.cancel", self._words)

    def on_press_pressed(self, event: Press.Pressed) -> None:
        """Keeps or not."""
        if event.press.id == "press-do-keep":
            self.action_keep()
        else:
            self.dismiss(None)

    def on_input_submitted(self) -> None:
        """Enter keeps."""
        self.action_keep()

    def action_keep(self) -> None:
        """Gives the tag back as it shall be."""
        name, unit, elements, fields = (field.value for field in self.query(Field))
        values = {
            "name": name or self._tag.get("name"),
            "unit": unit,
            "elements": number(elements),
            "fields": names(fields),
        }
        self.dismiss(assign(self._tag, values))
