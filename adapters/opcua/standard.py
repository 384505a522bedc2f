"""The layouts of the standard's own structures, out of asyncua's copy of them: many servers do not describe these.

What asyncua has a class of, with fields of types that we can read, is known; anything else is left out.
"""

from __future__ import annotations

import typing
from enum import IntEnum
from typing import Any, Final

from asyncua import ua

from adapters.opcua.structures import Form, Layout, Member, Types
from adapters.opcua.texts import NodeKey

__all__ = ["key_of", "learn_standard"]

_INT32: Final = 6
_NAMES: Final = {"str": "String", "bool": "Boolean", "bytes": "ByteString", "UUID": "Guid", "datetime": "DateTime"}


def key_of(node: ua.NodeId) -> NodeKey:
    """A node id as the decoder knows it."""
    return int(node.NamespaceIndex), node.Identifier


def learn_standard(node: ua.NodeId, types: Types) -> None:
    """Adds one of the standard's structures, and those inside it, where asyncua knows it.

    Args:
        node: the data type, or its binary encoding.
        types: is added to.
    """
    if node.NamespaceIndex:
        return
    for encoding, made in ua.extension_objects_by_typeid.items():
        if not encoding.NamespaceIndex and node in (encoding, getattr(made, "data_type", None)):
            _add(made, encoding, types)
            return


def _add(made: Any, encoding: ua.NodeId, types: Types) -> bool:  # noqa: ANN401 - one of asyncua's classes
    """Adds the layout of a class; tells whether it could."""
    key = key_of(made.data_type)
    if key in types.layouts:
        return True
    members: list[Member] = []
    try:
        hints = typing.get_type_hints(made, None, {"ua": ua})
    except (NameError, AttributeError):
        return False  # asyncua has the class, but not the type of one of its fields
    for name, hint in hints.items():
        if name != "data_type":
            member = _member(name, hint, made, types)
            if member is None:
                return False
            members.append(member)
    types.layouts[key] = Layout(Form.PLAIN, tuple(members))
    types.encodings[key_of(encoding)] = key
    return True


def _member(name: str, hint: Any, inside: object, types: Types) -> Member | None:  # noqa: ANN401 - an annotation
    rank = 0
    if typing.get_origin(hint) is list:
        rank, (hint,) = 1, typing.get_args(hint)
    if not isinstance(hint, type):
        return None
    if issubclass(hint, IntEnum):
        return Member(name, _INT32, rank)
    number = getattr(ua.VariantType, _NAMES.get(hint.__name__, hint.__name__), None)
    if number is not None:
        return Member(name, int(number), rank)
    encoding = next((node for node, one in ua.extension_objects_by_typeid.items() if one is hint), None)
    if encoding is None or hint is inside or not _add(hint, encoding, types):
        return None
    return Member(name, key_of(getattr(hint, "data_type")), rank)  # noqa: B009 - only its class declares it
