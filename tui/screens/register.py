"""The form of one Modbus tag: which registers, and how they are read."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen

from tui.i18n import Words
from tui.inputs import address, assign, number, text
from tui.screens.dialogs import DIALOG_CSS
from tui.widgets.form import Choice, Field, Press
from tui.widgets.say import Say

__all__ = ["BYTE_ORDERS", "REGISTERS", "TYPES", "RegisterForm"]

# The empty value leaves the key out: the protocol's own default holds.
REGISTERS: Final = ("", "holding", "input", "coil", "discrete")
_PLAIN_TYPES: Final = ("bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
TYPES: Final = (
    *("", *_PLAIN_TYPES, "bcd16", "bcd32", "string"),
    *("uint8_low", "uint8_high", "int8_low", "int8_high"),
)
BYTE_ORDERS: Final = ("", "AB", "BA", "ABCD", "CDAB", "BADC", "DCBA", "ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA")
_NUMBERS: Final = ("bit", "length", "scale", "offset", "unit_id", "interval_s")


class RegisterForm(ModalScreen[dict[str, Any] | None]):
    """Edits one tag; Escape changes nothing.

    Args:
        tag: the tag as it stands.
        words: the language.
    """

    DEFAULT_CSS = DIALOG_CSS.format(name="RegisterForm", width=64) + "RegisterForm .below { padding: 0 0 0 16; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", show=False),
        Binding("ctrl+s", "keep", show=False, priority=True),
    ]

    def __init__(self, tag: dict[str, Any], words: Words) -> None:
        super().__init__()
        self._tag = tag
        self._words = words

    def compose(self) -> ComposeResult:
        """A line for each key of a tag."""
        tag, words = self._tag, self._words
        with Vertical(classes="box"):
            yield Say("modbus.tag", words, tone="head")
            yield Field("tag-name", "field.name", words, value=text(tag.get("name")))
            yield self._choice("register", REGISTERS)
            yield Field("tag-address", "field.address", words, value=text(tag.get("address")))
            yield Say("modbus.address_help", words, tone="dim", classes="below")
            yield self._choice("type", TYPES)
            yield self._choice("byte_order", BYTE_ORDERS)
            for key in _NUMBERS:
                yield Field(f"tag-{key}", f"field.{key}", words, value=text(tag.get(key)))
            yield Field("tag-unit", "field.unit", words, value=text(tag.get("unit")))
            with Horizontal(classes="buttons"):
                yield Press("do.keep", words)
                yield Press("do.cancel", words)

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
        typed = {field.key.removeprefix("tag-"): field.value for field in self.query(Field)}
        values: dict[str, Any] = {"name": typed["name"] or self._tag.get("name")}
        values |= {choice.key.removeprefix("tag-"): choice.value for choice in self.query(Choice)}
        values["address"] = address(typed["address"], self._tag.get("address"))
        values |= {key: number(typed[key]) for key in _NUMBERS}
        values["unit"] = typed["unit"]
        self.dismiss(assign(self._tag, values))

    def _choice(self, key: str, options: tuple[str, ...]) -> Choice:
        value = text(self._tag.get(key))
        words = self._words
        return Choice(f"tag-{key}", f"field.{key}", words, options=options, value=value, otherwise="modbus.default")
