"""What is remembered of subscriptions, and the decision what to do about it."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.kept import Kept, Next, Subscribed, decide, fingerprint, read_kept, read_mark, write_mark

SUBSCRIPTION = Subscribed(id=78, interval_ms=100.0, sign_of_life_s=5.0, lifetime_s=120.0)
KEPT = Kept(
    epoch=b"12345678",
    server="urn:press since 2026",
    layout="abc",
    subscriptions=(SUBSCRIPTION,),
    refused={3: 0x80340000},
    complete=True,
)


def test_it_reads_as_it_was_written() -> None:
    assert read_kept(KEPT.encode()) == KEPT


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"\xff",
        b"{}",
        msgspec.msgpack.encode({"epoch": b"1"}),
        msgspec.structs.replace(KEPT, version=2).encode(),
        KEPT.encode().replace(b"abc", b"a\x80c"),
        msgspec.structs.replace(
            KEPT, subscriptions=(msgspec.structs.replace(SUBSCRIPTION, sign_of_life_s=math.nan),)
        ).encode(),
    ],
)
def test_what_cannot_be_understood_is_nothing(state: bytes) -> None:
    assert read_kept(state) is None


@given(st.binary(max_size=200))
def test_random_bytes_are_nothing_or_something_sound(state: bytes) -> None:
    kept = read_kept(state)
    assert kept is None or len(kept.epoch) == 8


@pytest.mark.parametrize(
    ("changes", "server", "layout", "what"),
    [
        ({}, "urn:press since 2026", "abc", Next.GO_ON),
        ({}, "urn:press since 2027", "abc", Next.FORGET),
        ({}, "", "abc", Next.FORGET),
        ({"server": ""}, "", "abc", Next.FORGET),
        ({}, "urn:press since 2026", "other", Next.DELETE),
        ({"complete": False}, "urn:press since 2026", "abc", Next.DELETE),
        ({"complete": False}, "urn:press since 2027", "abc", Next.FORGET),
    ],
)
def test_what_to_do(changes: dict[str, object], server: str, layout: str, what: Next) -> None:
    assert decide(msgspec.structs.replace(KEPT, **changes), server=server, layout=layout) is what


@given(st.binary(min_size=8, max_size=8), st.dictionaries(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)))
def test_a_mark_reads_as_it_was_written_and_only_for_its_own_subscriptions(
    epoch: bytes, durable: dict[int, int]
) -> None:
    mark = write_mark(epoch, durable)
    assert read_mark(mark, epoch) == durable
    assert read_mark(mark, bytes(byte ^ 1 for byte in epoch)) == {}


@given(st.binary(max_size=40))
def test_random_marks_never_raise(mark: bytes) -> None:
    read_mark(mark, b"12345678")


def test_a_fingerprint_changes_with_any_part() -> None:
    parts = [("a", 1), ("b", 2.0)]
    assert fingerprint(parts) == fingerprint(list(parts))
    assert len({fingerprint(parts), fingerprint(parts[::-1]), fingerprint([("a", 1)]), fingerprint([("a1", "")])}) == 4
