"""The spool: readings that were accepted stay here until the broker has acknowledged them.

Format: one SQLite file (WAL), tables in `migrations.py`. One row holds one batch: number, time of acceptance, count of
readings, payload bytes, codec, checksum, device, blob (`codec.py`). Rows that stay, because an outage lasts, are merged
into blocks (`merge.py`): many batches compressed into one value (`block/`), under the number of the last of them, with
a checksum over all of it; a small row beside each says what of it still waits (`blocks.py`). Beside them: the point
table, rows set aside, the totals (kept by triggers), readings dropped by cause, the gap ledger (`ledger/gaps.py`), the
audit, what adapters remember (`memory.py`). PATH.lock keeps a second process out and tells how far the numbers had come
(`highwater.py`); PATH.corrupt-TIME is a file that was found damaged, of which `repair/salvage.py` reads what is whole;
PATH.reserve is room on the disk for deletions (`reserve.py`).

Begin with `store.py` (what the flow and the uplink call), `commit.py` and `plan.py` (one transaction), `spoolfile.py`
(the open file; `opening.py` opens it), `reader.py` and `merge.py`. Beside them:
block/     many batches in one compressed value
budget/    how long the room lasts, and what is given up at its limit
ledger/    what is missing
repair/    files that are damaged or gone
carry/     the backlog as a file that is carried by hand

Invariants
- A number (`seq`) names one batch for good. Numbers ascend in commit order, without holes, and are never given twice,
  not after deletion, not after a restart. A fresh file starts at the time in microseconds since 1970 (or above the
  damaged file it replaces), so that its numbers also lie above those of a file that is gone. A file whose newest
  commits are missing numbers on above what was given.
- A batch is on disk (synchronous=FULL), in a file that its name leads to, before `append` returns, and before `pending`
  shows it.
- With `hold_ms` (0 where it is not asked for) the two above are weaker in this way: a batch that the broker
  acknowledges within that time is never written (`hold.py`). `append` returns when it is acknowledged or on disk, so a
  kill loses at most what was accepted in that time and of which no source was told. Its number is spent: the disk knows
  beforehand how far numbers may come, so a crash may leave some out, and gives none twice.
- A row is deleted only after `ack`, or when the budget (`max_bytes`) forces it; then its readings are counted as
  dropped in the transaction that deletes it. The totals change in the transaction that changes the rows.
- Merging changes how a batch is stored and nothing else: `pending` and `ack` are the same for both, also across a
  crash. Rows and their block change places in one transaction, after the block was opened again and held the same.
  No row lies between the numbers of a block. A block goes when the last of its batches was taken, and, at the limit,
  as one; the budget counts what it takes on disk, so that compression buys autonomy.
- Thinning (`when_full = "thin"`) takes readings out of the oldest blocks before anything is dropped: only of points
  with a bound, never bad ones, and each so that the line between its neighbours that stay is no further off than the
  bound (`budget/door.py`, `budget/thinning.py`). Times and values that stay are the same to the bit. A block is thinned
  once. A batch that may be sent in parts is not. What goes is counted in the transaction that replaces the block
  (`budget/thinner.py`).
- What is missing stands in the gap ledger, in the transaction that loses it: every reading that was accepted or refused
  is pending, acknowledged, or counted in one row of the ledger, under its device and cause, within the row's interval.
  What is set aside is missing from then on. A row of the ledger that was handed out to be told never changes.
- A stored batch never refers to a point that is not stored.
- A disk that refuses (full, read-only, busy, I/O errors) loses nothing: what waits is tried again, and sources wait
  with it. So it is at opening, where the caller is patient: nothing is there before, and everything is after.
- A file that is deleted while it is open is written anew from what the process holds of it (`repair/restore.py`).
- One batch that cannot be stored, one row or block that cannot be read: each is taken out of the way and counted; the
  rest goes on.
- A damaged file is replaced at once. What is whole in it comes into the fresh one under its own numbers, below those
  given since (`repair/recovery.py`), and `on_late` tells of it; what is not is counted when that is done, once, also
  across a crash. A number that was taken may come back by it, never with other readings.

Causes under `Metrics.dropped`: `spool_full`, `corrupt` (a row or block that cannot be read; it is kept, set aside),
`spool_damaged` (what a damaged file held and could not be carried over, as far as is known; the file is kept; or what
was committed and is missing in the file), `unstorable`, `spool_closed`, `thinned`.
The ledger has them, and `set_aside`. `ledger/losses.py` finds out what a deletion loses, `ledger/gapdesk.py` hands the
ledger out.

It refuses: a file that a newer version made, or that belongs to another program. It waits while another process uses
the file, and touches nothing before; and on a file system without write-ahead logging. It does not decide what is sent
when: that is the uplink's.
"""

from gateway.spool.audit import Audit, AuditEntry
from gateway.spool.budget.thinner import ThinningRules
from gateway.spool.ledger.gapdesk import Gaps
from gateway.spool.memory import Memory
from gateway.spool.rows import Row
from gateway.spool.stats import SpoolStats
from gateway.spool.store import Spool

__all__ = ["Audit", "AuditEntry", "Gaps", "Memory", "Row", "Spool", "SpoolStats", "ThinningRules"]
