"""What is asked of the server for each tag, and which subscription it belongs to. Pure.

One subscription for each publishing interval, the shortest first: where a server grants fewer, these are the ones that
lose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from adapters.opcua.kept import fingerprint
from adapters.opcua.plan import endpoint, publishing_ms, sampling_ms
from adapters.opcua.settings import OpcuaSettings, OpcuaTag

__all__ = ["ItemSettings", "group_of", "intervals", "item_settings", "layout_of"]


class ItemSettings(NamedTuple):
    """How one variable is to be monitored.

    Attributes:
        sampling_ms: how often the server looks at it, in milliseconds.
        queue_size: readings that the server keeps of it.
        deadband: what the server leaves out, in the value's unit or in percent of its range; 0 for nothing.
        percent: whether `deadband` is in percent.
    """

    sampling_ms: float
    queue_size: int
    deadband: float
    percent: bool


def item_settings(settings: OpcuaSettings, tag: OpcuaTag) -> ItemSettings:
    """A tag's own settings, else the device's."""
    return ItemSettings(
        sampling_ms(settings, tag),
        tag.queue_size or settings.queue_size,
        tag.deadband or tag.deadband_percent or 0.0,
        percent=tag.deadband_percent is not None,
    )


def intervals(settings: OpcuaSettings) -> list[float]:
    """The publishing intervals, in milliseconds: one subscription each. A device without tags has one too."""
    return sorted({publishing_ms(settings, tag) for tag in settings.tags}) or [settings.publishing_interval_ms]


def group_of(settings: OpcuaSettings) -> list[int]:
    """Which of the `intervals` each tag belongs to, by index."""
    places = {interval_ms: place for place, interval_ms in enumerate(intervals(settings))}
    return [places[publishing_ms(settings, tag)] for tag in settings.tags]


def layout_of(settings: OpcuaSettings, nodes: Sequence[object]) -> str:
    """A fingerprint of all that is asked for: another one means that old subscriptions are not what is wanted.

    Args:
        settings: the device.
        nodes: what each tag's node id is at this server; anything that shows it as text.
    """
    return fingerprint(
        [
            (endpoint(settings), settings.username, settings.timeout_s, settings.subscription_lifetime_s),
            *(
                (tag.name, str(node), publishing_ms(settings, tag), *item_settings(settings, tag), *_points(tag))
                for tag, node in zip(settings.tags, nodes, strict=True)
            ),
        ]
    )


def _points(tag: OpcuaTag) -> tuple[object, ...]:
    """What decides which readings a value becomes: a point that is new would have none until the next change."""
    return (tag.kind, tag.elements, *(tag.fields or ()))
