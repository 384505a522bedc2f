"""What an OPC UA device's settings come to: its points, and what will be asked of it, in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from adapters.base import PointSpec
from adapters.opcua.decode import Items
from adapters.opcua.settings import DEFAULT_PORT, KINDS, OpcuaSettings, OpcuaTag, split_url
from adapters.opcua.spread import Spread
from gateway.config.words import many

__all__ = [
    "ITEMS_PER_REQUEST",
    "endpoint",
    "items_of",
    "plan",
    "points",
    "publishing_ms",
    "sampling_ms",
    "security_words",
]

ITEMS_PER_REQUEST: Final = 1_000
"""Monitored items asked for in one request, where the server does not set a lower limit."""


def endpoint(settings: OpcuaSettings) -> str:
    """The server's address with its port spelled out and without any user name.

    Raises:
        ValueError: the URL is not one; `check` says so first.
    """
    parts = split_url(settings.url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"opc.tcp://{host}:{parts.port or DEFAULT_PORT}{parts.path}"


def points(settings: OpcuaSettings) -> list[PointSpec]:
    """The device's points in the order of the file: one a tag, or one for each of its elements and fields."""
    return [
        PointSpec(name, tag.unit, KINDS[tag.kind] if tag.kind else None, settings.thin_error_of(tag))
        for tag in settings.tags
        for name in tag.point_names
    ]


def items_of(tags: Sequence[OpcuaTag], numbers: Sequence[int]) -> Items:
    """What the client handles of these tags stand for: a tag's handle is its index.

    Args:
        tags: of one device.
        numbers: of their points, in the order of `points`.
    """
    first: list[int] = []
    spreads: dict[int, Spread] = {}
    at = 0
    for handle, tag in enumerate(tags):
        ways = tag.selectors
        first.append(numbers[at])
        if not tag.is_single:
            spreads[handle] = Spread(numbers[at : at + len(ways)], ways, tag.elements or 0)
        at += len(ways)
    declared = {handle: KINDS[tag.kind] for handle, tag in enumerate(tags) if tag.kind}
    return Items(tuple(first), declared, spreads)


def security_words(security: str | None, mode: str) -> str:
    """How a connection is secured, in words.

    Args:
        security: the policy's name; None or "None" where there is none.
        mode: Sign or SignAndEncrypt.
    """
    if security in (None, "None"):
        return "not encrypted"
    by = "the strongest policy on offer" if security == "auto" else security
    return f"signed and encrypted by {by}" if mode == "SignAndEncrypt" else f"signed by {by}, not encrypted"


def plan(settings: OpcuaSettings) -> list[str]:
    """Lines for `tidegate check`: what will be asked of the device, and how often."""
    who = f"as user {settings.username!r}" if settings.username else "anonymously"
    if settings.user_cert_file:
        who = f"as the user of {settings.user_cert_file}"
    secured = security_words(settings.security, settings.security_mode)
    requests = math.ceil(len(settings.tags) / ITEMS_PER_REQUEST)
    intervals = Counter(publishing_ms(settings, tag) for tag in settings.tags)
    samplings = Counter((sampling_ms(settings, tag), _kept(settings, tag)) for tag in settings.tags)
    spread = [tag for tag in settings.tags if not tag.is_single]
    lines = [
        f"one session at {endpoint(settings)}, {who}, {secured}",
        *(
            f"changes of {many(tags, 'tag')} sent every {interval_ms:g} ms"
            for interval_ms, tags in sorted(intervals.items())
        ),
        *(
            f"{many(tags, 'variable')} sampled every {sample_ms:g} ms, up to {many(kept, 'reading')} of each kept there"
            for (sample_ms, kept), tags in sorted(samplings.items())
        ),
        f"{many(len(settings.tags), 'tag')}, asked for in {many(requests, 'request')} of at most {ITEMS_PER_REQUEST}",
        f"lost after {2 * settings.timeout_s:g} s without a sign of life",
        f"tags that are refused are asked for again every {settings.retry_refused_s:g} s",
    ]
    lines += _security_notes(settings)
    if spread:
        made = sum(len(tag.selectors) for tag in spread)
        lines.append(f"{many(len(spread), 'variable')} read by elements or fields, as {many(made, 'point')} together")
    if settings.tags:
        lines.append(_bridged(settings))
    short = [tag for tag in settings.tags if _kept(settings, tag) < _samples(settings, tag)]
    if short:
        lines.append(
            f"note: of {many(len(short), 'tag')}, such as {short[0].name}, {_samples(settings, short[0])} samples are "
            f"taken between two sendings, but only {_kept(settings, short[0])} of them can be kept: the others are "
            "lost at the server; raise queue_size to keep them"
        )
    twice = sorted(node for node, uses in Counter(tag.node for tag in settings.tags).items() if uses > 1)
    if twice:
        are = "is" if len(twice) == 1 else "are"
        lines.append(f"note: {many(len(twice), 'node')} {are} read by more than one tag, such as {twice[0]}")
    return lines


def _security_notes(settings: OpcuaSettings) -> list[str]:
    notes = []
    if settings.security is None:
        notes.append(
            'note: anybody on the network can read and change what is sent; set security = "auto" where the server '
            'can do that, or security = "None" where this is meant'
        )
    if not settings.is_secured and settings.password is not None:
        notes.append(
            "note: whoever answers at this address is told the password: without security nobody checks who that is"
        )
    if settings.ignore_checks and settings.is_secured:
        notes.append(f"note: the server's certificate need not pass: {', '.join(settings.ignore_checks)}")
    return notes


def publishing_ms(settings: OpcuaSettings, tag: OpcuaTag) -> float:
    """How often a tag's changes are sent, in milliseconds: as it says itself, else as the device says."""
    return tag.publishing_interval_ms or settings.publishing_interval_ms


def sampling_ms(settings: OpcuaSettings, tag: OpcuaTag) -> float:
    """How often the server looks at a tag, in milliseconds; unless it is said, as often as changes are sent."""
    return tag.sampling_interval_ms or settings.sampling_interval_ms or publishing_ms(settings, tag)


def _kept(settings: OpcuaSettings, tag: OpcuaTag) -> int:
    return tag.queue_size or settings.queue_size


def _samples(settings: OpcuaSettings, tag: OpcuaTag) -> int:
    return math.ceil(publishing_ms(settings, tag) / sampling_ms(settings, tag))


def _bridged(settings: OpcuaSettings) -> str:
    """How long the gateway may be away before a tag that always changes runs its queue over."""
    bridged_s = min(_kept(settings, tag) * sampling_ms(settings, tag) / 1000 for tag in settings.tags)
    lifetime_s = settings.subscription_lifetime_s
    if bridged_s >= lifetime_s:
        return f"kept there for {lifetime_s:g} s while the gateway is away"
    return (
        f"kept there for {lifetime_s:g} s while the gateway is away; a tag that changes with each sample "
        f"fills its queue within {bridged_s:g} s"
    )
