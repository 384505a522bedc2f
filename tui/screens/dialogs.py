"""Small windows over a screen: a question, a list to pick from, a text to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.i18n import Words
from tui.widgets.form import Press
from tui.widgets.grid import Column, Grid, Row

__all__ = ["DIALOG_CSS", "Ask", "Pick", "Read"]

DIALOG_CSS = """
{name} {{ align: center middle; background: $background 60%; }}
{name} > .box {{ width: {width}; max-width: 100%; height: auto; max-height: 100%; border: solid $primary;
                background: $panel; padding: 0 1; }}
{name} .box > Static, {name} .box > VerticalScroll {{ height: auto; }}
{name} .buttons {{ height: 1; margin: 1 0 0 0; }}
"""


class Ask(ModalScreen[bool]):
    """A question that is answered with yes or no; Escape is no.

    Args:
        question: the question, in the language of now.
        yes: key of what yes does.
        words: the language.
    """

    DEFAULT_CSS = DIALOG_CSS.format(name="Ask", width=60)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,escape", "answer(False)", show=False),
    ]

    def __init__(self, question: str, yes: str, words: Words) -> None:
        super().__init__()
        self._question = question
        self._yes = yes
        self._words = words

    def compose(self) -> ComposeResult:
        """The question and two answers; no has the focus's second place, as Enter means yes."""
        with Vertical(classes="box"):
            yield Static(Text(self._question))
            with Horizontal(classes="buttons"):
                yield Press(self._yes, self._words)
                yield Press("do.cancel", self._words)

    def action_answer(self, yes: bool) -> None:
        """Answers."""
        self.dismiss(yes)

    def on_press_pressed(self, event: Press.Pressed) -> None:
        """Answers by what was pressed."""
        self.dismiss(event.press.id != "press-do-cancel")


class Pick(ModalScreen[str | None]):
    """A list to pick one from; Escape picks none.

    Args:
        title: what to pick, in the language of now.
        choices: ids and texts.
        words: the language.
    """

    DEFAULT_CSS = DIALOG_CSS.format(name="Pick", width=60) + "Pick Grid { height: 6; background: $panel; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], words: Words) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._words = words

    def compose(self) -> ComposeResult:
        """The list."""
        with Vertical(classes="box"):
            yield Static(Text(self._title))
            yield Grid([Column("", 20, grow=1)], self._words, empty="flow.none", id="choices")

    def on_mount(self) -> None:
        """Fills the list."""
        self.query_one(Grid).show([Row(key, [text]) for key, text in self._choices])

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """Picks."""
        self.dismiss(event.row)


class Read(ModalScreen[None]):
    """A text to read; Escape, Enter or the key that opened it closes it.

    Args:
        text: the text.
    """

    DEFAULT_CSS = DIALOG_CSS.format(name="Read", width=78) + "Read VerticalScroll { height: auto; max-height: 20; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,question_mark,f9,q", "dismiss(None)", show=False)]

    def __init__(self, text: Text) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """The text."""
        with Vertical(classes="box"), VerticalScroll():
            yield Static(self._text)
