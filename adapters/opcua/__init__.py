"""OPC UA, on asyncua's client.

Importing this folder costs next to nothing; `PROTOCOL.create` imports asyncua (about a second and 60 MB).

    settings, nodes, plan              what may be configured, and what it comes to
    wire, values, message, decode      the standard's binary encoding, read whole: notification in, batch out
    sequence, layout, kept             message numbers; what is asked for; what is remembered of subscriptions
    session, items, failures           what is asked of a server, through asyncua
    publish, continuity, poll, adapter the life of one session, and going on with the one before
    ask, read, browse                  services that look at a server, in requests that it takes
    targets, variables, explore        a person's look at its tree, over a connection of its own
    coerce, write                      a value for a tag: what fits (pure), and the write with its read-back

The files of the first three lines, and `coerce`, are pure and do not know asyncua.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from adapters.base import Adapter, Context, Explorer, Protocol
from adapters.opcua.plan import plan, points
from adapters.opcua.settings import OpcuaSettings, check

__all__ = ["PROTOCOL"]


def _create(settings: OpcuaSettings, context: Context) -> Adapter:
    # Deferred: asyncua is heavy, and a gateway without an OPC UA device must not pay for it.
    from adapters.opcua.adapter import OpcuaAdapter

    return OpcuaAdapter(settings, context)


def _explore(settings: OpcuaSettings) -> AbstractAsyncContextManager[Explorer]:
    from adapters.opcua.explore import explore

    return explore(settings)


PROTOCOL = Protocol(
    name="opcua",
    settings=OpcuaSettings,
    check=check,
    points=points,
    plan=plan,
    create=_create,
    explore=_explore,
)
