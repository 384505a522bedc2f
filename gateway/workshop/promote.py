"""A filter and its shadow change places: in a configuration, where all else stays, and in the gateway that runs by it.

No batch is lost or doubled: the gateway changes its filters between two batches, and each of the two modules goes on
from what it remembers itself. So the same again rolls back.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, Final

from gateway.errors import TidegateError

__all__ = ["promote", "promoted"]

_KEYS: Final = ("module", "sha256", "params")


def promote(file: Path, name: str) -> str:
    """Swaps a filter and its shadow; says what was done.

    Raises:
        TidegateError: it cannot be done; nothing has changed.
    """
    from gateway.check import load
    from gateway.config.versions import write_versioned
    from gateway.control import client

    path = load(file).socket_path
    if _listens(path):
        stands = client.call(path, "GET", "/config")
        text = promoted(stands["text"], name, file)
        done = client.call(path, "POST", "/config/apply", {"text": text, "base": stands["sha256"]}, timeout_s=60.0)
        return "\n".join(done["changes"]) or "nothing that runs has changed"
    text = promoted(file.read_text(), name, file)
    load(file, text=text)
    write_versioned(file, text)
    return f"{file} is changed; no gateway runs on it now"


def promoted(text: str, name: str, file: Path) -> str:
    """The text of a configuration in which this filter's shadow is at work, and the filter is its shadow.

    Args:
        text: what stands in the file; a configuration that can be used.
        name: the filter's name, or its module's where it has none.
        file: for its ending, and for errors.

    Raises:
        TidegateError: there is no such filter, or it has no shadow.
    """
    if file.suffix == ".json":
        tree = json.loads(text)
        _swap(tree, name, file, lambda value: value)
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    try:
        import tomlkit  # keeps comments
    except ModuleNotFoundError:
        raise TidegateError(f"{file} cannot be edited here: pip install tidegate[tui], or change it by hand") from None

    def inline(value: object) -> object:
        # As plain values first: what tomlkit parsed carries the space and the comment behind it along.
        plain = value.unwrap() if hasattr(value, "unwrap") else value
        if not isinstance(plain, dict):
            return plain
        table = tomlkit.inline_table()
        table.update(plain)
        return table

    document = tomlkit.parse(text)
    _swap(document, name, file, inline)
    return tomlkit.dumps(document)


def _listens(path: Path) -> bool:
    """Whether a gateway runs on this socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _swap(tree: MutableMapping[str, Any], name: str, file: Path, made: Callable[[object], object]) -> None:
    filters = tree.get("filters", [])
    names = [str(one.get("name") or Path(str(one["module"])).stem) for one in filters]
    found = [one for one, its in zip(filters, names, strict=True) if its == name]
    if len(found) != 1:
        many = "no filter" if not found else f"{len(found)} filters"
        raise TidegateError(f"{file} has {many} named {name}; its filters are {', '.join(names) or 'none'}")
    (one,) = found
    shadow = one.get("shadow")
    if shadow is None:
        raise TidegateError(f"filter {name} of {file} has no shadow: there is nothing to promote")
    # A filter keeps its name in logs, metrics and the state that is kept, whatever file is at work.
    one["name"] = name
    for key in _KEYS:
        ours, theirs = made(one.get(key)), made(shadow.get(key))
        if key == "params" and theirs is None:
            continue  # they share the filter's
        _put(one, key, theirs)
        _put(shadow, key, ours)


def _put(table: MutableMapping[str, Any], key: str, value: object) -> None:
    if value is not None:
        table[key] = value
    elif key == "params":
        table[key] = {}
    else:
        table.pop(key, None)
