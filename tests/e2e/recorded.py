"""A simulated app whose collections are recorded as they come, and what the live engine made of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from otelmon.alerts.model import AlertState, Transition
from otelmon.collect.reader import Reader
from otelmon.labels import Labels
from otelmon.runtime.evaluate import RuleResults, RuleRunner
from otelmon.storage.store import Storage
from otelmon.testing.clock import FakeClock
from otelmon.window.window import Window
from tests.e2e.simulation import Simulation

Fired = tuple[str, Labels, datetime, datetime | None]


class Recorded(Simulation):
    """A simulation; ``recording`` has a line for each tick, ``fired`` the alerts with when they fired and resolved."""

    def __init__(
        self,
        config: Path,
        *,
        reader: Reader | None = None,
        clock: FakeClock | None = None,
        disk: Storage | None = None,
        recording: Path | None = None,
    ) -> None:
        super().__init__(config, reader=reader, clock=clock, disk=disk)
        self.recording = recording or config.parent / "recording.jsonl"
        self.transitions: list[Transition] = []
        self.rules = _Noting(self)
        self.engine.rules = self.rules

    def tick(self, *, deliver: bool = True) -> None:
        """One tick, and its collection as a line."""
        super().tick(deliver=deliver)
        found = self.engine.collector.recording(0.0)
        assert found is not None
        with self.recording.open("a", encoding="utf-8") as file:
            file.write(f"{found[1]}\n")

    @property
    def fired(self) -> list[Fired]:
        """Every alert that fired; None for when it resolved where it still fires."""
        over: list[Fired] = []
        open_: dict[Labels, Fired] = {}
        for transition in self.transitions:
            alert = transition.alert
            if alert.state is AlertState.FIRING:
                assert alert.fired_at is not None
                open_[alert.labels] = (alert.name, alert.labels, alert.fired_at, None)
            elif alert.state is AlertState.RESOLVED and alert.labels in open_:
                over.append((*open_.pop(alert.labels)[:3], alert.resolved_at))
        return sorted([*over, *open_.values()], key=lambda each: (each[2], each[0]))


class _Noting(RuleRunner):
    """The live engine's rules, whose transitions are noted."""

    def __init__(self, simulation: Recorded) -> None:
        settings = simulation.settings
        super().__init__(settings.groups, interval_seconds=settings.interval_seconds, faults=simulation.faults)
        self._simulation = simulation

    def run(self, window: Window, at: float) -> RuleResults:
        results = super().run(window, at)
        self._simulation.transitions += results.transitions
        return results
