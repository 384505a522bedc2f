"""Carried files as somebody else may make them: whole, signed with a key of his own, and with anything in them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.batch import Batch, Kind, Reading
from gateway.points import Point
from gateway.spool.block import Entry
from gateway.spool.blocks import seal
from gateway.spool.carry.contents import (
    Header,
    Kinds,
    Summary,
    pack_block,
    pack_json_list,
    pack_points,
    pack_row,
    to_json,
)
from gateway.spool.carry.frames import FrameReader, FrameWriter
from gateway.spool.codec import checksum, encode
from gateway.spool.stored import StoredBlock, StoredRow

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HEADER = Header(gateway="gw", topic="tidegate/{gateway}", max_message_bytes=1_000, made_ns=1, version="1")
POINTS = [Point(1, "a/b/c/plc/level", "plc", "mm", Kind.F64), Point(2, "a/b/c/plc/name", "plc", "", None)]

GAP = {
    "number": 7,
    "device": "plc",
    "cause": "spool_full",
    "from_ns": 1,
    "to_ns": 2,
    "readings": 3,
    "tag": None,
    "group": None,
}

Section = tuple[int, bytes]


def a_batch(*values: float) -> Batch:
    numbers = [Reading(1_700_000_000_000_000_000 + n, value, 1) for n, value in enumerate(values)]
    return Batch.of([*numbers, Reading(1_700_000_000_000_000_000, "running", 2, kind=Kind.STR)])


def row(seq: int, batch: Batch, device: str = "plc") -> StoredRow:
    codec, data = encode(batch)
    return StoredRow(seq, device.encode(), 5_000, len(batch), int(codec), checksum(device.encode(), data), data)


def block(seqs: Iterable[int], batch: Batch, device: str = "plc") -> StoredBlock:
    sealed = seal([Entry(seq, 5_000, device, batch) for seq in seqs])
    last, first, at_ns, batches, readings, _, codec, check, data = sealed.columns
    return StoredBlock((last, first, at_ns, batches, readings, codec, check, data), sealed.left)


def sections() -> list[Section]:
    """A sound file: a block of three batches, a row, a gap."""
    summary = Summary(batches=4, readings=12, first=10, last=20, points=2, gaps=1)
    return [
        (Kinds.HEADER, to_json(HEADER)),
        (Kinds.BLOCK, b"".join(pack_block(block((10, 11, 13), a_batch(1.0, 2.5))))),
        (Kinds.ROW, b"".join(pack_row(row(20, a_batch(3.0, 4.0))))),
        (Kinds.GAPS, pack_json_list([GAP])),
        (Kinds.POINTS, pack_points(POINTS)),
        (Kinds.SUMMARY, to_json(summary)),
    ]


def forged(parts: Iterable[Section]) -> bytes:
    """A file of these sections, with an end that fits."""
    file = io.BytesIO()
    frames = FrameWriter(file)
    for kind, content in parts:
        frames.section(kind, content)
    digest = frames.digest
    signature = KEY.sign(b"tidegate carry 1" + digest)
    frames.section(Kinds.END, digest, KEY.public_key().public_bytes_raw(), signature)
    return file.getvalue()


def resealed(damaged: bytes) -> bytes:
    """A damaged file as its attacker would hand it over: what can still be taken for sections, and an end that fits."""
    parts: list[Section] = []
    frames = FrameReader(io.BytesIO(damaged), len(damaged))
    while not frames.at_end and len(parts) < 64:
        kind, content = frames.section()
        if kind != Kinds.END:
            parts.append((kind, content))
    return forged(parts)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
