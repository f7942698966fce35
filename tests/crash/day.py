"""A scripted day in a process that may be killed anywhere: `python -m tests.crash.day FOLDER [KILL_AT] [SCRIPT]`.

Time is fast-forwarded and kept in the folder, as are the state and what the channel accepted, so that the next process
goes on with the day where this one died. A *point* is passed before each SQL statement, before and after each send;
at the point with the number KILL_AT the process ends as by kill -9.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine as DatabaseEngine

from otelmon.incidents.model import Acknowledge, IncidentState, RequestBody
from otelmon.incidents.silence import AddSilence, ExpireSilence, Silence, parse_matchers
from otelmon.paging.model import Outcome, OutcomeKind, OwedPage
from otelmon.storage.sqlite import SqliteStorage
from otelmon.testing.clock import FakeClock
from tests.e2e.simulation import Simulation

BEGIN = 1_767_614_400.0
MINUTE = 60
KILLED = 137
# The app is back this long after it was killed.
DOWN_SECONDS = 5.0
# Which share of the requests fails, and how long they take, from which second on.
Traffic = tuple[tuple[int, float, float], ...]
# The times in which nobody may be told of the alert: one silence that is expired by hand, one that runs out (its notice
# comes before), one until what it hides is resolved.
EXPIRED, RAN_OUT, UNTIL_RESOLVED = "SEXPIRED", "SRANOUT", "SRESOLVED"
SILENCED = {
    EXPIRED: (90 * MINUTE, 105 * MINUTE),
    RAN_OUT: (130 * MINUTE, 155 * MINUTE),
    UNTIL_RESOLVED: (185 * MINUTE, 195 * MINUTE),
}
# What is posted on such a day, whatever becomes of the process.
EXPECTED = (
    "TRIGGERED Error rate",
    "RESOLVED Error rate",
    "TRIGGERED Response time",
    "RESOLVED Response time",
    "TRIGGERED Error rate",  # acknowledged
    "RESOLVED Error rate",
    "UNMUTED Error rate",  # the silence was expired
    "RESOLVED Error rate",
    "SILENCE_ENDING Response time",
    "UNMUTED Response time",  # the silence ran out
    "RESOLVED Response time",
    "TRIGGERED Error rate",  # silenced until it is resolved
    "RESOLVED Error rate",
    "TRIGGERED Error rate",  # that silence is over
    "RESOLVED Error rate",
)


Asking = tuple[float, Callable[[], RequestBody | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What happens until second ``end``: the traffic, and what people ask for."""

    end: int
    traffic: Traffic
    asked: Callable[[SqliteStorage], Iterator[Asking]]
    config: str = "interval: 60s\n"


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


def acknowledge(disk: SqliteStorage) -> Acknowledge | None:
    """Take the incident that is open."""
    triggered = (each for each in disk.incidents() if each.state is IncidentState.TRIGGERED)
    return next((Acknowledge(incident_id=each.id, by="ana") for each in triggered), None)


def asked_by_day(disk: SqliteStorage) -> Iterator[Asking]:
    """What people ask for on the day, and when; None where there is nothing to ask yet."""

    def silence(id_: str, alert: str, *, until_resolved: bool = False) -> Callable[[], AddSilence]:
        begin, end = (datetime.fromtimestamp(BEGIN + instant, UTC) for instant in SILENCED[id_])
        asked = Silence(
            id=id_,
            matchers=parse_matchers([alert]),
            starts_at=begin,
            # The first is expired long before its end.
            ends_at=None if until_resolved else end + timedelta(hours=2 if id_ == EXPIRED else 0),
            until_resolved=until_resolved,
            author="ben",
            created_at=begin,
        )
        return lambda: AddSilence(silence=asked)

    yield 66 * MINUTE, lambda: acknowledge(disk)
    yield SILENCED[EXPIRED][0], silence(EXPIRED, "error_rate")
    yield SILENCED[EXPIRED][1], lambda: ExpireSilence(silence_id=EXPIRED, by="ben")
    yield SILENCED[RAN_OUT][0], silence(RAN_OUT, "response_time")
    yield SILENCED[UNTIL_RESOLVED][0], silence(UNTIL_RESOLVED, "error_rate", until_resolved=True)


def asked_in_escalation(disk: SqliteStorage) -> Iterator[Asking]:
    """Somebody answers, late."""
    yield 20 * MINUTE, lambda: acknowledge(disk)


SCRIPTS = {
    "day": Script(
        end=225 * MINUTE,
        traffic=(
            (0, 0.0, 0.05),
            (10 * MINUTE, 0.4, 0.05),
            (18 * MINUTE, 0.0, 0.05),
            (35 * MINUTE, 0.0, 2.0),
            (42 * MINUTE, 0.0, 0.05),
            (60 * MINUTE, 0.4, 0.05),
            (70 * MINUTE, 0.0, 0.05),
            (95 * MINUTE, 0.4, 0.05),
            (112 * MINUTE, 0.0, 0.05),
            (135 * MINUTE, 0.0, 2.0),
            (162 * MINUTE, 0.0, 0.05),
            (180 * MINUTE, 0.4, 0.05),
            (190 * MINUTE, 0.0, 0.05),
            (210 * MINUTE, 0.4, 0.05),
            (216 * MINUTE, 0.0, 0.05),
        ),
        asked=asked_by_day,
    ),
    # Three steps, once more from the first, and somebody answers before the second comes again.
    "escalation": Script(
        end=31 * MINUTE,
        traffic=((0, 0.4, 0.05), (21 * MINUTE, 0.0, 0.05)),
        asked=asked_in_escalation,
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


class People:
    """Ask for what is due, each once: a person sees that it was taken down, so behind that there is no point."""

    def __init__(self, script: Script, disk: SqliteStorage, folder: Path) -> None:
        self._disk = disk
        files = (folder / f"asked-{number}" for number in itertools.count())
        self._ahead = [
            (*each, file) for each, file in zip(script.asked(disk), files, strict=False) if not file.exists()
        ]

    def ask(self, at: float) -> None:
        """Ask, and take down that it was asked."""
        while self._ahead and at >= self._ahead[0][0]:
            _, request, file = self._ahead[0]
            body = request()
            if body is None:
                return
            self._disk.ask(body, datetime.fromtimestamp(BEGIN + at, UTC))
            file.touch()
            del self._ahead[0]


def main(folder: Path, kill_at: int = 0, name: str = "day") -> None:
    """Live the day from where it stands to its end, or to the kill; of a process, this is all that it does."""
    script = SCRIPTS[name]
    points = Points(kill_at, folder)
    progress = os.open(folder / "progress", os.O_RDWR | os.O_CREAT)
    began_at = float(os.read(progress, 100) or 0.0)
    clock = FakeClock(BEGIN + began_at)
    event.listen(DatabaseEngine, "before_cursor_execute", lambda *_: points.passed("before a statement"))
    event.listen(DatabaseEngine, "commit", lambda *_: points.passed("before a commit"))
    disk = SqliteStorage(folder / "state.db")
    config = folder / "otelmon.yaml"
    config.write_text(script.config, encoding="utf-8")
    simulation = Simulation(config, clock=clock, disk=disk, notifier=Channel(folder, points, clock))
    people = People(script, disk, folder)
    count = 0

    def second() -> None:
        nonlocal count
        now = clock.now() - BEGIN
        _, errors, seconds = next(step for step in reversed(script.traffic) if now >= step[0])
        for _ in range(5):
            count += 1
            failed = int(count * errors) > int((count - 1) * errors)
            simulation.request(status=500 if failed else 200, seconds=seconds)
        people.ask(now)
        os.pwrite(progress, f"{now + DOWN_SECONDS:12.1f}".encode(), 0)

    simulation.run(script.end - began_at, second)
    simulation.close()
    os.close(progress)
    (folder / "points").write_text(json.dumps({"count": points.count, "sends": points.sends}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]), *sys.argv[3:])
