"""Asking a server that sets limits which it does not tell."""

import asyncio
from collections.abc import Sequence

from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.ask import in_parts

GIANT = -1


class Server:
    """Takes so many things at once, and cannot put a giant one into an answer."""

    def __init__(self, most: int, giants: frozenset[int] = frozenset()) -> None:
        self.most = most
        self.giants = giants
        self.asked: list[int] = []

    async def ask(self, part: Sequence[int]) -> list[int]:
        self.asked.append(len(part))
        if len(part) > self.most:
            raise ua.uaerrors.BadTooManyOperations
        if not self.giants.isdisjoint(part):
            raise ua.uaerrors.BadResponseTooLarge
        return [10 * one for one in part]

    def about(self, number: int, *, most: int) -> list[int]:
        return asyncio.run(in_parts(range(number), most, self.ask, lambda _code: GIANT))


def test_a_limit_is_found_out_once_and_then_kept() -> None:
    server = Server(7)
    assert server.about(40, most=20) == [10 * one for one in range(40)]
    assert server.asked == [20, 10] + [5] * 8


def test_one_giant_value_hides_no_other_and_makes_no_others_small() -> None:
    server = Server(100, frozenset({0}))
    assert server.about(64, most=16) == [GIANT] + [10 * one for one in range(1, 64)]
    assert server.asked == [16, 8, 4, 2, 1, 2, 4, 8, 16, 16, 16, 1]


@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 20), st.frozensets(st.integers(0, 59), max_size=4))
def test_each_thing_has_its_result_in_its_place(number: int, most: int, takes: int, giants: frozenset[int]) -> None:
    server = Server(takes, giants)
    assert server.about(number, most=most) == [GIANT if one in giants else 10 * one for one in range(number)]
    # Finding a giant takes as many halvings as there are halves, and a limit is found once.
    assert sum(server.asked) <= 2 * number + 20 + 40 * (1 + len(giants))
