import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.spool.budget.retention import StoredSize, admit, choose_victims

sizes = st.lists(st.integers(1, 120), max_size=12)


@pytest.mark.parametrize(
    ("arriving", "used", "when_full", "refused", "to_free"),
    [
        ([], 100, "drop_oldest", set(), 0),
        ([40], 60, "drop_oldest", set(), 0),
        ([40], 61, "drop_oldest", set(), 1),
        ([101], 0, "drop_oldest", {0}, 0),
        ([101, 10], 95, "drop_oldest", {0}, 5),
        ([60, 60], 50, "drop_oldest", {0}, 10),
        ([10, 60, 60], 50, "drop_oldest", {0, 1}, 10),
        ([40], 60, "drop_newest", set(), 0),
        ([40], 61, "drop_newest", {0}, 0),
        ([40, 39], 61, "drop_newest", {0}, 0),
        ([101], 0, "drop_newest", {0}, 0),
    ],
)
def test_admission(arriving, used, when_full, refused, to_free):
    admission = admit(arriving, used_bytes=used, max_bytes=100, when_full=when_full)
    assert (set(admission.refused), admission.to_free_bytes) == (refused, to_free)


@given(sizes, st.integers(0, 150), st.sampled_from(["drop_oldest", "drop_newest"]))
def test_what_is_admitted_fits_once_room_is_made(arriving, used, when_full):
    admission = admit(arriving, used_bytes=used, max_bytes=100, when_full=when_full)
    kept = sum(size for index, size in enumerate(arriving) if index not in admission.refused)
    assert 0 <= admission.to_free_bytes <= used
    if kept or when_full == "drop_oldest":
        assert used - admission.to_free_bytes + kept <= 100 or not arriving or used + sum(arriving) <= 100
    if when_full == "drop_newest":
        assert admission.to_free_bytes == 0


@given(sizes, st.integers(0, 100))
def test_drop_oldest_keeps_the_newest_that_can_fit(arriving, used):
    refused = admit(arriving, used_bytes=used, max_bytes=100, when_full="drop_oldest").refused
    fitting = [index for index, size in enumerate(arriving) if size <= 100]
    kept = [index for index in fitting if index not in refused]
    assert kept == fitting[len(fitting) - len(kept) :]


@given(sizes, st.integers(-5, 500))
def test_the_fewest_victims_from_the_front(stored, to_free):
    rows = [StoredSize(seq, 1, size) for seq, size in enumerate(stored)]
    victims = choose_victims(rows, to_free_bytes=to_free)
    assert victims == rows[: len(victims)]
    assert sum(row.size_bytes for row in victims) >= to_free or victims == rows
    assert not victims or sum(row.size_bytes for row in victims[:-1]) < to_free
