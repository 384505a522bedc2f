"""The draft: the configuration as it shall be, beside the one it was made from.

Owns the text of both. Every screen edits through the operations here; nothing reaches the gateway or the file before
it is applied. Pure: reads and writes nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

from tui.changes import Change, changes, unified
from tui.document import Tree, read

__all__ = ["Draft"]


class _Now(NamedTuple):
    """The document as it stands, kept because the screens look at it each second."""

    text: str
    tree: Tree


class Draft:
    """An edited configuration.

    Args:
        text: the configuration it starts from.
        sha256: digest by which the gateway knows that text; sent back when the draft is applied.
        is_json: whether it is JSON; else TOML.

    Raises:
        DocumentError: the text cannot be parsed.
    """

    def __init__(self, text: str, *, sha256: str = "", is_json: bool = False) -> None:
        self.base = text
        self.sha256 = sha256
        self.is_json = is_json
        self._document = read(text, is_json=is_json)
        self._base_tree = self._document.tree
        self._now = _Now(text, self._base_tree)

    @property
    def text(self) -> str:
        """The draft as a file."""
        return self._now.text

    @property
    def tree(self) -> Tree:
        """The draft as plain values; a copy, to be given back with `put`."""
        return copy.deepcopy(self._now.tree)

    @property
    def changed(self) -> bool:
        """Whether the draft says something else than what it was made from."""
        return self.text != self.base

    @property
    def devices(self) -> list[Tree]:
        """The device sections, in the order of the file; to be looked at, not to be changed."""
        return _sections(self._now.tree, "devices")

    @property
    def base_devices(self) -> list[Tree]:
        """The device sections that the draft was made from."""
        return _sections(self._base_tree, "devices")

    @property
    def uplink(self) -> Tree:
        """The broker's section; empty where there is none."""
        found = self._now.tree.get("uplink")
        return copy.deepcopy(found) if isinstance(found, dict) else {}

    def put(self, tree: Mapping[str, Any]) -> None:
        """Changes what differs from `tree`, and leaves every other line as it stands."""
        self._document.put(tree)
        self._now = _Now(self._document.text, self._document.tree)

    def put_section(self, name: str, section: Mapping[str, Any]) -> None:
        """Sets a section such as `uplink`; an empty one is left out."""
        tree = self.tree
        if section:
            tree[name] = dict(section)
        else:
            tree.pop(name, None)
        self.put(tree)

    def put_item(self, kind: str, section: Mapping[str, Any], *, name: str | None = None) -> None:
        """Adds an item to `devices` or `filters`, or changes the one of this name.

        Args:
            kind: `devices` or `filters`.
            section: the item as it shall be.
            name: the name it has so far; None adds it as the last one.
        """
        tree = self.tree
        items = _sections(tree, kind)
        place = _place(items, name)
        if place is None:
            items.append(dict(section))
        else:
            items[place] = dict(section)
        tree[kind] = items
        self.put(tree)

    def remove_item(self, kind: str, name: str) -> None:
        """Removes the item of this name from `devices` or `filters`."""
        tree = self.tree
        items = _sections(tree, kind)
        place = _place(items, name)
        if place is not None:
            del items[place]
        if items:
            tree[kind] = items
        else:
            tree.pop(kind, None)
        self.put(tree)

    def device(self, name: str) -> Tree | None:
        """The device section of this name; a copy."""
        return next((copy.deepcopy(device) for device in self.devices if device.get("name") == name), None)

    def put_tag(self, device: str, tag: Mapping[str, Any], *, name: str | None = None) -> None:
        """Adds a tag to a device, or changes the one of this name."""
        section = self.device(device)
        if section is None:
            return
        tags = _sections(section, "tags")
        place = _place(tags, name)
        if place is None:
            tags.append(dict(tag))
        else:
            tags[place] = dict(tag)
        self.put_item("devices", {**section, "tags": tags}, name=device)

    def remove_tag(self, device: str, name: str) -> None:
        """Removes a device's tag of this name."""
        section = self.device(device)
        if section is not None:
            tags = [tag for tag in _sections(section, "tags") if tag.get("name") != name]
            self.put_item("devices", {**section, "tags": tags}, name=device)

    def changes(self) -> list[Change]:
        """What the draft changes, to be put into words."""
        return changes(self._base_tree, self._now.tree)

    def diff(self) -> list[str]:
        """What the draft changes, line by line."""
        return unified(self.base, self.text)

    def discard(self) -> None:
        """Back to what the draft was made from."""
        self._document = read(self.base, is_json=self.is_json)
        self._now = _Now(self.base, self._base_tree)


def _sections(tree: Mapping[str, Any], name: str) -> list[Tree]:
    found = tree.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _place(items: list[Tree], name: str | None) -> int | None:
    if name is None:
        return None
    return next((place for place, item in enumerate(items) if item.get("name", item.get("module")) == name), None)
