"""What all sections are made of: their base, and the types of keys that several of them have.

Two properties of a key follow from its name and its type, so that a protocol's model has them without asking:
- a key named `password` or `*_password` is a secret (`is_secret`): it may be given as `<key>_file`, and is never shown;
- a key named `*_file` or `*_dir`, or of type `LocalPath`, is a path below the folder of the configuration file.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from msgspec import Meta, Struct

__all__ = [
    "NAME_PATTERN",
    "Digest",
    "Host",
    "LocalPath",
    "ModuleRef",
    "Name",
    "PlantPath",
    "Port",
    "Seconds",
    "Section",
    "is_secret",
]

NAME_PATTERN = r"^[^/+#\x00-\x1f\x7f]+(?!\n)$"
"""A name that can be one level of an MQTT topic and one segment of a point's path.

In Python `$` also stands before a last line end, hence the look-ahead.
"""

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=NAME_PATTERN,
        extra={"rule": "a name without /, + and # and without control characters, since it is one level of a topic"},
    ),
]
PlantPath = Annotated[
    str,
    Meta(
        pattern=r"^[^/+#\x00-\x1f\x7f]+(/[^/+#\x00-\x1f\x7f]+)*(?!\n)$",
        extra={"rule": "names joined by single slashes, such as site/area/line, without + and #"},
    ),
]
LocalPath = Annotated[str, Meta(min_length=1, extra={"path": "file"})]
"""A file on this machine. The reader makes it absolute; a relative one is below the configuration's folder."""
ModuleRef = Annotated[str, Meta(min_length=1, extra={"path": "module"})]
"""Like `LocalPath` where it has a slash or ends in .wasm, else the name of a built-in module."""
Digest = Annotated[
    str,
    Meta(pattern=r"^[0-9a-f]{64}(?!\n)$", extra={"rule": "64 digits from 0 to 9 and from a to f"}),
]
"""A SHA-256, as `sha256sum` prints it."""
Port = Annotated[int, Meta(ge=1, le=65535)]
_ADDRESS_WITH_MORE: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[^/@\s]*@)?(?:\[(?P<ipv6>[^\]\s]+)\]|(?P<name>[^/:@\[\]\s]+))"
    r"(?::(?P<port>[0-9]{1,5}))?(?:/\S*)?"
)


def _host_hint(text: str) -> str:
    """`; write host = "broker" and port = 1883` where the text holds a host and more than that, else nothing."""
    parts = _ADDRESS_WITH_MORE.fullmatch(text.strip())
    if parts is None:
        return ""
    port = f" and port = {int(parts['port'])}" if parts["port"] else ""
    return f'; write host = "{parts["ipv6"] or parts["name"]}"{port}'


Host = Annotated[
    str,
    Meta(
        min_length=1,
        pattern=r"^([^\s/:@\[\]]+|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%[^\s/:@\[\]]+)?)(?!\n)$",
        extra={"rule": "the name or the address of a host, alone", "hint": _host_hint},
    ),
]
"""A name, an IPv4 address or an IPv6 address without brackets: what the resolver takes, no scheme and no port."""
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
_HIDDEN: Final = "(hidden)"


def is_secret(key: str) -> bool:
    """Whether a key of this name holds a secret: never shown, and may be given as a file of its own."""
    return key == "password" or key.endswith("_password")


class Section(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Base of every section: a key that we do not know is a mistake, never ignored. Its repr hides secrets."""

    def __repr__(self) -> str:
        shown = (
            f"{key}={_HIDDEN if is_secret(key) and value is not None else repr(value)}"
            for key, value in ((key, getattr(self, key)) for key in self.__struct_fields__)
        )
        return f"{type(self).__name__}({', '.join(shown)})"
