"""What changed before an incident, as its page says it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from otelmon.incidents.noted import MOST_NOTED, Noted, NotedKind, seen_version, with_noted
from tests.e2e.simulation import Simulation
from tests.evidence.stories import broken, finding, simulated

_AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_a_deploy_before_the_incident_is_named(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    simulation.notes.start("1.0", simulation.clock.now())
    simulation.run(60, simulation.request)
    simulation.notes.start("1.1", simulation.clock.now())
    broken(simulation, "/pay", before=60)
    simulation.explain()
    assert finding(simulation, "What changed").startswith("deploy of 1.1, 1 min")


def test_a_start_of_the_same_version_is_no_deploy(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    simulation.notes.start("1.0", simulation.clock.now())
    simulation.notes.start("1.0", simulation.clock.now())
    broken(simulation, "/pay", before=60)
    simulation.explain()
    assert finding(simulation, "What changed") == ""


def test_a_deploy_of_long_ago_explains_nothing(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    simulation.notes.start("1.0", simulation.clock.now() - 7300)
    simulation.notes.start("1.1", simulation.clock.now() - 7200)
    broken(simulation, "/pay", before=60)
    simulation.explain()
    assert finding(simulation, "What changed") == ""


def test_an_alert_that_fired_shortly_before_is_named(tmp_path: Path) -> None:
    simulation = simulated(tmp_path, "response_time: {threshold: 100, at_least: 1, window: 1m}")
    simulation.run(60, lambda: simulation.request(seconds=0.5))
    assert [name for _, name in simulation.triggered] == ["response_time"]
    broken(simulation, "/pay", before=60)
    simulation.explain()
    assert finding(simulation, "What changed").startswith("response_time fired, ")


def test_a_reload_is_named_and_kept_over_a_restart(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    simulation.notes.reloaded(simulation.clock.now())
    broken(simulation, "/pay", before=60)
    simulation.explain()
    assert finding(simulation, "What changed").startswith("the configuration was reloaded, ")
    assert [noted.kind for noted in simulation.disk.noted()] == [NotedKind.RELOAD]


def test_a_version_that_was_announced_is_no_second_deploy_when_it_starts() -> None:
    announced = Noted(at=_AT, kind=NotedKind.DEPLOY, text="2.0")
    assert seen_version((announced,), "2.0", _AT) is None
    found = seen_version((announced,), "2.1", _AT)
    assert found is not None
    assert found.kind is NotedKind.DEPLOY
    first = seen_version((), "2.0", _AT)
    assert first is not None
    assert first.kind is NotedKind.FIRST_SEEN


def test_many_reloads_push_out_no_version() -> None:
    kept: tuple[Noted, ...] = (Noted(at=_AT, kind=NotedKind.DEPLOY, text="2.0"),)
    for second in range(100):
        kept = with_noted(kept, Noted(at=_AT + timedelta(seconds=second), kind=NotedKind.RELOAD))
    assert len(kept) == 1 + MOST_NOTED
    assert kept[0].text == "2.0"
    assert kept[-1].at == _AT + timedelta(seconds=99)


def test_what_cannot_be_read_of_the_state_costs_only_what_changed(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    _spoil(simulation)
    broken(simulation, "/pay", before=60)
    simulation.explain()
    assert finding(simulation, "What changed") == ""
    assert finding(simulation, "Routes") == "GET /pay: 100 % of the errors"


def _spoil(simulation: Simulation) -> None:
    class _Spoiled:
        def noted(self) -> None:
            raise RuntimeError("the disk is gone")

    simulation.notes._disk = _Spoiled()  # type: ignore[assignment]
