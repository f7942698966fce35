"""Counters that grow at a given rate, and the rules of an SLO evaluated on them as time passes."""

from __future__ import annotations

from otelmon.alerts.model import Alert, AlertState, Transition
from otelmon.document.fields import Problems
from otelmon.document.load import parse_document
from otelmon.document.model import Section
from otelmon.faults import Faults
from otelmon.labels import Labels
from otelmon.rules.model import Group
from otelmon.rules.slo import expand_slos
from otelmon.runtime.assemble import window_for
from otelmon.runtime.evaluate import RuleRunner
from otelmon.sample import Sample
from tests.e2e.simulation import unpaced

START = 1_767_225_600.0
CHECKOUT = """
checkout:
  objective: 99.9
  errors: shop_checkouts_total{result="failed"}
  total: shop_checkouts_total
"""
OK = Labels({"__name__": "shop_checkouts_total", "job": "shop", "result": "ok"})
FAILED = Labels({"__name__": "shop_checkouts_total", "job": "shop", "result": "failed"})


def groups_of(text: str, *, interval_seconds: float = 60.0) -> tuple[Group, ...]:
    """The groups that a ``slo:`` section stands for; raises ConfigError."""
    problems = Problems()
    document = parse_document(text, name="otelmon.yaml")
    assert isinstance(document, Section)
    groups = expand_slos(document, problems, interval_seconds=interval_seconds)
    problems.raise_any()
    return groups


class Burning:
    """A service whose events are collected, and judged, each ``interval_seconds``."""

    def __init__(self, text: str = CHECKOUT, *, interval_seconds: float = 150.0) -> None:
        groups = groups_of(text, interval_seconds=interval_seconds)
        self.interval_seconds = interval_seconds
        self.at = START
        self.window = window_for(groups, interval_seconds=interval_seconds, max_series=1000)
        self.rules = RuleRunner(groups, interval_seconds=interval_seconds, faults=Faults())
        self.transitions: list[Transition] = []
        self._good = self._bad = self._failing_since = 0.0

    def remember(
        self, seconds: float, *, per_second: float = 10.0, burning_seconds: float = 0.0, errors: float = 0.0
    ) -> None:
        """The views that so much time has left, with this share of errors in its last ``burning_seconds`` and none
        before, as they are restored after a restart.
        """
        begin, burning_at = self.at - seconds, self.at - burning_seconds
        times = [begin + 300 * step for step in range(1, int(seconds // 300) + 1)]
        for what, share in (("errors", errors), ("events", 1.0)):
            labels = Labels({"__name__": f"slo:{what}:every5m", "job": "shop", "slo": "checkout"})
            values = [300 * per_second * share * (what == "events" or at > burning_at) for at in times]
            self.window.append(
                Sample(labels=labels, at=at, value=value) for at, value in zip(times, values, strict=True)
            )
        self.rules.resume(self.window)

    def run(self, seconds: float, *, errors: float, per_second: float = 10.0) -> None:
        """Let time pass with this share of errors."""
        end = self.at + seconds
        with unpaced():
            while self.at < end:
                self._pass_interval(errors, per_second)

    def _pass_interval(self, errors: float, per_second: float) -> None:
        self.at += self.interval_seconds
        events = per_second * self.interval_seconds
        self._good += events * (1 - errors)
        self._bad += events * errors
        counted = [Sample(labels=OK, at=self.at, value=self._good, start_at=START)]
        if self._bad:
            self._failing_since = self._failing_since or self.at - self.interval_seconds
            counted.append(Sample(labels=FAILED, at=self.at, value=self._bad, start_at=self._failing_since))
        self.window.append(counted)
        self.transitions += self.rules.run(self.window, self.at).transitions

    def fired(self, severity: str) -> list[float]:
        """How many seconds after the start an alert of this severity began to fire."""
        return [
            each.at.timestamp() - START
            for each in self.transitions
            if each.alert.state is AlertState.FIRING and each.alert.labels["severity"] == severity
        ]

    @property
    def firing(self) -> list[Alert]:
        """What fires now."""
        alerts = [alert for each in self.rules.alerts.values() for alert in each.values()]
        return [alert for alert in alerts if alert.state is AlertState.FIRING]
