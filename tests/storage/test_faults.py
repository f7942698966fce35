"""A file that cannot be used says why; a process that is killed leaves all of a save or nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from otelmon.errors import StateError
from otelmon.incidents.model import Acknowledge
from otelmon.incidents.step import step
from otelmon.labels import Labels
from otelmon.sample import Sample
from otelmon.storage.codec import digest, encode_alert, micros, to_json
from otelmon.storage.sqlite import SqliteStorage
from otelmon.storage.tables import SCHEMA_VERSION as NOW
from tests.alerts.build import minute
from tests.incidents.test_step import Story, fires, resolves
from tests.storage.build import firing, owed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with some state in it."""
    path = tmp_path / "state.db"
    with SqliteStorage(path) as storage:
        storage.save(minute(0), alerts={"a": {firing("a").labels: firing("a")}})
    return path


def refused(path: Path) -> str:
    with pytest.raises(StateError) as caught:
        SqliteStorage(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("these are somebody's notes " * 100)
    assert "it is not a database" in refused(path)
    assert path.read_text().startswith("these are")


def test_a_damaged_database_is_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 6] = os.urandom(4096 * 5)
    path.write_bytes(content)
    assert "it is damaged" in refused(path)


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")
    connection.close()
    assert "something else (customers)" in refused(path)


def test_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    with SqliteStorage(path, steps={NOW + 1: lambda connection: None}, newest=NOW + 1):
        pass
    before = path.read_bytes()
    message = refused(path)
    assert f"newer version of otelmon (schema {NOW + 1}, this one reads up to {NOW})" in message
    assert path.read_bytes() == before


def test_an_older_version_is_brought_up_to_date_and_a_copy_is_kept(path: Path) -> None:
    def add_column(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE incidents ADD COLUMN owner VARCHAR"))

    def fill(connection: Connection) -> None:
        connection.execute(text("INSERT INTO otelmon_meta VALUES ('step', '3')"))

    with SqliteStorage(path, steps={NOW + 1: add_column, NOW + 2: fill}, newest=NOW + 2) as storage:
        assert list(storage.restore().alerts) == ["a"]
    copy = path.with_name(f"state.db.v{NOW}")
    assert copy.stat().st_mode & 0o777 == 0o600
    with SqliteStorage(copy) as storage:
        assert list(storage.restore().alerts) == ["a"]
    with SqliteStorage(path, steps={}, newest=NOW + 2) as storage:
        assert list(storage.restore().alerts) == ["a"]


def test_a_step_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    def begun(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE incidents ADD COLUMN owner VARCHAR"))
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    with pytest.raises(StateError, match="no such table: nowhere"):
        SqliteStorage(path, steps={NOW + 1: begun}, newest=NOW + 1)
    with SqliteStorage(path) as storage:
        assert list(storage.restore().alerts) == ["a"]
    with sqlite3.connect(path) as connection:
        assert "owner" not in [row[1] for row in connection.execute("PRAGMA table_info(incidents)")]
    connection.close()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "name another directory" in refused(tmp_path / "file" / "state.db")


def _pragma(storage: SqliteStorage, setting: str) -> None:
    with storage._database.reading() as connection:
        connection.exec_driver_sql(f"PRAGMA {setting}")


def test_a_full_disk_is_said_and_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with SqliteStorage(path) as storage:
        storage.save(minute(0), alerts={"a": {firing("a").labels: firing("a")}})
        _pragma(storage, "max_page_count = 30")
        big = [
            Sample(labels=Labels({"n": os.urandom(64).hex()}), at=1.0, value=float(number)) for number in range(2000)
        ]
        with pytest.raises(StateError, match="the disk is full"):
            storage.save(minute(1), alerts={"a": {}}, samples=big)
        assert list(storage.restore().alerts) == ["a"]
        assert storage.restore().saved_at == minute(0)
        _pragma(storage, "max_page_count = 100000")
        storage.save(minute(2), alerts={"a": {}}, samples=big)
        assert storage.restore().alerts == {}
        assert len(list(storage.samples(0))) == 2000


def test_a_disk_that_turns_read_only_is_said(path: Path) -> None:
    with SqliteStorage(path) as storage:
        _pragma(storage, "query_only = ON")
        with pytest.raises(StateError, match="it cannot be written"):
            storage.save(minute(1), alerts={"a": {}})
        assert list(storage.restore().alerts) == ["a"]


def test_a_file_that_may_not_be_written_is_refused(path: Path) -> None:
    """In a process without root's powers, where there is one to be had."""
    if os.getuid() == 0:
        public = Path("/tmp") / f"otelmon-test-{os.getpid()}"
        public.mkdir()
        copy = shutil.copy(path, public)
        Path(copy).chmod(0o444)
        public.chmod(0o555)
    else:
        public, copy = path.parent, str(path)
        path.chmod(0o444)
    script = (
        "import os, sys\n"
        "from otelmon.errors import StateError; from otelmon.storage.sqlite import SqliteStorage\n"
        "import sqlalchemy.dialects.sqlite\n"
        "os.getuid() or os.setuid(65534)\n"
        "try: SqliteStorage(sys.argv[1])\n"
        "except StateError as error: print(error)\n"
    )
    try:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        told = subprocess.run(
            [sys.executable, "-c", script, copy], env=environment, capture_output=True, text=True, check=True
        )
    finally:
        if public != path.parent:
            shutil.rmtree(public)
    assert "Permission denied" in told.stdout
    assert copy in told.stdout


def test_another_process_that_keeps_it_locked_is_waited_for_and_then_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otelmon.storage.sqlite._BUSY_SECONDS", 0.05)
    with SqliteStorage(path) as storage:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="locked"):
            storage.save(minute(1), alerts={"a": {}})
        other.close()
        storage.save(minute(1), alerts={"a": {}})


COUNT_ALERTS = """\
import sys
from sqlalchemy import text
from otelmon.storage.sqlite import SqliteStorage
with SqliteStorage(sys.argv[1]) as storage, storage._database.reading() as connection:
    print(connection.scalar(text("SELECT count(*) FROM alerts")))
"""


def test_what_is_saved_after_others_opened_and_closed_the_file_is_there_for_the_next(path: Path) -> None:
    """Another thread of this process, and then another process, which must not take itself for the last one."""

    def count_in_another_process() -> str:
        command = [sys.executable, "-c", COUNT_ALERTS, str(path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.strip()

    with SqliteStorage(path) as storage:
        SqliteStorage(path).close()
        assert count_in_another_process() == "1"
        storage.save(minute(1), alerts={"b": {firing("b").labels: firing("b")}})
        assert count_in_another_process() == "2"


def test_a_saved_value_of_an_unknown_kind_is_said(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("""UPDATE alerts SET body = replace(body, '"firing"', '"snoozed"')""")
    connection.close()
    with SqliteStorage(path) as storage, pytest.raises(StateError, match="snoozed"):
        storage.restore()


_KILLED = """
import os, sys
from sqlalchemy import event
from otelmon.storage.codec import digest, encode_alert, micros, to_json
from otelmon.storage.sqlite import SqliteStorage
from otelmon.storage.tables import SCHEMA_VERSION as NOW
from tests.storage.test_faults import second_save

class Killed:
    def __init__(self, left): self.left = left
    def __call__(self, *_):
        self.left -= 1
        if self.left < 0: os._exit(9)

path, last = sys.argv[1], False
number = 0
while not last:
    child = os.fork()
    if child == 0:
        storage = SqliteStorage(f"{path}.{number}")
        event.listen(storage._database._engine, "before_cursor_execute", Killed(number))
        event.listen(storage._database._engine, "commit", Killed(1000 - number if number % 2 else 1000))
        second_save(storage)
        os._exit(0)
    last = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    number += 1
print(number)
"""


def first_save(storage: SqliteStorage) -> str:
    storage.save(minute(0), alerts={"a": {firing("a").labels: firing("a")}})
    return storage.ask(Acknowledge(incident_id="7KQ2", by="ada"), minute(0))


def second_save(storage: SqliteStorage) -> None:
    """All kinds of writing in one save."""
    made = Story().at(1, [fires(firing("b", at=1)), fires(firing("c", at=1))])
    storage.save(
        minute(1),
        alerts={"a": {}, "b": {firing("b", at=1).labels: firing("b", at=1)}},
        changes=made.changes,
        pages=owed(made.changes),
        samples=[Sample(labels=Labels({"__name__": "m"}), at=1.0, value=1.0)],
        taken=[request.id for request in storage.requests()],
    )


def state(path: Path) -> tuple[object, ...]:
    with SqliteStorage(path) as storage:
        restored = storage.restore()
        return (
            restored.saved_at,
            sorted(restored.alerts),
            len(restored.incidents),
            len(list(storage.samples(0))),
            len(storage.requests()),
            storage.depth(minute(2)).due,
        )


def copies(path: Path) -> Iterator[tuple[int, Path]]:
    number = 0
    while (copy := path.with_name(f"{path.name}.{number}")).exists():
        yield number, copy
        number += 1


@pytest.mark.slow
def test_a_process_killed_before_any_statement_of_a_save_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with SqliteStorage(path) as storage:
        first_save(storage)
    for number in range(40):
        shutil.copy(path, f"{path}.{number}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    told = subprocess.run(
        [sys.executable, "-c", _KILLED, path], env=environment, capture_output=True, text=True, check=True
    )
    tried = int(told.stdout)
    nothing = (minute(0), ["a"], 0, 0, 1, 0)
    everything = (minute(1), ["b"], 2, 1, 0, 2)
    found = [state(copy) for number, copy in copies(path) if number < tried]
    assert tried > 8
    assert found == [nothing] * (tried - 1) + [everything]


def test_a_file_of_version_1_goes_on_with_its_incident_and_edits_the_page_that_it_sent(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    alert = encode_alert(firing("a"))
    body = {
        "id": "7KQ2", "state": "acknowledged", "alerts": [alert], "triggered_at": micros(minute(0)),
        "acknowledged_at": micros(minute(1)), "acknowledged_by": "ada",
        "timeline": [{"at": micros(minute(0)), "kind": "triggered"}, {"at": micros(minute(1)), "kind": "acknowledged"}],
    }  # fmt: skip
    with sqlite3.connect(path) as connection:
        connection.executescript(VERSION_1)
        row = ("7KQ2", "acknowledged", micros(minute(0)), None, to_json(body))
        connection.execute("INSERT INTO incidents VALUES (?, ?, ?, ?, ?)", row)
        row = ("a", digest(firing("a").labels), 0, to_json(alert))
        connection.execute("INSERT INTO alerts VALUES (?, ?, ?, ?)", row)
        connection.execute("INSERT INTO otelmon_meta VALUES ('saved_at', ?)", [str(micros(minute(1)))])
    connection.close()
    with SqliteStorage(path) as storage:
        restored = storage.restore()
        assert [each.alerts for each in restored.incidents.values()] == [(firing("a"),)]
        made = step(restored.incidents, [resolves(firing("a"), minute(6))], at=minute(6))
        edit, line = owed(made.changes)
        assert (edit.edits, line.follows) == ("7KQ2.triggered.post.1.discord", "7KQ2.triggered.post.1.discord")
        assert line.message.acknowledged_by == "ada"
        storage.save(minute(6), alerts={"a": {}}, changes=made.changes, pages=[edit, line])
        assert storage.restore().recent.keys() == {"7KQ2"}
    with sqlite3.connect(path) as upgraded, sqlite3.connect(tmp_path / "new.db") as new:
        SqliteStorage(tmp_path / "new.db").close()
        assert columns(upgraded) == columns(new)
    upgraded.close()
    new.close()
    assert path.with_name("state.db.v1").exists()


def columns(connection: sqlite3.Connection) -> dict[str, list[str]]:
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] for table in tables}


# As SQLAlchemy made it for version 1.
VERSION_1 = """
CREATE TABLE otelmon_meta (name VARCHAR NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name));
CREATE TABLE alerts (rule VARCHAR NOT NULL, labels_digest VARCHAR NOT NULL, position INTEGER NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY (rule, labels_digest));
CREATE TABLE incidents (id VARCHAR NOT NULL, state VARCHAR NOT NULL, triggered_at BIGINT NOT NULL, resolved_at BIGINT,
    body TEXT NOT NULL, PRIMARY KEY (id));
CREATE INDEX incidents_by_state ON incidents (state, triggered_at);
CREATE TABLE pages (number INTEGER NOT NULL, id VARCHAR NOT NULL, incident_id VARCHAR NOT NULL, reason VARCHAR NOT NULL,
    action VARCHAR NOT NULL, target VARCHAR NOT NULL, urgency INTEGER NOT NULL, edits VARCHAR NOT NULL,
    follows VARCHAR NOT NULL, body TEXT NOT NULL, state VARCHAR NOT NULL, decided_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL, lease_until BIGINT, attempts INTEGER NOT NULL, uncertain BOOLEAN NOT NULL,
    message_id VARCHAR NOT NULL, outcome TEXT NOT NULL, finished_at BIGINT, PRIMARY KEY (number), UNIQUE (id));
CREATE TABLE requests (number INTEGER NOT NULL, id VARCHAR NOT NULL, asked_at BIGINT NOT NULL, kind VARCHAR NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY (number), UNIQUE (id));
CREATE TABLE series (id INTEGER NOT NULL, labels_digest VARCHAR NOT NULL, labels TEXT NOT NULL, PRIMARY KEY (id),
    UNIQUE (labels_digest));
CREATE TABLE ticks (number INTEGER NOT NULL, first_at FLOAT NOT NULL, last_at FLOAT NOT NULL, shifted FLOAT NOT NULL,
    samples BLOB NOT NULL, PRIMARY KEY (number));
INSERT INTO otelmon_meta VALUES ('schema_version', '1');
"""
