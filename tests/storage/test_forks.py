"""A process that has the state open forks, and its child opens the state for itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otelmon.storage.sqlite import SqliteStorage

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

_IN_TRANSACTIONS = """
import os, sys, threading
from datetime import UTC, datetime
from otelmon.incidents.model import Acknowledge
from otelmon.storage.sqlite import SqliteStorage

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
storage, over = SqliteStorage(sys.argv[1]), threading.Event()

def save():
    while not over.is_set():
        storage.save(AT, alerts={})

thread = threading.Thread(target=save)
thread.start()
for number in range(20):
    child = os.fork()
    if not child:
        with SqliteStorage(sys.argv[1]) as own:
            own.ask(Acknowledge(incident_id="7KQ2", by=str(number)), AT)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, number
over.set()
thread.join()
print(sorted(int(request.body.by) for request in storage.requests()))
"""

_OUTLIVED = """
import os, sys
from datetime import UTC, datetime
from otelmon.incidents.model import Acknowledge
from otelmon.storage.sqlite import SqliteStorage

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
storage = SqliteStorage(sys.argv[1])
storage.save(AT, alerts={})
(written, write), (closed, close) = os.pipe(), os.pipe()
child = os.fork()
if not child:
    own = SqliteStorage(sys.argv[1])
    own.save(AT, alerts={})
    os.write(write, b".")
    os.read(closed, 1)
    own.ask(Acknowledge(incident_id="7KQ2", by="child"), AT)
    os._exit(0)  # as if it was killed: nothing is closed
os.read(written, 1)
storage.save(AT, alerts={})
storage.close()
os.write(close, b".")
assert os.waitpid(child, 0)[1] == 0
"""


def run(code: str, path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_a_child_that_is_forked_while_its_parent_writes_can_write_too(tmp_path: Path) -> None:
    assert run(_IN_TRANSACTIONS, tmp_path / "state.db").strip() == str(list(range(20)))


def test_what_a_child_writes_after_its_parent_has_closed_the_state_is_kept(tmp_path: Path) -> None:
    """The parent must not believe that it is the last one, and delete the log that the child writes to."""
    path = tmp_path / "state.db"
    run(_OUTLIVED, path)
    with SqliteStorage(path) as storage:
        assert [request.body.by for request in storage.requests()] == ["child"]
