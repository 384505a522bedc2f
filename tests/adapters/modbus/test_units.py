from adapters.modbus.planner import Request, plan_requests
from adapters.modbus.units import RETRY_REFUSED_S, Silence, Unit
from tests.adapters.modbus.test_planner import item


def make(count: int, *, step: int = 1) -> tuple[Unit, list[Request]]:
    requests = plan_requests([item(i, i * step) for i in range(count)], max_registers=125, max_gap=0)
    return Unit(1, requests), requests


def test_a_refused_request_is_asked_again_only_after_a_while() -> None:
    unit, (first, second) = make(2, step=2)
    unit.set_aside(first, now_s=0.0)
    assert unit.due(1.0) == [second]
    assert unit.due(RETRY_REFUSED_S) == [second, first]
    unit.set_aside(first, now_s=RETRY_REFUSED_S)
    assert unit.due(RETRY_REFUSED_S + 1) == [second]
    unit.accept(first)
    assert unit.due(0.0) == [second, first]


def test_many_refused_requests_are_retried_a_few_at_a_time() -> None:
    unit, requests = make(100, step=2)
    for request in requests:
        unit.set_aside(request, now_s=0.0)
    assert len(unit.due(RETRY_REFUSED_S)) == 4
    assert unit.probe(0.0) is None


def test_a_split_request_is_replaced_in_its_place() -> None:
    unit, (request,) = make(10)
    pieces = unit.split(request)
    assert list(unit.asked) == list(pieces)
    assert len(pieces) == 2
    unit.set_aside(pieces[0], now_s=0.0)
    again = unit.split(pieces[0])
    assert list(unit.asked) == [pieces[1], *again]
    assert unit.refused == ()


def test_failures_are_forgotten_after_a_complete_cycle_only() -> None:
    unit, (request,) = make(1)

    def silence_s() -> float:
        unit.fall_silent(now_s=0.0, interval_s=1.0, timeout_s=1.0)
        assert unit.probe(0.5) is None
        waits = [s for s in range(100) if unit.probe(s) is request]
        unit.wake()
        assert unit.probe(1_000.0) is None
        return waits[0]

    assert [silence_s() for _ in range(4)] == [1, 2, 4, 8]
    unit.complete()
    assert silence_s() == 1


def test_a_failing_request_is_looked_at_more_closely_once_in_a_while() -> None:
    unit, (request,) = make(4)
    assert unit.may_look_closer(request, now_s=0.0)
    assert not unit.may_look_closer(request, now_s=RETRY_REFUSED_S - 1)
    assert unit.may_look_closer(request, now_s=RETRY_REFUSED_S)
    one, (single,) = make(1)
    assert not one.may_look_closer(single, now_s=0.0)


def test_silence_is_handed_on_and_ends_with_an_answer() -> None:
    unit, (request,) = make(1)
    assert not unit.answers
    assert unit.silence is None
    unit.complete()
    assert unit.answers
    for now_s in (0.0, 1.0):
        unit.fall_silent(now_s=now_s, interval_s=1.0, timeout_s=1.0)
    assert not unit.answers
    assert unit.silence == Silence(failures=2, probe_at_s=3.0)
    again = Unit(1, [request], silence=unit.silence, now_s=2.0)
    assert again.silent
    assert not again.answers
    assert again.probe(2.9) is None
    assert again.probe(3.0) is request
    again.wake()
    assert again.answers
    assert again.silence is None


def test_a_unit_whose_probe_is_due_is_asked_like_the_others_and_keeps_its_failures() -> None:
    unit = Unit(1, make(1)[1], silence=Silence(failures=3, probe_at_s=5.0), now_s=5.0)
    assert not unit.silent
    assert not unit.answers
    unit.fall_silent(now_s=10.0, interval_s=1.0, timeout_s=1.0)
    assert unit.silence == Silence(failures=4, probe_at_s=18.0)


def test_a_length_that_is_refused_while_its_halves_are_answered_is_not_asked_again() -> None:
    unit = Unit(1, plan_requests([item(i, i) for i in range(500)], max_registers=125, max_gap=0))
    first = unit.due(0.0)[0]
    pieces = unit.split(first)
    unit.accept(pieces[0])
    assert unit.most_registers is None
    unit.accept(pieces[1])
    assert unit.most_registers == 124
    assert [request.count for request in unit.due(0.0)] == [62, 63] * 4
    # The halves are refused, too: it takes less than that.
    quarters = unit.split(unit.due(0.0)[0])
    for quarter in quarters:
        unit.accept(quarter)
    assert unit.most_registers == 61
    assert max(request.count for request in unit.due(0.0)) <= 61
    assert sum(request.count for request in unit.due(0.0)) == 500


def test_a_refusal_whose_half_is_refused_as_well_teaches_no_length() -> None:
    unit, (request,) = make(100)
    first, second = unit.split(request)
    unit.accept(first)
    unit.split(second)
    assert unit.most_registers is None
    assert unit.due(0.0)[0] is first
    gapped = Unit(1, plan_requests([item(0, 0), item(1, 9)], max_registers=125, max_gap=10))
    for piece in gapped.split(gapped.due(0.0)[0]):
        gapped.accept(piece)
    assert gapped.most_registers is None
