"""The receiver's book: a ledger that also keeps the counts of the Modbus load, and who was told of which gap."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import msgspec

from gateway.demo.ledger import Hole, Ledger, Message, MessageReading

__all__ = ["MODBUS_PREFIX", "Book"]

MODBUS_PREFIX = "Count."


class Book(Ledger):
    """Books every message."""

    def __init__(self) -> None:
        super().__init__()
        self._samples: dict[str, set[tuple[float, int]]] = {}
        self._decoder = msgspec.json.Decoder(Message)
        self._taken: list[Message] = []
        self.forgotten = 0
        """Messages that the broker acknowledged, and forgot when it was killed."""
        self.newest_ms: dict[str, float] = {}
        """Source time of each device's newest reading."""

    def add(self, message: Message, *, arrived_ms: float) -> bool:
        new = super().add(message, arrived_ms=arrived_ms)
        for reading in message.readings if new else ():
            self._sample(reading)
            self.newest_ms[message.device] = max(reading.ts, self.newest_ms.get(message.device, 0.0))
        return new

    def taken(self, payload: bytes) -> None:
        """The broker has acknowledged this message; others than readings do not count."""
        with suppress(msgspec.ValidationError):
            self._taken.append(self._decoder.decode(payload))

    def take_the_forgotten(self) -> None:
        """Books what the broker has acknowledged and nobody got, at the end: the gateway did its part."""
        twice = self.duplicates
        for message in self._taken:
            self.forgotten += self.add(message, arrived_ms=message.readings[0].ts)
        self._taken.clear()
        self.duplicates = twice

    def _sample(self, reading: MessageReading) -> None:
        if reading.tag.startswith(MODBUS_PREFIX) and isinstance(reading.value, int):
            self._samples.setdefault(reading.tag, set()).add((reading.ts, reading.value))

    @property
    def samples(self) -> int:
        """Readings of the Modbus load."""
        return sum(map(len, self._samples.values()))

    def modbus_holes(self) -> dict[str, list[Hole]]:
        """Of each register that is read: counts that came between no two readings, with the source times around."""
        found = {
            tag: [
                Hole(before + 1, after - 1, from_ms, to_ms)
                for (from_ms, before), (to_ms, after) in pairwise(sorted(samples))
                if after - before > 1
            ]
            for tag, samples in self._samples.items()
        }
        return {tag: holes for tag, holes in found.items() if holes}

    def backwards(self) -> int:
        """Readings of the Modbus load with a lower count than one before them: a value that was made up."""
        return sum(
            after < before
            for samples in self._samples.values()
            for (_, before), (_, after) in pairwise(sorted(samples))
        )
