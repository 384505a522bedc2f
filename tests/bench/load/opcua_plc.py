"""An OPC UA PLC that can say 100,000 changes a second on one core, run as a process.

It is asyncua's own server in everything but the contents of its Publish answers. Those are prepared: `PREPARED` bodies
per subscription hold random walks of all its items in one layout (Double, source and server time), and only numbers and
times are patched in before one is sent, a column of bytes at a time. Messages are not
kept for Republish: the bench cuts no cable.

The first `Publish` of a subscription is answered a publishing interval after its items were created. All items change
in each interval. Standard input closed, or SIGTERM, ends it; it prints one JSON line when it listens, and one with what
it sent at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import struct
import time
from typing import Any, Final

from asyncua import ua
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.server import Server
from asyncua.server.subscription_service import SubscriptionService

from tests.adapters.opcua.plc import add_doubles

_FOLDER: Final = 100
"""Nodes below one parent: asyncua looks at all of them before it adds another."""

PREPARED: Final = 20
MOST_PREPARED_ITEMS: Final = 200_000
ITEM: Final = struct.Struct("<IBBdqq")
"""Handle, mask, type Double, value, source time, server time (OPC 10000-6, 5.2.2.17)."""
MASK: Final = 0x0D
DOUBLE: Final = 11
TICKS_1970: Final = 116_444_736_000_000_000
_PUBLISH_RESPONSE: Final = 829
_DATA_CHANGE: Final = 811


class Prepared:
    """The bodies of one subscription's messages.

    Args:
        handles: client handles of its items.
        most: items in one message.
    """

    def __init__(self, handles: list[int], most: int) -> None:
        walk = random.Random(len(handles))
        self.parts = [handles[at : at + most] for at in range(0, len(handles), most)]
        values = [walk.uniform(10, 90) for _ in handles]
        self._bodies: list[list[bytearray]] = []
        self._count = max(2, min(PREPARED, MOST_PREPARED_ITEMS // len(handles)))
        for _ in range(self._count):
            values = [round(value + walk.gauss(0, 0.2), 3) for value in values]
            by_handle = dict(zip(handles, values, strict=True))
            self._bodies.append(
                [
                    bytearray(b"".join(ITEM.pack(handle, MASK, DOUBLE, by_handle[handle], 0, 0) for handle in part))
                    for part in self.parts
                ]
            )
        self._at = 0

    def take(self, ticks: int) -> list[bytes]:
        """The bodies of the next change of all items, at this source time in 100 ns since 1601."""
        bodies = self._bodies[self._at]
        self._at = (self._at + 1) % self._count
        times = struct.pack("<q", ticks)
        taken = []
        for body, part in zip(bodies, self.parts, strict=True):
            count = len(part)
            for at, byte in enumerate(times):
                column = bytes((byte,)) * count
                body[14 + at :: ITEM.size] = column
                body[22 + at :: ITEM.size] = column
            taken.append(struct.pack("<i", count) + bytes(body) + struct.pack("<i", -1))
        return taken


class Raw:
    """A notification that is bytes already."""

    def __init__(self, number: int, ticks: int, body: bytes) -> None:
        self.number, self.ticks, self.body = number, ticks, body
        self.count: int = struct.unpack_from("<i", body)[0] if body else 0

    def encoded(self) -> bytes:
        """NotificationMessage (OPC 10000-4, 7.26); without a body it is a sign of life."""
        if not self.body:
            return struct.pack("<Iqi", self.number, self.ticks, 0)
        head = struct.pack("<Iqi", self.number, self.ticks, 1)
        return head + struct.pack("<BBHBi", 1, 0, _DATA_CHANGE, 1, len(self.body)) + self.body


class Subscription(InternalSubscription):  # type: ignore[misc]
    """A subscription whose items all change in each interval."""

    sent = 0
    most = 1000

    def begin(self) -> None:
        """Forgets what asyncua would have sent."""
        self._prepared: Prepared | None = None
        self._raw: dict[int, Raw] = {}
        self._due: list[Raw] = []
        self._seen = 0

    async def publish_results(self, requestdata: Any = None) -> bool:
        """Sends what is due; as asyncua calls it, in each interval and when a request has come."""
        if not hasattr(self, "_raw"):
            self.begin()
        if requestdata is None:
            self._change()
        used = False
        while self._due:
            request = self.pub_request_callback(self.data.SubscriptionId) if used or not requestdata else requestdata
            if request is None:
                break
            used = used or request is requestdata
            self._send(self._due.pop(0), request)
        return used

    def _change(self) -> None:
        items = self.monitored_item_srv._monitored_items
        self._triggered_datachanges.clear()
        if not items:
            return
        if self._seen != len(items):
            # They are still being created. A client that waits for them is told that we live.
            self._seen = len(items)
            self._prepared = None
            if not self._due:
                self._due.append(Raw(self._notification_seq, TICKS_1970 + time.time_ns() // 100, b""))
            return
        if self._prepared is None:
            self._prepared = Prepared([item.client_handle for item in items.values()], self.most)
            return
        ticks = TICKS_1970 + time.time_ns() // 100
        for body in self._prepared.take(ticks):
            raw = Raw(self._notification_seq, ticks, body)
            self._notification_seq += 1
            self._due.append(raw)

    def _send(self, raw: Raw, request: Any) -> None:
        Subscription.sent += raw.count
        self._publish_cycles_count = 0
        if raw.body:
            self._raw[raw.number] = raw
        numbers = list(self._raw)[-20:]
        results = request.results or []
        body = (
            struct.pack("<BBH", 1, 0, _PUBLISH_RESPONSE)
            + struct.pack("<qIIBiBBB", raw.ticks, request.requesthdr.RequestHandle, 0, 0, -1, 0, 0, 0)
            + struct.pack("<Ii", self.data.SubscriptionId, len(numbers))
            + struct.pack(f"<{len(numbers)}I", *numbers)
            + bytes((bool(self._due),))
            + raw.encoded()
            + struct.pack("<i", len(results))
            + b"".join(struct.pack("<I", result.value) for result in results)
            + struct.pack("<i", -1)
        )
        processor = self.pub_result_callback.__self__
        data = processor._connection.message_to_binary(
            body, message_type=ua.MessageType.SecureMessage, request_id=request.seqhdr.RequestId
        )
        processor._transport.write(data)

    def publish(self, acks: Any) -> None:
        """Forgets what was acknowledged."""
        for number in acks:
            self._raw.pop(number, None)


class Subscriptions(SubscriptionService):  # type: ignore[misc]
    """All subscriptions of the server."""

    most = 1000

    async def create_subscription(self, params: Any, *rest: Any, **named: Any) -> Any:
        """Creates one that sends what was prepared."""
        result = await super().create_subscription(params, *rest, **named)
        subscription = self.subscriptions[result.SubscriptionId]
        subscription.__class__ = Subscription
        subscription.begin()
        subscription.most = min(int(params.MaxNotificationsPerPublish or self.most), self.most)
        return result


async def serve(*, tags: int, message: int) -> None:
    """Serves until told to end."""
    server = Server()
    await server.init()
    old = server.iserver.subscription_service
    new = Subscriptions(old.aspace, old.iserver)
    new.standard_events = old.standard_events
    new.most = message
    server.iserver.subscription_service = new
    server.iserver.isession.subscription_service = new
    server.set_endpoint("opc.tcp://127.0.0.1:0/load")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    server.set_identity_tokens([ua.AnonymousIdentityToken])
    index = await server.register_namespace("urn:tidegate:load")
    for first in range(0, tags, _FOLDER):
        folder = await server.nodes.objects.add_folder(index, f"Load{first}")
        await add_doubles(server, folder.nodeid, range(first, min(first + _FOLDER, tags)), prefix="T")
    await server.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(json.dumps({"port": server.bserver.port, "namespace": index}), flush=True)
    try:
        await ended.wait()
    finally:
        print(json.dumps({"sent": Subscription.sent}), flush=True)
        await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tags", type=int, default=1000)
    parser.add_argument("--message", type=int, default=1000, help="items in one message at most")
    arguments = parser.parse_args()
    asyncio.run(serve(tags=arguments.tags, message=arguments.message))


if __name__ == "__main__":
    main()
