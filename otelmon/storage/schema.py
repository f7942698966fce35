"""The schema's versions: forward only, one step at a time, in one transaction."""

from __future__ import annotations

from sqlalchemy import Connection, delete, inspect, select

from otelmon.errors import StateError
from otelmon.storage.steps import STEPS, Steps
from otelmon.storage.tables import META, METADATA, SCHEMA_VERSION

_VERSION = "schema_version"


def version_of(connection: Connection) -> int | None:
    """The schema's version; None for an empty database.

    Raises StateError for a database that is not otelmon's.
    """
    tables = inspect(connection).get_table_names()
    if META.name not in tables:
        if tables:
            raise StateError(f"the database has tables of something else ({', '.join(sorted(tables)[:3])})")
        return None
    version = connection.scalar(select(META.c.value).where(META.c.name == _VERSION))
    if version is None or not version.isdigit():
        raise StateError("it does not say which version of otelmon wrote it")
    return int(version)


def upgrade(connection: Connection, found: int | None, *, steps: Steps = STEPS, newest: int = SCHEMA_VERSION) -> None:
    """Brings a database from the version that was found to the newest.

    Raises StateError when the database comes from a newer version of otelmon.
    """
    if found is None:
        METADATA.create_all(connection)
    elif found > newest:
        raise StateError(
            f"it was written by a newer version of otelmon (schema {found}, this one reads up to {newest}); "
            "upgrade otelmon, or name another state directory"
        )
    else:
        for version in range(found + 1, newest + 1):
            steps[version](connection)
    if found != newest:
        connection.execute(delete(META).where(META.c.name == _VERSION))
        connection.execute(META.insert().values(name=_VERSION, value=str(newest)))
