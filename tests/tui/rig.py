"""Starts the application over a backend, at one size and in one language, and waits without guessing times."""

from __future__ import annotations

import asyncio
import contextlib
from unittest.mock import patch

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
        """Waits until nothing is at work any more: no message, no worker, nothing to lay out or to draw."""
        still = 0
        async with asyncio.timeout(30):
            while still < 2 and self.app.is_running:
                # Each widget has dealt with what it had to; what that began is found in the next round.
                await self.pilot._wait_for_screen()
                await self.app.workers.wait_for_complete()
                still = 0 if self._is_busy() else still + 1
                self.app.screen._on_timer_update()  # what the application does sixty times a second

    def _is_busy(self):
        screen = self.app.screen
        pumps = (self.app, *screen.walk_children(with_self=True))
        return bool(
            any(pump.message_queue_size or pump._pending_message or pump._next_callbacks for pump in pumps)
            or screen._layout_required
            or screen._scroll_required
            or screen._repaint_required
            or screen._recompose_required
            or screen._dirty_widgets
            or screen._callbacks
        )

    async def press(self, *keys):
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def type(self, text):
        """Keys as fast as somebody types whom the screen need not answer in between."""
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


async def _at_once(*_):
    """In place of Textual's guess, by the processor time that was used, that nothing is at work: `settle` knows.

    A key reaches the application's queue within three turns of the loop.
    """
    for _ in range(10):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def rig(backend=None, *, size=(80, 24), language="en", polls=2):
    backend = backend or FakeBackend()
    session = Session(backend, Words(language), now_s=lambda: NOW_S)
    app = TidegateApp(session, poll_s=NEVER_S)
    app.animation_level = "none"
    with patch("textual.app.wait_for_idle", _at_once), patch("textual.pilot.wait_for_idle", _at_once):
        async with app.run_test(size=size) as pilot:
            made = Rig(app, pilot, backend, session)
            await made.settle()
            for _ in range(polls - 1):
                await made.poll()
            yield made
