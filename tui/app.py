"""The application: wires session, screens and the one poll. Owns no state that a screen shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Final

from rich.text import Text
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen

from gateway.errors import TidegateError
from tui.backend.contract import NeedsGateway
from tui.screens.devices import Devices
from tui.screens.dialogs import Ask, Read
from tui.screens.live import Live
from tui.screens.overview import Overview
from tui.screens.review import Review
from tui.screens.uplink import UplinkForm
from tui.session import Session
from tui.theme import THEME
from tui.view import View
from tui.widgets.banner import VIEWS
from tui.work import start

__all__ = ["TidegateApp"]

_POLL_S: Final = 1.0
_SCREENS: Final[Mapping[str, type[View]]] = {
    "overview": Overview,
    "devices": Devices,
    "live": Live,
    "uplink": UplinkForm,
    "review": Review,
}


class TidegateApp(App[None]):
    """The terminal application.

    Args:
        session: what all screens share.
        poll_s: seconds between two polls.
    """

    TITLE = "Tidegate"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(f"{number},f{number}", f"view('{view}')", show=False) for number, view in enumerate(VIEWS, 1)),
        # With priority: what is typed behind a Tab, in one burst over a slow line, must not reach the field before it.
        Binding("tab", "focus_next", show=False, priority=True),
        Binding("shift+tab", "focus_previous", show=False, priority=True),
        Binding("f8", "language", show=False, priority=True),
        Binding("question_mark,f9", "help", show=False),
        Binding("q,f10", "leave", show=False),
        Binding("ctrl+q", "leave", show=False, priority=True),
    ]

    def __init__(self, session: Session, *, poll_s: float = _POLL_S) -> None:
        super().__init__()
        self.session = session
        self._poll_s = poll_s
        self._polling = False
        self.register_theme(THEME)
        self.theme = THEME.name
        for view, screen in _SCREENS.items():
            self.add_mode(view, _made(screen, session))

    async def on_mount(self) -> None:
        """Shows the first screen, then asks for the first time."""
        await self.switch_mode(VIEWS[0])
        start(self, self.poll, group="poll", exclusive=False)
        self.set_interval(self._poll_s, self._tick)

    def _tick(self) -> None:
        # A slow gateway is asked again only when it has answered.
        if not self._polling:
            start(self, self.poll, group="poll", exclusive=False)

    async def poll(self) -> None:
        """Asks for the status, for the configuration until there is one, and for what the screen in sight needs."""
        if self._polling:
            return
        self._polling = True
        try:
            await self._ask()
        finally:
            self._polling = False

    async def _ask(self) -> None:
        session = self.session
        try:
            session.hear(await session.backend.status())
        except NeedsGateway:
            pass
        except TidegateError as error:
            session.lose(str(error))
        try:
            if session.draft is None and not session.silence:
                await session.load()
        except TidegateError as error:
            session.draft_problem = str(error)
        view = self._view()
        if view is None:
            return
        view.news()
        if not session.silence:
            start(view, partial(self._poll_view, view), group="poll", exclusive=False)

    async def _poll_view(self, view: View) -> None:
        if view.polling:
            return
        view.polling = True
        try:
            await view.poll()
        except TidegateError as error:
            view.note(self.session.tell(error), "bad")
        finally:
            view.polling = False

    async def action_view(self, view: str) -> None:
        """Goes to a screen."""
        if not self.screen.is_modal:
            await self.switch_mode(view)

    def action_language(self) -> None:
        """Takes the next language."""
        self.session.words.next()
        for screen in self.screen_stack:
            if isinstance(screen, View):
                screen.refresh_all()
            else:
                screen.refresh(layout=True)
                for widget in screen.query("*"):
                    widget.refresh(layout=True)

    def action_help(self) -> None:
        """Shows the help of the screen in sight."""
        view = self._view()
        if view is not None:
            words = self.session.words
            self.push_screen(Read(Text(f"{words(view.HELP)}\n\n{words('help.all')}")))

    def action_leave(self) -> None:
        """Ends; asks first where a draft would be lost."""
        draft = self.session.draft
        if draft is None or not draft.changed or self.screen.is_modal:
            self.exit()
            return
        question = self.session.words("draft.leave")
        self.push_screen(Ask(question, "do.quit", self.session.words), lambda yes: self.exit() if yes else None)

    def _view(self) -> View | None:
        return self.screen if isinstance(self.screen, View) else None


def _made(screen: type[View], session: Session) -> Callable[[], Screen[None]]:
    return lambda: screen(session)
