"""When a command is too late."""

import pytest

from gateway.commands.timing import deadline_ns, too_late

S = 1_000_000_000
NOW = 1_763_900_000 * S


@pytest.mark.parametrize(
    ("expires_ms", "expiry_s", "expected"),
    [
        (None, None, NOW + 30 * S),
        (None, 5, NOW + 5 * S),
        (None, 0, NOW),
        (None, 500, NOW + 30 * S),
        (1_763_900_000_500, None, NOW + S // 2),
        (1_763_900_000_500, 5, NOW + S // 2),
        (1_763_900_099_000, 5, NOW + 99 * S),
        (0, None, 0),
    ],
)
def test_its_own_word_counts_before_the_messages_and_the_gateways(expires_ms, expiry_s, expected):
    assert deadline_ns(expires_ms, received_ns=NOW, expiry_s=expiry_s, max_age_s=30) == expected


@pytest.mark.parametrize(
    ("deadline", "why"),
    [
        (NOW, None),
        (NOW + 86_400 * S, None),
        (NOW - S // 2, "it expired 0.5 s ago by this gateway's clock (2025-11-23 12:13:20 UTC); nothing was written"),
        (0, "it expired 1763900000.0 s ago"),
        (NOW + 86_401 * S, "it expires more than a day ahead of this gateway's clock (2025-11-23 12:13:20 UTC)"),
    ],
)
def test_too_late_and_too_early(deadline, why):
    told = too_late(deadline, NOW)
    assert told is None if why is None else told.startswith(why)
