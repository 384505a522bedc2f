"""What the editors of all protocols have in common: a section, the draft it goes to, and leaving."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from gateway.errors import TidegateError
from tui.document import same
from tui.screens.dialogs import Ask
from tui.session import Session
from tui.view import View
from tui.work import start

__all__ = ["Editor"]


class Editor(View):
    """Base of the editors.

    Args:
        session: what all screens share.
        section: the device as it stands in the draft.
        is_new: whether it is yet to be added.
    """

    VIEW = "devices"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "keep", show=False, priority=True),
        Binding("escape", "leave", show=False),
    ]

    def __init__(self, session: Session, section: dict[str, Any], *, is_new: bool = False) -> None:
        super().__init__(session)
        self.section = section
        self._before = dict(section)
        self._known_as = None if is_new else str(section.get("name"))

    def edited(self) -> dict[str, Any]:
        """The section as the form says it shall be."""
        raise NotImplementedError

    def action_keep(self) -> None:
        """Puts the device into the draft and goes back to the list."""
        draft, section = self.session.draft, self.edited()
        name = str(section.get("name", ""))
        if draft is None:
            return
        if not name:
            self.note(self.words("editor.name_missing"), "bad")
            return
        if name != self._known_as and draft.device(name) is not None:
            self.note(self.words("editor.name_taken", name=name), "bad")
            return
        draft.put_item("devices", section, name=self._known_as)
        self.dismiss(None)
        self.app.call_after_refresh(self._kept, name)

    def action_leave(self) -> None:
        """Goes back to the list; asks first where something would be lost."""
        if same(self.edited(), self._before):
            self.dismiss(None)
            return
        question = self.words("editor.leave")
        self.app.push_screen(Ask(question, "do.leave", self.words), self._left)

    def _left(self, yes: bool | None) -> None:
        if yes:
            self.dismiss(None)

    def _kept(self, name: str) -> None:
        """Tells on the list what the check says of this device."""
        view, session = self.app.screen, self.session
        if not isinstance(view, View):
            return
        view.note(session.words("editor.kept", name=name), "good")

        async def check() -> None:
            try:
                verdict = await session.check()
            except TidegateError as error:
                view.note(session.tell(error), "bad")
                return
            if verdict is not None and verdict.problems:
                first = verdict.problems[0]
                text = session.words("editor.kept_wrong", name=name, n=len(verdict.problems))
                view.note(f"{text}\n{first.where}: {first.what}", "warn")

        start(view, check, group="check")
