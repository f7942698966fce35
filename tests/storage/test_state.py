"""What was saved is there after a restart."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.alerts.model import Alert
from otelmon.errors import StateError
from otelmon.incidents.model import Acknowledge, Change, Event, EventKind, Incident, IncidentState
from otelmon.incidents.silence import Silence
from otelmon.labels import Labels
from otelmon.paging.model import Page
from otelmon.storage.codec import (
    decode_alert,
    decode_incident,
    decode_page,
    decode_silence,
    encode_alert,
    encode_incident,
    encode_page,
    encode_silence,
    to_json,
)  # fmt: skip
from otelmon.storage.sqlite import SqliteStorage, open_existing
from otelmon.storage.store import Restored, Storage
from tests.alerts.build import minute
from tests.incidents.test_step import Story, fires, resolves
from tests.storage.build import ALERTS, INCIDENTS, PAGES, SILENCES, firing, owed


def by_labels(*alerts: Alert) -> dict[Labels, Alert]:
    return {alert.labels: alert for alert in alerts}


def test_an_empty_storage_restores_nothing(storage: Storage) -> None:
    assert storage.restore() == Restored()
    assert list(storage.samples(0)) == []
    assert storage.requests() == ()
    assert storage.incidents() == ()


def test_alerts_come_back_by_rule_in_their_order(storage: Storage) -> None:
    first, second, other = firing("a"), replace(firing("a"), labels=Labels({"alertname": "a", "x": "1"})), firing("b")
    storage.save(minute(0), alerts={"a": by_labels(second, first), "b": by_labels(other)})
    restored = storage.restore()
    assert restored.alerts == {"a": by_labels(first, second), "b": by_labels(other)}
    assert list(restored.alerts["a"]) == [second.labels, first.labels]
    assert restored.saved_at == minute(0)


def test_a_save_replaces_the_alerts_of_the_rules_it_names_only(storage: Storage) -> None:
    storage.save(minute(0), alerts={"a": by_labels(firing("a")), "b": by_labels(firing("b"))})
    storage.save(minute(1), alerts={"a": {}})
    restored = storage.restore()
    assert (restored.alerts, restored.saved_at) == ({"b": by_labels(firing("b"))}, minute(1))


def test_open_incidents_are_restored_and_resolved_ones_can_be_looked_up(storage: Storage) -> None:
    story = Story()
    opened = story.at(0, [fires(firing("a")), fires(firing("b"))])
    storage.save(minute(0), alerts={}, changes=opened.changes)
    assert storage.restore().incidents == opened.incidents
    over = story.at(5, [resolves(firing("a"), minute(5))])
    storage.save(minute(5), alerts={}, changes=over.changes)
    restored = storage.restore()
    assert restored.incidents == over.incidents
    assert restored.known_ids == opened.incidents.keys()
    (resolved,) = (change.incident for change in over.changes)
    assert storage.incident(resolved.id.lower()) == resolved
    assert storage.incident("????") is None
    assert storage.incident("\udcff") is None
    assert [incident.id for incident in storage.incidents()] == [*over.incidents, resolved.id]
    assert len(storage.incidents(limit=1)) == 1


def test_a_refreshed_incident_is_saved_without_a_change(storage: Storage) -> None:
    story = Story()
    storage.save(minute(0), alerts={}, changes=story.at(0, [fires(firing("a"))]).changes)
    now = story.at(1, [], alerts=[replace(firing("a"), value=0.9)])
    storage.save(minute(1), alerts={}, incidents=now.incidents.values())
    assert storage.restore().incidents == now.incidents


def test_requests_are_handed_out_until_they_are_taken(storage: Storage) -> None:
    first = storage.ask(Acknowledge(incident_id="7KQ2", by="ada"), minute(0))
    second = storage.ask(Acknowledge(incident_id="\udcff\0", by="grace"), minute(1))
    assert [(request.id, request.body.by, request.asked_at) for request in storage.requests()] == [
        (first, "ada", minute(0)),
        (second, "grace", minute(1)),
    ]
    storage.save(minute(1), alerts={}, taken=[first])
    assert [(request.id, request.body.incident_id) for request in storage.requests()] == [(second, "\udcff\0")]


def test_resolved_incidents_are_pruned_with_their_pages_and_open_ones_are_not(storage: Storage) -> None:
    story = Story()
    opened = story.at(0, [fires(firing("a")), fires(firing("b"))])
    over = story.at(5, [resolves(firing("a"), minute(5))])
    changes = [*opened.changes, *over.changes]
    storage.save(minute(5), alerts={}, changes=changes, pages=owed(changes))
    assert len(storage.claim(minute(5), lease_seconds=1, limit=9)) == 1
    before = storage.depth(minute(6))
    storage.prune(samples_before=0, finished_before=minute(5))
    assert storage.depth(minute(6)) == before
    storage.prune(samples_before=0, finished_before=minute(6))
    assert [incident.id for incident in storage.incidents()] == list(over.incidents)
    depth = storage.depth(minute(6))
    assert (depth.sending, depth.dropped, before.dropped) == (1, 0, 3)


@settings(max_examples=60, deadline=None)
@given(alert=ALERTS, incident=INCIDENTS, page=PAGES, silence=SILENCES)
def test_anything_survives_as_json(alert: Alert, incident: Incident, page: Page, silence: Silence) -> None:
    assert decode_silence(encode_silence(silence)) == silence
    assert decode_alert(encode_alert(alert)) == alert
    assert decode_incident(encode_incident(incident), incident.alerts) == incident
    assert decode_page(encode_page(page)) == page
    assert to_json(encode_page(page)).isascii()


@settings(max_examples=25, deadline=None)
@given(
    alerts=st.lists(ALERTS, max_size=4).map(lambda found: by_labels(*found)),
    incidents=st.lists(INCIDENTS, max_size=3, unique_by=lambda incident: incident.id),
    pages=st.lists(PAGES, max_size=3, unique_by=lambda page: page.id),
)
def test_anything_survives_in_a_database(
    alerts: dict[Labels, Alert], incidents: list[Incident], pages: list[Page]
) -> None:
    with SqliteStorage(":memory:") as storage:
        event = Event(at=minute(0), kind=EventKind.TRIGGERED)
        changes = [Change(incident=incident, event=event) for incident in incidents]
        storage.save(minute(0), alerts={"rule": alerts}, changes=changes, pages=pages)
        restored = storage.restore()
        assert restored.alerts.get("rule", {}) == alerts
        opened = {incident.id: incident for incident in incidents if incident.state is not IncidentState.RESOLVED}
        assert restored.incidents == opened
        assert {incident.id: incident for incident in storage.incidents()} == {each.id: each for each in incidents}


def test_a_file_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.db"
    with SqliteStorage(path) as storage:
        storage.save(minute(0), alerts={"a": by_labels(firing("a"))})
    with open_existing(path) as storage:
        assert storage.restore().alerts == {"a": by_labels(firing("a"))}


def test_the_file_is_nobody_elses_to_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.db"
    with SqliteStorage(path) as storage:
        storage.save(minute(0), alerts={})
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert set(modes) == {"state.db", "state.db-wal", "state.db-shm"}
        assert set(modes.values()) == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    SqliteStorage(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_looking_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no such file"):
        open_existing(tmp_path / "state.db")
    assert list(tmp_path.iterdir()) == []


def test_another_process_asks_while_the_monitor_writes(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    script = (
        "import sys; from datetime import UTC, datetime\n"
        "from otelmon.incidents.model import Acknowledge; from otelmon.storage.sqlite import open_existing\n"
        "with open_existing(sys.argv[1]) as storage:\n"
        "    for number in range(20):\n"
        "        storage.ask(Acknowledge(incident_id=str(number), by='ada'), datetime.now(UTC))\n"
    )
    with SqliteStorage(path) as storage:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        asking = subprocess.Popen([sys.executable, "-c", script, path], env=environment)
        while asking.poll() is None:
            storage.save(minute(0), alerts={"a": by_labels(firing("a"))})
        assert asking.returncode == 0
        assert [request.body.incident_id for request in storage.requests()] == [str(number) for number in range(20)]


def test_threads_save_claim_and_ask_at_once(storage: Storage) -> None:
    story = Story()
    failures: list[Exception] = []

    def guarded(work: object) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    def engine() -> None:
        for number in range(30):
            made = story.at(number, [fires(firing(f"rule_{number}", at=number))])
            storage.save(minute(number), alerts={}, changes=made.changes, pages=owed(made.changes))

    sent: list[str] = []

    def delivery() -> None:
        for _ in range(60):
            sent.extend(page.page.id for page in storage.claim(minute(60), lease_seconds=600, limit=2))

    def asking() -> None:
        for number in range(20):
            storage.ask(Acknowledge(incident_id=str(number), by="ada"), minute(number))

    threads = [threading.Thread(target=guarded, args=[work]) for work in (engine, delivery, delivery, asking)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    delivery()
    assert len(sent) == len(set(sent)) == 30
    assert len(storage.requests()) == 20
