"""Subscriptions as the standard wants them, in the places where asyncua's server does not keep to it.

asyncua 2.1 delivers to the old connection's requests after TransferSubscriptions, forgets a message when it is
republished, answers an empty message where it has none, drops the oldest readings of a full queue without the overflow
bit, and sends any number of readings in one message. A client that goes on after a cut or a crash needs all of them
right, as they are in a PLC (OPC 10000-4, 5.14.1, 5.14.6, 5.14.7, 7.21).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.server import Server
from asyncua.server.subscription_service import SubscriptionService

__all__ = ["KeptSubscription", "KeptSubscriptions", "use_kept_subscriptions"]

_OVERFLOW: Final = 0x0480
"""Info type DataValue with the overflow bit (7.39, table 177)."""


class KeptSubscription(InternalSubscription):  # type: ignore[misc] # asyncua's types are not followed
    """One subscription.

    Attributes:
        most_notifications: readings in one message; 0 for any number.
        overflows: readings that queues could not hold.
    """

    most_notifications = 0
    overflows = 0

    def republish(self, nb: int) -> ua.NotificationMessage:
        """A message that was not acknowledged; it stays until it is.

        Raises:
            ServiceError: there is none of this number.
        """
        result = self._not_acknowledged_results.get(nb)
        if result is None:
            raise ServiceError(ua.StatusCodes.BadMessageNotAvailable)
        return result.NotificationMessage

    async def _enqueue_event(self, mid: int, eventdata: Any, size: int, queue: dict[int, Any]) -> None:  # noqa: ANN401
        waiting = queue.get(mid)
        if waiting is None:
            queue[mid] = deque((eventdata,))
            await self._trigger_publish()
            return
        waiting.append(eventdata)
        if size and len(waiting) > size:
            waiting.popleft()
            self.overflows += 1
            if size > 1 and isinstance(eventdata, ua.MonitoredItemNotification):
                oldest = waiting[0]
                waiting[0] = ua.MonitoredItemNotification(oldest.ClientHandle, _overflown(oldest.Value))

    def _pop_triggered_datachanges(self, result: ua.PublishResult) -> None:
        most = self.most_notifications
        if not most or sum(map(len, self._triggered_datachanges.values())) <= most:
            super()._pop_triggered_datachanges(result)
            return
        taken: list[Any] = []
        for mid in list(self._triggered_datachanges):
            waiting = self._triggered_datachanges[mid]
            while waiting and len(taken) < most:
                taken.append(waiting.popleft())
            if not waiting:
                del self._triggered_datachanges[mid]
            if len(taken) == most:
                break
        notification = ua.DataChangeNotification()
        notification.MonitoredItems = taken
        result.NotificationMessage.NotificationData.append(notification)
        result.MoreNotifications = True


class KeptSubscriptions(SubscriptionService):  # type: ignore[misc]
    """All subscriptions of a server."""

    async def create_subscription(
        self,
        params: ua.CreateSubscriptionParameters,
        callback: Callable[..., Any],
        session_id: ua.NodeId,
        request_callback: Callable[..., Any] | None = None,
    ) -> ua.CreateSubscriptionResult:
        """Creates one that keeps its messages."""
        result = await super().create_subscription(params, callback, session_id, request_callback=request_callback)
        subscription = self.subscriptions[result.SubscriptionId]
        subscription.__class__ = KeptSubscription
        subscription.most_notifications = int(params.MaxNotificationsPerPublish or 0)
        return result

    def republish(self, params: ua.RepublishParameters) -> ua.NotificationMessage:
        """A message that was not acknowledged.

        Raises:
            ServiceError: there is no such subscription, or it has no such message.
        """
        subscription = self.subscriptions.get(params.SubscriptionId)
        if subscription is None:
            raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)
        message: ua.NotificationMessage = subscription.republish(params.RetransmitSequenceNumber)
        return message

    async def transfer_subscriptions(
        self, params: ua.TransferSubscriptionsParameters, session_id: ua.NodeId, callback: Callable[..., Any]
    ) -> list[ua.TransferResult]:
        """Hands subscriptions over to the connection that `callback` answers on."""
        results: list[ua.TransferResult] = await super().transfer_subscriptions(params, session_id, callback)
        for number in params.SubscriptionIds:
            subscription = self.subscriptions.get(int(number))
            if subscription is not None:
                subscription.pub_request_callback = callback.__self__.get_publish_request  # type: ignore[attr-defined]
        return results


def use_kept_subscriptions(server: Server) -> None:
    """Has a server that was initialised and not started keep its subscriptions like this."""
    old = server.iserver.subscription_service
    new = KeptSubscriptions(old.aspace, old.iserver)
    new.standard_events = old.standard_events
    server.iserver.subscription_service = new
    server.iserver.isession.subscription_service = new


def _overflown(value: ua.DataValue) -> ua.DataValue:
    status = value.StatusCode or ua.StatusCode()
    return ua.DataValue(
        value.Value,
        ua.StatusCode(int(status.value) | _OVERFLOW),
        value.SourceTimestamp,
        value.ServerTimestamp,
        value.SourcePicoseconds,
        value.ServerPicoseconds,
    )
