"""Figures: how long it took until somebody acknowledged, and until it was over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from otelmon.alerts.model import Alert, AlertState
from otelmon.incidents.model import Event, EventKind, Incident, IncidentState
from otelmon.labels import Labels
from otelmon.oncall.figures import Figures, figures, handled
from otelmon.rules.model import Severity

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def incident(name: str, *events: tuple[int, EventKind, str]) -> Incident:
    labels = Labels({"alertname": name, "job": "shop", "severity": "critical"})
    alert = Alert(labels=labels, severity=Severity.CRITICAL, state=AlertState.FIRING, active_at=AT, value=1.0)
    timeline = tuple(Event(at=AT + at * MINUTE, kind=kind, by=by) for at, kind, by in events)
    return Incident(id=name, state=IncidentState.TRIGGERED, alerts=(alert,), triggered_at=AT, timeline=timeline)


def test_the_first_acknowledgement_of_each_time_that_it_was_open_counts() -> None:
    one = incident(
        "errors",
        (0, EventKind.TRIGGERED, ""),
        (4, EventKind.ACKNOWLEDGED, "ana"),
        (64, EventKind.EXPIRED, ""),
        (70, EventKind.ACKNOWLEDGED, "bo"),
        (90, EventKind.RESOLVED, ""),
        (95, EventKind.REOPENED, ""),
        (97, EventKind.ACKNOWLEDGED, "bo"),
        (105, EventKind.RESOLVED, ""),
    )
    first, second = handled(one)
    assert (first.time_to_acknowledge, first.acknowledged_by, first.time_to_resolve) == (4 * MINUTE, "ana", 90 * MINUTE)
    assert (second.time_to_acknowledge, second.acknowledged_by) == (2 * MINUTE, "bo")
    made = figures([first, second])
    assert (made.overall.mtta, made.overall.mttr) == (3 * MINUTE, 50 * MINUTE)
    assert made.by_person["bo"].mttr == 10 * MINUTE


def test_what_nobody_took_or_what_goes_on_is_counted_and_is_in_no_mean() -> None:
    open_ = incident("slow", (0, EventKind.TRIGGERED, ""))
    over = incident("errors", (0, EventKind.TRIGGERED, ""), (8, EventKind.RESOLVED, ""))
    made = figures([*handled(open_), *handled(over)])
    assert list(made.by_rule) == ["errors", "slow"]
    assert (made.overall.incidents, made.overall.resolved, made.overall.acknowledged) == (2, 1, 0)
    assert (made.overall.mtta, made.overall.mttr) == (None, 8 * MINUTE)
    assert made.by_rule["slow"].mttr is None
    assert made.by_person == {}


def test_only_what_was_triggered_in_the_time_asked_for_counts() -> None:
    records = handled(incident("errors", (0, EventKind.TRIGGERED, "")))
    assert figures(records, AT, AT + MINUTE).overall.incidents == 1
    assert figures(records, AT - MINUTE, AT) == Figures()
    assert figures((), AT) == Figures()


def test_a_storm_is_no_fault_of_its_own() -> None:
    assert handled(replace(incident("alert_storm"), members=7)) == ()
