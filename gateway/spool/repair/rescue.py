"""Rescues: a damaged file of which what is whole is still being carried into the fresh one; as rows of the fresh one.

A rescue is a row of the fresh file, from the transaction on in which that file begins until the one that counts what is
lost: a crash in between goes on where it was. What was carried already may have been delivered and deleted since; it
is not carried again.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import aiosqlite

__all__ = ["BEGIN_RESCUE", "END_RESCUE", "MOVE_RESCUE", "Rescue", "read_rescues"]

_COLUMNS: Final = "name, readings, aside_readings, oldest_at_ns, named, passed, carried"
BEGIN_RESCUE: Final = f"INSERT INTO rescues ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)"  # noqa: S608 - own names
_READ: Final = f"SELECT {_COLUMNS} FROM rescues ORDER BY name"  # noqa: S608 - own names
MOVE_RESCUE: Final = "UPDATE rescues SET passed = ?, carried = ? WHERE name = ?"
END_RESCUE: Final = "DELETE FROM rescues WHERE name = ? RETURNING name"


class Rescue(NamedTuple):
    """One damaged file.

    Attributes:
        name: of the file, in the folder of the database.
        readings: those in it that waited for the broker; None where nobody knows.
        aside_readings: those that were set aside; they are not carried.
        oldest_at_ns: when the oldest that waited was accepted, UTC ns; 0 where nobody knows.
        named: how many points were known by their numbers when it was found; readings of others are not carried.
        passed: up to this number everything was carried, or cannot be.
        carried: readings that were.
    """

    name: str
    readings: int | None
    aside_readings: int
    oldest_at_ns: int
    named: int
    passed: int = 0
    carried: int = 0

    def further(self, passed: int, *, readings: int) -> Rescue:
        """The same after so many more readings were carried, up to this number."""
        return self._replace(passed=passed, carried=self.carried + readings)

    def lost_readings(self, held: int | None) -> int | None:
        """How many readings that waited could not be carried.

        Args:
            held: those that waited, as the damaged file's own totals tell; None where they are gone.
        """
        readings = held if self.readings is None else self.readings
        return None if readings is None else max(0, readings - self.carried)


async def read_rescues(connection: aiosqlite.Connection) -> list[Rescue]:
    """What is still to be carried, oldest file first."""
    rows = await connection.execute_fetchall(_READ)
    return [Rescue(name.decode(errors="replace"), *numbers) for name, *numbers in rows]
