"""Whoever asks for snapshots between the ticks takes nothing from what a restart needs."""

from __future__ import annotations

from pathlib import Path

from otelmon.storage.sqlite import SqliteStorage
from tests.e2e.simulation import Simulation


def test_errors_that_a_snapshot_saw_first_still_count_after_a_restart(tmp_path: Path) -> None:
    """The zero before the first error of a series belongs to what is restored, whoever collected it."""
    config = tmp_path / "otelmon.yaml"
    config.write_text("service: shop\n", encoding="utf-8")
    disk = SqliteStorage(tmp_path / "state.db")
    first = Simulation(config, disk=disk)

    def second() -> None:
        first.request(times=5)
        first.engine.snapshot(first.clock.now())

    first.run(605, second)
    first.request(status=500, times=300)
    first.run(40, second)
    assert [name for _, name in first.triggered] == ["error_rate"]

    again = Simulation(config, clock=first.clock, disk=disk)
    again.run(200, lambda: again.request(times=5))
    assert again.resolved == []  # the burst is still within the five minutes
    again.run(600, lambda: again.request(times=5))
    assert [name for _, name in again.resolved] == ["error_rate"]
    assert again.triggered == []
