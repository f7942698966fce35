"""People are told of their shifts by a whole engine: once, over restarts, and after whatever changed meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from otelmon.config.load import load_settings
from otelmon.oncall.overrides import Override
from otelmon.oncall.stored import stored_override
from otelmon.paging.discord import payload
from otelmon.paging.model import PageReason
from otelmon.paging.routing import Routing
from otelmon.runtime.reload import Reloader, RuleFiles
from otelmon.storage.sqlite import SqliteStorage
from otelmon.testing.clock import FakeClock
from tests.e2e.simulation import Simulation

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)  # where the clock starts, a Monday
HOUR = timedelta(hours=1)
ANA, BO = "112233445566778899", "223344556677889900"
CONFIG = f"""\
service: shop
interval: 60s
people:
  ana: {{discord: {ANA}, time_zone: Europe/Lisbon}}
  bo: {{discord: {BO}}}
schedules:
  backend:
    time_zone: UTC
    layers:
      - {{rotation: daily, start: 2026-01-01 13:00, participants: [ana, bo]}}
"""


class Team:
    """A team with one schedule, its process and its state."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "otelmon.yaml"
        self.config.write_text(CONFIG, encoding="utf-8")
        self.state = folder / "state.db"
        self.clock = FakeClock()
        self.start()

    def start(self) -> None:
        self.simulation = Simulation(self.config, clock=self.clock, disk=SqliteStorage(self.state))

    def restart(self) -> None:
        self.simulation.close()
        self.start()

    def told(self, *, minutes: float) -> list[str]:
        """What people were told in this time, with whom it pinged."""
        before = len(self.simulation.paged_at)
        self.simulation.run(minutes * 60)
        return [self.words(number) for number in range(before, len(self.simulation.paged_at))]

    def words(self, number: int) -> str:
        _, page = self.simulation.paged_at[number]
        return str(payload(page.message)["content"]).replace("\\:", ":")

    def override(self, person: str, replaces: str, start: datetime, end: datetime, reason: str = "") -> str:
        made = stored_override(
            "backend",
            Override(start=start, end=end, person=person, replaces=replaces, reason=reason, by="cy"),
            datetime.fromtimestamp(self.clock.now(), UTC),
        )
        with SqliteStorage(self.state) as storage:
            storage.add_overrides([made])
        return made.id


def test_a_shift_that_begins_pings_its_person_once_also_over_a_restart(tmp_path: Path) -> None:
    team = Team(tmp_path)
    assert team.told(minutes=50) == []
    (said,) = team.told(minutes=15)
    assert said == f"🔵 **INFO** ana, you are on call for backend until Tue 06 Jan 13:00 (Europe/Lisbon) <@{ANA}>"
    _, page = team.simulation.paged_at[0]
    assert page.reason is PageReason.HANDOVER
    fields = {field.name: field.value for field in page.message.fields}
    assert fields == {
        "Before you": "bo, since Sun 04 Jan 13:00 (Europe/Lisbon)",
        "Open now": "nothing",
        "In the last shift, resolved": "nothing",
    }
    team.restart()
    assert team.told(minutes=30) == []
    team.restart()
    evening = team.told(minutes=6 * 60)
    assert evening == [f"🔵 **INFO** bo, you are on call for backend from Tue 06 Jan 13:00 (UTC) <@{BO}>"]


def test_a_process_that_was_down_for_a_while_tells_what_is_not_too_late(tmp_path: Path) -> None:
    team = Team(tmp_path)
    assert team.told(minutes=50) == []
    team.clock.advance(40 * 60)
    team.restart()
    assert [said[:20] for said in team.told(minutes=2)] == ["🔵 **INFO** ana, you "]
    team.clock.advance(26 * 3600)
    team.restart()
    assert team.told(minutes=30) == []


def test_an_override_counts_from_the_next_tick_and_those_concerned_are_told(tmp_path: Path) -> None:
    team = Team(tmp_path)
    assert team.told(minutes=10) == []
    id_ = team.override("bo", "ana", NOON + 2 * HOUR, NOON + 4 * HOUR, "dentist")
    changed = team.told(minutes=1)
    assert changed == [
        f"🔵 **INFO** ana, your coming shifts changed <@{ANA}>",
        f"🔵 **INFO** bo, your coming shifts changed <@{BO}>",
    ]
    fields = {field.name: field.value for field in team.simulation.paged_at[-1][1].message.fields}
    assert fields == {
        "You are on call now": "backend: Mon 05 Jan 14:00 (UTC) to Mon 05 Jan 16:00 (UTC)",
        "Why": "cy: dentist",
    }
    assert team.simulation.engine.team.schedules["backend"].on_call(NOON + 3 * HOUR) == ("bo",)
    assert team.told(minutes=5) == []
    team.restart()
    assert team.told(minutes=5) == []
    with SqliteStorage(team.state) as storage:
        assert storage.remove_override(id_, "cy", NOON)
        assert not storage.remove_override(id_, "cy", NOON)
    assert len(team.told(minutes=1)) == 2
    assert team.simulation.engine.team.schedules["backend"].on_call(NOON + 3 * HOUR) == ("ana",)


def test_an_override_of_somebody_who_left_is_reported_and_stops_nothing(tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.override("dee", "ana", NOON + HOUR, NOON + 2 * HOUR)
    assert len(team.told(minutes=90)) == 1
    assert team.simulation.faults.counts["override"] == 1


def test_a_schedule_that_changed_while_the_app_was_down_is_told_at_its_start(tmp_path: Path) -> None:
    team = Team(tmp_path)
    assert team.told(minutes=10) == []
    team.config.write_text(CONFIG.replace("[ana, bo]", "[bo, ana]"), encoding="utf-8")
    team.restart()
    assert [said.split("**")[2].strip(", <@>0123456789") for said in team.told(minutes=2)] == [
        "ana, your coming shifts changed",
        "bo, your coming shifts changed",
    ]


def test_another_team_is_taken_up_by_a_reload(tmp_path: Path) -> None:
    team = Team(tmp_path)
    simulation = team.simulation
    environ = {"OTEL_SERVICE_NAME": "shop", "OTELMON_STATE_DIR": str(tmp_path)}
    files = RuleFiles(
        simulation.settings, lambda: load_settings(team.config, environ=environ, directory=tmp_path)
    )  # fmt: skip
    reloader = Reloader(
        files, simulation.engine, now=team.clock.now, on_reload=lambda _: None, faults=simulation.faults
    )
    assert team.told(minutes=10) == []
    team.config.write_text(CONFIG.replace("13:00", "15:00") + "oncall_notices: {changes: off}\n", encoding="utf-8")
    made = reloader.reload()
    assert (made.team, made.later) == (True, ())
    assert not reloader.reload().team
    assert simulation.engine.team.schedules["backend"].on_call(NOON + 2 * HOUR) == ("bo",)
    assert team.told(minutes=120) == []
    assert len(team.told(minutes=60)) == 1


def test_what_could_not_be_sent_in_time_is_dropped_and_incidents_go_first(tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.simulation.run(70 * 60, deliver=False)
    disk = team.simulation.disk
    assert disk.depth(NOON + 2 * HOUR).due == 1
    team.clock.advance(2 * 3600)
    team.simulation.deliver()
    assert team.simulation.paged_at == []
    assert disk.depth(NOON + 4 * HOUR).dropped == 1


def test_where_nobody_is_paged_nobody_is_told(tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.simulation.engine.routing = Routing()
    assert team.told(minutes=90) == []
