"""A configuration file as a document: what a person wrote stays, only what was meant changes.

`put` takes the whole tree as it shall be and changes the document where it differs, so that comments, order and
spelling of everything else stand as they were. Items of a list are known by their `name`, else by their place.

Invariants
- `read(text).text == text`, and after `put(tree)` the text reads back as `tree`.
- A comment that does not belong to what was removed is still there.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

import tomlkit
from tomlkit.container import Container, OutOfOrderTableProxy
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, AoT, Array, InlineTable, Item, Table

from tui.trivia import headers, lift, settle

__all__ = ["Document", "DocumentError", "Tree", "read", "same"]

Tree: TypeAlias = dict[str, Any]
_Tables: TypeAlias = Container | AbstractTable | OutOfOrderTableProxy

_INDENT: Final = re.compile(r"^\{\s*?\n([ \t]+)")
_OWN_SECTION: Final = ("tls", "tags")
"""Keys below a section that are written as sections of their own; other tables stand in one line."""


class DocumentError(ValueError):
    """The text is not valid TOML or JSON; says where."""


class Document(Protocol):
    """A text that is a tree."""

    @property
    def text(self) -> str:
        """The document as it stands."""

    @property
    def tree(self) -> Tree:
        """Its content as plain values, a copy."""

    def put(self, tree: Mapping[str, Any]) -> None:
        """Changes the document so that it reads as `tree`."""


def read(text: str, *, is_json: bool) -> Document:
    """The document of a text.

    Raises:
        DocumentError: it cannot be parsed.
    """
    return _Json(text) if is_json else _Toml(text)


def same(one: object, other: object) -> bool:
    """Whether two values are the same in a file: 1, 1.0 and true are three things."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


class _Json:
    def __init__(self, text: str) -> None:
        self._text = text
        try:
            tree = json.loads(text) if text.strip() else {}
        except json.JSONDecodeError as error:
            raise DocumentError(str(error)) from None
        if not isinstance(tree, dict):
            raise DocumentError("{ … }")
        self._tree: Tree = tree
        found = _INDENT.match(text)
        self._indent = found[1] if found else "  "

    @property
    def text(self) -> str:
        return self._text

    @property
    def tree(self) -> Tree:
        return copy.deepcopy(self._tree)

    def put(self, tree: Mapping[str, Any]) -> None:
        if same(tree, self._tree):
            return
        # Keys keep their order: those that were there first, then what is new.
        self._tree = _in_order(self._tree, tree)
        self._text = json.dumps(self._tree, indent=self._indent, ensure_ascii=False) + "\n"


def _in_order(old: object, new: object) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = [name for name in old if name in new] + [name for name in new if name not in old]
        return {name: _in_order(old.get(name), new[name]) for name in names}
    if isinstance(old, list) and isinstance(new, list):
        mates = _mates(old, new)
        return [_in_order(old[mate] if mate is not None else None, item) for item, mate in zip(new, mates, strict=True)]
    return copy.deepcopy(new)


class _Toml:
    def __init__(self, text: str) -> None:
        try:
            self._document = tomlkit.parse(text)
        except TOMLKitError as error:
            raise DocumentError(str(error)) from None
        self._tail = settle(self._document)

    @property
    def text(self) -> str:
        return self._document.as_string() + self._tail

    @property
    def tree(self) -> Tree:
        return self._document.unwrap()

    def put(self, tree: Mapping[str, Any]) -> None:
        if same(tree, self.tree):
            return
        self._merge(self._document, tree)
        assert same(self.tree, tree), "the document does not read as it was asked to"
        # Parsed anew: what was put in gets the same shape as what was read.
        self.__init__(self.text)  # type: ignore[misc]

    def _merge(self, table: _Tables, new: Mapping[str, Any]) -> None:
        for name in [*table]:
            if name not in new:
                self._remove(table, name)
        for name, value in new.items():
            if name not in table:
                _add(table, name, value)
                continue
            old = table[name]
            if same(old.unwrap() if isinstance(old, Item | OutOfOrderTableProxy) else old, value):
                continue
            if isinstance(old, AbstractTable | OutOfOrderTableProxy) and isinstance(value, Mapping):
                self._merge(old, value)
            elif isinstance(old, AoT | Array) and _is_sections(value) and _is_sections(old.unwrap()):
                self._merge_items(old, value)
            elif isinstance(old, AoT) or _is_sections(value):
                # A list of sections and a plain value do not stand in the same place of the text.
                self._remove(table, name)
                _add(table, name, value)
            else:
                table[name] = value

    def _merge_items(self, items: AoT | Array, new: Sequence[Mapping[str, Any]]) -> None:
        mates = _mates(items.unwrap(), new)
        kept = [mate for mate in mates if mate is not None]
        for place in reversed(range(len(items))):
            if place not in kept:
                if isinstance(items, AoT):
                    self._keep_text(items.body[place])
                del items[place]
        old = [items[place] for place in range(len(items))]
        for item, value in zip(
            old, [value for value, mate in zip(new, mates, strict=True) if mate is not None], strict=True
        ):
            self._merge(item, value)
        for value, mate in zip(new, mates, strict=True):
            if mate is None:
                items.append(_section(value) if isinstance(items, AoT) else _inline(value))

    def _remove(self, table: _Tables, name: str) -> None:
        item = table[name]
        tables = item.body if isinstance(item, AoT) else [item] if isinstance(item, Table) else []
        for section in tables:
            self._keep_text(section)
        del table[name]

    def _keep_text(self, section: Table) -> None:
        """Hangs the text that has to stay, when a section goes, on the section that follows it."""
        inside = {id(section), *(id(table) for table in headers(section.value))}
        order = [*headers(self._document)]
        text = "".join(lift(table) for table in order if id(table) in inside)
        places = [place for place, table in enumerate(order) if id(table) in inside]
        following = next((table for table in order[places[-1] + 1 :]), None) if places else None
        if following is None:
            self._tail = text + self._tail
        else:
            following.trivia.indent = text + following.trivia.indent


def _is_sections(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _mates(old: Sequence[Any], new: Sequence[Any]) -> list[int | None]:
    """For each new item the place of the old one that it continues, in ascending order; None where it is new.

    New items stand behind all that continue an old one; where that is not so, places alone count.
    """
    names = [item.get("name") if isinstance(item, Mapping) else None for item in old]
    known = {name: place for place, name in enumerate(names) if isinstance(name, str)}
    mates = [known.get(str(item.get("name"))) if isinstance(item, Mapping) else None for item in new]
    free = set(range(len(old))) - {mate for mate in mates if mate is not None}
    # A renamed item stands where it stood.
    mates = [place if mate is None and place in free else mate for place, mate in enumerate(mates)]
    kept = [mate for mate in mates if mate is not None]
    if (
        kept == sorted(set(kept))
        and all(mate is None for mate in mates[len(kept) :])
        and None not in mates[: len(kept)]
    ):
        return mates
    return [place if place < len(old) else None for place in range(len(new))]


def _add(table: _Tables, name: str, value: object) -> None:
    if isinstance(table, InlineTable | OutOfOrderTableProxy):
        table[name] = value
        return
    top = isinstance(table, Container)
    item: Item
    if isinstance(value, Mapping) and (top or name in _OWN_SECTION):
        item = _section(value)
    elif _is_sections(value) and (top or name in _OWN_SECTION):
        assert isinstance(value, list)
        item = AoT([_section(section) for section in value])
    elif isinstance(value, Mapping):
        item = _inline(value)
    else:
        item = tomlkit.item(value)
    # Not `Table.append`, which takes the blanks of a comment above the header for the keys' indentation.
    container = table if isinstance(table, Container) else table.value
    container.append(name, item)


def _section(value: Mapping[str, Any]) -> Table:
    section = tomlkit.table()
    for name, inner in value.items():
        _add(section, name, inner)
    section.trivia.indent = "\n"
    return section


def _inline(value: Mapping[str, Any]) -> InlineTable:
    table = tomlkit.inline_table()
    for name, inner in value.items():
        table[name] = _inline(inner) if isinstance(inner, Mapping) else inner
    return table
