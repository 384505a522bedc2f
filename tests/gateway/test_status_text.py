import pytest

from gateway.status_text import WIDTH, status_text

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
        "                  state    since                    tries  why",
        "  spool           up       2023-11-14 22:13:20 UTC         -",
        "  device press_1  waiting  2023-11-14 22:14:20 UTC  1,200  refused �[31m",
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
        ({"a": {"b": {"c": {"d": 1}}}}, "a\n  b\n    c  d  1"),
        ({"a": [{"b": {"c": 1}}, 2]}, "a\n  1  2\n\n  0\n    b  c  1"),
        ({"a": {"b": 1, "c": {"d": 2}}}, "a\n  b  1\n\n  c\n    d  2"),
        ({"line\nbreak": "x\ny"}, "line�break  x�y"),
        ({"since": "long ago"}, "since  long ago"),
        ({"last_error": ""}, "last_error  -"),
        ({"last_seq": 1_234_567}, "last_seq  1234567"),
        ({"last_error_at": 1_700_000_000.5}, "last_error_at  2023-11-14 22:13:20 UTC"),
        ({"oldest_at_ns": 1_700_000_000 * 10**9}, "oldest_at_ns  2023-11-14 22:13:20 UTC"),
        ({"parked_until_ns": None}, "parked_until_ns  -"),
        ({"a": {"b": {}}}, "a\n  b  none"),
    ],
)
def test_it_follows_any_shape(status, page):
    assert status_text(status) == page


def test_records_that_would_make_too_wide_a_table_are_told_one_by_one():
    known = {"state": "up", "continued": True, "refused_tags": ["level (ns=2;s=Level): BadNodeIdUnknown"]}
    known |= {f"what_else_is_known_{number}": number for number in range(20)}
    page = status_text({"devices": {"press": known, "tank": {"state": "up", "continued": False}}}).splitlines()
    assert max(map(len, page)) <= WIDTH
    assert page[:5] == [
        "devices",
        "  press",
        "    state                  up",
        "    continued              yes",
        "    refused_tags           level (ns=2;s=Level): BadNodeIdUnknown",
    ]
    assert page[-5:] == ["    what_else_is_known_19  19", "", "  tank", "    state      up", "    continued  no"]


def test_counters_are_lines_of_name_label_and_value():
    counters = {"published_total": {"false": 12000.0, "true": 3.0}, "errors_total": {"tank,device_failure": 1.0}}
    assert status_text({"counters": counters | {"latency_sum": {"": 0.5}}}).splitlines() == [
        "counters",
        "  published_total  false                12,000",
        "  published_total  true                 3",
        "  errors_total     tank,device_failure  1",
        "  latency_sum      -                    0.500",
    ]


def test_long_texts_are_the_last_column_and_are_wrapped_below_themselves():
    why = " ".join(["no Modbus connection to 10.0.0.6:502: nothing listens there."] * 3)
    components = {"uplink": {"state": "waiting", "why": why, "since": 0, "tries": 2}}
    lines = status_text({"components": components, "uplink": {"note": why}}).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[1].split() == ["state", "since", "tries", "why"]
    column = lines[1].index("why")
    below = lines.index("uplink")
    assert all(line[:column].isspace() for line in lines[3 : below - 1])
    assert " ".join(line[column:] for line in lines[2 : below - 1]) == why
    assert " ".join(lines[below + 1 :]).split() == ["note", *why.split()]


def test_a_value_for_each_of_many_tags_does_not_bury_the_page():
    ages = {f"t{i}": float(i) for i in range(5_000)}
    lines = status_text({"devices": {"plc": {"state": "up", "tag_age_s": ages}}}).splitlines()
    assert lines[-1].strip() == "and 4,980 more; --json tells all"
    assert len(lines) < 30
    assert any(line.split() == ["t19", "19"] for line in lines)
