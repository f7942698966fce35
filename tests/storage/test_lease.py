"""What the lease fences in the storage, and what it does not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from otelmon.alerts.by_hand import ByHand
from otelmon.errors import LostLeaseError
from otelmon.incidents.model import Acknowledge
from otelmon.storage.lease import Moment
from otelmon.storage.sqlite import SqliteStorage
from otelmon.storage.store import Storage
from tests.alerts.build import minute
from tests.incidents.test_step import Story, fires
from tests.storage.build import firing, owed

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
NOW = Moment(boot="boot", monotonic=100.0, wall=1e9)
LATER = Moment(boot="boot", monotonic=200.0, wall=1e9 + 100)


def test_whoever_never_asked_for_the_lease_writes_as_ever(storage: Storage) -> None:
    """A database that belongs to one process, such as the one in memory."""
    storage.save(AT, alerts={})
    assert storage.restore().saved_at == AT


def test_what_people_ask_for_is_taken_from_any_process(tmp_path: Path) -> None:
    holder, other = SqliteStorage(tmp_path / "state.db"), SqliteStorage(tmp_path / "state.db")
    assert holder.take_lease("a", NOW, 20)
    assert not other.take_lease("b", NOW, 20)
    value = ByHand(name="error_rate", value=0.5, context={"job": "reports"})
    other.ask(value, AT)
    other.ask(Acknowledge(incident_id="INC-1", by="alice"), AT)
    assert [request.body for request in holder.requests()] == [value, Acknowledge(incident_id="INC-1", by="alice")]
    with pytest.raises(LostLeaseError):
        other.save(AT, alerts={}, taken=[request.id for request in other.requests()])
    assert len(holder.requests()) == 2
    holder.close()
    other.close()


def test_totals_are_kept_by_the_holder_alone(tmp_path: Path) -> None:
    first, second = SqliteStorage(tmp_path / "state.db"), SqliteStorage(tmp_path / "state.db")
    assert first.totals() == ""
    assert first.take_lease("a", NOW, 20)
    first.keep_totals("one")
    assert second.take_lease("b", LATER, 20)
    with pytest.raises(LostLeaseError, match=r"state\.db: another process"):
        first.keep_totals("two")
    assert second.totals() == "one"
    assert not first.renew_lease(LATER, 20)
    second.keep_totals("three")
    assert first.totals() == "three"
    first.close()
    second.close()


def test_what_the_former_holder_was_sending_is_owed_again_at_once(tmp_path: Path) -> None:
    """Nobody waits for an answer to a process that is gone; while it is there, nobody sends what it sends."""
    first, second = SqliteStorage(tmp_path / "state.db"), SqliteStorage(tmp_path / "state.db")
    assert first.take_lease("a", NOW, 20)
    made = Story().at(0, [fires(firing("a"))])
    first.save(minute(0), alerts={}, changes=made.changes, pages=owed(made.changes))
    (sending,) = first.claim(minute(0), lease_seconds=35, limit=1)
    assert not second.take_lease("b", NOW, 20)
    assert first.claim(minute(0), lease_seconds=35, limit=1) == []
    assert second.take_lease("b", LATER, 20)
    (again,) = second.claim(minute(0), lease_seconds=35, limit=1)
    assert (again.page, again.attempts) == (sending.page, 1)
    assert second.claim(minute(0), lease_seconds=35, limit=1) == []
    first.close()
    second.close()


def test_a_holder_that_takes_the_lease_again_has_ended_what_it_began_before(tmp_path: Path) -> None:
    """So a tick that was stopped in its middle cannot go on under the next term of its own process."""
    storage, same = SqliteStorage(tmp_path / "state.db"), SqliteStorage(tmp_path / "state.db")
    assert storage.take_lease("a", NOW, 20)
    assert same.take_lease("a", NOW, 20)
    assert not storage.renew_lease(NOW, 20)
    storage.release_lease()  # another's by now, and left alone
    assert same.renew_lease(NOW, 20)
    storage.close()
    same.close()
