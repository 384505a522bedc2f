"""Text forms of the built-in types that are no number, time or text by themselves: node ids, names, diagnostics.

The forms are those of the standard (OPC 10000-6, 5.3.1.10 to 5.3.1.14), so that a node id that was read can be put
into a configuration as it stands.
"""

from __future__ import annotations

import base64
import json
import struct
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from adapters.opcua.nodes import uri_text
from adapters.opcua.wire import I32, Malformed, span

__all__ = ["NodeKey", "WireNode", "diagnostics", "key_text", "node_text", "qualified_name", "read_guid", "read_node"]

NodeKey: TypeAlias = tuple[int, int | str | UUID | bytes]
"""Namespace index and identifier: what tells two nodes of one server apart."""

_U16: Final = struct.Struct("<H")
_NUMERIC: Final = {0: struct.Struct("<B"), 1: struct.Struct("<BH"), 2: struct.Struct("<HI")}
_GUID: Final = struct.Struct("<IHH8s")
_DIAGNOSTICS: Final = ((0x01, "symbolicId"), (0x02, "namespaceUri"), (0x08, "locale"), (0x04, "localizedText"))


class WireNode(NamedTuple):
    """A node id or expanded node id as it was sent.

    Attributes:
        key: namespace index and identifier.
        uri: namespace URI in place of the index, where one was sent.
        server: index of the server; 0 is this one.
    """

    key: NodeKey
    uri: bytes
    server: int


def read_guid(body: bytes, at: int) -> UUID:
    """Reads a Guid (5.1.3), whose first three parts are little-endian."""
    first, second, third, rest = _GUID.unpack_from(body, at)
    return UUID(bytes=struct.pack(">IHH", first, second, third) + rest)


def read_node(body: bytes, at: int) -> tuple[WireNode, int]:
    """Reads a NodeId or ExpandedNodeId (5.2.2.9, 5.2.2.10) and gives the position behind it.

    Raises:
        one of `wire.DAMAGE`: the body does not keep the encoding.
    """
    encoding = body[at]
    form = encoding & 0x3F
    at += 1
    identifier: int | str | UUID | bytes
    if form in _NUMERIC:
        *namespaces, identifier = _NUMERIC[form].unpack_from(body, at)
        namespace = namespaces[0] if namespaces else 0
        at += _NUMERIC[form].size
    elif form in (3, 4, 5):
        namespace = _U16.unpack_from(body, at)[0]
        at += 2
        if form == 4:
            identifier = read_guid(body, at)
            at += _GUID.size
        else:
            content, at = span(body, at)
            identifier = content if form == 5 else content.decode(errors="replace")
    else:
        raise Malformed(f"a node id of unknown form {form}")
    uri, server = b"", 0
    if encoding & 0x80:
        uri, at = span(body, at)
    if encoding & 0x40:
        server = struct.unpack_from("<I", body, at)[0]
        at += 4
    return WireNode((namespace, identifier), uri, server), at


def key_text(key: NodeKey) -> str:
    """A node id as a configuration writes it."""
    namespace, identifier = key
    return (f"ns={namespace};" if namespace else "") + _identifier(identifier)


def node_text(node: WireNode) -> str:
    """A node id or expanded node id as text."""
    if not node.uri:
        text = key_text(node.key)
    else:
        text = f"nsu={uri_text(node.uri.decode(errors='replace'))};{_identifier(node.key[1])}"
    return f"svr={node.server};{text}" if node.server else text


def qualified_name(body: bytes, at: int) -> tuple[bytes, int]:
    """Reads a QualifiedName: `2:Name`, or the name alone in namespace 0."""
    namespace = _U16.unpack_from(body, at)[0]
    name, at = span(body, at + 2)
    return (b"%d:%s" % (namespace, name) if namespace else name), at


def diagnostics(body: bytes, at: int) -> str:
    """A DiagnosticInfo (5.2.2.12) as JSON. Its nesting was bounded by whoever stepped over it before."""
    return json.dumps(_diagnostics(body, at), ensure_ascii=False)


def _diagnostics(body: bytes, at: int) -> dict[str, object]:
    mask = body[at]
    at += 1
    told: dict[str, object] = {}
    for bit, name in _DIAGNOSTICS:
        if mask & bit:
            told[name] = I32.unpack_from(body, at)[0]
            at += 4
    if mask & 0x10:
        text, at = span(body, at)
        told["additionalInfo"] = text.decode(errors="replace")
    if mask & 0x20:
        told["innerStatusCode"] = struct.unpack_from("<I", body, at)[0]
        at += 4
    if mask & 0x40:
        told["innerDiagnosticInfo"] = _diagnostics(body, at)
    return told


def _identifier(identifier: int | str | UUID | bytes) -> str:
    if isinstance(identifier, int):
        return f"i={identifier}"
    if isinstance(identifier, bytes):
        return "b=" + base64.b64encode(identifier).decode()
    return f"g={identifier}" if isinstance(identifier, UUID) else f"s={identifier}"
