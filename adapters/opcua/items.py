"""The monitored items of a session's subscriptions: asking for them in chunks, and keeping account of those refused.

A refused tag harms no other: it is named, published once as bad, and asked for again seldom, since a node may appear
when a program is loaded into the PLC. A deadband that the server does not offer is left out: more readings come then,
none is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from asyncua import ua

from adapters.opcua.layout import ItemSettings, group_of, item_settings
from adapters.opcua.places import Places
from adapters.opcua.plan import ITEMS_PER_REQUEST
from adapters.opcua.session import Limits, Session
from adapters.opcua.settings import OpcuaSettings

__all__ = ["CANNOT_BE_MONITORED", "MonitoredItems"]

_NO_SUBSCRIPTION: Final = ua.StatusCodes.BadTooManySubscriptions

CANNOT_BE_MONITORED: Final = frozenset(
    {
        ua.StatusCodes.BadNotSupported,
        ua.StatusCodes.BadNotImplemented,
        ua.StatusCodes.BadServiceUnsupported,
        ua.StatusCodes.BadMonitoringModeInvalid,
        ua.StatusCodes.BadTooManyMonitoredItems,
        ua.StatusCodes.BadTooManySubscriptions,
        ua.StatusCodes.BadOutOfMemory,
        ua.StatusCodes.BadResourceUnavailable,
    }
)
"""StatusCodes that say nothing against the node, only against monitoring it: such a tag is polled."""

_NO_SUCH_FILTER: Final = frozenset(
    {
        ua.StatusCodes.BadFilterNotAllowed,
        ua.StatusCodes.BadMonitoredItemFilterInvalid,
        ua.StatusCodes.BadMonitoredItemFilterUnsupported,
        ua.StatusCodes.BadDeadbandFilterInvalid,
    }
)


class MonitoredItems:
    """The items of a session. A tag's client handle is its index.

    Args:
        settings: the device.
        places: where each tag is, by its index.
        session: where to ask.
        subscriptions: ids at the server, one for each of `layout.intervals`; none where the server offers none.
        refused: what was refused before, where the subscriptions were taken over.
        short: what was not granted before; the same.

    Attributes:
        subscriptions: as given.
        refused: StatusCode of each tag that is not monitored, by handle.
        short: how many of the monitored tags did not get what was asked for, by what that is; a key of the facts.
    """

    def __init__(
        self,
        settings: OpcuaSettings,
        places: Places,
        *,
        session: Session,
        subscriptions: Sequence[int],
        refused: Mapping[int, int] | None = None,
        short: Mapping[str, int] | None = None,
    ) -> None:
        self._settings = settings
        self._places = places
        self._session = session
        self.subscriptions = subscriptions
        self._groups = group_of(settings)
        self._chunk = ITEMS_PER_REQUEST
        self.refused: dict[int, int] = dict(refused or {})
        self.short = dict.fromkeys(("deadbands_refused", "queues_shortened", "samplings_slowed"), 0) | dict(short or {})

    async def ask(self, handles: Sequence[int], limits: Limits) -> dict[int, int]:
        """Asks the server to monitor these tags; afterwards `refused` is up to date for them.

        Args:
            handles: the tags, by index.
            limits: what the server says about itself; namespace URIs are looked up in it, and browse paths at it.

        Returns:
            StatusCodes of those that the server refused, by handle.

        Raises:
            SourceLost: the server does not answer, or refuses the service as a whole.
        """
        if limits.items_per_request:
            self._chunk = min(self._chunk, limits.items_per_request)
        refused: dict[int, int] = {}
        known: dict[int, list[tuple[int, ua.NodeId]]] = {}
        for handle, found in (await self._places.find(handles, limits.namespaces)).items():
            if isinstance(found, int):
                refused[handle] = found
            else:
                known.setdefault(self._groups[handle], []).append((handle, found))
        if not self.subscriptions:
            refused |= dict.fromkeys((handle for items in known.values() for handle, _ in items), _NO_SUBSCRIPTION)
            known = {}
        for group, items in known.items():
            answers = await self._create(self.subscriptions[group], items, filtered=True)
            again = [item for item in items if answers.get(item[0]) in _NO_SUCH_FILTER]
            if again:
                self.short["deadbands_refused"] += len(again)
                for handle, _ in again:
                    del answers[handle]
                answers |= await self._create(self.subscriptions[group], again, filtered=False)
            refused |= answers
        for handle in handles:
            self.refused.pop(handle, None)
        self.refused.update(refused)
        return refused

    async def _create(
        self, subscription: int, items: Sequence[tuple[int, ua.NodeId]], *, filtered: bool
    ) -> dict[int, int]:
        """Creates items in chunks: StatusCodes of those that were refused, by handle."""
        refused: dict[int, int] = {}
        at = 0
        while at < len(items):
            chunk = items[at : at + self._chunk]
            wanted = [self._item(handle, node, filtered=filtered) for handle, node in chunk]
            results = await self._session.create_items(subscription, wanted)
            if results is None:
                self._chunk = max(1, len(chunk) // 2)
                continue
            at += len(chunk)
            for (handle, _), asked, result in zip(chunk, wanted, results, strict=True):
                if result.StatusCode.is_bad():
                    refused[handle] = int(result.StatusCode.value)
                    continue
                self.short["queues_shortened"] += result.RevisedQueueSize < asked.RequestedParameters.QueueSize
                self.short["samplings_slowed"] += (
                    result.RevisedSamplingInterval > asked.RequestedParameters.SamplingInterval
                )
        return refused

    def _item(self, handle: int, node: ua.NodeId, *, filtered: bool) -> ua.MonitoredItemCreateRequest:
        how = item_settings(self._settings, self._settings.tags[handle])
        item = ua.MonitoredItemCreateRequest()
        item.ItemToMonitor.NodeId = node
        item.ItemToMonitor.AttributeId = ua.AttributeIds.Value
        item.MonitoringMode = ua.MonitoringMode.Reporting
        item.RequestedParameters.ClientHandle = handle
        item.RequestedParameters.SamplingInterval = how.sampling_ms
        item.RequestedParameters.QueueSize = how.queue_size
        item.RequestedParameters.DiscardOldest = True
        if filtered and how.deadband:
            item.RequestedParameters.Filter = _filter(how)
        return item


def _filter(how: ItemSettings) -> ua.DataChangeFilter:
    wanted = ua.DataChangeFilter()
    wanted.Trigger = ua.DataChangeTrigger.StatusValue
    wanted.DeadbandType = int(ua.DeadbandType.Percent if how.percent else ua.DeadbandType.Absolute)
    wanted.DeadbandValue = how.deadband
    return wanted
