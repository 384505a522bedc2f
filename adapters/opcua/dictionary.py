"""Type dictionaries in OPC Binary, as servers described their structures up to OPC UA 1.03 (OPC 10000-5, annex C).

Pure. What is laid out in a way that the decoder does not know is left out, and its values stay of an unknown type:
lengths in bytes, terminators, conditions on values, big-endian dictionaries.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

from adapters.opcua.structures import Form, Layout, Member
from adapters.opcua.texts import NodeKey

__all__ = ["read_dictionary"]

_BINARY: Final = "http://opcfoundation.org/BinarySchema/"
_STANDARD: Final = "http://opcfoundation.org/UA/"
_MOST_BYTES: Final = 16 * 1024 * 1024
_BUILT_IN: Final = {
    "Boolean": 1,
    "SByte": 2,
    "Byte": 3,
    "Char": 3,
    "Int16": 4,
    "UInt16": 5,
    "Int32": 6,
    "UInt32": 7,
    "Int64": 8,
    "UInt64": 9,
    "Float": 10,
    "Double": 11,
    "String": 12,
    "CharArray": 12,
    "DateTime": 13,
    "Guid": 14,
    "ByteString": 15,
    "XmlElement": 16,
    "NodeId": 17,
    "ExpandedNodeId": 18,
    "StatusCode": 19,
    "QualifiedName": 20,
    "LocalizedText": 21,
    "ExtensionObject": 22,
    "DataValue": 23,
    "Variant": 24,
    "DiagnosticInfo": 25,
}
_ENUMERATIONS: Final = {"8": 3, "16": 5, "32": 6}
"""Built-in type of an enumeration, by its length in bits."""
_NOT_KNOWN: Final = frozenset({"Length", "LengthInBytes", "IsLengthInBytes", "Terminator", "SwitchOperand"})
_MASK_BITS: Final = 32


class _Unknown(Exception):
    """A structure that is laid out in a way that is not known here."""


class _Names(NamedTuple):
    """What a name in a dictionary means.

    Attributes:
        prefixes: namespaces by prefix.
        own: the dictionary's own namespace.
        enumerations: built-in types of its enumerations.
        key: of a structure of its own, by name.
        standard: of one of the standard's structures, by name.
    """

    prefixes: Mapping[str, str]
    own: str
    enumerations: Mapping[str, int]
    key: Callable[[str], NodeKey]
    standard: Callable[[str], NodeKey | None]

    def type(self, text: str) -> int | NodeKey:
        prefix, _, name = text.rpartition(":")
        namespace = self.prefixes.get(prefix, "")
        if namespace == self.own:
            return self.enumerations.get(name) or self.key(name)
        if namespace in (_BINARY, _STANDARD) and name in _BUILT_IN:
            return _BUILT_IN[name]
        key = self.standard(name) if namespace == _STANDARD else None
        if key is None:
            raise _Unknown
        return key


def read_dictionary(
    xml: bytes, *, key: Callable[[str], NodeKey], standard: Callable[[str], NodeKey | None]
) -> dict[str, Layout]:
    """The structures of a dictionary, by name; empty where it cannot be read.

    Args:
        xml: the dictionary.
        key: under which a structure of its own is known to the others.
        standard: the key of one of the standard's structures, which are only named here; None where there is none.
    """
    if len(xml) > _MOST_BYTES or b"<!" in xml.replace(b"<!--", b""):
        return {}  # a document type could hold entities that grow without end; a dictionary has none
    prefixes: dict[str, str] = {}
    root: ET.Element | None = None
    try:
        # Prefixes stand in values here, so they have to be known as well as the elements.
        for event, what in ET.iterparse(io.BytesIO(xml), events=("start-ns", "end")):  # noqa: S314 - see above
            if event == "start-ns":
                prefixes[what[0]] = what[1]
            else:
                root = what
    except (ET.ParseError, ValueError, LookupError):  # the last one is a character set that nobody knows
        return {}
    if root is None or root.get("DefaultByteOrder", "LittleEndian") != "LittleEndian":
        return {}
    enumerations = {
        one.get("Name", ""): _ENUMERATIONS[one.get("LengthInBits", "")]
        for one in root.iterfind(f"{{{_BINARY}}}EnumeratedType")
        if one.get("LengthInBits", "") in _ENUMERATIONS
    }
    names = _Names(prefixes, root.get("TargetNamespace", ""), enumerations, key, standard)
    layouts: dict[str, Layout] = {}
    for one in root.iterfind(f"{{{_BINARY}}}StructuredType"):
        try:
            layouts[one.get("Name", "")] = _structure(one, names)
        except _Unknown:
            continue
    return layouts


def _structure(element: ET.Element, names: _Names) -> Layout:
    fields = [dict(field.attrib) for field in element.iterfind(f"{{{_BINARY}}}Field")]
    if any(field.get("ByteOrder", "LittleEndian") != "LittleEndian" for field in fields):
        raise _Unknown
    if element.get("BaseType", "").rpartition(":")[2] == "Union":
        return _union(fields, names)
    bits: dict[str, int] = {}
    used = 0
    while fields and fields[0].get("TypeName", "").rpartition(":")[2] == "Bit":
        bit = fields.pop(0)
        bits[bit.get("Name", "")] = used
        used += _number(bit.get("Length", "1"))
    if used not in (0, _MASK_BITS):
        raise _Unknown
    members = tuple(_members(fields, names, bits))
    return Layout(Form.OPTIONAL_FIELDS if used else Form.PLAIN, members)


def _members(fields: list[dict[str, str]], names: _Names, bits: Mapping[str, int]) -> list[Member]:
    members: list[Member] = []
    optional = 0
    length = ""
    lengths = {field["LengthField"] for field in fields if "LengthField" in field}
    for field in fields:
        name = field.get("Name", "")
        if name in lengths:
            # The number of elements stands right before them: together they are an array as everywhere else.
            if length or names.type(field.get("TypeName", "")) != _BUILT_IN["Int32"]:
                raise _Unknown
            length = name
            continue
        if field.get("LengthField", "") != length or _NOT_KNOWN & field.keys() or "SwitchValue" in field:
            raise _Unknown
        switch = field.get("SwitchField")
        if switch is not None:
            if bits.get(switch) != optional:
                raise _Unknown
            optional += 1
        members.append(Member(name, names.type(field.get("TypeName", "")), 1 if length else 0, switch is not None))
        length = ""
    if length:
        raise _Unknown
    return members


def _union(fields: list[dict[str, str]], names: _Names) -> Layout:
    """A number says which of the fields follows, counted from 1 in their order."""
    switch, choices = fields[:1], fields[1:]
    if not switch or names.type(switch[0].get("TypeName", "")) != _BUILT_IN["UInt32"]:
        raise _Unknown
    members: list[Member] = []
    for number, field in enumerate(choices, start=1):
        if field.get("SwitchField") != switch[0].get("Name") or field.get("SwitchValue") != str(number):
            raise _Unknown
        if "LengthField" in field or _NOT_KNOWN & field.keys():
            raise _Unknown
        members.append(Member(field.get("Name", ""), names.type(field.get("TypeName", ""))))
    return Layout(Form.UNION, tuple(members))


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 2:
        raise _Unknown
    return int(text)
