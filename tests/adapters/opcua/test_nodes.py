from uuid import UUID

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.nodes import NodeAddress, parse_node

GUID = "09087e75-8e5e-499b-954f-f2a9603db28a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("i=2258", NodeAddress(0, None, 2258)),
        ("ns=3;i=4294967295", NodeAddress(3, None, 4294967295)),
        ("ns=2;s=Press.Temperature", NodeAddress(2, None, "Press.Temperature")),
        ("ns=2;s=a;b=c; ns=4 ", NodeAddress(2, None, "a;b=c; ns=4 ")),
        ('ns=3;s="DB"."T[0]"', NodeAddress(3, None, '"DB"."T[0]"')),
        (f"ns=1;g={GUID}", NodeAddress(1, None, UUID(GUID))),
        ("ns=1;b=M/RbKBsRVkePCePcx24oRA==", NodeAddress(1, None, bytes.fromhex("33f45b281b1156478f09e3dcc76e2844"))),
        ("nsu=urn:maker:line;s=Speed", NodeAddress(0, "urn:maker:line", "Speed")),
        ("nsu=http://a/b%3Bc%25;i=1", NodeAddress(0, "http://a/b;c%", 1)),
        ("ns=65535;i=0", NodeAddress(65535, None, 0)),
    ],
)
def test_reads_every_form(text: str, expected: NodeAddress) -> None:
    assert parse_node(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a node id"),
        ("Press.Temperature", "ns=2;s=Press.Temperature"),
        ("ns=2", "not a node id"),
        ("ns=2;", "not a node id"),
        ("ns=2;s=", "not a node id"),
        (" ns=2;s=x", "not a node id"),
        ("ns=;s=x", "not a node id"),
        ("ns=-1;s=x", "not a node id"),
        ("ns=65536;s=x", "at most 65535"),
        ("nsu=;s=x", "not a node id"),
        ("svr=1;i=2", "not a node id"),
        ("ns=2;x=1", "not a node id"),
        ("i=abc", "number from 0"),
        ("i=4294967296", "number from 0"),
        ("i=\u0661", "number from 0"),
        ("g=123", "GUID"),
        ("b=%%%", "base64"),
    ],
)
def test_says_what_was_expected(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_node(text)


@given(
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF) | st.text(min_size=1) | st.uuids() | st.binary(min_size=1),
)
def test_reads_what_asyncua_writes(namespace: int, identifier: int | str | UUID | bytes) -> None:
    text = ua.NodeId(identifier, namespace).to_string()
    assert parse_node(text) == NodeAddress(namespace, None, identifier)


@given(st.text().filter(lambda text: "=" not in text))
def test_refuses_in_words_that_name_the_text(text: str) -> None:
    with pytest.raises(ValueError, match="node id") as refusal:
        parse_node(text)
    assert repr(text) in str(refusal.value)
