"""Random stories of commands, policies and crashes: never a write without a yes on disk, never a second one for an id.

A value tells which command it came from: ten times the id, plus the variant. So what reached the device says whose it
was. A crash is armed at a moment of the command's way; the path is ended there, in the middle, and opened again on the
same file.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.spool.audit import AuditEntry, read_audit
from tests.gateway.commands.rig import Allow, Deny, FakeDevice, Rig, payload
from tests.waiting import until

SENDS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=3)
MOMENTS = st.sampled_from(["none", "begin", "begun", "before", "after", "finish", "finished"])
STEPS = st.lists(st.tuples(SENDS, st.booleans(), MOMENTS), min_size=1, max_size=6)


class Story:
    """One gateway's life on one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: list[int] = []
        self.open_at_a_write: list[list[AuditEntry]] = []
        self.replies: list[dict[str, Any]] = []

    async def step(self, sends: list[tuple[int, int]], *, allowed: bool, crash_at: str) -> None:
        """Starts, takes some messages at once, and ends: at the armed moment, or when all is answered."""
        device, reached = FakeDevice(), asyncio.Event()
        async with Rig.running(self.path, policy=Allow() if allowed else Deny(), device=device) as rig:

            async def at(moment: str) -> None:
                if crash_at == moment:
                    reached.set()
                    await asyncio.Event().wait()

            async def before() -> None:
                await at("before")
                rows = read_audit(self.path, limit=1000)
                self.open_at_a_write.append([row for row in rows if row.status == "in progress"])

            async def after() -> None:
                self.written.append(device.written[-1][1])
                await at("after")

            device.before, device.after = before, after
            rig.audit.begin = self._armed(rig.audit.begin, at, "begin", "begun")
            rig.audit.finish = self._armed(rig.audit.finish, at, "finish", "finished")
            for command, variant in sends:
                rig.handle(payload(f"id-{command}", 10 * command + variant))
            await until(lambda: reached.is_set() or not rig.commands._under_way)
            await rig.crash()
            self.replies += rig.replies

    def _armed(
        self, call: Callable[[AuditEntry], Awaitable[Any]], at: Callable[[str], Awaitable[None]], first: str, last: str
    ) -> Callable[[AuditEntry], Awaitable[Any]]:
        async def armed(entry: AuditEntry) -> Any:
            await at(first)
            answer = await call(entry)
            await at(last)
            return answer

        return armed

    def check(self) -> None:
        rows = {row.id: row for row in read_audit(self.path, limit=1000)}
        writes = Counter(value // 10 for value in self.written)
        assert len(self.open_at_a_write) == len(self.written)
        for value, rows_then in zip(self.written, self.open_at_a_write, strict=True):
            (row,) = rows_then  # one command at a time
            assert row.allowed
            assert row.value == str(value), "its yes was not on disk before the write"
        assert all(count == 1 for count in writes.values()), "an id was written twice"
        for value in self.written:
            assert rows[f"id-{value // 10}"].value == str(value), "what was written is not what was recorded"
        assert all(row.status != "in progress" for row in rows.values())
        for reply in self.replies:
            if "belongs to another command" in reply["reason"]:
                continue  # and that other one may have been under way only, and have left no row
            number = int(reply["id"].removeprefix("id-"))
            row = rows[reply["id"]]
            assert reply["status"] == row.status
            if reply["status"] == "accepted":
                assert writes[number] == 1
                assert str(reply["value"]) == row.value
            if reply["status"] == "denied":
                assert writes[number] == 0


async def live(steps: list[tuple[list[tuple[int, int]], bool, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder) / "spool.db")
        for sends, allowed, crash_at in steps:
            await story.step(sends, allowed=allowed, crash_at=crash_at)
        async with Rig.running(story.path) as last:
            await until(lambda: all(row.status != "in progress" for row in read_audit(story.path, limit=1000)))
            story.replies += last.replies
        story.check()


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_no_story_writes_without_a_yes_or_twice(steps):
    asyncio.run(live(steps))
