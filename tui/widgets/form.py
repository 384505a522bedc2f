"""Forms: a label and something to fill in, one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from tui.cells import fit
from tui.i18n import Words
from tui.theme import style
from tui.widgets.say import Say

__all__ = ["Choice", "Field", "Press"]


class Field(Horizontal):
    """A label and a text to fill in.

    Args:
        key: what it fills in; the id of its input is `in-KEY`.
        label: key of the label.
        words: the language.
        value: what stands in it.
        hint: shown while it is empty; a value, not a text of the catalogue.
        secret: whether it is a password.
        classes: for the style sheet.
    """

    DEFAULT_CSS = """
    Field { height: 1; width: 1fr; }
    Field > Say { width: 16; color: $text-muted; padding: 0 1 0 0; text-align: right; }
    Field > Input { width: 1fr; background: #22303a; }
    Field > Input:focus { background: #2f4656; }
    """

    def __init__(
        self,
        key: str,
        label: str,
        words: Words,
        *,
        value: str = "",
        hint: str = "",
        secret: bool = False,
        classes: str = "",
    ) -> None:
        super().__init__(classes=classes)
        self.key = key
        self._label = label
        self._words = words
        self.input = Input(value, placeholder=hint, password=secret, compact=True, id=f"in-{key}")

    def compose(self) -> ComposeResult:
        """Label and input."""
        yield Say(self._label, self._words)
        yield self.input

    def on_descendant_focus(self) -> None:
        """A sign says where one is; a colour alone would not be enough."""
        self.query_one(Say).show_sign("> ")

    def on_descendant_blur(self) -> None:
        """The sign goes."""
        self.query_one(Say).show_sign("")

    @property
    def value(self) -> str:
        """What was filled in, without blanks around it."""
        return self.input.value.strip()

    @value.setter
    def value(self, value: str) -> None:
        self.input.value = value


class Choice(Widget, can_focus=True):
    """A label and one of a few values, changed with the left and right arrows or the space bar.

    Args:
        key: what it chooses; the id of the widget is `in-KEY`.
        label: key of the label.
        words: the language.
        options: the values; an empty one is shown as `otherwise`.
        value: the one chosen now.
        otherwise: key of the text for the empty value.
        family: where the values are words of the catalogue: their family.
        classes: for the style sheet.
    """

    DEFAULT_CSS = "Choice { height: 1; width: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", show=False),
        Binding("right,space,enter", "turn(1)", show=False),
    ]

    class Turned(Message):
        """Another value was chosen."""

    def __init__(
        self,
        key: str,
        label: str,
        words: Words,
        *,
        options: Sequence[str],
        value: str,
        otherwise: str = "",
        family: str = "",
        classes: str = "",
    ) -> None:
        super().__init__(id=f"in-{key}", classes=classes)
        self.key = key
        self._label = label
        self._words = words
        self._options = options
        # A value from a newer gateway, or a mistake, is shown and kept until another one is chosen.
        self._value = value
        self._otherwise = otherwise
        self._family = family

    @property
    def value(self) -> str:
        """The value chosen."""
        return self._value

    @value.setter
    def value(self, value: str) -> None:
        self._value = value
        self.refresh()

    def action_turn(self, steps: int) -> None:
        """Chooses the next or the previous value."""
        at = self._options.index(self._value) if self._value in self._options else -steps
        self.value = self._options[(at + steps) % len(self._options)]
        self.post_message(self.Turned())

    def on_focus(self) -> None:
        """Shows the arrows."""
        self.refresh()

    def on_blur(self) -> None:
        """Hides them."""
        self.refresh()

    def render(self) -> Text:
        """Label and value; arrows while it can be turned."""
        text = Text(fit(self._words(self._label), 15, right=True) + " ", style("dim"))
        word = self._words.known(self._family, self._value) if self._family else self._value
        word = word or (self._words(self._otherwise) if self._otherwise else "-")
        if self.has_focus:
            text.append(f"< {word} >", style("on"))
        else:
            text.append(f"  {word}")
        return text


class Press(Static, can_focus=True):
    """Something to press with Enter.

    Args:
        key: key of its text; the id of the widget is `press-KEY` with dashes for dots.
        words: the language.
    """

    DEFAULT_CSS = "Press { width: auto; height: 1; margin: 0 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "press", show=False)]

    class Pressed(Message):
        """It was pressed."""

        def __init__(self, press: Press) -> None:
            self.press = press
            super().__init__()

        @property
        def control(self) -> Press:
            """What was pressed."""
            return self.press

    def __init__(self, key: str, words: Words) -> None:
        super().__init__(id="press-" + key.replace(".", "-"))
        self._key = key
        self._words = words

    def action_press(self) -> None:
        """Enter or space."""
        self.post_message(self.Pressed(self))

    def on_click(self) -> None:
        """A click presses too."""
        self.action_press()

    def on_focus(self) -> None:
        """Shows that it can be pressed."""
        self.refresh()

    def on_blur(self) -> None:
        """Shows that it cannot."""
        self.refresh()

    def render(self) -> Text:
        """The text between brackets."""
        word = self._words(self._key)
        return Text(f"[> {word} <]", style("on")) if self.has_focus else Text(f"[  {word}  ]")
