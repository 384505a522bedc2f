"""The window: messages handed to the broker and not yet acknowledged. Bounded; pure bookkeeping.

The backlog may use half of it, so that a live row never waits behind more than the messages already under way. (A
window of one slot has no half: there the backlog may use it while no live row waits.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gateway.uplink.contract import Message, Row

__all__ = ["Delivery", "Flight", "Window"]


class Delivery:
    """One row under way: its remaining messages, and how many of those sent are not acknowledged.

    Args:
        row: what is delivered.
        replayed: it comes from the spool, not live.
        messages: what it becomes, part by part.
    """

    __slots__ = ("_messages", "in_flight", "refused", "replayed", "row", "sent_all", "too_large")

    def __init__(self, row: Row, *, replayed: bool, messages: Iterator[Message]) -> None:
        self.row = row
        self.replayed = replayed
        self._messages = messages
        self.in_flight = 0
        self.sent_all = False
        self.refused = False
        self.too_large = False
        """It was refused because a single reading is larger than the broker takes: no sense in trying again."""

    def next_message(self) -> Message | None:
        """The next part, or None after the last. A row of which a part was refused has no further parts."""
        message = None if self.refused else next(self._messages, None)
        if message is None:
            self.sent_all = True
        return message

    @property
    def settled(self) -> bool:
        """Whether every part was sent and answered, so that the row's fate is known."""
        return not self.in_flight and (self.sent_all or self.refused)


class Flight(NamedTuple):
    """One message in flight."""

    delivery: Delivery
    message: Message
    at_s: float
    """When it was handed over, seconds of a steady clock."""


class Window:
    """Messages in flight, by packet id.

    Args:
        size: most messages in flight, 1 or more.
    """

    __slots__ = ("_flights", "_replayed", "backlog_share", "reserved", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.backlog_share = max(1, size // 2)
        self.reserved = 0
        """Slots taken by messages that are no row's."""
        self._flights: dict[int, Flight] = {}
        self._replayed = 0

    def __len__(self) -> int:
        return len(self._flights)

    def has_room(self, *, replayed: bool) -> bool:
        """Whether one more message of this sort may be sent."""
        return len(self._flights) + self.reserved < self.size and not (
            replayed and self._replayed >= self.backlog_share
        )

    def sent(self, packet_id: int, flight: Flight) -> None:
        """Notes a message that was handed over."""
        self._flights[packet_id] = flight
        self._replayed += flight.delivery.replayed

    def answered(self, packet_id: int) -> Flight | None:
        """Takes out the message that the broker answered; None when it is not one of ours."""
        flight = self._flights.pop(packet_id, None)
        if flight is not None:
            self._replayed -= flight.delivery.replayed
        return flight

    @property
    def replayed(self) -> int:
        """How many of them are of the backlog."""
        return self._replayed

    @property
    def oldest_s(self) -> float | None:
        """When the message that has waited longest was handed over; None when nothing is in flight."""
        first = next(iter(self._flights.values()), None)
        return None if first is None else first.at_s
