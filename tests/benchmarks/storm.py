"""What a storm costs: ``python -m tests.benchmarks.storm``.

10,000 alerts at one instant, from the transitions to the committed file: step, decide and save. Once as alerts of
10,000 rules (each an incident of its own, most of them in a storm), once as 10,000 series of one rule (one incident).
Then a tick with all of them firing, and one in which all resolve. CPU seconds of this process; memory as allocated at
the peak of the first tick.
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from otelmon.alerts.model import Alert, AlertState, Transition, TransitionReason
from otelmon.incidents.model import Incident
from otelmon.incidents.silence import Silence
from otelmon.incidents.step import step
from otelmon.labels import Labels
from otelmon.paging.decide import Context, decide
from otelmon.rules.model import Severity
from otelmon.storage.sqlite import SqliteStorage
from tests.paging.build import fixed

COUNT = 10_000
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Storm:
    """Incidents and their file."""

    def __init__(self, path: Path) -> None:
        self.storage = SqliteStorage(path)
        self.incidents: dict[str, Incident] = {}
        self.recent: dict[str, Incident] = {}
        self.silences: dict[str, Silence] = {}
        self.pages = 0

    def tick(self, minute: float, alerts: Sequence[Alert], transitions: Sequence[Transition]) -> float:
        """Seconds that a tick took."""
        at = START + timedelta(minutes=minute)
        by_rule: dict[str, dict[Labels, Alert]] = {}
        for alert in alerts:
            by_rule.setdefault(alert.name, {})[alert.labels] = alert
        gone = {each.alert.name: {} for each in transitions}
        begun = time.process_time()
        made = step(
            self.incidents, transitions, at=at, alerts=alerts, taken=(), recent=self.recent, silences=self.silences
        )
        pages = decide(made.changes, routing=fixed(["discord"]), about=Context(service="shop"))
        self.storage.save(at, alerts=gone | by_rule, changes=made.changes, pages=pages)
        took = time.process_time() - begun
        self.incidents, self.recent = made.incidents, made.recent
        self.pages += len(pages)
        return took


def alert(number: int, *, one_rule: bool) -> Alert:
    name = "disk_usage" if one_rule else f"rule_{number}"
    labels = Labels({"alertname": name, "job": "shop", "severity": "critical", "series": str(number)})
    return Alert(
        labels=labels,
        annotations={"summary": "something is wrong with it"},
        severity=Severity.CRITICAL,
        state=AlertState.FIRING,
        active_at=START,
        fired_at=START,
        value=float(number),
    )


def main() -> None:
    print("what\tfire\tgo on\tresolve\talerts a second\tpages\trestored\tpeak MB")
    for one_rule in (False, True):
        alerts = [alert(number, one_rule=one_rule) for number in range(COUNT)]
        fired = [Transition(alert=each, before=None, at=START, reason=TransitionReason.HELD) for each in alerts]
        with tempfile.TemporaryDirectory() as folder:
            storm = Storm(Path(folder, "state.db"))
            tracemalloc.start()
            Storm(Path(folder, "traced.db")).tick(0, alerts, fired)
            peak = tracemalloc.get_traced_memory()[1] / 1e6
            tracemalloc.stop()
            fire = storm.tick(0, alerts, fired)
            go_on = storm.tick(0.25, [replace(each, value=1.0) for each in alerts], ())
            restored = storm.storage.restore()
            kept = sum(len(each.alerts) for each in restored.incidents.values() if not each.is_storm)
            over = [replace(each, state=AlertState.RESOLVED, resolved_at=START) for each in alerts]
            stopped = TransitionReason.STOPPED
            ended = [Transition(alert=each, before=AlertState.FIRING, at=START, reason=stopped) for each in over]
            resolve = storm.tick(0.5, (), ended)
            what = "one rule" if one_rule else "10,000 rules"
            print(
                f"{what}\t{fire:.2f} s\t{go_on:.2f} s\t{resolve:.2f} s\t{COUNT / fire:,.0f}\t{storm.pages}\t"
                f"{kept} alerts in {len(restored.incidents)}\t{peak:.0f}"
            )


if __name__ == "__main__":
    main()
