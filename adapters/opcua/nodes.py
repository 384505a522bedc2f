"""Node ids as people write them. Pure, so that a configuration is checked without the protocol's library.

Owns the text form of OPC 10000-6, 5.3.1.10: an optional namespace, as `ns=` index or `nsu=` URI, then one of `i=`,
`s=`, `g=`, `b=`. Refuses what the standard does not say: spaces around the parts, server indices, unknown letters.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, NamedTuple
from urllib.parse import unquote
from uuid import UUID

__all__ = ["NodeAddress", "parse_node", "uri_text"]

_TEXT: Final = re.compile(
    r"(?:ns=(?P<index>[0-9]{1,5});|nsu=(?P<uri>[^;]+);)?(?P<form>[isgb])=(?P<value>.+)", re.DOTALL
)
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_GUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_EXAMPLES: Final = "ns=2;s=Press.Temperature, ns=3;i=1001 or nsu=urn:maker:line;s=Speed"


class NodeAddress(NamedTuple):
    """Where a node is. `uri` is given instead of `namespace` where the index is to be looked up at the device."""

    namespace: int
    uri: str | None
    identifier: int | str | UUID | bytes


def uri_text(uri: str) -> str:
    """A namespace URI as it stands in a node id, between `nsu=` and the `;` behind it."""
    return uri.replace("%", "%25").replace(";", "%3B")


def parse_node(text: str) -> NodeAddress:
    """Reads a node id.

    Args:
        text: such as `ns=2;s=Press.Temperature`. A `;` or `%` inside a namespace URI is written %3B or %25.

    Raises:
        ValueError: the text is no node id; says what was expected.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a node id; expected a text such as {_EXAMPLES}")
    namespace = int(match["index"] or 0)
    if namespace > 0xFFFF:
        raise ValueError(f"{text!r}: a namespace index is at most 65535")
    uri = unquote(match["uri"]) if match["uri"] else None
    return NodeAddress(namespace, uri, _identifier(text, match["form"], match["value"]))


def _identifier(text: str, form: str, value: str) -> int | str | UUID | bytes:
    if form == "s":
        return value
    if form == "i":
        if not _NUMBER.fullmatch(value) or int(value) > 0xFFFFFFFF:
            raise ValueError(f"{text!r}: after i= a number from 0 to 4294967295 was expected")
        return int(value)
    if form == "g":
        if not _GUID.fullmatch(value):
            raise ValueError(f"{text!r}: after g= a GUID such as 09087e75-8e5e-499b-954f-f2a9603db28a was expected")
        return UUID(value)
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise ValueError(f"{text!r}: after b= base64 text was expected") from None
