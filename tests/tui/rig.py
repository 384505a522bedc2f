"""Starts the application over a backend, at one size and in one language, and waits without guessing times."""

from __future__ import annotations

import contextlib

from textual.widgets import Input

from tests.tui.fake import NOW_S, FakeBackend
from tui.app import TidegateApp
from tui.i18n import Words
from tui.session import Session

SIZES = ((80, 24), (120, 40))
LANGUAGES = ("en", "zh")
NEVER_S = 86_400


class Rig:
    """An application at work, and the keys that are pressed on it."""

    def __init__(self, app, pilot, backend, session):
        self.app = app
        self.pilot = pilot
        self.backend = backend
        self.session = session

    async def settle(self):
        """Waits until nothing is at work any more."""
        for _ in range(3):
            await self.pilot.pause()
            await self.app.workers.wait_for_complete()
        await self.pilot.pause()

    async def press(self, *keys):
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def type(self, text):
        await self.pilot.press(*text)
        await self.settle()

    async def poll(self):
        await self.app.poll()
        await self.settle()

    def lines(self):
        """What stands on the screen, line by line, as a terminal would show it."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    @property
    def text(self):
        return "\n".join(self.lines())

    def note(self):
        return str(self.app.screen.query_one("#note").render())

    def grid(self, name):
        return self.app.screen.query_one(f"#{name}")

    def fill(self, key, value):
        self.app.screen.query_one(f"#in-{key}", Input).value = value

    def focused(self):
        return self.app.focused.id if self.app.focused else None

    def svg(self):
        for field in self.app.screen.query(Input):
            field.cursor_blink = False
            field._cursor_visible = True
        return self.app.export_screenshot(simplify=True)


@contextlib.asynccontextmanager
async def rig(backend=None, *, size=(80, 24), language="en", polls=2):
    backend = backend or FakeBackend()
    session = Session(backend, Words(language), now_s=lambda: NOW_S)
    app = TidegateApp(session, poll_s=NEVER_S)
    app.animation_level = "none"
    async with app.run_test(size=size) as pilot:
        made = Rig(app, pilot, backend, session)
        await made.settle()
        for _ in range(polls - 1):
            await made.poll()
        yield made
