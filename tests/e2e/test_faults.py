"""What goes wrong around the monitor stays there: it is counted, logged once, and everything else goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider

from otelmon.collect.reader import Reader
from otelmon.storage.sqlite import SqliteStorage
from tests.e2e.simulation import Simulation

MINUTE = 60.0


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def logged(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records)


def fail_everything(simulation: Simulation) -> None:
    simulation.run(5 * MINUTE, lambda: simulation.request(times=5))
    simulation.run(3 * MINUTE, lambda: simulation.request(status=500, times=5))


def test_a_rule_that_fails_at_evaluation_stops_no_other_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two series on each side match one another: an error that shows only when both are there."""
    config = write(
        tmp_path / "otelmon.yaml",
        "alerts:\n"
        "  broken:\n"
        "    expr: >-\n"
        "      http_server_request_duration_seconds_count\n"
        "      + on (job) http_server_request_duration_seconds_count > 0\n",
    )
    simulation = Simulation(config)
    with caplog.at_level(logging.ERROR, "otelmon"):
        fail_everything(simulation)
    assert "error_rate" in [name for _, name in simulation.triggered]
    assert simulation.faults.counts["rule.broken"] > 5
    assert logged(caplog, "the rule broken cannot be evaluated") == 1


def test_a_metric_callback_that_raises_costs_its_own_metric_only(tmp_path: Path) -> None:
    def raises(_: CallbackOptions) -> Iterable[Observation]:
        raise RuntimeError("the probe broke")

    reader = Reader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    meter = provider.get_meter("app")
    meter.create_observable_gauge("app.broken", callbacks=[raises])
    carts = meter.create_counter("app.carts")
    config = write(
        tmp_path / "otelmon.yaml",
        "alerts:\n  carts: {expr: 'rate(app_carts_total[5m]) > 0', severity: warning}\n",
    )
    simulation = Simulation(config, reader=reader)
    reader.faults = simulation.faults
    simulation.run(1 * MINUTE)
    carts.add(10)
    simulation.run(1 * MINUTE)
    provider.shutdown()
    assert [name for _, name in simulation.triggered] == ["carts"]
    assert simulation.faults.counts["callback"] > 0


def test_a_full_disk_under_the_state_stops_no_page(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk = SqliteStorage(tmp_path / "state.db")
    simulation = Simulation(write(tmp_path / "otelmon.yaml", ""), disk=disk)
    simulation.run(1 * MINUTE, lambda: simulation.request(times=5))
    fill(disk)
    with caplog.at_level(logging.ERROR, "otelmon"):
        fail_everything(simulation)
        simulation.run(20 * MINUTE, lambda: simulation.request(times=50))
    names = [name for _, name in simulation.triggered]
    assert names.count("error_rate") == 1
    assert "error_rate" in [name for _, name in simulation.resolved]
    assert simulation.faults.counts["state"] > 5
    assert logged(caplog, "state cannot be written") == 1


def fill(disk: SqliteStorage) -> None:
    """Let SQLite find no further page, as on a full disk."""
    with disk._database.writing() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def test_a_disk_that_has_room_again_takes_up_the_state(tmp_path: Path) -> None:
    disk = SqliteStorage(tmp_path / "state.db")
    simulation = Simulation(write(tmp_path / "otelmon.yaml", ""), disk=disk)
    simulation.run(1 * MINUTE, lambda: simulation.request(times=5))
    fill(disk)
    fail_everything(simulation)
    with disk._database.writing() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    simulation.run(1 * MINUTE, lambda: simulation.request(status=500, times=5))

    again = Simulation(tmp_path / "otelmon.yaml", clock=simulation.clock, disk=disk)
    again.run(5 * MINUTE, lambda: again.request(status=500, times=5))
    assert again.paged_at == []


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 90 * 86400.0])
def test_a_clock_that_jumps_neither_fires_nor_resolves_anything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, jump: float
) -> None:
    config = write(
        tmp_path / "otelmon.yaml",
        "alerts:\n  busy: {expr: 'sum(rate(http_server_request_duration_seconds_count[5m])) > 1', for: 30m}\n",
    )
    simulation = Simulation(config)
    simulation.run(10 * MINUTE, lambda: simulation.request(times=5))
    with caplog.at_level(logging.ERROR, "otelmon"):
        simulation.clock.jump(jump)
        simulation.run(15 * MINUTE, lambda: simulation.request(times=5))
    assert simulation.paged_at == []
    assert simulation.faults.counts["clock"] == 1
    assert logged(caplog, "the clock jumped") == 1

    simulation.run(10 * MINUTE, lambda: simulation.request(times=5))
    assert [name for _, name in simulation.triggered] == ["busy"]
    simulation.clock.jump(jump)
    simulation.run(10 * MINUTE, lambda: simulation.request(times=5))
    assert simulation.resolved == []
