import pytest

from gateway.status_text import status_text

STATUS = {
    "gateway": "edge-7",
    "version": "0.1.0",
    "state": "up",
    "began": 1_700_000_000.5,
    "uplink": {"connected": True, "in_flight": 3, "why": None, "latency_s": 0.0123},
    "components": {
        "spool": {"state": "up", "why": "", "since": 1_700_000_000},
        "device press_1": {"state": "waiting", "why": "refused \x1b[31m", "since": 1_700_000_060, "tries": 1200},
    },
    "dropped": {},
    "gaps": [{"device": "press_1", "readings": 12}, {"device": "meter", "readings": 0}],
    "labels": ["a", "b"],
}


def test_a_page_for_people():
    assert status_text(STATUS).splitlines() == [
        "gateway  edge-7",
        "version  0.1.0",
        "state    up",
        "began    2023-11-14 22:13:20 UTC",
        "dropped  none",
        "labels   a, b",
        "",
        "uplink",
        "  connected  yes",
        "  in_flight  3",
        "  why        -",
        "  latency_s  0.012",
        "",
        "components",
        "                  state    why            since                    tries",
        "  spool           up                      2023-11-14 22:13:20 UTC",
        "  device press_1  waiting  refused �[31m  2023-11-14 22:14:20 UTC  1,200",
        "",
        "gaps",
        "  device   readings",
        "  press_1  12",
        "  meter    0",
    ]


@pytest.mark.parametrize(
    ("status", "page"),
    [
        ({}, "the gateway told nothing"),
        ({"a": {"b": {"c": {"d": 1}}}}, "a\n  b\n       d\n    c  1"),
        ({"a": [{"b": {"c": 1}}, 2]}, "a\n  1  2\n\n  0\n       c\n    b  1"),
        ({"a": {"b": 1, "c": {"d": 2}}}, "a\n  b  1\n\n  c\n    d  2"),
        ({"line\nbreak": "x\ny"}, "line�break  x�y"),
        ({"since": "long ago"}, "since  long ago"),
    ],
)
def test_it_follows_any_shape(status, page):
    assert status_text(status) == page
