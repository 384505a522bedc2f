"""Files that were cut, damaged, or made to do harm: refused with words, in bounded memory, and never taken in part."""

import random
import subprocess
import sys
import zlib

import msgspec
import pytest

from gateway.batch import EMPTY, Batch, Kind, Reading
from gateway.errors import SpoolError
from gateway.spool.carry.contents import Kinds, pack_block, pack_json_list, pack_points, pack_row
from gateway.spool.carry.frames import LARGEST_SECTION_BYTES, MAGIC, FrameReader
from gateway.spool.carry.reader import CarryReader
from tests.gateway.spool.carry.forge import GAP, HEADER, POINTS, a_batch, block, forged, row, sections, write


def replaced(place, *parts):
    """The sound file with others in the place of one of its sections."""
    return [*sections()[:place], *parts, *sections()[place + 1 :]]


def summary(**more):
    said = {"batches": 4, "readings": 12, "first": 10, "last": 20, "points": 2, "gaps": 1}
    return (Kinds.SUMMARY, msgspec.json.encode(said | more))


def a_block(seqs, *values, **more):
    return (Kinds.BLOCK, b"".join(pack_block(block(seqs, a_batch(*values), **more))))


def a_row(seq, *values, **more):
    return (Kinds.ROW, b"".join(pack_row(row(seq, a_batch(*values), **more))))


def bomb(length):
    packer = zlib.compressobj()
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(length >> 20)) + packer.flush()


def header(**more):
    return (Kinds.HEADER, msgspec.json.encode(msgspec.to_builtins(HEADER) | more))


def test_a_sound_file_is_read(tmp_path):
    with CarryReader(write(tmp_path / "a.tide", forged(sections()))) as carried:
        assert [(one.seq, one.device, one.batch) for one in carried.rows()] == [
            (10, "plc", a_batch(1.0, 2.5)),
            (11, "plc", a_batch(1.0, 2.5)),
            (13, "plc", a_batch(1.0, 2.5)),
            (20, "plc", a_batch(3.0, 4.0)),
        ]
        assert list(carried.points) == POINTS
        assert [msgspec.to_builtins(gap) for gap in carried.gaps] == [GAP]


def test_a_file_that_was_cut_anywhere_is_refused(tmp_path):
    whole = forged(sections())
    for length in (*range(0, len(whole) - 150, 7), *range(len(whole) - 150, len(whole), 3)):
        with pytest.raises(SpoolError, match=r"a\.tide: (it ends|it is no file of)"):
            CarryReader(write(tmp_path / "a.tide", whole[:length]))


def test_a_file_of_which_any_bit_was_changed_is_refused(tmp_path):
    whole = forged(sections())
    for place in (*range(30), *range(30, len(whole), 5)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(SpoolError, match=r"a\.tide: "):
            CarryReader(write(tmp_path / "a.tide", damaged))


LIES = {
    "nothing behind the header": [header()],
    "no header": sections()[1:],
    "two headers": [header(), *sections()],
    "no summary": sections()[:-1],
    "two summaries": [*sections(), summary()],
    "a block behind the points": [*sections()[:1], *sections()[4:5], *sections()[1:4], *sections()[5:]],
    "an unknown section": replaced(3, (77, b"")),
    "a second end": replaced(3, (Kinds.END, b"")),
    "a batch too few": replaced(5, summary(batches=5)),
    "a reading too many": replaced(5, summary(readings=11)),
    "other numbers": replaced(5, summary(last=21)),
    "a point too few": replaced(4, (Kinds.POINTS, pack_points(POINTS[:1]))),
    "fewer points than readings are of": [
        *sections()[:4],
        (Kinds.POINTS, pack_points(POINTS[:1])),
        summary(points=1),
    ],
    "points with a hole": replaced(4, (Kinds.POINTS, pack_points(POINTS[1:]))),
    "a point without a name": replaced(4, (Kinds.POINTS, pack_json_list([[1, None, "", "", None], [2] * 5]))),
    "a point of no kind": replaced(4, (Kinds.POINTS, pack_json_list([[1, "a", "", "", 99], [2, "b", "", "", 0]]))),
    "a point that is a number": replaced(4, (Kinds.POINTS, pack_json_list([1, 2]))),
    "points that are no list": replaced(4, (Kinds.POINTS, zlib.compress(b'{"a":1}'))),
    "points that are not packed": replaced(4, (Kinds.POINTS, b"[]")),
    "a gap without a number": replaced(3, (Kinds.GAPS, pack_json_list([GAP | {"number": None}]))),
    "a gap that is a list": replaced(3, (Kinds.GAPS, pack_json_list([[1]]))),
    "a list too deep": replaced(3, (Kinds.GAPS, zlib.compress(b"[" * 100_000))),
    "a bomb of points": replaced(4, (Kinds.POINTS, bomb(1 << 28))),
    "a bomb of a row": replaced(2, (Kinds.ROW, a_row(20, 3.0)[1][:29] + b"\1" + bomb(1 << 28))),
    "numbers that fall": replaced(2, a_row(9, 3.0, 4.0)),
    "a number twice": replaced(2, a_row(13, 3.0, 4.0)),
    "a row inside the block": replaced(2, a_row(12, 3.0, 4.0)),
    "number 0": replaced(1, a_block((0, 1, 2), 1.0, 2.5)),
    "a device with a wildcard": replaced(2, a_row(20, 3.0, 4.0, device="a/#")),
    "a device without a name": replaced(2, a_row(20, 3.0, 4.0, device="")),
    "a device with a long name": replaced(2, a_row(20, 3.0, 4.0, device="x" * 2000)),
    "a device in a block with a slash": replaced(1, a_block((10, 11, 13), 1.0, 2.5, device="../x")),
    "a device that is no text": replaced(2, (Kinds.ROW, a_row(20, 3.0, 4.0)[1].replace(b"plc", b"\xff\xfe\xfd"))),
    "a row without readings": replaced(2, (Kinds.ROW, b"".join(pack_row(row(20, EMPTY))))),
    "a row cut short": replaced(2, (Kinds.ROW, b"\0" * 5)),
    "a block cut short": replaced(1, (Kinds.BLOCK, b"\0" * 5)),
    "a block of nothing": replaced(1, (Kinds.BLOCK, bytes(60))),
    "a topic with a wildcard": replaced(0, header(topic="a/#")),
    "a gateway with a slash": replaced(0, header(gateway="a/b")),
    "messages of no size": replaced(0, header(max_message_bytes=0)),
    "a format of tomorrow": replaced(0, header(format="sparkplug")),
    "a header that is long": replaced(0, header(more="x" * (1 << 20))),
    "a header that is no JSON": replaced(0, (Kinds.HEADER, b"\xff")),
    "a header too deep": replaced(0, (Kinds.HEADER, b'{"x":' + b"[" * 100_000)),
    "a summary below nothing": replaced(5, summary(aside=-1)),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_whole_file_that_lies_is_refused(tmp_path, lie):
    """The hash is right and the signature, too: with the key of whoever made it."""
    with pytest.raises(SpoolError, match=r"a\.tide: .*(damage|must|end|stand|point)"):
        CarryReader(write(tmp_path / "a.tide", forged(LIES[lie])))


def test_a_file_of_a_newer_version_says_so(tmp_path):
    newer = MAGIC + b"\x02\0" + forged(sections())[10:]
    with pytest.raises(SpoolError, match=r"a newer version of tidegate made it \(format 2, this one knows 1\)"):
        CarryReader(write(tmp_path / "a.tide", newer))


def test_a_section_that_claims_gigabytes_is_not_waited_for(tmp_path):
    path = write(tmp_path / "a.tide", forged([]))
    with path.open("r+b") as file:
        file.seek(12)
        file.write(b"\x02" + (LARGEST_SECTION_BYTES + 1).to_bytes(4, "little"))
        file.truncate(LARGEST_SECTION_BYTES * 2)
    with path.open("rb") as file, pytest.raises(SpoolError, match="no section is 83886081 bytes long"):
        FrameReader(file, LARGEST_SECTION_BYTES * 2).section()


def test_bombs_take_no_memory(tmp_path):
    """A process that may have 300 MB reads files that would unpack to 256 MB and more, and lives."""
    paths = [write(tmp_path / f"{n}.tide", forged(LIES[lie])) for n, lie in enumerate(LIES) if "bomb" in lie]
    program = (
        "import sys, resource\n"
        "from gateway.spool.carry.reader import CarryReader\n"
        "from gateway.errors import SpoolError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        CarryReader(__import__('pathlib').Path(path))\n"
        "    except SpoolError as error:\n"
        "        print('refused')\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *map(str, paths)], capture_output=True, text=True, timeout=60, check=True
    )
    *refused, grown_mb = ended.stdout.split()
    assert refused == ["refused"] * len(paths)
    assert int(grown_mb) < 200


@pytest.mark.parametrize("change", ["other bytes", "cut", "an early end"])
def test_a_file_that_changes_while_it_is_read_ends_with_words(tmp_path, change):
    noise = Batch.of([Reading(1, random.Random(1).randbytes(100_000), 2, kind=Kind.BYTES)])
    large, last = ((Kinds.ROW, b"".join(pack_row(row(seq, noise)))) for seq in (20, 21))
    path = write(tmp_path / "a.tide", forged([*replaced(2, large, last)[:6], summary(batches=5, readings=11, last=21)]))
    with CarryReader(path) as carried:
        rows = carried.rows()
        next(rows)
        content = path.read_bytes()
        at = content.index(last[1]) - 5
        changed = {
            "other bytes": content[: at + 60_000] + b"!" + content[at + 60_001 :],
            "cut": content[:at] + content[at : at + 50_000],
            "an early end": content[:at] + b"\x04" + content[at + 1 :],
        }
        path.write_bytes(changed[change])
        with pytest.raises(SpoolError, match=r"a\.tide: "):
            list(carried.rows())
