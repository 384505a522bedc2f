"""Type dictionaries of OPC UA 1.03: read, and met at a real server."""

import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.common.type_dictionary_builder import DataTypeDictionaryBuilder
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.dictionary import read_dictionary
from adapters.opcua.structures import Form, Layout, Member
from gateway.batch import Kind
from tests.adapters.opcua.plc import Plc, Rig

V = ua.VariantType

HEAD = """<?xml version="1.0" encoding="utf-8"?>
<opc:TypeDictionary xmlns:opc="http://opcfoundation.org/BinarySchema/" xmlns:ua="http://opcfoundation.org/UA/"
  xmlns:tns="urn:maker" TargetNamespace="urn:maker" DefaultByteOrder="LittleEndian">
  <!-- as a PLC writes it -->
  <opc:Import Namespace="http://opcfoundation.org/UA/"/>
"""
PLAIN = """
  <opc:EnumeratedType Name="Mode" LengthInBits="32"><opc:EnumeratedValue Name="Off" Value="0"/></opc:EnumeratedType>
  <opc:StructuredType Name="Point" BaseType="ua:ExtensionObject">
    <opc:Field Name="X" TypeName="opc:Double"/><opc:Field Name="Y" TypeName="opc:Float"/>
  </opc:StructuredType>
  <opc:StructuredType Name="Motor" BaseType="ua:ExtensionObject">
    <opc:Field Name="Name" TypeName="opc:CharArray"/>
    <opc:Field Name="Mode" TypeName="tns:Mode"/>
    <opc:Field Name="Where" TypeName="tns:Point"/>
    <opc:Field Name="NoOfAxes" TypeName="opc:Int32"/>
    <opc:Field Name="Axes" TypeName="tns:Point" LengthField="NoOfAxes"/>
    <opc:Field Name="Label" TypeName="ua:LocalizedText"/>
    <opc:Field Name="Range" TypeName="ua:Range"/>
  </opc:StructuredType>
"""
OPTIONAL = """
  <opc:StructuredType Name="Sparse" BaseType="ua:ExtensionObject">
    <opc:Field Name="ASpecified" TypeName="opc:Bit"/><opc:Field Name="BSpecified" TypeName="opc:Bit"/>
    <opc:Field Name="Reserved1" TypeName="opc:Bit" Length="30"/>
    <opc:Field Name="Id" TypeName="opc:Int32"/>
    <opc:Field Name="A" TypeName="opc:Int16" SwitchField="ASpecified"/>
    <opc:Field Name="NoOfB" TypeName="opc:Int32" SwitchField="BSpecified"/>
    <opc:Field Name="B" TypeName="opc:Byte" LengthField="NoOfB" SwitchField="BSpecified"/>
  </opc:StructuredType>
"""
UNION = """
  <opc:StructuredType Name="Choice" BaseType="ua:Union">
    <opc:Field Name="SwitchField" TypeName="opc:UInt32"/>
    <opc:Field Name="Number" TypeName="opc:Int32" SwitchField="SwitchField" SwitchValue="1"/>
    <opc:Field Name="Text" TypeName="opc:String" SwitchField="SwitchField" SwitchValue="2"/>
  </opc:StructuredType>
"""
END = "</opc:TypeDictionary>"


def key(name: str) -> tuple[int, str]:
    return -1, name


def standard(name: str) -> tuple[int, int] | None:
    return (0, 884) if name == "Range" else None


def read(text: str) -> dict[str, Layout]:
    return read_dictionary((HEAD + text + END).encode(), key=key, standard=standard)


def test_structures_arrays_enumerations_and_the_standards_own() -> None:
    assert read(PLAIN) == {
        "Point": Layout(Form.PLAIN, (Member("X", 11), Member("Y", 10))),
        "Motor": Layout(
            Form.PLAIN,
            (
                Member("Name", 12),
                Member("Mode", 6),
                Member("Where", (-1, "Point")),
                Member("Axes", (-1, "Point"), 1),
                Member("Label", 21),
                Member("Range", (0, 884)),
            ),
        ),
    }


def test_optional_fields_and_unions() -> None:
    assert read(OPTIONAL + UNION) == {
        "Sparse": Layout(Form.OPTIONAL_FIELDS, (Member("Id", 6), Member("A", 4, 0, True), Member("B", 3, 1, True))),
        "Choice": Layout(Form.UNION, (Member("Number", 6), Member("Text", 12))),
    }


FIELD = '<opc:StructuredType Name="S" BaseType="ua:ExtensionObject"><opc:Field {}/></opc:StructuredType>'


@pytest.mark.parametrize(
    "wrong",
    [
        FIELD.format('Name="A" TypeName="opc:Bit"'),
        FIELD.format('Name="A" TypeName="opc:Int32" Length="4"'),
        FIELD.format('Name="A" TypeName="opc:Byte" Terminator="00"'),
        FIELD.format('Name="A" TypeName="opc:Byte" LengthField="Elsewhere"'),
        FIELD.format('Name="A" TypeName="opc:Byte" SwitchField="Elsewhere"'),
        FIELD.format('Name="A" TypeName="opc:Byte" ByteOrder="BigEndian"'),
        FIELD.format('Name="A" TypeName="opc:Nothing"'),
        FIELD.format('Name="A" TypeName="ua:Nothing"'),
        FIELD.format('Name="A" TypeName="other:Int32"'),
        FIELD.format('Name="A"'),
    ],
)
def test_what_is_laid_out_otherwise_is_left_out_alone(wrong: str) -> None:
    assert [*read(wrong + PLAIN)] == ["Point", "Motor"]


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"no XML",
        (HEAD.replace("utf-8", "utd-8") + PLAIN + END).encode(),
        (HEAD + PLAIN).encode(),
        (HEAD.replace("LittleEndian", "BigEndian") + PLAIN + END).encode(),
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + (HEAD.partition("\n")[2] + PLAIN + END).encode(),
        "<x>\ud800</x>".encode("utf-8", "surrogatepass"),
    ],
)
def test_what_is_no_dictionary_of_ours_holds_nothing(xml: bytes) -> None:
    assert read_dictionary(xml, key=key, standard=standard) == {}


@given(st.data())
def test_a_damaged_dictionary_never_raises(data: st.DataObject) -> None:
    xml = bytearray((HEAD + PLAIN + OPTIONAL + UNION + END).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        xml[data.draw(st.integers(0, len(xml) - 1))] = data.draw(st.integers(0, 255))
    read_dictionary(bytes(xml), key=key, standard=standard)


# ---- At a server ---------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def old() -> AsyncIterator[tuple[Plc, Any]]:
    """A server that describes its structures in a dictionary only, and the data type of one."""
    plc = await Plc.start()
    builder = DataTypeDictionaryBuilder(plc.server, 2, "urn:maker", "Dictionary")
    await builder.init()
    point = await builder.create_data_type("OldPoint")
    point.add_field("X", V.Double)
    motor = await builder.create_data_type("OldMotor")
    motor.add_field("Name", V.String)
    motor.add_field("Where", point)
    motor.add_field("Axes", point, is_array=True)
    await builder.set_dict_byte_string()
    try:
        yield plc, motor
    finally:
        await plc.stop()


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("declared", ["OldMotor", "Structure"])
async def test_a_structure_out_of_a_dictionary(old: tuple[Plc, Any], declared: str) -> None:
    plc, motor = old
    _, _, encoding = motor.node_ids
    content = struct.pack("<i5sdidd", 5, b"spind", 1.5, 2, 10.0, 20.0)
    value = ua.ExtensionObject(TypeId=encoding, Body=content)
    data_type = motor.data_type if declared == "OldMotor" else ua.NodeId(ua.ObjectIds.Structure)
    await plc.server.nodes.objects.add_variable(
        ua.NodeId(declared, 2), f"2:{declared}", ua.Variant(value, V.ExtensionObject), datatype=data_type
    )
    fields = ["Name", "Where.X", "Axes[1].X"]
    rig = Rig(plc.port, {"m": f"ns=2;s={declared}"}, own={"m": {"fields": fields}})
    async with rig.running():
        await rig.seen()
    assert [(rig.of(f"m.{field}")[0].value, rig.of(f"m.{field}")[0].kind) for field in fields] == [
        ("spind", Kind.STR),
        (1.5, Kind.F64),
        (20.0, Kind.F64),
    ]
