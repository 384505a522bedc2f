"""Uplink: the broker that readings go to, and a test of what is filled in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll

from tui.document import same
from tui.inputs import assign, number, text
from tui.session import Session
from tui.view import View
from tui.widgets.form import Choice, Field, Press
from tui.widgets.say import Hint, Say

__all__ = ["UplinkForm", "uplink_section"]

_TEXTS: Final = ("host", "topic", "client_id", "username", "password", "password_file")
_NUMBERS: Final = ("port", "keepalive")
_TLS_TEXTS: Final = ("ca_file", "cert_file", "key_file")
_HINTS: Final = {"host": "broker.plant.example", "port": "1883", "topic": "tidegate/{gateway}", "keepalive": "30"}
"""What holds where nothing is filled in; the host is an example."""
_PROTOCOLS: Final = ("", "5", "3.1.1")
_TLS: Final = ("off", "on", "unchecked")


def uplink_section(before: dict[str, Any], typed: dict[str, str]) -> dict[str, Any]:
    """The section that a form stands for.

    Args:
        before: the section as it stands in the draft.
        typed: what stands in the form, by key; `tls` is off, on or unchecked.
    """
    values: dict[str, Any] = {key: typed[key] for key in _TEXTS} | {key: number(typed[key]) for key in _NUMBERS}
    values["protocol"] = typed["protocol"]
    section = assign(before, values)
    tls = dict(before.get("tls") or {}) if isinstance(before.get("tls"), dict) else {}
    if typed["tls"] == "off":
        section.pop("tls", None)
        return section
    tls = assign(tls, {key: typed[key] for key in _TLS_TEXTS})
    if typed["tls"] == "unchecked":
        tls["verify"] = False
    else:
        tls.pop("verify", None) if tls.get("verify") is False else None
    section["tls"] = tls
    return section


class UplinkForm(View):
    """The broker's form. What is filled in is in the draft as soon as the field is left."""

    VIEW = "uplink"
    HELP = "help.uplink"
    HINTS: ClassVar[Sequence[Hint]] = (
        Hint("Tab", "key.next"),
        Hint("^T", "key.test"),
        Hint("^S", "key.keep"),
        Hint("Esc", "key.leave_field"),
        Hint("F1-F5", "key.views"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+t", "test", show=False),
        Binding("ctrl+s", "keep", show=False),
        Binding("escape", "leave_field", show=False),
    ]
    DEFAULT_CSS = """
    UplinkForm VerticalScroll { height: 1fr; }
    UplinkForm .buttons { height: 1; margin: 1 0 0 15; }
    """
    AUTO_FOCUS = ""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._filled_from: dict[str, Any] | None = None

    def body(self) -> ComposeResult:
        """A line for each key."""
        words = self.words
        yield Say("uplink.title", words, classes="title")
        with VerticalScroll(can_focus=False):
            yield self._field("host")
            yield self._field("port")
            yield Choice("protocol", "field.protocol", words, options=_PROTOCOLS, value="", otherwise="uplink.default")
            yield self._field("topic")
            yield self._field("client_id")
            yield self._field("username")
            yield self._field("password", secret=True)
            yield self._field("password_file")
            yield self._field("keepalive")
            yield Choice("tls", "field.tls", words, options=_TLS, value="off", family="tls")
            for key in _TLS_TEXTS:
                yield self._field(key)
            with Horizontal(classes="buttons"):
                yield Press("do.test", words)

    def show(self) -> None:
        """Fills the form when the draft says something else than it did."""
        draft = self.session.draft
        uplink = draft.uplink if draft else {}
        if self._filled_from is not None and same(uplink, self._filled_from):
            return
        self._filled_from = uplink
        tls = uplink.get("tls")
        inner = tls if isinstance(tls, dict) else {}
        for field in self.query(Field):
            field.value = text((inner if field.key in _TLS_TEXTS else uplink).get(field.key))
        protocol, choice = self.query(Choice)
        protocol.value = text(uplink.get("protocol"))
        choice.value = "off" if not isinstance(tls, dict) else "unchecked" if inner.get("verify") is False else "on"

    def on_input_blurred(self) -> None:
        """A field was left."""
        self._commit()

    def on_choice_turned(self) -> None:
        """A value was chosen."""
        self._commit()

    def on_screen_suspend(self) -> None:
        """The screen was left."""
        self._commit()

    def on_input_submitted(self) -> None:
        """Enter goes to the next line."""
        self.focus_next()

    def on_press_pressed(self) -> None:
        """Test."""
        self.action_test()

    def action_keep(self) -> None:
        """Puts the form into the draft."""
        self._commit()
        self.note(self.words("uplink.kept"), "good")

    def action_leave_field(self) -> None:
        """Leaves the field, so that the keys of the screens work."""
        self.set_focus(None)

    def action_test(self) -> None:
        """Tries the broker with what is filled in."""
        self._commit()
        self.note(self.words("uplink.testing"))
        self.ask(self._test, "test")

    async def _test(self) -> None:
        tested = await self.session.backend.test_uplink(self._section())
        self.note(tested.text, "good" if tested.ok else "bad")

    def _section(self) -> dict[str, Any]:
        typed = {field.key: field.value for field in self.query(Field)}
        typed |= {choice.key: choice.value for choice in self.query(Choice)}
        draft = self.session.draft
        return uplink_section(draft.uplink if draft else {}, typed)

    def _commit(self) -> None:
        draft, section = self.session.draft, self._section()
        if draft is None or self._filled_from is None or same(section, draft.uplink):
            return
        # Without a host there is no uplink: an empty form is no section.
        draft.put_section("uplink", section)
        self._filled_from = draft.uplink
        self.news()

    def _field(self, key: str, *, secret: bool = False) -> Field:
        return Field(key, f"field.{key}", self.words, hint=_HINTS.get(key, ""), secret=secret)
