"""What all screens have in common: the banner, the note line, the keys, and how they hear of news.

A screen is shown anew after each poll and each change of language (`show`), and may ask for more of its own (`poll`).
Whatever is asked runs in a worker; an answer that is an error becomes the note.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.screen import Screen

from gateway.errors import TidegateError
from tui.session import Session
from tui.widgets.banner import Banner
from tui.widgets.say import Hint, KeyBar, Note
from tui.work import start

__all__ = ["View"]

_ALWAYS = (Hint("?", "key.help"), Hint("q", "key.quit"))


class View(Screen[None]):
    """Base of the screens.

    Args:
        session: what all of them share.
    """

    VIEW: ClassVar[str]
    """The tab it belongs to."""
    HINTS: ClassVar[Sequence[Hint]] = ()
    """Its own keys."""
    HELP: ClassVar[str]
    """The catalogue's key of its help."""

    DEFAULT_CSS = """
    View { background: $background; }
    View .title { color: $primary; text-style: bold; padding: 0 1; height: 1; }
    View .plain { padding: 0 1; height: auto; }
    View .detail { padding: 0 1; height: 2; color: $text-muted; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.words = session.words
        self.polling = False
        """Whether its `poll` is at work; the app asks no second time meanwhile."""

    def compose(self) -> ComposeResult:
        """Banner, the screen's own, note, keys."""
        yield Banner(self.session, self.VIEW)
        yield KeyBar([*self.HINTS, *_ALWAYS], self.words)
        yield from self.body()
        yield Note(id="note")

    def body(self) -> ComposeResult:
        """The screen's own widgets."""
        yield from ()

    def show(self) -> None:
        """Shows what the session knows now."""

    async def poll(self) -> None:
        """Asks for what only this screen needs, once a second while it is in sight."""

    def refresh_all(self) -> None:
        """Shows everything anew, as after a change of language."""
        for widget in self.query("*"):
            widget.refresh(layout=True)
        self.show()

    def news(self) -> None:
        """Shows the banner and the screen anew."""
        self.query_one(Banner).refresh()
        self.show()

    def on_mount(self) -> None:
        """Shows what is known."""
        self.show()

    def on_screen_resume(self) -> None:
        """Shows what came in while another screen was in sight."""
        self.refresh_all()

    def note(self, text: str, tone: str = "") -> None:
        """Tells what came of something."""
        self.query_one(Note).say(text, tone)

    def ask(self, call: Callable[[], Awaitable[None]], group: str) -> None:
        """Runs a call beside the screen; a newer one of the same group takes its place."""
        start(self, partial(self._guarded, call), group=group)

    async def _guarded(self, call: Callable[[], Awaitable[None]]) -> None:
        try:
            await call()
        except TidegateError as error:
            self.note(self.session.tell(error), "bad")
