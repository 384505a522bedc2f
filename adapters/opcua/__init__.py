"""OPC UA, on asyncua's client.

Importing this folder costs next to nothing; `PROTOCOL.create` imports asyncua (about a second and 60 MB).

    settings, nodes, paths, plan       what may be configured, and what it comes to
    wire, texts, values, message       the standard's binary encoding
    structures, spread, oddities       arrays and structures by their elements and fields; words for what is no reading
    decode                             a notification read whole: body in, batch out
    sequence, layout, kept             message numbers; what is asked for; what is remembered of subscriptions
    endpoints                          which endpoint and which log-in to take of those on offer
    pki/                               certificates: this gateway's own, the servers', and whom it trusts
    client, secure, trust              asyncua's client made fit for secured sessions; what comes before; whom it trusts
    session, items, failures, binary   what is asked of a server, through asyncua
    places, types, standard, shapes    where variables are, and how its structures are made, learned in each session
    publish, continuity, poll, reader  what comes in one session, and going on with the one before
    adapter                            one device, session by session
    ask, read, browse                  services that look at a server, in requests that it takes
    targets, variables, explore        a person's look at its tree, over a connection of its own
    survey                             all variables of a tree, for a file of tags
    coerce, write                      a value for a tag: what fits (pure), and the write with its read-back

The files of the lines down to `endpoints`, and `coerce`, are pure and do not know asyncua.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from adapters.base import NOWHERE, Adapter, Context, Explorer, Protocol, Site
from adapters.opcua.plan import plan, points
from adapters.opcua.settings import OpcuaSettings, check

__all__ = ["PROTOCOL"]


def _create(settings: OpcuaSettings, context: Context) -> Adapter:
    # Deferred: asyncua is heavy, and a gateway without an OPC UA device must not pay for it.
    from adapters.opcua.adapter import OpcuaAdapter

    return OpcuaAdapter(settings, context)


def _explore(settings: OpcuaSettings, site: Site = NOWHERE, /) -> AbstractAsyncContextManager[Explorer]:
    from adapters.opcua.explore import explore

    return explore(settings, site)


PROTOCOL = Protocol(
    name="opcua",
    settings=OpcuaSettings,
    check=check,
    points=points,
    plan=plan,
    create=_create,
    explore=_explore,
    surveys=True,
)
