"""What a configuration may say about an OPC UA device, and which mistakes its model cannot express.

Anonymous and user-name log-ins on an unencrypted endpoint are what can be said today. Security policies will be a
section of their own beside `username`; no key here has to change for it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta, field

from adapters.opcua.nodes import parse_node
from gateway.batch import Kind
from gateway.config.models import DeviceSettings, TagSettings

__all__ = ["DEFAULT_PORT", "KINDS", "OpcuaSettings", "OpcuaTag", "check", "split_url"]

DEFAULT_PORT: Final = 4840
"""The port that is registered for OPC UA."""

KINDS: Final = {kind.name.lower(): kind for kind in Kind}
"""Names of the kinds a tag may be declared to have."""

_Milliseconds = Annotated[float, Meta(ge=1, le=3_600_000)]
_QueueSize = Annotated[int, Meta(ge=1, le=100_000)]

MOST_INTERVALS: Final = 16
"""Different publishing intervals of one device: each is a subscription of its own, and servers take few."""


class OpcuaTag(TagSettings, frozen=True, kw_only=True):
    """One variable of the device."""

    node: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=4096,
            description="Node id of the variable, such as ns=2;s=Press.Temperature or nsu=urn:maker:line;i=1001.",
        ),
    ]
    kind: Annotated[
        Literal["bool", "i64", "u64", "f64", "str", "bytes"] | None,
        Meta(
            description="Kind of the tag's values. A value that does not fit it is published as bad. "
            "Default: each value keeps the kind the device gave it."
        ),
    ] = None

    publishing_interval_ms: Annotated[
        _Milliseconds | None,
        Meta(description="How often the server sends this tag's changes, in milliseconds. Default: the device's."),
    ] = None
    sampling_interval_ms: Annotated[
        _Milliseconds | None,
        Meta(description="How often the server looks at it, in milliseconds. Default: the device's."),
    ] = None
    queue_size: Annotated[
        _QueueSize | None,
        Meta(
            description="Readings of it that the server keeps while the gateway is slow or away. Default: the device's."
        ),
    ] = None
    deadband: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="The server leaves out changes by no more than this, in the value's unit. Default: none."),
    ] = None
    deadband_percent: Annotated[
        Annotated[float, Meta(gt=0, le=100)] | None,
        Meta(description="The same in percent of the variable's EURange, which the server must have. Default: none."),
    ] = None


class OpcuaSettings(DeviceSettings, frozen=True, kw_only=True):
    """An OPC UA server, read through one subscription for each publishing interval."""

    type: Annotated[Literal["opcua"], Meta(description="The protocol.")] = "opcua"
    url: Annotated[
        str,
        Meta(min_length=1, max_length=4096, description="Address of the server, opc.tcp://HOST:PORT/PATH. Port: 4840."),
    ]
    username: Annotated[str | None, Meta(description="User name at the server. Default: anonymous.")] = None
    password: Annotated[str | None, Meta(description="Password; better given as password_file.")] = None
    publishing_interval_ms: Annotated[
        _Milliseconds, Meta(description="How often the server sends what has changed, in milliseconds.")
    ] = 100.0
    sampling_interval_ms: Annotated[
        _Milliseconds | None,
        Meta(description="How often the server looks at each variable. Default: as often as it publishes."),
    ] = None
    queue_size: Annotated[
        _QueueSize,
        Meta(
            description="Readings per tag that the server keeps while the gateway is slow or away. Beyond it the "
            "oldest are dropped there, and the next one says so.",
        ),
    ] = 20
    polling_interval_ms: Annotated[
        _Milliseconds,
        Meta(
            description="How often tags are read that the server cannot monitor, in milliseconds. Only what has "
            "changed is published.",
        ),
    ] = 1000.0
    timeout_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=300,
            description="Longest wait for an answer, in seconds. An idle server is asked for a sign of life this "
            "often, and is taken for lost when one is overdue by as much again.",
        ),
    ] = 5.0
    subscription_lifetime_s: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="How long the server is asked to keep its subscriptions, and what they gather, while the "
            "gateway is away, in seconds: a cable, a restart or a power cut that takes less loses nothing that the "
            "server could keep (queue_size).",
        ),
    ] = 120.0
    retry_refused_s: Annotated[
        float,
        Meta(ge=0.1, le=86_400, description="Pause until tags that the server refused are asked for again, seconds."),
    ] = 60.0
    tags: Annotated[list[OpcuaTag], Meta(description="The variables to read.")] = field(default_factory=list)


def split_url(url: str) -> SplitResult:
    """The parts of a server's address.

    Raises:
        ValueError: it is not one; says what was expected.
    """
    expected = "expected opc.tcp://HOST:PORT, such as opc.tcp://192.168.0.10:4840"
    if any(char.isspace() for char in url):
        # urlsplit takes some of them, and leaves others out without a word.
        raise ValueError(f"{url!r} has a space in it; {expected}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is not an address ({error}); {expected}") from None
    if parts.scheme != "opc.tcp" or not parts.hostname or port == 0:
        raise ValueError(f"{url!r} is not the address of an OPC UA server; {expected}")
    return parts


def check(settings: OpcuaSettings) -> list[tuple[str, str]]:
    """Mistakes that the model cannot express: (key path below the device, what is wrong and what to do)."""
    problems: list[tuple[str, str]] = []
    try:
        if "@" in split_url(settings.url).netloc:
            # The text is left out: it would put the password on screens and into logs.
            problems.append(("url", "has a user name in it; give it as username and password_file"))
    except ValueError as error:
        problems.append(("url", str(error)))
    if settings.password is not None and settings.username is None:
        problems.append(("password", "is given without a username; add username, or leave the password out"))
    first_use: dict[str, int] = {}
    for index, tag in enumerate(settings.tags):
        earlier = first_use.setdefault(tag.name, index)
        if earlier != index:
            problems.append(
                (f"tags[{index}].name", f"{tag.name!r} is the name of tags[{earlier}] too; give each tag its own name")
            )
        if tag.deadband is not None and tag.deadband_percent is not None:
            problems.append((f"tags[{index}].deadband_percent", "is given beside deadband; keep the one that is meant"))
        try:
            parse_node(tag.node)
        except ValueError as error:
            problems.append((f"tags[{index}].node", str(error)))
    intervals = {tag.publishing_interval_ms or settings.publishing_interval_ms for tag in settings.tags}
    if len(intervals) > MOST_INTERVALS:
        found = f"have {len(intervals)} different publishing intervals, each a subscription of its own"
        problems.append(("tags", f"{found}; use at most {MOST_INTERVALS}"))
    return problems
