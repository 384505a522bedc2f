"""When each tag last had a good reading. One entry an answer, not one a tag: tags of one request have one age.

Only where an answer held something that is no number are its tags looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adapters.modbus.items import Item
from adapters.modbus.planner import Request

__all__ = ["Ages"]


class Ages:
    """Keeps the times of one device, over all its connections.

    Args:
        items: its tags.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self._alone: dict[int, float] = {}
        self._together: dict[Request, float] = {}

    def good(self, request: Request, *, at_s: float) -> None:
        """All tags of a request have a good reading.

        Args:
            request: what was answered.
            at_s: monotonic time.
        """
        self._together[request] = at_s

    def some(self, request: Request, indexes: Iterable[int], *, at_s: float) -> None:
        """Some tags of a request have a good reading.

        Args:
            request: what was answered.
            indexes: the good ones, by `Item.index`.
            at_s: monotonic time.
        """
        self.settle(request)
        self._alone.update(dict.fromkeys(indexes, at_s))

    def settle(self, request: Request) -> None:
        """The request is not asked any more as it is; what is known of its tags is kept."""
        at_s = self._together.pop(request, None)
        if at_s is not None:
            self._alone.update(dict.fromkeys([item.index for item in request.items], at_s))

    def settle_all(self) -> None:
        """No request is asked any more as it is."""
        for request in [*self._together]:
            self.settle(request)

    def told(self, now_s: float) -> dict[str, float | None]:
        """Seconds since each tag's last good reading, the oldest first; None where it never had one."""
        times = dict(self._alone)
        for request, at_s in sorted(self._together.items(), key=lambda known: known[1]):  # the latest counts
            times.update(dict.fromkeys([item.index for item in request.items], at_s))
        ages = [(item.name, times.get(item.index)) for item in self._items]
        ages.sort(key=lambda age: -1.0 if age[1] is None else age[1])
        return {name: None if at_s is None else round(now_s - at_s, 3) for name, at_s in ages}
