"""The monitored items of a subscription: asking for them in chunks, and keeping account of those that are refused.

A refused tag harms no other: it is named, published once as bad, and asked for again seldom, since a node may appear
when a program is loaded into the PLC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asyncua import ua

from adapters.opcua.nodes import NodeAddress
from adapters.opcua.plan import ITEMS_PER_REQUEST
from adapters.opcua.session import Limits, Session
from adapters.opcua.settings import OpcuaSettings

__all__ = ["MonitoredItems", "node_id"]

_BAD_NODE_ID_UNKNOWN: Final = ua.StatusCodes.BadNodeIdUnknown


class MonitoredItems:
    """The items of one subscription. A tag's client handle is its index.

    Attributes:
        refused: StatusCode of each tag that is not monitored, by handle.
    """

    def __init__(
        self, settings: OpcuaSettings, nodes: Sequence[NodeAddress], *, session: Session, subscription: int
    ) -> None:
        self._settings = settings
        self._nodes = nodes
        self._session = session
        self._subscription = subscription
        self._chunk = ITEMS_PER_REQUEST
        self.refused: dict[int, int] = {}

    async def ask(self, handles: Sequence[int], limits: Limits) -> dict[int, int]:
        """Asks the server to monitor these tags; afterwards `refused` is up to date for them.

        Args:
            handles: the tags, by index.
            limits: what the server says about itself; namespace URIs are looked up in it.

        Returns:
            StatusCodes of those that the server refused, by handle.

        Raises:
            SourceLost: the server does not answer, or refuses the service as a whole.
        """
        if limits.items_per_request:
            self._chunk = min(self._chunk, limits.items_per_request)
        refused: dict[int, int] = {}
        known: list[tuple[int, ua.NodeId]] = []
        for handle in handles:
            node = node_id(self._nodes[handle], limits.namespaces)
            if node is None:
                refused[handle] = _BAD_NODE_ID_UNKNOWN
            else:
                known.append((handle, node))
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


def node_id(address: NodeAddress, namespaces: Sequence[str]) -> ua.NodeId | None:
    """The node id at this server; None where the server does not know the namespace."""
    if address.uri is None:
        return ua.NodeId(address.identifier, address.namespace)
    if address.uri not in namespaces:
        return None
    return ua.NodeId(address.identifier, namespaces.index(address.uri))
