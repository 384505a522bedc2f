"""A refusal on the control socket, the same on both of its sides."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import Problem, TidegateError

__all__ = ["Refused"]


class Refused(TidegateError):
    """The gateway does not do what was asked.

    Args:
        text: why, and what to do.
        status: HTTP status, 400 to 599.
        problems: what is wrong in the configuration that was sent.
    """

    def __init__(self, text: str, *, status: int, problems: Sequence[Problem] = ()) -> None:
        self.status = status
        self.text = text
        self.problems = tuple(problems)
        super().__init__("\n".join([text, *(f"  {problem}" for problem in self.problems)]))
