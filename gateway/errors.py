"""The errors this product raises on purpose.

Each one speaks to the person on site: what was tried, on what, what came back, what to do next. A `TidegateError`
is shown as its text, never as a traceback. Anything else that escapes is a defect of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = [
    "BadBatch",
    "ConfigError",
    "ModuleError",
    "Problem",
    "SourceLost",
    "SpoolError",
    "SpoolRefused",
    "TidegateError",
    "UplinkError",
]


class TidegateError(Exception):
    """Base of every error that has a text for people."""


class Problem(NamedTuple):
    """One thing that is wrong in a configuration.

    `where` is the key path as the file's author would write it, such as `devices[2].tags[0].register`; it is empty
    when the whole file is meant. `what` says what was found, what was expected, and what to do.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class ConfigError(TidegateError):
    """The configuration cannot be used. Carries every problem that was found, not only the first."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


class BadBatch(TidegateError):
    """A block of records breaks the layout: it came from a module, a disk or a peer, and is not to be trusted."""


class SourceLost(TidegateError):
    """The device can no longer be read: not reachable, refused, went silent. `supervise` decides when to try again."""


class SpoolError(TidegateError):
    """The spool's file cannot be used as asked."""


class SpoolRefused(SpoolError):
    """The spool's file is another program's, or a newer version's: it is not touched, and to try again is no use."""


class ModuleError(TidegateError):
    """A Wasm module cannot be loaded, does not fit our ABI, or failed while it worked."""


class UplinkError(TidegateError):
    """The broker cannot be reached, refused us, or went away."""
