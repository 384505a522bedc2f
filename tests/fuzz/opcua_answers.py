"""What comes in answers besides data changes: messages, values that were read, results, certificates, what was kept."""

from __future__ import annotations

import datetime as dt
import struct
from pathlib import Path
from random import Random
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from adapters.opcua.ask import results_of
from adapters.opcua.decode import Items
from adapters.opcua.failures import FAILURES
from adapters.opcua.kept import Kept, Subscribed, read_kept, read_mark, write_mark
from adapters.opcua.message import read_message, read_publish_result
from adapters.opcua.pki.certificates import split_chain
from adapters.opcua.pki.checks import failed_checks
from adapters.opcua.poll import content_of
from adapters.opcua.read import as_readings, attribute, data_values, notification, refusal
from adapters.opcua.wire import Malformed
from gateway.batch import is_bad
from tests.adapters.opcua.certificates import SERVER_URI
from tests.fuzz.opcua import CAPTURES, TIME
from tests.fuzz.targets import Target

_V = ua.VariantType


def _extension(number: int, content: bytes) -> bytes:
    return struct.pack("<BBHBi", 1, 0, number, 1, len(content)) + content


def _message(*parts: bytes) -> bytes:
    return struct.pack("<Iqi", 7, 134_000_000_000_000_000, len(parts)) + b"".join(parts)


_MESSAGES = [
    _message(),
    _message(_extension(811, CAPTURES[0]), _extension(811, CAPTURES[2])),
    _message(_extension(820, struct.pack("<IB", 0x80AE0000, 0))),
    _message(_extension(916, b"event"), _extension(811, CAPTURES[3])),
]
_PUBLISHED = [struct.pack("<IiIIB", 78, 2, 7, 8, 0) + one for one in _MESSAGES]


def message(data: bytes, _draw: Random) -> None:
    """It is a message, or malformed; nothing in it comes from anywhere else."""
    for reader in (read_message, lambda body: read_publish_result(body)[1]):
        try:
            read = reader(data)
        except Malformed:
            continue
        assert all(change in data for change in read.changes)
        assert sum(map(len, read.changes)) <= len(data)
        assert read.sent_ns is None or read.sent_ns >= 0


_VALUES = [
    ua.DataValue(ua.Variant(1.5), SourceTimestamp=TIME, ServerTimestamp=TIME),
    ua.DataValue(ua.Variant("text"), ua.StatusCode(0x40000000)),
    ua.DataValue(None, ua.StatusCode(0x80340000)),
    ua.DataValue(ua.Variant([1, 2, 3], _V.Int16), SourceTimestamp=TIME),
    ua.DataValue(ua.Variant(ua.Argument(Name="a"), _V.ExtensionObject)),
    ua.DataValue(ua.Variant(ua.NodeId("x", 2), _V.NodeId)),
    ua.DataValue(ua.Variant(ua.QualifiedName("x", 2), _V.QualifiedName)),
]
_READ = [struct.pack("<i", len(_VALUES)) + b"".join(map(struct_to_binary, _VALUES))]
_READ += [struct.pack("<i", 1) + struct_to_binary(one) for one in _VALUES]
_ITEM = Items((5,), {})


def values(data: bytes, _draw: Random) -> None:
    """An answer is cut into its values without a byte between them, and each is one reading."""
    try:
        cut = data_values(data)
    except Malformed:
        return
    assert data[4:].startswith(b"".join(cut))
    for value in cut:
        attribute(value)
        assert refusal(value) >= 0
        assert content_of(value)
        (reading,) = as_readings(value, 0, _ITEM, now_ns=1)
        assert reading.point == 5
        assert reading.value is None or not is_bad(reading.status)
    assert notification(dict(enumerate(cut)))[:4] == struct.pack("<I", len(cut))


_RESULTS: dict[type[Any], tuple[int, list[Any]]] = {
    ua.BrowseResult: (
        12,
        [
            ua.BrowseResult(
                ContinuationPoint=b"more",
                References=[
                    ua.ReferenceDescription(
                        ReferenceTypeId=ua.NodeId(35),
                        NodeId=ua.ExpandedNodeId("press", 2),
                        BrowseName=ua.QualifiedName("Press", 2),
                        DisplayName=ua.LocalizedText("Presse", "de"),
                        NodeClass=ua.NodeClass.Object,
                    )
                ],
            )
        ],
    ),
    ua.BrowsePathResult: (8, [ua.BrowsePathResult(Targets=[ua.BrowsePathTarget(ua.ExpandedNodeId("press", 2), 1)])]),
    ua.MonitoredItemCreateResult: (23, [ua.MonitoredItemCreateResult(MonitoredItemId=3, RevisedQueueSize=20)]),
}


def results(data: bytes, _draw: Random) -> None:
    """What asyncua decodes for us fails in ways that are known to be an answer that cannot be understood."""
    for kind, (least, _) in _RESULTS.items():
        try:
            found = results_of(data, kind, least)
        except FAILURES:
            continue
        assert all(isinstance(one, kind) for one in found)


_PEM = (Path(__file__).parent / "certificates.pem").read_bytes()
"""A server's, another's, an issuer's, and one that the issuer signed; fixed, so that an input can be seen again."""
_OURS, _OTHER, _ISSUER, _ISSUED = (
    one.public_bytes(serialization.Encoding.DER) for one in x509.load_pem_x509_certificates(_PEM)
)
_SIGNED = [x509.load_der_x509_certificate(one).tbs_certificate_bytes for one in (_OURS, _ISSUER, _ISSUED)]
_NOW = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)


def certificate(data: bytes, _draw: Random) -> None:
    """Nobody is trusted but by the very content that is, or that an issuer signed; it may be wrapped otherwise."""
    try:
        chain = split_chain(data)
    except ValueError:
        return
    known = (_OURS, _ISSUER)
    if not failed_checks(chain, trusted=known, now=_NOW, host="127.0.0.1", application_uri=SERVER_URI):
        assert x509.load_der_x509_certificate(chain[0]).tbs_certificate_bytes in _SIGNED


_KEPT = Kept(
    epoch=b"12345678",
    server="urn:maker since 2026",
    layout="f" * 32,
    subscriptions=(Subscribed(id=78, interval_ms=100.0, sign_of_life_s=5.0, lifetime_s=120.0),),
    refused={3: 0x80340000},
    complete=True,
)


def kept(data: bytes, _draw: Random) -> None:
    """What a damaged disk gives back is believed whole or not at all."""
    read = read_kept(data)
    if read is not None:
        assert read_kept(read.encode()) == read
    assert all(pair[0] + 1 > 0 for pair in read_mark(data, b"12345678").items())


TARGETS = [
    Target("opcua.message", [*_MESSAGES, *_PUBLISHED], message),
    Target("opcua.values", _READ, values),
    Target(
        "opcua.results",
        [struct.pack("<i", 2 * len(some)) + b"".join(map(struct_to_binary, some)) * 2 for _, some in _RESULTS.values()],
        results,
    ),
    Target("opcua.certificate", [_OURS, _OTHER, _ISSUED, _ISSUED + _ISSUER], certificate),
    Target("opcua.kept", [_KEPT.encode(), write_mark(_KEPT.epoch, {78: 5, 79: 6})], kept),
]
