"""Where a TOML document's comments hang, so that an edit moves none of them to another section.

tomlkit hangs everything between two headers on the section above. A key added to that section would then stand below
a comment that speaks of the next one, and a section that is removed would take its neighbour's comment along. `settle`
hangs the text after each section's last paragraph of keys on the header that follows; `lift` cuts one header's text.

Invariants
- `settle` does not change what the document renders to.
- What is cut with a removed section is only the comment that touches its header, and what stands between its keys.
"""

from __future__ import annotations

from collections.abc import Iterator

from tomlkit import TOMLDocument
from tomlkit.container import Container
from tomlkit.items import AoT, Comment, Table, Whitespace

__all__ = ["headers", "lift", "settle"]


def settle(document: TOMLDocument) -> str:
    """Hangs the text between sections on the headers that follow it.

    Args:
        document: as parsed; changed in place.

    Returns:
        The text behind the last section: the caller writes it after the document.
    """
    loose = _cut(document)
    for table in headers(document):
        table.trivia.indent = loose + table.trivia.indent
        loose = _cut(table.value)
    return loose


def lift(table: Table) -> str:
    """The text above a section's header that does not touch it: what has to stay when the section goes."""
    text = table.trivia.indent
    lines = text.splitlines(keepends=True)
    while lines and lines[-1].strip():
        lines.pop()
    while lines and not lines[-1].strip():
        lines.pop()
    return "".join(lines)


def headers(container: Container) -> Iterator[Table]:
    """Every section that has a header of its own, in the order of the text."""
    for _, item in container.body:
        if isinstance(item, AoT):
            for table in item.body:
                yield table
                yield from headers(table.value)
        elif isinstance(item, Table):
            if not item.is_super_table():
                yield item
            yield from headers(item.value)


def _cut(container: Container) -> str:
    """Takes the text from the first blank line behind the container's own keys, or what touches the next header."""
    body = container.body
    end = next((place for place, (_, item) in enumerate(body) if isinstance(item, Table | AoT)), len(body))
    start = end
    while start and isinstance(body[start - 1][1], Comment | Whitespace):
        start -= 1
    blank = next((place for place in range(start, end) if isinstance(body[place][1], Whitespace)), end)
    text = "".join(item.as_string() for _, item in body[blank:end])
    for place in range(blank, end):
        body[place] = (None, Whitespace("", fixed=True))
    return text
