"""Carrying the backlog by hand: one file, written beside the gateway, read and forwarded on another machine.

Format, version 1. Numbers are little-endian. A head of 12 bytes, then sections one behind the other:

    head       89 54 49 44 45 0D 0A 0A ("TIDE" and line ends, so that a transfer as text shows), u16 version, u16 zero
    section    u8 kind, u32 length of what follows, that many bytes; at most 80 MiB

    kind   content
    1      header, JSON: gateway, topic (head of the topics), format, max_message_bytes (where a batch is cut into
           messages), made_ns (UTC), version (of tidegate), origin (`spool`, or `salvage`: from a damaged file). First
    2      block: i64 last, i64 first, i64 at_ns, u32 batches, u32 readings, u32 checksum, u32 n, n bytes of what is
           left of it, a block of codec 2. All as in the spool's tables `blocks` and `block_left` (`blocks.py`)
    3      row, for a batch too large for a block: i64 seq, i64 at_ns, u32 readings, u32 checksum, u16 n, n bytes of
           the device's name, u8 1: deflate, 0: as it is, a blob of codec 1 (`codec.py`)
    4      gaps: deflated JSON, an array of objects: number, device, cause, from_ns, to_ns, readings, tag, group. The
           gap ledger (`ledger/gaps.py`), for people; the gateway itself tells the broker of it when its cable is back
    5      points: deflated JSON, an array of [number, path, device, unit, kind or null]; numbers from 1 on, no holes
    6      summary, JSON: batches, readings, first, last, points, gaps; dropped (readings by cause, since the spool was
           made); broken (rows and blocks that could not be read); aside (readings set aside, which are not carried)
    255    end: SHA-256 of all bytes before this section; Ed25519 public key, 32 bytes; signature, 64 bytes, of
           "tidegate carry 1" and the hash. Nothing follows

Order: header; blocks and rows by ascending numbers, which never overlap; gaps; points; summary; end. Sections of one
kind may be repeated, except 1, 6 and 255.

frames.py     sections and the hash over them
contents.py   what stands in the sections
signing.py    the key of the gateway, and what a signature proves
writer.py     batches into a file; rows are made into blocks
reader.py     a file into batches, once all of it was checked
export.py     the whole of an export

What is guaranteed
- A file has its name only once it is complete and on the disk (written under another name, fsync, rename).
- Nothing is taken out of a file before all of it was read: every section, the hash, each block and row opened, the
  counts compared. The memory for it is bounded, whatever stands in the file: one section, one block, the point table.
- The hash shows damage. Only the signature, held against a key that came another way, shows who made the file.
- Exporting deletes nothing. What was carried and forwarded is sent by the gateway again, under the same numbers, when
  its cable is back: a receiver that keeps to (seq, part) takes it once.
"""
