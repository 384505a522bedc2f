"""Tables of readings: read, written, and refused with the line that is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import Kind, Reading
from gateway.errors import TidegateError
from gateway.workshop.cases import Row, read_case, rows_text
from tests.modules.drawn import reading

HEAD = "time,tag,value,status,flags\n"


def test_a_table_is_read() -> None:
    case = read_case(
        '# params = { low = 1.0 }\n# outputs = { mean = "average" }\n# tags = ["a*"]\n\n'
        + HEAD
        + "0,a,21.5\n-1.000000001,a,21\n2,a,21u,uncertain\n3,a,true\n4,a,'it''s'\n"
        + "5,a,x'00ff',0x4094,lost+derived\n6,a,\n7,a,,0x8005\n8,a,nan\n",
        "t.csv",
    )
    assert (case.params, case.outputs, case.tags) == ({"low": 1.0}, {"mean": "average"}, ["a*"])
    assert [row.reading[:2] + row.reading[3:] for row in case.rows][:8] == [
        (0, 21.5, 0, Kind.F64, 0),
        (-1_000_000_001, 21, 0, Kind.I64, 0),
        (2_000_000_000, 21, 0x4000, Kind.U64, 0),
        (3_000_000_000, True, 0, Kind.BOOL, 0),
        (4_000_000_000, "it''s", 0, Kind.STR, 0),
        (5_000_000_000, b"\x00\xff", 0x4094, Kind.BYTES, 5),
        (6_000_000_000, None, 0x8000, Kind.F64, 0),
        (7_000_000_000, None, 0x8005, Kind.F64, 0),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# params = {\n" + HEAD, "no TOML"),
        ("# param = {}\n" + HEAD, "param in a line with # is unknown"),
        ("time,value\n", "t.csv:1: found 'time,value', expected the columns"),
        (HEAD + "0,a\n", "t.csv:2: found 2 cells"),
        (HEAD + "0,a,1,2,3,4\n", "found 6 cells"),
        (HEAD + "now,a,1\n", "found time 'now'"),
        (HEAD + "0.0000000001,a,1\n", "at most nine decimals"),
        (HEAD + "1e30,a,1\n", "found time"),
        (HEAD + "0,a,abc\n", "found value 'abc'"),
        (HEAD + "0,a,1,fine\n", "found status 'fine'"),
        (HEAD + "0,a,1,bad\n", "a bad reading has none"),
        (HEAD + "0,a,1,,new\n", "found flag 'new'"),
    ],
)
def test_what_cannot_be_understood_is_told_with_its_line(text: str, words: str) -> None:
    with pytest.raises(TidegateError) as error:
        read_case(text, "t.csv")
    assert words in str(error.value)


@given(st.lists(st.tuples(st.sampled_from(["a", "b.c", 'with "quotes", commas']), reading()), max_size=8))
def test_what_is_written_is_read_back(drawn: list[tuple[str, Reading]]) -> None:
    rows = [Row(tag, one) for tag, one in drawn]
    assert repr(read_case(rows_text(rows), "t.csv").rows) == repr(rows)
