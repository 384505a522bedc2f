from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from adapters.modbus.address import Table
from adapters.modbus.items import Item
from adapters.modbus.planner import Request, plan_requests, split


def item(index: int, address: int, count: int = 1, *, table: Table = Table.HOLDING, unit_id: int = 1) -> Item:
    return Item(index, f"t{index}", unit_id, table, address, count, "uint16")


def spans(requests: list[Request]) -> list[tuple[int, int]]:
    return [(request.address, request.count) for request in requests]


@st.composite
def items(draw: st.DrawFn) -> list[Item]:
    places = draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.sampled_from(Table), st.integers(0, 400), st.sampled_from([1, 1, 2, 4, 9])),
            max_size=60,
        )
    )
    return [
        item(index, address, 1 if table.is_bits else count, table=table, unit_id=unit_id)
        for index, (unit_id, table, address, count) in enumerate(places)
    ]


def assert_sound(requests: list[Request]) -> None:
    for request in requests:
        assert request.items
        assert all(i.unit_id == request.unit_id and i.table == request.table for i in request.items)
        assert all(request.address <= i.address and i.end <= request.address + request.count for i in request.items)


@given(items(), st.integers(9, 125), st.integers(0, 124))
def test_every_tag_once_whole_and_within_the_limits(tags: list[Item], limit: int, gap: int) -> None:
    requests = plan_requests(tags, max_registers=limit, max_gap=gap)
    assert_sound(requests)
    assert sorted(i.index for request in requests for i in request.items) == [i.index for i in tags]
    for request in requests:
        scale = 16 if request.table.is_bits else 1
        assert 1 <= request.count <= limit * scale <= 2_000
        end = request.items[0].end
        for i in request.items:
            assert i.address - end <= gap * scale
            end = max(end, i.end)
    keys = [(request.unit_id, request.table, request.address) for request in requests]
    assert keys == sorted(keys)


@given(items(), st.integers(9, 125), st.integers(0, 124))
def test_no_two_neighbours_could_have_been_one(tags: list[Item], limit: int, gap: int) -> None:
    requests = plan_requests(tags, max_registers=limit, max_gap=gap)
    for a, b in pairwise(requests):
        if (a.unit_id, a.table) == (b.unit_id, b.table):
            scale = 16 if a.table.is_bits else 1
            first = b.items[0]
            end = a.address + a.count
            assert first.address - end > gap * scale or max(end, first.end) - a.address > limit * scale


@given(items())
def test_splitting_ends_with_every_tag_alone_at_its_place(tags: list[Item]) -> None:
    waiting = plan_requests(tags, max_registers=125, max_gap=124)
    done: list[Request] = []
    while waiting:
        request = waiting.pop()
        pieces = split(request)
        assert_sound(list(pieces))
        assert all(len(piece.items) < len(request.items) for piece in pieces)
        if pieces:
            waiting += pieces
        else:
            done.append(request)
    assert sorted(i.index for request in done for i in request.items) == [i.index for i in tags]
    for request in done:
        assert {(i.address, i.count) for i in request.items} == {(request.address, request.count)}


def test_gaps_are_joined_up_to_the_limit() -> None:
    tags = [item(0, 0), item(1, 11), item(2, 23)]
    assert spans(plan_requests(tags, max_registers=125, max_gap=10)) == [(0, 12), (23, 1)]
    assert spans(plan_requests(tags, max_registers=125, max_gap=11)) == [(0, 24)]
    assert spans(plan_requests(tags, max_registers=125, max_gap=0)) == [(0, 1), (11, 1), (23, 1)]


def test_a_value_of_many_registers_is_never_cut() -> None:
    tags = [item(i, 4 * i, 4) for i in range(40)]
    assert spans(plan_requests(tags, max_registers=125, max_gap=0)) == [(0, 124), (124, 36)]


def test_coils_count_sixteen_to_a_register() -> None:
    tags = [item(i, i, table=Table.COIL) for i in range(2_001)]
    assert spans(plan_requests(tags, max_registers=125, max_gap=0)) == [(0, 2_000), (2_000, 1)]


def test_a_refused_request_loses_its_widest_gap_first() -> None:
    (request,) = plan_requests([item(0, 0), item(1, 1), item(2, 9), item(3, 12)], max_registers=125, max_gap=10)
    assert spans(list(split(request))) == [(0, 2), (9, 4)]


def test_a_refused_request_without_gaps_is_halved() -> None:
    (request,) = plan_requests([item(i, i) for i in range(100)], max_registers=125, max_gap=0)
    assert spans(list(split(request))) == [(0, 50), (50, 50)]


def test_tags_that_share_a_register_cannot_be_parted() -> None:
    (request,) = plan_requests([item(i, 7) for i in range(16)], max_registers=125, max_gap=0)
    assert split(request) == ()
