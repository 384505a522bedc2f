"""Readings of any kind, drawn by Hypothesis, with values and times that often meet."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from gateway.batch import Flag, Kind, Reading

__all__ = ["batches", "reading"]

S = 1_000_000_000
NUMBERS = st.one_of(
    st.builds(lambda v: (Kind.F64, v), st.one_of(st.floats(), st.integers(-3, 3).map(float), st.floats(-3, 3))),
    st.builds(lambda v: (Kind.I64, v), st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3))),
    st.builds(lambda v: (Kind.U64, v), st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 3))),
)
OTHERS = st.one_of(
    st.builds(lambda v: (Kind.BOOL, v), st.booleans()),
    st.builds(lambda v: (Kind.STR, v), st.sampled_from(["", "a", "läuft", "停止"])),
    st.builds(lambda v: (Kind.BYTES, v), st.binary(max_size=3)),
    st.just((Kind.F64, None)),
)
TIMES = st.one_of(st.integers(0, 8).map(lambda s: s * S), st.integers(0, 20 * S), st.integers(-(2**63), 2**63 - 1))


@st.composite
def reading(draw: st.DrawFn) -> Reading:
    kind, value = draw(st.one_of(NUMBERS, NUMBERS, NUMBERS, OTHERS))
    status = draw(st.sampled_from([0x8000, 0x8005, 0xC000] if value is None else [0, 0, 0, 0x4000, 0x4093]))
    flags = draw(st.sampled_from([0, 0, 0, 0, int(Flag.LOST_BEFORE), int(Flag.GATEWAY_TIME)]))
    return Reading(draw(TIMES), value, 0, status, kind, flags)


def _in_order(rows: list[tuple[str, Reading]]) -> list[tuple[str, Reading]]:
    """With times that grow, as they nearly always do."""
    times = sorted(one.ts_ns for _, one in rows)
    return [(tag, one._replace(ts_ns=ts_ns)) for (tag, one), ts_ns in zip(rows, times, strict=True)]


def batches(tags: Sequence[str]) -> st.SearchStrategy[list[list[tuple[str, Reading]]]]:
    """Batches of readings with the names of their tags."""
    # Most of them are of the first tag: what a module remembers matters more than that points are kept apart.
    rows = st.lists(st.tuples(st.sampled_from([tags[0]] * 3 + list(tags)), reading()), max_size=20)
    return st.lists(st.one_of(rows, rows.map(_in_order), rows.map(_in_order)), min_size=1, max_size=3)
