"""The gaps that an adapter's batches end, as the flow finds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.batch import Batch
from gateway.gap import Gap
from gateway.latest import Latest
from gateway.missing import Missing


class Gaps:
    """Args: tags: the name of each point, by its number."""

    def __init__(self, device: str, tags: Sequence[str], *, now_ns: Callable[[], int]) -> None:
        self._device = device
        self._latest = Latest()
        self.missing = Missing(device, tags=tags, latest=lambda: self._latest.of(device), now_ns=now_ns)
        self.all: list[Gap] = []

    def take(self, batch: Batch) -> None:
        self.all += self.missing.look(batch)
        self._latest.put(self._device, batch)

    @property
    def causes(self) -> list[tuple[str, str | None]]:
        """Cause, and the tag or group, of each."""
        return [(gap.cause, gap.tag or gap.group) for gap in self.all]
