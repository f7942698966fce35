"""An engine whose requests begin to fail, and what its page then says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from otelmon.paging.model import Page
from tests.e2e.simulation import Simulation


def simulated(folder: Path, alerts: str = "", *, more: str = "", **given: Any) -> Simulation:
    """An engine that has error_rate only, and what ``alerts`` adds; ``more`` are further lines of otelmon.yaml."""
    config = folder / "otelmon.yaml"
    own = f"  {alerts}\n" if alerts else ""
    config.write_text(f"paging: on\nalerts:\n  route_error_rate: off\n{own}{more}\n")
    return Simulation(config, **given)


def broken(simulation: Simulation, route: str, *, before: float = 120.0) -> None:
    """Let a route fail until error_rate has paged."""

    def well() -> None:
        simulation.request("/items", times=3)

    def ill() -> None:
        well()
        simulation.request(route, 500)

    simulation.run(before, well)
    while "error_rate" not in [name for _, name in simulation.triggered]:
        simulation.run(15, ill)


def pages(simulation: Simulation) -> list[Page]:
    """The pages that were delivered."""
    return [page for _, page in simulation.paged_at]


def now(simulation: Simulation) -> datetime:
    """The simulation's time."""
    return datetime.fromtimestamp(simulation.clock.now(), UTC)


def finding(simulation: Simulation, name: str) -> str:
    """What the last page about the error rate says under a name; empty where it says nothing."""
    fields = [page for page in pages(simulation) if page.message.title.startswith("Error rate")][-1].message.fields
    return next((field.value for field in fields if field.name == name), "")
