"""A fault of ours in the middle of a tick, or a run that told nobody, loses no page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from otelmon.incidents.model import Change
from otelmon.paging.routing import Routing
from otelmon.storage.sqlite import SqliteStorage
from tests.e2e.simulation import Simulation

MINUTE = 60.0


def outage(simulation: Simulation) -> None:
    simulation.run(5 * MINUTE, lambda: simulation.request(times=5))
    simulation.run(3 * MINUTE, lambda: simulation.request(status=500, times=5))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "otelmon.yaml"
    path.write_text("alerts:\n  route_error_rate: off\n", encoding="utf-8")
    return path


def broken_steps(rule_name: str) -> tuple[str, ...]:
    raise RuntimeError("the runbooks cannot be read")


def test_a_page_goes_out_although_its_words_cannot_be_found(config: Path) -> None:
    simulation = Simulation(config)
    simulation.engine.about = replace(simulation.engine.about, first_steps=broken_steps)
    outage(simulation)
    assert [name for _, name in simulation.triggered] == ["error_rate"]
    assert simulation.faults.counts["page"] == 1


def test_what_could_not_be_written_in_one_tick_is_told_in_the_next(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = Simulation(config)
    save, failures = simulation.engine.journal.save, 0

    def failing(*arguments: object, changes: list[Change], **rest: object) -> None:
        nonlocal failures
        if changes and failures < 2:
            failures += 1
            raise ValueError("a fault of ours")
        save(*arguments, changes=changes, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(simulation.engine.journal, "save", failing)
    simulation.guarded = True
    outage(simulation)
    simulation.run(20 * MINUTE, lambda: simulation.request(times=20))
    assert failures == 2
    assert [name for _, name in simulation.triggered] == ["error_rate"]
    assert [name for _, name in simulation.resolved] == ["error_rate"]


def test_a_request_that_cannot_be_read_stops_no_tick(config: Path, tmp_path: Path) -> None:
    disk = SqliteStorage(tmp_path / "state.db")
    with disk._database.writing() as connection:
        connection.execute(text("insert into requests (id, asked_at, kind, body) values ('x', 1, 'acknowledge', '{}')"))
    simulation = Simulation(config, disk=disk)
    outage(simulation)
    assert [name for _, name in simulation.triggered] == ["error_rate"]


def test_an_alert_that_fired_while_paging_was_off_pages_once_it_is_on(config: Path, tmp_path: Path) -> None:
    disk = SqliteStorage(tmp_path / "state.db")
    quiet = Simulation(config, disk=disk)
    quiet.engine.routing = Routing()
    outage(quiet)
    assert quiet.paged_at == []
    loud = Simulation(config, disk=disk, clock=quiet.clock)
    loud.run(3 * MINUTE, lambda: loud.request(status=500, times=5))
    assert [name for _, name in loud.triggered] == ["error_rate"]
    again = Simulation(config, disk=disk, clock=quiet.clock)
    again.run(3 * MINUTE, lambda: again.request(status=500, times=5))
    assert again.paged_at == []
