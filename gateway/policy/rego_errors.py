"""Reads the errors of the Rego interpreter, which come as the text of a syntax tree, into lines and words.

    (rego-errorseq
      (error 6:p.rego|28|2
        (errormsg 24:Invalid boolean operator)
        …

Lengths stand before texts and count bytes, as does the offset (here 28) in the source.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["RegoTrouble", "troubles"]

_ERROR = re.compile(rb"\(error(?: (?P<length>\d+):)?")
_PLACE = re.compile(rb"\|(?P<offset>\d+)\|\d+")
_MESSAGE = re.compile(rb"\s*\(errormsg (?P<length>\d+):")
_LONGEST_UNKNOWN = 200


class RegoTrouble(NamedTuple):
    """One error. `line` counts from 1; 0 where the interpreter does not say."""

    line: int
    what: str


def troubles(text: str, source: str = "") -> list[RegoTrouble]:
    """The errors in what the interpreter said, in the order of the source.

    Of several with the same words the last one counts: an unclosed brace makes all that is around it unclosed too.

    Args:
        text: the syntax tree of its errors.
        source: the policy, for the line numbers.
    """
    told = text.encode()
    written = source.encode()
    found: dict[str, int] = {}
    for error in _ERROR.finditer(told):
        line, position = 0, error.end()
        if error["length"] is not None:
            position += int(error["length"])
            place = _PLACE.match(told, position)
            if place is not None:
                line = written.count(b"\n", 0, int(place["offset"])) + 1
                position = place.end()
        message = _MESSAGE.match(told, position)
        if message is not None:
            what = told[message.end() : message.end() + int(message["length"])].decode(errors="replace")
            found[what] = max(line, found.get(what, 0))
    if not found:
        found[" ".join(text.split())[:_LONGEST_UNKNOWN] or "the interpreter gave no reason"] = 0
    return sorted(RegoTrouble(line, what) for what, line in found.items())
