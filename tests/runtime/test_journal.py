"""The journal: what the disk refuses is owed from memory, and stays there for all of its incident."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from otelmon.alerts.model import Alert, AlertState, Transition, TransitionReason
from otelmon.errors import StateError
from otelmon.faults import Faults
from otelmon.incidents.model import Incident
from otelmon.incidents.step import step
from otelmon.paging.decide import decide
from otelmon.paging.model import PageAction, PageReason
from otelmon.paging.text import Context
from otelmon.runtime.journal import Journal
from otelmon.storage.sqlite import MEMORY, SqliteStorage
from tests.alerts.build import minute
from tests.paging.build import fixed
from tests.storage.build import firing


class Disk(SqliteStorage):
    """A real storage whose device can be full."""

    full = False

    def save(self, *arguments: Any, **named: Any) -> None:
        if self.full:
            raise StateError("database or disk is full")
        super().save(*arguments, **named)


class Bench:
    """A journal, and alerts whose every change is decided on and saved."""

    def __init__(self, path: Path, *, without_disk: bool = False) -> None:
        self.disk, self.memory = Disk(path), SqliteStorage(MEMORY)
        self.faults = Faults()
        self.journal = Journal(None if without_disk else self.disk, self.memory, self.faults)
        self.incidents: dict[str, Incident] = {}

    def close(self) -> None:
        self.disk.close()
        self.memory.close()

    def change(self, name: str, at: datetime, state: AlertState) -> None:
        alert: Alert = replace(firing(name), state=state, resolved_at=at if state is AlertState.RESOLVED else None)
        before = AlertState.FIRING if state is AlertState.RESOLVED else None
        moved = Transition(alert=alert, before=before, at=at, reason=TransitionReason.HELD)
        stepped = step(self.incidents, [moved], [], at=at, taken=frozenset(), alerts=[])
        pages = decide(stepped.changes, routing=fixed(["discord"]), about=Context(service="shop"))
        self.incidents = dict(stepped.incidents)
        alerts = {name: {} if state is AlertState.RESOLVED else {alert.labels: alert}}
        self.journal.save(at, alerts=alerts, changes=stepped.changes, pages=pages)

    def owed(self, storage: SqliteStorage, at: datetime) -> list[tuple[PageReason, PageAction]]:
        claimed = storage.claim(at, lease_seconds=60, limit=10)
        return [(each.page.reason, each.page.action) for each in claimed]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state.db")
    yield bench
    bench.close()


def test_on_a_healthy_disk_everything_is_owed_from_the_disk(bench: Bench) -> None:
    bench.change("errors", minute(0), AlertState.FIRING)
    assert bench.owed(bench.memory, minute(1)) == []
    assert bench.owed(bench.disk, minute(1)) == [(PageReason.TRIGGERED, PageAction.POST)]
    assert set(bench.disk.restore().alerts) == {"errors"}


def test_what_a_full_disk_refuses_is_owed_from_memory_and_said_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.disk.full = True
    bench.change("errors", minute(0), AlertState.FIRING)
    bench.change("slow", minute(1), AlertState.FIRING)
    assert bench.owed(bench.disk, minute(2)) == []
    assert bench.owed(bench.memory, minute(2)) == [(PageReason.TRIGGERED, PageAction.POST)] * 2
    assert bench.faults.counts["state"] == 2
    assert caplog.text.count("paging goes on from memory") == 1


def test_the_later_pages_of_an_incident_that_fell_to_memory_stay_there(bench: Bench) -> None:
    """An edit must find the message that it edits; the disk does not know it."""
    bench.disk.full = True
    bench.change("errors", minute(0), AlertState.FIRING)
    bench.disk.full = False
    bench.change("slow", minute(1), AlertState.FIRING)
    bench.change("errors", minute(2), AlertState.RESOLVED)
    on_disk = bench.disk.depth(minute(3))
    in_memory = bench.memory.depth(minute(3))
    assert on_disk.due + on_disk.waiting == 1
    # "errors" was never sent: once it is over there is nothing to say of it but what the outbox keeps.
    assert in_memory.due + in_memory.waiting + in_memory.dropped >= 1


def test_a_disk_that_has_room_again_is_told_what_it_missed(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.disk.full = True
    bench.change("errors", minute(0), AlertState.FIRING)
    bench.disk.full = False
    bench.change("slow", minute(1), AlertState.FIRING)
    restored = bench.disk.restore()
    assert set(restored.alerts) == {"errors", "slow"}
    assert {incident.alerts[0].name for incident in restored.incidents.values()} == {"errors", "slow"}
    bench.disk.full = True
    bench.change("disk", minute(2), AlertState.FIRING)
    assert caplog.text.count("paging goes on from memory") == 2  # it worked in between: said anew


def test_where_no_disk_could_be_opened_all_is_owed_from_memory(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state.db", without_disk=True)
    bench.change("errors", minute(0), AlertState.FIRING)
    assert list(bench.journal.storages) == [bench.memory]
    assert bench.owed(bench.memory, minute(1)) == [(PageReason.TRIGGERED, PageAction.POST)]
    assert bench.disk.restore().saved_at is None
    bench.close()
