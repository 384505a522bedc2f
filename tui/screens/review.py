"""Review: what the draft changes, whether it can be applied, and applying it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from gateway.control.client import Refused
from tui import shown
from tui.cells import clean
from tui.changes import Change
from tui.i18n import Words
from tui.screens.dialogs import Ask, Read
from tui.theme import style
from tui.view import View
from tui.widgets.say import Hint

__all__ = ["Review", "sentence"]

_CHANGED_SINCE: Final = 409
_MOST_ITEMS: Final = 8
_DIFF_TONES: Final = {"+": "good", "-": "bad", "@": "head"}


def sentence(change: Change, words: Words) -> str:
    """A change in words."""
    items = ", ".join(change.items[:_MOST_ITEMS])
    if len(change.items) > _MOST_ITEMS:
        items += " " + words("flow.more", n=len(change.items) - _MOST_ITEMS)
    values = {"where": change.where, "items": items, "n": len(change.items), "old": change.old, "new": change.new}
    return words(f"change.{change.kind}", **values)


class Review(View):
    """The draft, and what becomes of it."""

    VIEW = "review"
    HELP = "help.review"
    HINTS: ClassVar[Sequence[Hint]] = (
        Hint("a", "key.apply"),
        Hint("c", "key.check"),
        Hint("x", "key.discard"),
        Hint("v", "key.versions"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "apply", show=False),
        Binding("c", "check", show=False),
        Binding("x", "discard", show=False),
        Binding("v", "versions", show=False),
    ]
    DEFAULT_CSS = """
    Review VerticalScroll { height: 1fr; padding: 0 1; }
    Review VerticalScroll > Static { height: auto; }
    """
    AUTO_FOCUS = "VerticalScroll"

    def body(self) -> ComposeResult:
        """One page to scroll through."""
        with VerticalScroll():
            yield Static(id="page")

    def show(self) -> None:
        """Shows the draft."""
        text = Text()
        for line, tone in self._page():
            text.append(clean(line) + "\n", style(tone))
        self.query_one("#page", Static).update(text)

    def on_screen_resume(self) -> None:
        """Checks what was drafted meanwhile."""
        super().on_screen_resume()
        self.action_check()

    def action_check(self) -> None:
        """Lets the draft be checked."""
        draft = self.session.draft
        if draft is not None and draft.changed:
            self.ask(self._check, "check")

    def action_apply(self) -> None:
        """Applies the draft."""
        draft = self.session.draft
        if draft is None or not draft.changed:
            self.note(self.words("review.nothing"), "warn")
            return
        verdict = self.session.verdict
        if verdict is None or not verdict.needs_restart:
            self._start(restart_later=False)
            return
        question = self.words("review.later", names=", ".join(verdict.needs_restart))
        self.app.push_screen(
            Ask(question, "do.apply", self.words), lambda yes: self._start(restart_later=True) if yes else None
        )

    def action_discard(self) -> None:
        """Gives the draft up, after a question, and takes the configuration as it stands now."""
        question = self.words("review.discard")
        self.app.push_screen(Ask(question, "do.discard", self.words), self._discard)

    def action_versions(self) -> None:
        """Shows the earlier texts of the file."""
        self.ask(self._versions, "versions")

    def _start(self, *, restart_later: bool) -> None:
        self.note(self.words("review.applying"))
        self.ask(partial(self._apply, restart_later=restart_later), "apply")

    async def _check(self) -> None:
        await self.session.check()
        self.show()

    async def _apply(self, *, restart_later: bool) -> None:
        draft = self.session.draft
        assert draft is not None
        try:
            applied = await self.session.backend.apply(draft.text, draft.sha256, restart_later=restart_later)
        except Refused as error:
            if error.status == _CHANGED_SINCE:
                self.note(f"{error}\n{self.words('review.changed_since')}", "bad")
                return
            self.note(str(error), "bad")
            await self._check()
            return
        await self.session.load()
        key = "review.applied" if self.session.online else "review.written"
        self.note("\n".join([self.words(key), *applied.changes]), "good")
        self.news()

    async def _versions(self) -> None:
        kept = await self.session.backend.versions()
        text = Text(self.words("review.versions") + "\n\n", style("head"))
        for version in kept:
            at = dt.datetime.fromtimestamp(version.at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            text.append(f"{at}  {shown.size(version.bytes):>8}  {clean(version.name)}\n", style(""))
        if not kept:
            text.append(self.words("review.no_versions"), style("dim"))
        self.app.push_screen(Read(text))

    def _discard(self, yes: bool | None) -> None:
        if yes:
            self.ask(self._reload, "apply")

    async def _reload(self) -> None:
        await self.session.load()
        self.note(self.words("review.discarded"), "good")
        self.news()

    def _page(self) -> Iterator[tuple[str, str]]:
        session, words, draft = self.session, self.words, self.session.draft
        if draft is None:
            yield session.draft_problem or words("draft.none"), "bad"
            return
        if session.draft_problem:
            yield session.draft_problem, "warn"
        if not draft.changed:
            yield words("review.unchanged"), "dim"
            return
        verdict = session.verdict
        if verdict is None:
            yield words("review.checking"), "dim"
        elif verdict.problems:
            yield words("review.problems", n=len(verdict.problems)), "bad"
            for problem in verdict.problems:
                yield f"■ {problem.where or '-'}: {problem.what}", ""
        else:
            yield f"● {words('review.right')}", "good"
            for name in verdict.needs_restart:
                yield f"▲ {words('review.restart', name=name)}", "warn"
        yield "", ""
        yield words("review.changes"), "head"
        for change in draft.changes():
            yield f"- {sentence(change, words)}", ""
        yield "", ""
        yield words("review.diff"), "head"
        for line in draft.diff():
            yield line, _DIFF_TONES.get(line[:1], "dim")
        if verdict is not None and verdict.plan:
            yield "", ""
            yield words("review.plan"), "head"
            for line in verdict.plan.splitlines():
                yield line, "dim"
