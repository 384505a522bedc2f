"""The editor of an OPC UA device: connect, open the server's tree, search it, tick variables, see their values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from tui import shown
from tui.backend.contract import Node, ReadOnce
from tui.inputs import assign, free_name, text
from tui.nodetree import Line, NodeTree
from tui.screens.editor import Editor
from tui.screens.tag import TagForm
from tui.session import Session
from tui.theme import mark
from tui.widgets.form import Choice, Field, Press
from tui.widgets.grid import Cell, Column, Grid, Row
from tui.widgets.say import Hint, Say

__all__ = ["OpcuaEditor"]

_SEARCH_LIMIT: Final = 200
_READ_LIMIT: Final = 60
_READ_EVERY: Final = 3
"""Polls between two readings: each is a connection of its own to the server."""

_SECURITY: Final = ("", "auto", "Aes256_Sha256_RsaPss", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "None")
_MODES: Final = ("", "Sign")
_TREE: Final = (
    Column("col.node", 30, grow=3),
    Column("col.type", 10),
    Column("col.value", 14, grow=1, right=True),
)
_TAGS: Final = (
    Column("col.tag", 18, grow=1),
    Column("col.unit", 6),
    Column("col.node_id", 22, grow=2),
    Column("col.quality", 11),
    Column("col.value", 12, grow=1, right=True),
)


class OpcuaEditor(Editor):
    """Edits one OPC UA device.

    Args:
        session: what all screens share.
        section: the device as it stands in the draft.
        is_new: whether it is yet to be added.
    """

    HELP = "help.opcua"
    HINTS: ClassVar[Sequence[Hint]] = (
        Hint("Tab", "key.next"),
        Hint("Enter", "key.open"),
        Hint("Space", "key.tick"),
        Hint("/", "key.search"),
        Hint("d", "key.untick"),
        Hint("^S", "key.keep"),
        Hint("Esc", "key.back"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "tick", show=False),
        Binding("slash", "search", show=False),
        Binding("left", "close", show=False),
        Binding("right", "open", show=False),
        Binding("d,delete", "untick", show=False),
    ]
    DEFAULT_CSS = """
    OpcuaEditor .row { height: 1; }
    OpcuaEditor #nodes { height: 2fr; }
    OpcuaEditor #tags { height: 1fr; min-height: 5; }
    OpcuaEditor .bar { height: 1; background: $surface; }
    OpcuaEditor .bar > Say { width: auto; padding: 0 1; }
    OpcuaEditor .short { width: 32; }
    """

    def __init__(self, session: Session, section: dict[str, Any], *, is_new: bool = False) -> None:
        super().__init__(session, section, is_new=is_new)
        self._tags: list[dict[str, Any]] = [dict(tag) for tag in section.get("tags", ())]
        self._tree = NodeTree()
        self._read: dict[str, ReadOnce] = {}
        self._polls = 0

    def body(self) -> ComposeResult:
        """Where the server is and how it is spoken to, what it has, what was chosen."""
        section, words = self.section, self.words
        with Horizontal(classes="row"):
            yield Field("name", "field.name", words, value=text(section.get("name")), classes="short")
            yield Field(
                "url", "field.server", words, value=text(section.get("url")), hint="opc.tcp://192.168.0.10:4840"
            )
        with Horizontal(classes="row"):
            yield self._choice("security", _SECURITY, "opcua.unsecured")
            yield self._choice("security_mode", _MODES, "opcua.encrypted")
        with Horizontal(classes="row"):
            yield Field("username", "field.user", words, value=text(section.get("username")), classes="short")
            yield Field("password", "field.password", words, value=text(section.get("password")), secret=True)
            yield Press("do.connect", words)
        with Horizontal(classes="bar"):
            yield Say("opcua.tree", words, tone="head")
            yield Field("search", "field.search", words)
        yield Grid(_TREE, words, empty="opcua.connect_first", id="nodes")
        with Horizontal(classes="bar"):
            yield Say("opcua.tags", words, tone="head")
            if "tags_file" in section:
                yield Say("editor.tags_file", words, tone="dim", file=section["tags_file"])
        yield Grid(_TAGS, words, empty="opcua.none", id="tags")

    def edited(self) -> dict[str, Any]:
        """The section as the form says it shall be."""
        values = {key: self._field(key).value for key in ("name", "url", "username", "password")}
        values |= {choice.key: choice.value for choice in self.query(Choice)}
        section = assign(self.section, values)
        if self._tags or "tags" in section:
            section["tags"] = self._tags
        return section

    def show(self) -> None:
        """Shows the tree as far as it is open, and the chosen tags."""
        ticked = {str(tag.get("node")) for tag in self._tags}
        self.query_one("#nodes", Grid).show([self._node_row(line, ticked) for line in self._tree.lines()])
        self.query_one("#tags", Grid).show([self._tag_row(tag) for tag in self._tags])

    async def poll(self) -> None:
        """Reads what is ticked and what is in sight, every few seconds once the server has answered."""
        self._polls += 1
        if self._tree.is_known and self._polls % _READ_EVERY == 1:
            await self._read_values()

    def on_press_pressed(self) -> None:
        """Connect."""
        self._connect()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in a field: search, or connect."""
        if event.input.id == "in-search":
            self.ask(partial(self._search, event.value.strip()), "browse")
        else:
            self._connect()

    def on_grid_chosen(self, event: Grid.Chosen) -> None:
        """Enter: opens or ticks a node; edits a tag."""
        if event.grid.id == "tags":
            tag = next((tag for tag in self._tags if tag.get("name") == event.row), None)
            if tag is not None:
                self.app.push_screen(TagForm(tag, self.words), lambda new: self._renamed(tag, new))
            return
        line = self._tree.line(event.row)
        if line is None:
            return
        if line.node.is_variable:
            self._toggle(line.node)
        elif line.is_open:
            self._tree.close(line)
            self.show()
        else:
            self.ask(partial(self._open, line), "browse")

    def action_tick(self) -> None:
        """Ticks the variable under the cursor, or takes the tick away."""
        line = self._line()
        if line is not None and line.node.is_variable:
            self._toggle(line.node)

    def action_untick(self) -> None:
        """Takes the chosen tag out."""
        grid = self.query_one("#tags", Grid)
        if grid.has_focus:
            self._tags = [tag for tag in self._tags if tag.get("name") != grid.row]
            self.show()

    def action_open(self) -> None:
        """Opens the node under the cursor."""
        line = self._line()
        if line is not None and line.node.children and not line.is_open:
            self.ask(partial(self._open, line), "browse")

    def action_close(self) -> None:
        """Closes the node under the cursor."""
        line = self._line()
        if line is not None and line.is_open:
            self._tree.close(line)
            self.show()

    def action_search(self) -> None:
        """Goes to the search field."""
        self._field("search").input.focus()

    def _connect(self) -> None:
        self.note(self.words("opcua.connecting", url=self._field("url").value))
        self.ask(self._root, "browse")

    async def _root(self) -> None:
        nodes = await self.session.backend.browse(self._device(), None)
        self._tree = NodeTree()
        self._tree.put(None, nodes)
        self.note(self.words("opcua.connected"), "good")
        self.show()
        self.query_one("#nodes", Grid).focus()

    async def _open(self, line: Line) -> None:
        if self._tree.needs(line):
            self._tree.put(line.node.id, await self.session.backend.browse(self._device(), line.node.id))
        self._tree.open(line)
        self.show()
        await self._read_values()

    async def _search(self, wanted: str) -> None:
        if not wanted:
            self._tree.put_found(None)
            self.show()
            return
        self.note(self.words("opcua.searching", text=wanted))
        found = await self.session.backend.search(self._device(), wanted, _SEARCH_LIMIT)
        self._tree.put_found(found.nodes)
        told = "opcua.found" if found.complete else "opcua.found_some"
        self.note(self.words(told, n=len(found.nodes), text=wanted), "good" if found.nodes else "warn")
        self.show()
        self.query_one("#nodes", Grid).focus()
        await self._read_values()

    async def _read_values(self) -> None:
        """Asks for the values of what is in sight; the tags' own names do not matter for that."""
        nodes = [str(tag["node"]) for tag in self._tags if "node" in tag]
        lines = {line.key: line.node for line in self._tree.lines()}
        seen = [lines[key] for key in self.query_one("#nodes", Grid).seen if key in lines]
        wanted = [*dict.fromkeys([*nodes, *(node.id for node in seen if node.is_variable)])][:_READ_LIMIT]
        if not wanted:
            return
        tags = [{"name": f"n{place}", "node": node} for place, node in enumerate(wanted)]
        read = await self.session.backend.read({**self._device(), "tags": tags})
        names = {tag["name"]: tag["node"] for tag in tags}
        self._read |= {names[one.tag]: one for one in read if one.tag in names}
        self.show()

    def _device(self) -> dict[str, Any]:
        """The section to connect by, which need not have a name or tags yet."""
        section = {key: value for key, value in self.edited().items() if key not in ("tags", "tags_file")}
        return {**section, "name": section.get("name") or "new"}

    def _toggle(self, node: Node) -> None:
        if any(tag.get("node") == node.id for tag in self._tags):
            self._tags = [tag for tag in self._tags if tag.get("node") != node.id]
        else:
            name = free_name(node.name, {str(tag.get("name")) for tag in self._tags})
            self._tags = [*self._tags, {"name": name, "node": node.id, **node.keys}]
        self.show()

    def _renamed(self, old: dict[str, Any], new: dict[str, Any] | None) -> None:
        if new is None:
            return
        if any(tag is not old and tag.get("name") == new.get("name") for tag in self._tags):
            self.note(self.words("editor.tag_taken", name=new.get("name")), "bad")
            return
        self._tags = [new if tag is old else tag for tag in self._tags]
        self.show()

    def _line(self) -> Line | None:
        grid = self.query_one("#nodes", Grid)
        return self._tree.line(grid.row) if grid.has_focus else None

    def _field(self, key: str) -> Field:
        return next(field for field in self.query(Field) if field.key == key)

    def _choice(self, key: str, options: Sequence[str], otherwise: str) -> Choice:
        value = text(self.section.get(key))
        return Choice(key, f"field.{key}", self.words, options=options, value=value, otherwise=otherwise)

    def _node_row(self, line: Line, ticked: set[str]) -> Row:
        node = line.node
        if node.is_variable:
            sign = "[x] " if node.id in ticked else "[ ] "
        else:
            sign = "▼ " if line.is_open else "▶ " if node.children else "  "
        name = node.path if self._tree.is_search and node.path else node.name
        read = self._read.get(node.id)
        value = shown.value(read.value) if read else node.value
        tone = "good" if node.id in ticked else ""
        return Row(line.key, [Cell("  " * line.depth + sign + name, tone), Cell(node.type, "dim"), value])

    def _tag_row(self, tag: dict[str, Any]) -> Row:
        read = self._read.get(str(tag.get("node")))
        sign, tone = mark(read.quality) if read else ("", "")
        return Row(
            str(tag.get("name")),
            [
                str(tag.get("name")),
                Cell(text(tag.get("unit")), "dim"),
                Cell(text(tag.get("node")), "dim"),
                Cell(f"{sign} {self.words.known('quality', read.quality)}" if read else "", tone),
                shown.value(read.value) if read else "",
            ],
        )
