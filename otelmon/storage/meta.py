"""Single values of the state by name. Functions over an open transaction."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from otelmon.storage.tables import META

SAVED_AT = "saved_at"
"""When the last tick was saved, in microseconds."""
LINK_SECRET = "link_secret"  # noqa: S105 (its name)
"""What links to pages are signed with."""
TOLD = "shifts_told"
"""Which shifts people were told of."""
NOTED = "noted"
"""Changes that may explain an incident."""


def read(connection: Connection, name: str) -> str | None:
    """A value; None where there is none."""
    return connection.scalar(select(META.c.value).where(META.c.name == name))


def write(connection: Connection, name: str, value: str) -> None:
    """A value, in place of the one before."""
    updated = connection.execute(update(META).where(META.c.name == name).values(value=value))
    if not updated.rowcount:
        connection.execute(META.insert().values(name=name, value=value))
