"""The monitored items of a subscription: asking for them in chunks, and keeping account of those that are refused.

A refused tag harms no other: it is named, published once as bad, and asked for again seldom, since a node may appear
when a program is loaded into the PLC.
"""

from __future__ import annotations

from collections.abc import Sequence

from asyncua import ua

from adapters.opcua.places import Places
from adapters.opcua.plan import ITEMS_PER_REQUEST
from adapters.opcua.session import Limits, Session
from adapters.opcua.settings import OpcuaSettings

__all__ = ["MonitoredItems"]


class MonitoredItems:
    """The items of one subscription. A tag's client handle is its index.

    Attributes:
        refused: StatusCode of each tag that is not monitored, by handle.
    """

    def __init__(self, settings: OpcuaSettings, places: Places, *, session: Session, subscription: int) -> None:
        self._settings = settings
        self._places = places
        self._session = session
        self._subscription = subscription
        self._chunk = ITEMS_PER_REQUEST
        self.refused: dict[int, int] = {}

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
        known: list[tuple[int, ua.NodeId]] = []
        for handle, found in (await self._places.find(handles, limits.namespaces)).items():
            if isinstance(found, int):
                refused[handle] = found
            else:
                known.append((handle, found))
        at = 0
        while at < len(known):
            chunk = known[at : at + self._chunk]
            results = await self._session.create_items(self._subscription, [self._item(*item) for item in chunk])
            if results is None:
                self._chunk = max(1, len(chunk) // 2)
                continue
            at += len(chunk)
            for (handle, _), result in zip(chunk, results, strict=True):
                if result.StatusCode.is_bad():
                    refused[handle] = int(result.StatusCode.value)
        for handle in handles:
            self.refused.pop(handle, None)
        self.refused.update(refused)
        return refused

    def _item(self, handle: int, node: ua.NodeId) -> ua.MonitoredItemCreateRequest:
        item = ua.MonitoredItemCreateRequest()
        item.ItemToMonitor.NodeId = node
        item.ItemToMonitor.AttributeId = ua.AttributeIds.Value
        item.MonitoringMode = ua.MonitoringMode.Reporting
        item.RequestedParameters.ClientHandle = handle
        item.RequestedParameters.SamplingInterval = self._settings.sampling_ms
        item.RequestedParameters.QueueSize = self._settings.queue_size
        item.RequestedParameters.DiscardOldest = True
        return item
