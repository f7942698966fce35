"""Two people and an escalation, through the whole path (engine, storage, outbox, channel) on a clock that is moved."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from otelmon.errors import StateError
from otelmon.incidents.model import Acknowledge, EventKind
from otelmon.oncall.people import Team
from otelmon.paging.model import Page, PageAction, PageReason
from otelmon.rules.model import Severity
from otelmon.storage.sqlite import MEMORY, SqliteStorage
from otelmon.testing.clock import FakeClock
from tests.e2e.simulation import Simulation

ANA, BO, ROLE = "112233445566778899", "223344556677889900", "998877665544332211"
# A Monday, 12:00 UTC; ana's week begins at 9 in Lisbon.
MONDAY = 1_767_614_400.0
CONFIG = f"""\
interval: 15s
ack_timeout: 1h
discord: {{mention: {{critical: [role: {ROLE}]}}}}
alerts:
  error_rate: {{threshold: 5%, window: 1m, keep_firing_for: 0s}}
  route_error_rate: off
  response_time: {{threshold: 1000, window: 1m, no_data: keep}}
people:
  ana: {{discord: {ANA}, time_zone: Europe/Lisbon}}
  bo: {{discord: {BO}, time_zone: America/Chicago}}
schedules:
  backend:
    time_zone: Europe/Lisbon
    layers:
      - {{rotation: weekly, start: 2026-01-05 09:00, participants: [ana, bo]}}
escalation:
  default:
    repeat: 1
    steps:
      - {{notify: [schedule: backend]}}
      - {{wait: 10m, notify: [next: backend, role: {ROLE}]}}
      - {{wait: 15m, notify: [everyone: backend, webhook: managers]}}
"""


def simulate(folder: Path, config: str = CONFIG, at: float = MONDAY, disk: SqliteStorage | None = None) -> Simulation:
    path = folder / "otelmon.yaml"
    path.write_text(config, encoding="utf-8")
    return Simulation(path, clock=FakeClock(at), disk=disk)


def failing(simulation: Simulation) -> None:
    simulation.request(status=500, times=2)


def posted(simulation: Simulation) -> list[Page]:
    return [page for _, page in simulation.paged_at if page.action is PageAction.POST]


def whom(page: Page) -> list[str]:
    return [mention.id for mention in page.message.mentions]


def shown(page: Page, name: str) -> str:
    return next((field.value for field in page.message.fields if field.name == name), "")


def asked(simulation: Simulation, by: str = "bo") -> None:
    (incident,) = simulation.disk.incidents()
    simulation.disk.ask(
        Acknowledge(incident_id=incident.id, by=by), datetime.fromtimestamp(simulation.clock.now(), UTC)
    )


def test_unanswered_it_goes_to_the_second_step_and_acknowledged_it_is_quiet(tmp_path: Path) -> None:
    simulation = simulate(tmp_path)
    simulation.run(120, lambda: failing(simulation))
    (first,) = posted(simulation)
    assert first.reason is PageReason.TRIGGERED
    assert whom(first) == [ANA]
    assert shown(first, "Paged") == "ana"
    assert shown(first, "Next").startswith(f"bo, role {ROLE} in 10 min, at 12:")
    simulation.run(600, lambda: failing(simulation))
    _, second = posted(simulation)
    assert second.reason is PageReason.ESCALATED
    assert whom(second) == [BO, ROLE]
    assert second.message.title.startswith("Escalated to step 2, nobody acknowledged for 10 min: Error rate")
    assert shown(second, "Next").startswith("ana, bo, managers in 15 min")
    asked(simulation)
    simulation.run(3000, lambda: failing(simulation))
    assert len(posted(simulation)) == 2
    edits = [page for _, page in simulation.paged_at if page.reason is PageReason.ACKNOWLEDGED]
    assert {page.edits for page in edits} == {first.id, second.id}
    assert all(shown(page, "Next") == "" for page in edits)
    (incident,) = simulation.disk.incidents()
    kinds = [(event.kind, event.text) for event in incident.timeline if event.kind is EventKind.PAGED]
    assert kinds == [
        (EventKind.PAGED, "ana by step 1 of default"),
        (EventKind.PAGED, f"bo, role {ROLE} by step 2 of default"),
    ]
    simulation.run(180, lambda: simulation.request(times=4))
    assert [page.reason for page in posted(simulation)][2:] == [PageReason.RESOLVED]
    assert simulation.disk.restore().escalations == {}


def test_an_acknowledgement_that_runs_out_begins_anew_with_one_message(tmp_path: Path) -> None:
    simulation = simulate(tmp_path)
    simulation.run(120, lambda: failing(simulation))
    asked(simulation, "ana")
    simulation.run(3700, lambda: failing(simulation))
    _, again = posted(simulation)
    assert again.reason is PageReason.EXPIRED
    assert whom(again) == [ANA]
    simulation.run(600, lambda: failing(simulation))
    assert [page.reason for page in posted(simulation)][2:] == [PageReason.ESCALATED]


def test_the_acknowledge_timeout_of_the_policy_is_the_one_that_counts(tmp_path: Path) -> None:
    config = CONFIG.replace("    repeat: 1\n", "    repeat: 1\n    acknowledge_timeout: 20m\n")
    simulation = simulate(tmp_path, config)
    simulation.run(120, lambda: failing(simulation))
    asked(simulation, "ana")
    simulation.run(1260, lambda: failing(simulation))
    assert [page.reason for page in posted(simulation)] == [PageReason.TRIGGERED, PageReason.EXPIRED]


def test_a_step_that_reaches_nobody_falls_through_in_the_same_message_and_says_so(tmp_path: Path) -> None:
    simulation = simulate(tmp_path, CONFIG.replace("participants: [ana, bo]", "participants: [nobody, bo]"))
    simulation.run(120, lambda: failing(simulation))
    (page,) = posted(simulation)
    assert whom(page) == [BO, ROLE]
    assert "Step 1 reaches nobody: schedule: backend is nobody now" in page.message.description
    (incident,) = simulation.disk.incidents()
    assert [event.kind for event in incident.timeline] == [EventKind.TRIGGERED, EventKind.UNREACHED, EventKind.PAGED]


def test_where_nobody_can_be_reached_whoever_the_severity_mentions_is_pinged_until_acknowledged(tmp_path: Path) -> None:
    config = CONFIG.replace(f"{{discord: {ANA}, time", "{time").replace(f"{{discord: {BO}, time", "{time")
    config = config.replace(f", role: {ROLE}]", "]").replace(", webhook: managers", "")
    simulation = simulate(tmp_path, config)
    simulation.run(2000, lambda: failing(simulation))
    pages = posted(simulation)
    assert [whom(page) for page in pages] == [[ROLE]] * 3
    assert "no role to fall back to" in pages[0].message.description
    assert shown(pages[0], "Next").startswith("nobody who can be reached in 15 min")


def test_a_webhook_of_a_step_is_paged_by_its_name_once_and_told_of_the_end(tmp_path: Path) -> None:
    simulation = simulate(tmp_path)
    simulation.run(120 + 600 + 900 + 30, lambda: failing(simulation))
    simulation.run(180, lambda: simulation.request(times=4))
    (incident,) = simulation.disk.incidents()
    managers = [each for each in simulation.disk.deliveries(incident.id) if each.target == "managers"]
    assert [(each.reason, each.action) for each in managers] == [
        (PageReason.ESCALATED, PageAction.POST),
        (PageReason.RESOLVED, PageAction.POST),
    ]


SLOW_AT_NIGHT = CONFIG.replace("    repeat: 1\n", "    repeat: 1\n    quiet_hours: {from: 22:00, to: 08:00}\n")
NIGHT = MONDAY + 11 * 3600


def slow(simulation: Simulation) -> None:
    simulation.request(seconds=3.0, times=2)


def test_a_warning_at_night_is_posted_without_a_mention_and_pages_in_the_morning(tmp_path: Path) -> None:
    simulation = simulate(tmp_path, SLOW_AT_NIGHT, NIGHT)
    simulation.run(180, lambda: slow(simulation))
    (held,) = posted(simulation)
    assert held.message.severity is Severity.WARNING
    assert whom(held) == []
    assert shown(held, "Next") == "ana when the quiet hours are over, at 2026-01-06 08:00 UTC"
    simulation.run(3600, lambda: slow(simulation))
    assert len(posted(simulation)) == 1
    morning = MONDAY + 20 * 3600 + 15
    simulation.clock.advance(morning - simulation.clock.now() - 30)
    simulation.tick()
    simulation.run(60, lambda: slow(simulation))
    assert [(page.reason, whom(page)) for page in posted(simulation)[1:]] == [(PageReason.ESCALATED, [ANA])]
    assert posted(simulation)[1].message.title.startswith("Nobody acknowledged for 9 h: Response time")


def test_a_critical_incident_at_night_pages_at_once(tmp_path: Path) -> None:
    simulation = simulate(tmp_path, SLOW_AT_NIGHT, NIGHT)
    simulation.run(120, lambda: failing(simulation))
    assert [whom(page) for page in posted(simulation)] == [[ANA]]


def test_the_wall_clock_jumps_and_the_waits_stay_as_long(tmp_path: Path) -> None:
    simulation = simulate(tmp_path)
    simulation.run(120, lambda: failing(simulation))
    simulation.clock.jump(7200)
    simulation.run(300, lambda: failing(simulation))
    assert len(posted(simulation)) == 1
    (stored,) = simulation.disk.restore().escalations.values()
    assert stored.due_at.timestamp() > simulation.clock.now()
    simulation.run(330, lambda: failing(simulation))
    assert [page.reason for page in posted(simulation)] == [PageReason.TRIGGERED, PageReason.ESCALATED]


def test_a_step_that_fell_due_while_down_is_taken_once_and_the_later_ones_keep_their_waits(tmp_path: Path) -> None:
    simulation = simulate(tmp_path)
    simulation.run(120, lambda: failing(simulation))
    again = simulate(tmp_path, at=simulation.clock.now() + 3600, disk=simulation.disk)
    again.tick()
    assert [page.reason for page in posted(again)] == [PageReason.ESCALATED]
    again.run(890, lambda: failing(again))
    assert len(posted(again)) == 1
    again.run(30, lambda: failing(again))
    assert [whom(page) for page in posted(again)] == [[BO, ROLE], [ANA, BO]]


def test_without_a_policy_all_is_as_it_was(tmp_path: Path) -> None:
    simulation = simulate(tmp_path, CONFIG.partition("people:")[0])
    simulation.run(2000, lambda: failing(simulation))
    assert [(page.reason, whom(page)) for page in posted(simulation)] == [
        (PageReason.TRIGGERED, [ROLE]),
        (PageReason.REMINDER, [ROLE]),
    ]
    assert {shown(page, "Paged") for page in posted(simulation)} == {""}
    assert {shown(page, "Next") for page in posted(simulation)} == {
        "this page again in 30 min, unless somebody acknowledges"
    }


def test_the_team_may_change_between_two_ticks(tmp_path: Path) -> None:
    simulation = simulate(tmp_path)
    simulation.run(120, lambda: failing(simulation))
    simulation.engine.current_team.replace(Team())
    simulation.run(30, lambda: failing(simulation))
    assert simulation.disk.restore().escalations == {}
    assert len(posted(simulation)) == 1


def test_a_fault_in_a_schedule_does_not_keep_an_incident_from_being_paged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = simulate(tmp_path)

    class Broken:
        def on_call(self, at: datetime) -> tuple[str, ...]:
            raise ZeroDivisionError

    simulation.engine.current_team.replace(replace(simulation.engine.team, schedules={"backend": Broken()}))
    simulation.run(2000, lambda: failing(simulation))
    assert [(page.reason, whom(page)) for page in posted(simulation)] == [
        (PageReason.TRIGGERED, [ROLE]),
        (PageReason.REMINDER, [ROLE]),
    ]
    assert simulation.faults.counts["escalation"] > 0


class Full(SqliteStorage):
    """A disk that has no room while it is full."""

    full = False

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.full:
            raise StateError("the disk is full")
        super().save(*args, **kwargs)


def test_while_the_disk_is_full_the_escalation_goes_on_and_is_written_once_there_is_room(tmp_path: Path) -> None:
    disk = Full(MEMORY)
    simulation = simulate(tmp_path, disk=disk)
    disk.full = True
    simulation.run(120 + 600 + 30, lambda: failing(simulation))
    assert [whom(page) for page in posted(simulation)] == [[ANA], [BO, ROLE]]
    assert disk.restore().escalations == {}
    disk.full = False
    simulation.run(60, lambda: failing(simulation))
    (stored,) = disk.restore().escalations.values()
    assert stored.step == 2
    assert stored.paged == ("ana", "bo", f"role {ROLE}")
