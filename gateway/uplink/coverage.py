"""Coverage: which rows must be read from the spool, and which are in memory's care. Pure.

One of these lives as long as one connection. Rows are committed, and offered, in the order of their numbers; so the
rows that only the spool has lie at or below `upto`, and those that have not been read yet above `cursor`.

Invariants
- A row is given out at most once while it is owned (queued or in flight), or was settled while a query ran: the answer
  of that query may still hold it.
- Each row at or below `upto` is owned, settled, held, or will be given out.
- `upto` is None until the flow has offered a row: then what an earlier process left is read to its end.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.uplink.contract import Row

__all__ = ["Coverage"]


class Coverage:
    """Plans the reading of the backlog.

    Args:
        last: the highest number the flow has offered so far; None when it has offered none.
    """

    __slots__ = (
        "_at_end",
        "_back_to",
        "_held",
        "_last",
        "_owned",
        "_querying",
        "_read_to",
        "_settled",
        "_suspect",
        "cursor",
        "upto",
    )

    def __init__(self, last: int | None) -> None:
        self.cursor = 0
        self.upto = last
        self._read_to = 0  # the furthest the cursor has been; `release` sets the cursor back, but not this
        self._last = last
        self._at_end = False
        self._owned: set[int] = set()
        self._settled: set[int] = set()  # only while a query runs: it would grow for ever
        self._querying = False
        self._back_to: int | None = None  # while a query runs that does not know of the rows that came in below it
        self._held: tuple[int, int] | None = None
        self._suspect: int | None = None

    @property
    def due(self) -> bool:
        """Whether there may be rows to read."""
        return not self._at_end if self.upto is None else self.cursor < self.upto

    @property
    def suspicious(self) -> bool:
        """Whether numbers were left out between offers.

        Mostly those are rows set aside; but a cancelled adapter may have committed a row and not lived to offer it.
        """
        return self._suspect is not None

    def offered(self, seq: int) -> bool:
        """Notes an offer. False when the reader has read beyond it already: the row is on its way, let it go."""
        if self.upto is None:
            self.upto = max(self._read_to, seq - 1)
        elif self._last is not None and seq > self._last + 1:
            self._suspect = seq - 1
        self._last = seq if self._last is None else max(self._last, seq)
        return seq > self._read_to

    def confirm(self) -> None:
        """Makes what is suspicious due."""
        if self._suspect is not None:
            self.missed(self._suspect)
            self._suspect = None

    def missed(self, seq: int) -> None:
        """Memory could not take this row, or does not know it: it is to be read."""
        self.upto = seq if self.upto is None else max(self.upto, seq)

    def unoffered(self, seq: int) -> None:
        """Rows up to this number may be in the spool that were never offered, and no offer will follow to show it."""
        if self.upto is None:
            self._at_end = False
        else:
            self.missed(seq)

    def came_late(self, first: int, last: int) -> None:
        """Rows with these numbers have come into the spool, which may lie below those that were read already."""
        if self._querying:
            self._back_to = min(first - 1, first - 1 if self._back_to is None else self._back_to)
        else:
            self.cursor = min(self.cursor, first - 1)
        self._at_end = False
        if self.upto is not None:
            self.upto = max(self.upto, last)

    def own(self, seq: int) -> None:
        """The row is queued or in flight from now on."""
        self._owned.add(seq)

    def settle(self, seq: int) -> None:
        """The row is done with: acknowledged, or not to be tried again in this connection."""
        self._owned.discard(seq)
        if self._querying:
            self._settled.add(seq)

    def hold(self, seq: int) -> None:
        """The row was refused: it stays in the spool, and is not due until `release`."""
        self._owned.discard(seq)
        lowest, highest = self._held or (seq, seq)
        self._held = min(lowest, seq), max(highest, seq)

    def release(self) -> None:
        """Makes held rows due again."""
        if self._held is not None:
            lowest, highest = self._held
            self.cursor = min(self.cursor, lowest - 1)
            self._at_end = False
            if self.upto is not None:
                self.upto = max(self.upto, highest)
            self._held = None

    def query(self) -> tuple[int, int | None]:
        """(after, upto) of the next query. Call it right before the query starts."""
        self._settled.clear()
        self._querying = True
        return self.cursor, self.upto

    def fetched(self, rows: Sequence[Row], *, upto: int | None) -> list[Row]:
        """Takes a query's answer.

        Args:
            rows: what came, oldest first.
            upto: what was asked for.

        Returns:
            The rows to send.
        """
        if rows:
            self.cursor = rows[-1].seq
        elif upto is not None:
            self.cursor = max(self.cursor, upto)
        else:
            self._at_end = True
        self._read_to = max(self._read_to, self.cursor)
        self._querying = False
        if self._back_to is not None:
            self.cursor, self._back_to = min(self.cursor, self._back_to), None
            self._at_end = False
        return [row for row in rows if row.seq not in self._owned and row.seq not in self._settled]
