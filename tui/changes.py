"""What a draft changes, as data: the screens put it into words of the chosen language."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.config.keys import is_secret
from tui.document import same

__all__ = ["Change", "changes", "unified"]

_CONTEXT_LINES: Final = 2
_SECRET: Final = re.compile(r"""^(?P<head>.?\s*"?\w*password"?\s*[=:]\s*).+$""")
_HIDDEN: Final = "(hidden)"


class Change(NamedTuple):
    """One change.

    Attributes:
        kind: what happened, such as `device.added`.
        where: the device, filter or key it happened to.
        items: names of tags or keys.
        old: the value before, as text; empty where there was none.
        new: the value after, as text; empty where there is none.
    """

    kind: str
    where: str
    items: tuple[str, ...] = ()
    old: str = ""
    new: str = ""


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """What has to be said of the step from one tree to another, in the order of the file."""
    told: list[Change] = []
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        if same(before, after):
            continue
        if name == "devices":
            told += _devices(_named(before), _named(after))
        elif name == "filters":
            told += _filters(_named(before, "module"), _named(after, "module"))
        else:
            told += _keys(name, before, after)
    return told


def unified(old: str, new: str) -> list[str]:
    """The unified diff of two texts, without its file header; values of passwords are hidden."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=_CONTEXT_LINES, lineterm="")
    return [_SECRET.sub(rf"\g<head>{_HIDDEN}", line) for line in [*lines][2:]]


def _named(items: object, otherwise: str = "name") -> dict[str, Mapping[str, Any]]:
    """List items by their name; a name that stands twice, or none, is made unique by its place."""
    named: dict[str, Mapping[str, Any]] = {}
    for place, item in enumerate(items if isinstance(items, Sequence) and not isinstance(items, str) else ()):
        if isinstance(item, Mapping):
            name = str(item.get("name") or item.get(otherwise) or f"[{place}]")
            named[name if name not in named else f"{name} [{place}]"] = item
    return named


def _devices(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> Iterator[Change]:
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            yield Change("device.removed", name)
        elif name not in old:
            yield Change("device.added", name, tuple(_named(new[name].get("tags"))))
        else:
            yield from _device(name, old[name], new[name])


def _device(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before, after = _named(old.get("tags")), _named(new.get("tags"))
    plain_old = {key: value for key, value in old.items() if key != "tags"}
    plain_new = {key: value for key, value in new.items() if key != "tags"}
    yield from _keys(name, plain_old, plain_new)
    if added := tuple(tag for tag in after if tag not in before):
        yield Change("tags.added", name, added)
    if removed := tuple(tag for tag in before if tag not in after):
        yield Change("tags.removed", name, removed)
    for tag in after:
        if tag in before:
            yield from _keys(f"{name}/{tag}", before[tag], after[tag])


def _filters(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> Iterator[Change]:
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            yield Change("filter.removed", name)
        elif name not in old:
            yield Change("filter.added", name)
        else:
            yield from _keys(name, old[name], new[name])


def _keys(where: str, old: object, new: object) -> Iterator[Change]:
    if isinstance(old, Mapping) or isinstance(new, Mapping):
        before = old if isinstance(old, Mapping) else {}
        after = new if isinstance(new, Mapping) else {}
        for key in dict.fromkeys([*before, *after]):
            if not same(before.get(key), after.get(key)):
                yield from _keys(f"{where}.{key}", before.get(key), after.get(key))
        return
    secret = is_secret(where.rpartition(".")[2])
    kind = "key.removed" if new is None else "key.added" if old is None else "key.changed"
    yield Change(kind, where, (), _shown(old, secret=secret), _shown(new, secret=secret))


def _shown(value: object, *, secret: bool) -> str:
    if value is None:
        return ""
    if secret:
        return _HIDDEN
    return str(value).lower() if isinstance(value, bool) else str(value)
