"""The two lines at the top: which gateway this is and how it is, and where one can go."""

from __future__ import annotations

from typing import Final

from rich.text import Text
from textual.widgets import Static

from tui import shown
from tui.cells import clean, fit, width
from tui.session import Session
from tui.theme import mark, style

__all__ = ["VIEWS", "Banner"]

VIEWS: Final = ("overview", "devices", "live", "uplink", "review")
"""The views, in the order of their keys 1 to 5."""


class Banner(Static):
    """Name, state and tabs.

    Args:
        session: what is known.
        view: which tab is the present one.
    """

    DEFAULT_CSS = "Banner { dock: top; height: 2; background: $panel; padding: 0 1; }"

    def __init__(self, session: Session, view: str) -> None:
        super().__init__()
        self._session = session
        self._view = view

    def render(self) -> Text:
        """The lines as of now."""
        room = max(40, self.app.size.width - 2)
        state, tone = self._state()
        name = self._session.flow.gateway if self._session.flow else self._session.backend.place
        left = fit(f"Tidegate  {clean(name)}", room - width(state) - 2)
        text = Text(left, style("bold"))
        text.append("  ")
        text.append(state, style(tone))
        text.append("\n")
        for number, view in enumerate(VIEWS, 1):
            label = f" {number} {self._session.words(f'view.{view}')} "
            text.append(label, style("on" if view == self._view else "dim"))
        draft = self._session.draft
        if draft is not None and draft.changed:
            text.append("  " + self._session.words("draft.pending"), style("warn"))
        return text

    def _state(self) -> tuple[str, str]:
        session = self._session
        if not session.online:
            return f"- {session.words('state.offline')}", "warn"
        if session.silence:
            silent = session.silent_s
            told = session.words("state.silent")
            return f"■ {told}" + ("" if silent is None else f" {shown.age(silent, session.words)}"), "bad"
        if session.flow is None:
            return f"○ {session.words('state.starting')}", "dim"
        sign, tone = mark(session.flow.state)
        return f"{sign} {session.words.known('state', session.flow.state)}", tone
