"""The JSON payload: rows to messages. Pure.

    {"gateway", "device", "seq", "part", "replayed", "readings": [{"tag", "ts", "value", "quality"}, ...]}

- `ts` is milliseconds since 1970, a whole number where the time is one, else a fraction to the nearest double
  (0.25 us at today's dates). `value` is null where the quality is bad or the number is not finite; 64-bit integers are
  written in full; bytes are base64.
- A message with more than the limit is cut. Parts are numbered from 0, hold the readings in their order, are never
  empty, and a single reading beyond the limit still goes, alone. Where a batch is cut depends on the batch, the names
  and the limit, not on `replayed`: receivers drop duplicates by (seq, part), and a second attempt whose parts began
  elsewhere would lose readings there.

Whole columns are encoded at once; per reading there is one small struct and no Python statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Encoder

from gateway.batch import Batch, Kind, Value, quality
from gateway.points import PointTable
from gateway.uplink.contract import Message, Row
from gateway.uplink.packets import PACKET_OVERHEAD_BYTES
from gateway.uplink.topics import Topics

__all__ = ["JsonFormat", "is_whole"]

_NS_PER_MS: Final = 1_000_000
_GUESS_BYTES: Final = 80  # a usual reading; the cut starts from this and corrects itself
_WIDEST_PART: Final = 999_999_999
_QUALITY: Final = tuple(quality(top << 14) for top in range(4))


_LARGEST_ENVELOPE_BYTES: Final = 2_400  # two names of 128 characters, each of up to four bytes, escaped
_LARGEST_READING_BYTES: Final = 100  # without its tag's name and its text


class _Reading(Struct, gc=False):
    tag: str
    ts: int | float
    value: Value
    quality: str


class _Payload(Struct, gc=False):
    gateway: str
    device: str
    seq: int
    part: int
    replayed: bool
    readings: Raw


def is_whole(batch: Batch, tag_bytes: Sequence[int], *, max_payload_bytes: int) -> bool:
    """Whether a batch becomes one message for sure, whatever its numbers look like in JSON. Cheap; may say no too soon.

    Args:
        batch: the readings.
        tag_bytes: the sizes of the tags' names in UTF-8, by point number.
        max_payload_bytes: what payloads are cut to.
    """
    size = _LARGEST_ENVELOPE_BYTES + len(batch) * _LARGEST_READING_BYTES
    size += 2 * sum(map(tag_bytes.__getitem__, batch.points()))
    if batch.heap:
        lengths = zip(batch.kinds(), batch.values_u64(), strict=True)
        size += 6 * sum(word >> 32 for kind, word in lengths if kind in (Kind.STR, Kind.BYTES))
    return size <= max_payload_bytes


class JsonFormat:
    """Encodes rows as JSON.

    Args:
        gateway_id: name of this gateway.
        topics: where messages go.
        points: names of the tags.
        max_payload_bytes: payloads are cut to this.
        max_packet_bytes: the broker's own limit on a whole packet, where it told one.
    """

    def __init__(
        self,
        *,
        gateway_id: str,
        topics: Topics,
        points: PointTable,
        max_payload_bytes: int,
        max_packet_bytes: int | None = None,
    ) -> None:
        self._gateway_id = gateway_id
        self._topics = topics
        self._points = points
        self._max_payload_bytes = max_payload_bytes
        self._max_packet_bytes = max_packet_bytes
        self._encode = Encoder().encode

    def messages(self, row: Row, *, replayed: bool) -> Iterator[Message]:
        """The row's messages; see `Format.messages`."""
        topic = self._topics.data(row.device)
        times_ns = row.batch.ts_ns()
        payload = _Payload(self._gateway_id, row.device, row.seq, _WIDEST_PART, False, Raw(b"[]"))
        room = self._limit_bytes(topic) - len(self._encode(payload)) + 2
        payload.replayed = replayed
        start = 0
        for payload.part, (stop, body) in enumerate(self._cut(self._readings(row.batch), room)):
            payload.readings = Raw(body)
            yield Message(topic, self._encode(payload), stop - start, max(times_ns[start:stop]))
            start = stop

    def _limit_bytes(self, topic: str) -> int:
        if self._max_packet_bytes is None:
            return self._max_payload_bytes
        return min(self._max_payload_bytes, self._max_packet_bytes - PACKET_OVERHEAD_BYTES - len(topic.encode()))

    def _cut(self, readings: list[_Reading], room: int) -> Iterator[tuple[int, bytes]]:
        """Encoded runs of readings, each with the index it stops before; longer than `room` bytes only when alone."""
        start = 0
        count = max(1, room // _GUESS_BYTES)
        while start < len(readings):
            part = readings[start : start + count]
            body = self._encode(part)
            # A little less than what would fit by the average, so that an even batch is not encoded twice.
            fitting = max(1, len(part) * room * 19 // (len(body) * 20))
            if len(body) > room and len(part) > 1:
                count = min(fitting, len(part) - 1)
                continue
            start += len(part)
            yield start, body
            count = fitting

    def _readings(self, batch: Batch) -> list[_Reading]:
        statuses = batch.statuses()
        qualities: Iterable[str] = [_QUALITY[status >> 14] for status in statuses] if any(statuses) else repeat("good")
        times = [ns / _NS_PER_MS if ns % _NS_PER_MS else ns // _NS_PER_MS for ns in batch.ts_ns()]
        return list(map(_Reading, map(self._points.tags.__getitem__, batch.points()), times, batch.values(), qualities))
