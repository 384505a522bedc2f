"""The monitored items of a session's subscriptions: asking for them in chunks, and keeping account of those refused.

A refused tag harms no other: it is named, published once as bad, and asked for again seldom, since a node may appear
when a program is loaded into the PLC. A deadband that the server does not offer is left out: more readings come then,
none is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from asyncua import ua

from adapters.opcua.ask import as_many, in_parts, or_lost, results_of
from adapters.opcua.layout import ItemSettings, group_of, item_settings
from adapters.opcua.places import Places
from adapters.opcua.plan import ITEMS_PER_REQUEST
from adapters.opcua.session import Session
from adapters.opcua.settings import OpcuaSettings
from gateway.config.words import many

__all__ = ["CANNOT_BE_MONITORED", "MonitoredItems"]

_LEAST_RESULT_BYTES: Final = 23
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
        items_per_request: most that the server takes at once, as it says itself; 0 where it sets no limit.
        refused: what was refused before, where the subscriptions were taken over; else nothing.
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
        items_per_request: int,
        refused: Mapping[int, int],
        short: Mapping[str, int],
    ) -> None:
        self._settings = settings
        self._places = places
        self._session = session
        self.subscriptions = subscriptions
        self._groups = group_of(settings)
        self._most = min(ITEMS_PER_REQUEST, items_per_request or ITEMS_PER_REQUEST)
        self.refused: dict[int, int] = dict(refused)
        self.short = dict.fromkeys(("deadbands_refused", "queues_shortened", "samplings_slowed"), 0) | dict(short)

    async def ask(self, handles: Sequence[int]) -> dict[int, int]:
        """Asks the server to monitor these tags; afterwards `refused` is up to date for them.

        Args:
            handles: the tags, by index.

        Returns:
            StatusCodes of those that the server refused, by handle.

        Raises:
            SourceLost: the server does not answer, or refuses the service as a whole.
        """
        refused: dict[int, int] = {}
        known: dict[int, list[tuple[int, ua.NodeId]]] = {}
        for handle, found in (await self._places.find(handles)).items():
            if isinstance(found, int):
                refused[handle] = found
            else:
                # The intervals are in order, so what got no subscription of its own is sent more often than it need be.
                group = min(self._groups[handle], len(self.subscriptions) - 1)
                known.setdefault(group, []).append((handle, found))
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
        """Creates items: StatusCodes of those that were refused, by handle."""

        async def ask(part: Sequence[tuple[int, ua.NodeId]]) -> list[int]:
            request = ua.CreateMonitoredItemsRequest()
            request.Parameters.SubscriptionId = subscription
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            wanted = [self._item(handle, node, filtered=filtered) for handle, node in part]
            request.Parameters.ItemsToCreate = wanted
            body = await self._session.call(request)
            results = as_many(results_of(body, ua.MonitoredItemCreateResult, _LEAST_RESULT_BYTES), part)
            return [self._granted(asked, result) for asked, result in zip(wanted, results, strict=True)]

        with or_lost(self._session, f"subscribing to {many(len(items), 'tag')}"):
            codes = await in_parts(items, self._most, ask, lambda code: code)
        return {handle: code for (handle, _), code in zip(items, codes, strict=True) if code}

    def _granted(self, asked: ua.MonitoredItemCreateRequest, result: ua.MonitoredItemCreateResult) -> int:
        """Notes where one item is less than what was asked for; its StatusCode where it is refused, else 0."""
        if result.StatusCode.is_bad():
            return int(result.StatusCode.value)
        wanted = asked.RequestedParameters
        self.short["queues_shortened"] += result.RevisedQueueSize < wanted.QueueSize
        self.short["samplings_slowed"] += result.RevisedSamplingInterval > wanted.SamplingInterval
        return 0

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
