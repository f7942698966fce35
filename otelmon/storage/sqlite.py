"""Storage in one SQLite file."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from otelmon.errors import StateError
from otelmon.forks import FORKS
from otelmon.storage.database import DatabaseStorage
from otelmon.storage.schema import upgrade, version_of
from otelmon.storage.steps import STEPS, Steps
from otelmon.storage.tables import SCHEMA_VERSION

MEMORY = ":memory:"
STATE_FILE = "state.db"
"""The name of the file in the state directory."""

_BUSY_SECONDS = 5.0
_WAL_LIMIT_BYTES = 4 * 1024 * 1024

# Primary result codes of SQLite (https://sqlite.org/rescode.html) in words that say what to do.
_CAUSES = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it cannot be written; check the owner and the mode of the file and its directory",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that the directory exists and may be written",
    sqlite3.SQLITE_PERM: "access is denied; check the owner and the mode of the file and its directory",
    sqlite3.SQLITE_AUTH: "access is denied",
    sqlite3.SQLITE_IOERR: "the disk failed while reading or writing it",
    sqlite3.SQLITE_BUSY: f"another process has kept it locked for {_BUSY_SECONDS:g} s",
    sqlite3.SQLITE_LOCKED: "it is locked",
    sqlite3.SQLITE_CORRUPT: "it is damaged; move it away to begin with an empty one",
    sqlite3.SQLITE_NOTADB: "it is not a database; move it away to begin with an empty one",
}


class SqliteStorage(DatabaseStorage):
    """Storage in one SQLite file, or in memory.

    The file is made with mode 0600 in a directory with mode 0700 and written ahead (WAL), so that other processes may
    read and leave requests while the monitor runs. Every commit is on the disk before it counts. A file of an older
    version is brought up to date after a copy was put beside it (``NAME.v1``); one of a newer version, one that is no
    database or damaged, a directory that cannot be written and a full disk raise StateError.
    """

    def __init__(self, path: str | os.PathLike[str], *, steps: Steps = STEPS, newest: int = SCHEMA_VERSION) -> None:
        super().__init__(_open(path, steps, newest))


def open_existing(path: str | os.PathLike[str]) -> SqliteStorage:
    """The storage that a monitor has made; raises StateError where there is none, and makes none."""
    if not Path(path).exists():
        raise StateError(f"{os.fspath(path)}: there is no such file; has a monitor run with this state directory?")
    return SqliteStorage(path)


class _SqliteDatabase:
    """One connection, used by one thread at a time (DatabaseStorage sees to that).

    A file is closed before a fork, and opened again by the next transaction. A child that inherits an open one holds
    none of its locks, but SQLite believes that it does: another process could delete the write-ahead log that the child
    writes to, and a lock for writing that the parent held would never be freed in the child.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        # Nothing is read from a URL: a path may have any characters.
        # Not one of the application's databases, which are watched.
        options = {"otelmon_unwatched": True}
        self._engine = create_engine(
            "sqlite://", creator=self._connect, poolclass=StaticPool, execution_options=options
        )
        event.listen(self._engine, "begin", _begin)
        FORKS.add(self)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with FORKS.whole(), self._told(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that has the lock for writing from its start: it does not fail half-way for want of it."""
        with (
            FORKS.whole(),
            self._told(),
            self._engine.connect().execution_options(begin="IMMEDIATE") as connection,
            connection.begin(),
        ):
            yield connection

    def copy_to(self, path: str) -> None:
        """Writes a copy of the database to a new file."""
        with FORKS.whole(), self._told(), contextlib.closing(sqlite3.connect(path)) as copy:
            Path(path).chmod(0o600)
            raw = self._engine.raw_connection()
            try:
                _sqlite_connection(raw.driver_connection).backup(copy)
            finally:
                raw.close()

    def close(self) -> None:
        """Closes the connection; the last one to close folds the write-ahead log into the file."""
        with FORKS.whole():
            self._engine.dispose()

    def let_go(self) -> None:
        """Closes the file until the next transaction; what is in memory stays."""
        if self.path != MEMORY:
            self._engine.dispose()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            # FULL: with NORMAL a power cut may undo the last commits, and with them a page that was owed.
            for setting in (
                "journal_mode=WAL",
                "synchronous=FULL",
                f"journal_size_limit={_WAL_LIMIT_BYTES}",
                "temp_store=MEMORY",
            ):
                connection.execute(f"PRAGMA {setting}")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Failures of the database as StateError, with the file and the cause."""
        try:
            yield
        except DBAPIError as error:
            raise StateError(f"{self.path}: {_cause(error.orig)}") from error
        except sqlite3.Error as error:
            raise StateError(f"{self.path}: {_cause(error)}") from error
        except StateError as error:
            raise type(error)(f"{self.path}: {error}") from error


def _open(path: str | os.PathLike[str], steps: Steps, newest: int) -> _SqliteDatabase:
    name = os.fspath(path)
    if name != MEMORY:
        _make_private(Path(name))
    database = _SqliteDatabase(name)
    try:
        with database.reading() as connection:
            _check(connection)
            found = version_of(connection)
        if found is not None and found < newest and name != MEMORY:
            database.copy_to(f"{name}.v{found}")
        if found != newest:
            with database.writing() as connection:
                # Asked again: another process may have been quicker.
                upgrade(connection, version_of(connection), steps=steps, newest=newest)
        if name != MEMORY:
            _try_write(database)
    except BaseException:
        database.close()
        raise
    return database


def _make_private(path: Path) -> None:
    """The file, empty if it is new, that nobody else can read."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(path)
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        path.chmod(0o600)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror or error}; name another directory for the state") from error


def _create(path: Path) -> None:
    """An empty file, if there is none.

    One that is there must not even be opened: closing it would take away the locks that SQLite holds for this process
    (https://sqlite.org/howtocorrupt.html, 2.2). The next process to close the database would then believe to be the
    last one and delete the write-ahead log, and what is written here later would be lost.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _check(connection: Connection) -> None:
    told = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if told != "ok":
        raise StateError(f"it is damaged ({told}); move it away to begin with an empty one")


def _try_write(database: _SqliteDatabase) -> None:
    """A read-only directory shows only when something is written."""
    with database.writing() as connection:
        connection.exec_driver_sql("PRAGMA user_version = 1")


def _begin(connection: Connection) -> None:
    kind = connection.get_execution_options().get("begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {kind}")


def _cause(error: Any) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    known = None if code is None else _CAUSES.get(code & 0xFF)
    return f"{known} ({error})" if known else str(error)


def _sqlite_connection(connection: Any) -> sqlite3.Connection:
    assert isinstance(connection, sqlite3.Connection)  # noqa: S101 (what _connect made)
    return connection
