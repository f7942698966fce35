"""State with incidents in it, and a clock that lets the monitor take its requests while somebody waits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from otelmon.alerts.model import Transition
from otelmon.incidents.step import IncidentStep, step
from otelmon.storage.sqlite import SqliteStorage, open_existing
from otelmon.testing import FakeClock


class Monitored:
    """A state file, and what a monitor does with it; ``away`` is a monitor that takes no requests."""

    def __init__(self, folder: Path) -> None:
        self.clock = _Clock(self)
        self.path = folder / "state.db"
        self.away = False
        SqliteStorage(self.path).close()

    def opened(self) -> AbstractContextManager[SqliteStorage]:
        return open_existing(self.path)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def turn(self, transitions: Sequence[Transition] = ()) -> IncidentStep:
        """One turn of the monitor."""
        with self.opened() as storage:
            kept, requests = storage.restore(), storage.requests()
            made = step(kept.incidents, transitions, [each.body for each in requests], at=self.now, recent=kept.recent)
            alerts = {} if not transitions else {"any": {each.alert.labels: each.alert for each in transitions}}
            taken = [each.id for each in requests]
            storage.save(self.now, alerts=alerts, changes=made.changes, taken=taken)
        return made


class _Clock(FakeClock):
    def __init__(self, monitored: Monitored) -> None:
        super().__init__()
        self._monitored = monitored

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not self._monitored.away:
            self._monitored.turn()
        self.advance(seconds)
        return event.is_set()
