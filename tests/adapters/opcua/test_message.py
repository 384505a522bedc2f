from contextlib import suppress
from datetime import UTC, datetime

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.message import Message, read_message, read_publish_result
from adapters.opcua.wire import Malformed

SENT_NS = 1_795_600_000_000_000_000
SENT = datetime.fromtimestamp(SENT_NS / 1e9, UTC)


def result(*notifications: object, number: int = 7, available: tuple[int, ...] = ()) -> bytes:
    message = ua.NotificationMessage(SequenceNumber=number, PublishTime=SENT, NotificationData=[*notifications])
    return struct_to_binary(
        ua.PublishResult(SubscriptionId=78, AvailableSequenceNumbers=[*available], NotificationMessage=message)
    )


def change(value: float) -> ua.DataChangeNotification:
    return ua.DataChangeNotification([ua.MonitoredItemNotification(0, ua.DataValue(ua.Variant(value)))])


def test_a_keep_alive_carries_nothing() -> None:
    assert read_publish_result(result(available=(4, 5, 6))) == (78, Message(7, True, (), None, SENT_NS))


def test_data_changes_are_handed_on_raw() -> None:
    subscription, message = read_publish_result(result(change(1.0), change(2.0), available=(7,)))
    assert subscription == 78
    assert message == Message(7, False, (struct_to_binary(change(1.0)), struct_to_binary(change(2.0))), None, SENT_NS)


def test_a_status_change_is_told_and_events_are_stepped_over() -> None:
    status = ua.StatusChangeNotification(Status=ua.StatusCode(ua.StatusCodes.BadTimeout))
    _, message = read_publish_result(result(ua.EventNotificationList(), status))
    assert message == Message(7, False, (), ua.StatusCodes.BadTimeout, SENT_NS)


def test_a_republished_message_reads_the_same() -> None:
    message = ua.NotificationMessage(SequenceNumber=9, PublishTime=SENT, NotificationData=[change(3.0)])
    assert read_message(struct_to_binary(message)) == Message(9, False, (struct_to_binary(change(3.0)),), None, SENT_NS)


def test_a_clock_that_was_never_set_says_no_time() -> None:
    message = ua.NotificationMessage(SequenceNumber=9, PublishTime=datetime(1601, 1, 1, tzinfo=UTC))
    assert read_message(struct_to_binary(message)).sent_ns is None


@given(st.integers(0, 1000))
def test_what_breaks_off_is_malformed(length: int) -> None:
    body = result(change(1.0), available=(1, 2))
    # What follows the notifications (results, diagnostics) is not read, so only cuts before it are damage.
    end = body.rindex(struct_to_binary(change(1.0))) + len(struct_to_binary(change(1.0)))
    with pytest.raises(Malformed):
        read_publish_result(body[: length % end])


@given(st.binary(max_size=100))
def test_random_bytes_are_read_or_malformed(junk: bytes) -> None:
    for read in (read_publish_result, read_message):
        with suppress(Malformed):
            read(junk)
