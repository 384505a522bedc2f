"""What the uplink's parts expect of each other, and of the spool.

A format is a pure function from a row to messages; a session carries messages and knows no format; the spool is
anything that hands out pending rows and takes acknowledgements. Nothing here has state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from gateway.batch import Batch
from gateway.gap import Gap
from gateway.uplink.gaps import Ledger

__all__ = ["Format", "LiveRow", "Message", "Row", "Spool"]


class Row(Protocol):
    """One stored batch. `seq` names it for good."""

    @property
    def seq(self) -> int:
        """Number of the batch; the order of commit."""

    @property
    def device(self) -> str:
        """Name of the device that gave it."""

    @property
    def batch(self) -> Batch:
        """Its readings."""


class LiveRow(NamedTuple):
    """A row that came straight from the flow, right after its commit."""

    seq: int
    device: str
    batch: Batch


class Spool(Protocol):
    """What the uplink needs of the spool."""

    async def pending(self, *, after: int, limit_readings: int, upto: int | None = None) -> Sequence[Row]:
        """Rows with `after` < seq <= `upto`, oldest first, neither acknowledged nor set aside; [] when there are none.

        At least one row where there is one, however large it is.
        """

    def ack(self, seqs: Iterable[int]) -> None:
        """Says that the broker has these rows; they may be deleted."""

    def give_up(self, seqs: Mapping[int, Gap]) -> None:
        """Says that these rows are not to be sent; they are deleted, and the gap of each is noted with that."""

    @property
    def gaps(self) -> Ledger:
        """Intervals with missing readings, to be told."""


class Message(NamedTuple):
    """One MQTT message: a batch, or one part of it."""

    topic: str
    payload: bytes
    readings: int
    newest_ns: int
    """Source time of its newest reading, UTC ns since 1970."""


class Format(Protocol):
    """Turns rows into messages."""

    def messages(self, row: Row, *, replayed: bool) -> Iterator[Message]:
        """The row's messages, made one at a time as they are asked for.

        The same row is always cut at the same places, so that (seq, part) names the same readings in each attempt.
        """
