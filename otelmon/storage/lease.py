"""The lease: which of the processes that share a database evaluates and pages.

Functions over an open transaction. A lease ends by itself, so that a process that was killed or stopped holds it no
longer than that, and each take-over has a higher *token* than the one before: whatever a holder writes is refused once
there is a newer one, however late it wakes up
(https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html, "fencing").

The end is an instant of the machine's monotonic clock, which all its processes share and nobody sets. It means nothing
after a restart of the machine, nor to another one: those go by the wall clock, written beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, update

from otelmon.errors import LostLeaseError
from otelmon.storage.tables import LEASE

_NAME = "evaluate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An instant by the clocks of one process: ``boot`` names the run of the machine that ``monotonic`` counts in."""

    boot: str
    monotonic: float
    wall: float


def is_free(connection: Connection, holder: str, now: Moment, seconds: float) -> bool:
    """Whether this holder has the lease or may take it."""
    row = _row(connection)
    return row is None or row.holder == holder or _is_over(row, now, seconds)


def take(connection: Connection, holder: str, now: Moment, seconds: float) -> int | None:
    """Take the lease for so many seconds; the token, None where somebody else has it."""
    row = _row(connection)
    until = _until(now, seconds)
    if row is None:
        connection.execute(LEASE.insert().values(name=_NAME, holder=holder, token=1, **until))
        return 1
    if row.holder != holder and not _is_over(row, now, seconds):
        return None
    # Also where the holder is the same: what it began under the former lease is over.
    token = int(row.token) + 1
    connection.execute(update(LEASE).where(LEASE.c.name == _NAME).values(holder=holder, token=token, **until))
    return token


def renew(connection: Connection, now: Moment, seconds: float) -> None:
    """Let the lease last for so many seconds from now."""
    connection.execute(update(LEASE).where(LEASE.c.name == _NAME).values(**_until(now, seconds)))


def release(connection: Connection, token: int) -> None:
    """Give the lease up; the token goes on counting from here."""
    mine = (LEASE.c.name == _NAME) & (LEASE.c.token == token)
    connection.execute(update(LEASE).where(mine).values(holder="", until_monotonic=0.0, until_wall=0.0))


def check(connection: Connection, token: int) -> None:
    """Raises LostLeaseError where somebody took the lease after the holder of this token."""
    row = _row(connection)
    if row is None or row.token != token:
        raise LostLeaseError("another process evaluates and pages by now")


def _row(connection: Connection) -> Row[Any] | None:
    return connection.execute(select(LEASE).where(LEASE.c.name == _NAME)).one_or_none()


def _until(now: Moment, seconds: float) -> dict[str, object]:
    return {"boot": now.boot, "until_monotonic": now.monotonic + seconds, "until_wall": now.wall + seconds}


def _is_over(row: Row[Any], now: Moment, seconds: float) -> bool:
    if row.boot != now.boot:
        return not now.wall < row.until_wall <= now.wall + seconds
    # One that ends later than a lease can was written before the clock began anew.
    return not now.monotonic < row.until_monotonic <= now.monotonic + seconds
