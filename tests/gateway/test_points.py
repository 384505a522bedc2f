import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import Kind
from gateway.errors import TidegateError
from gateway.points import Point, PointTable

PATH = "site/area/line/press/force"


def test_number_is_given_once() -> None:
    table = PointTable()
    number = table.intern(PATH, device="press", unit="kN", kind=Kind.F64)
    assert number == 1
    assert table.intern(PATH, device="press", unit="kN", kind=Kind.F64) == number
    assert table.intern("site/area/line/press/temp", device="press") == 2
    assert table[number] == Point(1, PATH, "press", "kN", Kind.F64)
    assert table[number].tag == "force"
    assert 2 in table
    assert 0 not in table
    assert 3 not in table


def test_another_unit_or_kind_is_another_point() -> None:
    table = PointTable()
    numbers = {
        table.intern(PATH, device="press", unit=unit, kind=kind) for unit in ("bar", "psi") for kind in (None, Kind.F64)
    }
    assert numbers == {1, 2, 3, 4}


def test_unknown_number_is_no_point() -> None:
    with pytest.raises(KeyError):
        PointTable()[0]


def test_unsaved_points_wait_for_the_database() -> None:
    table = PointTable([Point(1, PATH, "press", "kN", Kind.F64)])
    assert table.unsaved() == []
    table.intern(PATH, device="press", unit="kN", kind=Kind.F64)
    second = table.intern("a/b/c/d/e", device="d")
    assert [point.number for point in table.unsaved()] == [second]
    table.mark_saved(second)
    assert table.unsaved() == []
    assert len(table) == 2
    assert [point.number for point in table] == [1, 2]


def test_hole_in_the_stored_numbers_is_refused() -> None:
    with pytest.raises(TidegateError, match="found number 2 where 1 was due"):
        PointTable([Point(2, PATH, "press", "kN", None)])


NAMES = st.sampled_from(["a/b/c/press/force", "a/b/c/press/temp", "a/b/c/tank/force", "force", "/force"])


@given(st.lists(st.tuples(NAMES, st.sampled_from(["", "bar", "psi"]), st.sampled_from([None, Kind.F64]))), st.data())
def test_it_does_what_a_plain_dict_would(asked: list[tuple[str, str, Kind | None]], data: st.DataObject) -> None:
    table, plain = PointTable(), dict[tuple[str, str, Kind | None], int]()
    for path, unit, kind in asked:
        if data.draw(st.booleans()):
            table = PointTable(list(table))  # as after a restart
        number = table.intern(path, device="d", unit=unit, kind=kind)
        assert number == plain.setdefault((path, unit, kind), len(plain) + 1)
        assert table[number] == Point(number, path, "d", unit, kind)
        assert table.tags[number] == table[number].tag
    assert len(table) == len(plain)
