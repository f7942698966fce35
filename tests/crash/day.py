"""A scripted day in a process that may be killed anywhere: `python -m tests.crash.day FOLDER [KILL_AT [SCRIPT]]`.

Time is fast-forwarded and kept in the folder, as are the state and what the channel accepted, so that the next process
goes on with the day where this one died. A *point* is passed before each SQL statement, before and after each send;
at the point with the number KILL_AT the process ends as by kill -9.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine as DatabaseEngine

from otelmon.incidents.model import Acknowledge, IncidentState
from otelmon.paging.model import Outcome, OutcomeKind, OwedPage
from otelmon.storage.sqlite import SqliteStorage
from otelmon.testing.clock import FakeClock
from tests.e2e.simulation import Simulation

BEGIN = 1_767_614_400.0
MINUTE = 60
KILLED = 137
# The app is back this long after it was killed.
DOWN_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What happens until second ``end``.

    ``traffic`` says which share of the requests fails, and how long they take, from which second on. Somebody takes
    the incident that is open at ``acknowledged_at``.
    """

    end: int
    traffic: tuple[tuple[int, float, float], ...]
    acknowledged_at: int
    config: str = "interval: 60s\n"


SCRIPTS = {
    "day": Script(
        end=85 * MINUTE,
        traffic=(
            (0, 0.0, 0.05),
            (10 * MINUTE, 0.4, 0.05),
            (18 * MINUTE, 0.0, 0.05),
            (35 * MINUTE, 0.0, 2.0),
            (42 * MINUTE, 0.0, 0.05),
            (60 * MINUTE, 0.4, 0.05),
            (70 * MINUTE, 0.0, 0.05),
        ),
        acknowledged_at=66 * MINUTE,
    ),
    # Three steps, once more from the first, and somebody answers before the second comes again.
    "escalation": Script(
        end=31 * MINUTE,
        traffic=((0, 0.4, 0.05), (21 * MINUTE, 0.0, 0.05)),
        acknowledged_at=20 * MINUTE,
        config="""\
interval: 60s
alerts: {response_time: off}
people:
  ana: {discord: 111111111111111111}
  bo: {discord: 222222222222222222}
  cy: {discord: 333333333333333333}
escalation:
  default:
    repeat: 1
    repeat_every: 4m
    steps:
      - {notify: [person: ana]}
      - {wait: 5m, notify: [person: bo]}
      - {wait: 7m, notify: [person: cy]}
""",
    ),
}


class Points:
    """Counts the points that are passed, and ends the process at one of them."""

    def __init__(self, kill_at: int, folder: Path) -> None:
        self._numbers = itertools.count(1)
        self.count = 0
        self.sends: list[int] = []
        self._kill_at = kill_at
        self._folder = folder

    def passed(self, where: str) -> None:
        """One more point."""
        number = next(self._numbers)
        if where == "before the send":
            self.sends.append(number)
        if number == self._kill_at:
            (self._folder / "killed").write_text(where, encoding="utf-8")
            os._exit(KILLED)
        self.count = number


class Channel:
    """A target that keeps what it accepts in a file, as Discord would keep it whatever becomes of the sender."""

    name = "discord"

    def __init__(self, folder: Path, points: Points, clock: FakeClock) -> None:
        self._path = folder / "channel"
        self._points = points
        self._clock = clock

    @property
    def pages(self) -> tuple[()]:
        """Nothing is kept in the process."""
        return ()

    def send(self, owed: OwedPage, at: datetime) -> Outcome:
        """Accept a page."""
        self._points.passed("before the send")
        entry = {
            "at": self._clock.now() - BEGIN,
            "page": owed.page.id,
            "incident": owed.page.incident_id,
            "reason": owed.page.reason.name,
            "action": owed.page.action.name,
            "title": owed.page.message.title,
            "mentions": [mention.id for mention in owed.page.message.mentions],
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self._points.passed("between the acceptance and the record")
        return Outcome(kind=OutcomeKind.DELIVERED, reason="accepted", message_id=f"m-{owed.page.id}")

    def close(self) -> None:
        """Nothing to let go."""


def main() -> None:
    """Live the day from where it stands to its end, or to the kill."""
    folder, kill_at = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    script = SCRIPTS[sys.argv[3] if len(sys.argv) > 3 else "day"]
    points = Points(kill_at, folder)
    progress = folder / "progress"
    began_at = float(progress.read_text(encoding="utf-8")) if progress.exists() else 0.0
    clock = FakeClock(BEGIN + began_at)
    event.listen(DatabaseEngine, "before_cursor_execute", lambda *_: points.passed("before a statement"))
    event.listen(DatabaseEngine, "commit", lambda *_: points.passed("before a commit"))
    disk = SqliteStorage(folder / "state.db")
    config = folder / "otelmon.yaml"
    config.write_text(script.config, encoding="utf-8")
    simulation = Simulation(config, clock=clock, disk=disk, notifier=Channel(folder, points, clock))
    count = 0

    def second() -> None:
        nonlocal count
        now = clock.now() - BEGIN
        _, errors, seconds = next(step for step in reversed(script.traffic) if now >= step[0])
        for _ in range(5):
            count += 1
            failed = int(count * errors) > int((count - 1) * errors)
            simulation.request(status=500 if failed else 200, seconds=seconds)
        if now >= script.acknowledged_at and not (folder / "asked").exists():
            # A person asks once and sees that it was taken down, so this is no point to be killed at.
            for incident in disk.incidents():
                if incident.state is IncidentState.TRIGGERED:
                    disk.ask(Acknowledge(incident_id=incident.id, by="ana"), datetime.fromtimestamp(clock.now(), UTC))
                    (folder / "asked").write_text(incident.id, encoding="utf-8")
        progress.write_text(str(now + DOWN_SECONDS), encoding="utf-8")

    simulation.run(script.end - began_at, second)
    simulation.close()
    (folder / "points").write_text(json.dumps({"count": points.count, "sends": points.sends}), encoding="utf-8")


if __name__ == "__main__":
    main()
