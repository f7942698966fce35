"""Silences and inhibitors in a whole engine, over restarts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from otelmon.incidents.silence import AddSilence, Silence, parse_matchers
from otelmon.paging.model import PageAction, PageReason
from otelmon.storage.sqlite import SqliteStorage
from tests.e2e.simulation import Simulation

MINUTE = 60.0
CONFIG = """
alerts:
  busy: {expr: "sum by (job) (rate(http_server_request_duration_seconds_count[1m])) > 1", severity: critical}
  busier: {expr: "sum by (job) (rate(http_server_request_duration_seconds_count[1m])) > 1", severity: warning}
inhibit: [{source: busy, target: busier, equal: [job]}]
"""


def configured(tmp_path: Path) -> Path:
    path = tmp_path / "otelmon.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def load(simulation: Simulation) -> Callable[[], None]:
    return lambda: simulation.request(times=5)


def silence(simulation: Simulation, minutes: float) -> None:
    now = datetime.fromtimestamp(simulation.clock.now(), UTC)
    asked = Silence(
        id="S7KQ2",
        matchers=parse_matchers(["alertname=~busy"]),
        starts_at=now,
        ends_at=now + timedelta(minutes=minutes),
        author="ada",
        created_at=now,
    )
    simulation.disk.ask(AddSilence(silence=asked), now)


def posted(simulation: Simulation) -> list[PageReason]:
    return [page.reason for _, page in simulation.paged_at if page.action is PageAction.POST]


def test_a_silence_that_is_only_asked_for_survives_the_process(tmp_path: Path) -> None:
    disk = SqliteStorage(tmp_path / "state.db")
    first = Simulation(configured(tmp_path), disk=disk)
    first.run(1)
    silence(first, minutes=60)
    # Killed before it took the request; the next process does, before anything pages.
    second = Simulation(configured(tmp_path), clock=first.clock, disk=disk)
    second.run(5 * MINUTE, load(second))
    third = Simulation(configured(tmp_path), clock=first.clock, disk=disk)
    third.run(30 * MINUTE, load(third))
    assert {each.lead.name: bool(each.visible) for each in disk.incidents()} == {"busy": False, "busier": True}
    assert posted(second) == [PageReason.TRIGGERED]  # of busier: a silenced inhibitor mutes nothing
    assert posted(third) == []


def test_what_still_fires_pages_when_the_silence_ends_and_is_announced_before(tmp_path: Path) -> None:
    simulation = Simulation(configured(tmp_path))
    silence(simulation, minutes=40)
    simulation.run(35 * MINUTE, load(simulation))
    assert posted(simulation) == [PageReason.TRIGGERED, PageReason.SILENCE_ENDING]
    simulation.run(10 * MINUTE, load(simulation))
    assert posted(simulation) == [PageReason.TRIGGERED, PageReason.SILENCE_ENDING, PageReason.UNMUTED]


def test_an_inhibited_alert_is_recorded_and_pages_nobody(tmp_path: Path) -> None:
    simulation = Simulation(configured(tmp_path))
    simulation.run(20 * MINUTE, load(simulation))
    assert posted(simulation) == [PageReason.TRIGGERED]
    assert {each.lead.name: bool(each.muted) for each in simulation.disk.incidents()} == {"busy": False, "busier": True}
    simulation.run(20 * MINUTE)
    assert posted(simulation) == [PageReason.TRIGGERED, PageReason.RESOLVED]


def test_one_resolved_by_hand_is_not_reopened_by_each_tick_but_after_the_quiet_period(tmp_path: Path) -> None:
    from otelmon.incidents.model import Resolve

    simulation = Simulation(configured(tmp_path))
    simulation.run(3 * MINUTE, load(simulation))
    (busy,) = [each for each in simulation.disk.incidents() if each.lead.name == "busy"]
    simulation.disk.ask(Resolve(incident_id=busy.id, by="ada"), datetime.fromtimestamp(simulation.clock.now(), UTC))
    simulation.run(9 * MINUTE, load(simulation))
    assert posted(simulation) == [PageReason.TRIGGERED, PageReason.RESOLVED, PageReason.UNMUTED]
    simulation.run(3 * MINUTE, load(simulation))
    assert posted(simulation)[3:] == [PageReason.REOPENED]
