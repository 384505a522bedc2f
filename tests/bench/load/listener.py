"""The subscriber: counts every reading, and measures the age of those in a sample of messages. Run as a process.

Readings are counted without decoding them, by a key that stands once in each; every `--every`-th message is decoded,
and the age of each of its readings taken: from its `ts`, or, with --clock, from the clock in its value. On a line
`mark` on its standard input it prints what came since the last one as one JSON line; it ends with its input.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from typing import Any, Final

import msgspec
import paho.mqtt.client as mqtt

from gateway.demo.ledger import percentile
from tests.bench.load.modbus_plc import CLOCK_MASK, STEP_MS, clock_at

_KEY: Final = b'"ts":'
_NONE: Final = b'"value":null'


class _Reading(msgspec.Struct):
    ts: float
    value: Any = None


class _Message(msgspec.Struct):
    readings: list[_Reading]


class Listener:
    """Counts what comes.

    Args:
        every: each so many-th message is decoded.
        clock: whether the value is the clock.
    """

    def __init__(self, *, every: int, clock: bool) -> None:
        self._every = every
        self._clock = clock
        self._decode = msgspec.json.Decoder(_Message).decode
        self._lock = threading.Lock()
        self.first_ns = 0
        self._good = 0
        self._clear()

    def _clear(self) -> None:
        self._messages = self._readings = self._payload_bytes = 0
        self._ages_ms: list[float] = []

    def on_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        """Takes a message, as paho hands it out."""
        now_ns = time.time_ns()
        payload = message.payload
        with self._lock:
            self.first_ns = self.first_ns or now_ns
            self._messages += 1
            self._payload_bytes += len(payload)
            readings = payload.count(_KEY)
            self._readings += readings
            self._good += readings - payload.count(_NONE)
            if self._messages % self._every == 0:
                decoded = self._decode(payload).readings
                if self._clock:
                    now = clock_at(now_ns)
                    self._ages_ms += [
                        (now - int(reading.value) & CLOCK_MASK) * STEP_MS
                        for reading in decoded
                        if reading.value is not None
                    ]
                else:
                    now_ms = now_ns / 1e6
                    self._ages_ms += [now_ms - reading.ts for reading in decoded]

    def take(self) -> dict[str, Any]:
        """What came since the last time."""
        with self._lock:
            ages_ms = sorted(self._ages_ms)
            said = {
                "messages": self._messages,
                "readings": self._readings,
                "payload_bytes": self._payload_bytes,
                "good_ever": self._good,
                "first_ns": self.first_ns,
                "sampled": len(ages_ms),
                **{f"p{part}": percentile(ages_ms, part / 100) if ages_ms else None for part in (50, 99, 99.9, 100)},
            }
            self._clear()
        return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--topic", default="tidegate/+/data/#")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--clock", action="store_true")
    arguments = parser.parse_args()
    listener = Listener(every=arguments.every, clock=arguments.clock)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = listener.on_message
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", arguments.port)
    client.subscribe(arguments.topic, qos=0)
    client.loop_start()
    subscribed.wait()
    print("{}", flush=True)
    for line in sys.stdin:
        if line.strip() == "mark":
            print(json.dumps(listener.take()), flush=True)
    client.loop_stop()


if __name__ == "__main__":
    main()
