"""The state machine of one rule, exactly as Prometheus has it (prometheus/rules/alerting.go, AlertingRule.Eval).

One thing is added: an alert that was restored after a restart resolves on a measured value only, as long as the window
may not be filled yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from otelmon.alerts.model import Alert, AlertState, Transition, TransitionReason
from otelmon.alerts.record import alert_samples
from otelmon.labels import METRIC_NAME, Labels
from otelmon.promql.evaluation import Condition, Element, Evaluation, Failed
from otelmon.rules.model import AlertingRule, Severity
from otelmon.sample import Sample

ALERT_NAME = "alertname"

# Expands a template with the labels and the value of one series; annotations and the rule's labels are templates.
Expand = Callable[[str, Labels, float], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one evaluation made of a rule's alerts.

    ``alerts`` are the pending and firing ones now (a resolved alert leaves them; its transition carries it).
    ``samples`` are the ALERTS and ALERTS_FOR_STATE samples to record. ``problem`` says why nothing could be
    concluded, None when all went well.
    """

    alerts: Mapping[Labels, Alert]
    transitions: tuple[Transition, ...] = ()
    samples: tuple[Sample, ...] = ()
    problem: str | None = None


def step(
    rule: AlertingRule,
    alerts: Mapping[Labels, Alert],
    evaluation: Evaluation | Failed,
    *,
    at: datetime,
    expand: Expand,
    condition: Condition | None = None,
    limit: int = 0,
    hold_restored_until: datetime | None = None,
    query_offset_seconds: float = 0.0,
) -> Step:
    """The rule's alerts after an evaluation at ``at``.

    ``condition`` is the comparison at the top of the rule's expression; an alert takes its bound from it. ``limit`` is
    how many alerts the rule may have (0: any number). Until ``hold_restored_until`` (the restart plus the rule's
    look-back) a restored alert resolves only where the evaluation measured its series and the condition does not hold.
    Alerts put in by hand pass through unchanged. A failed evaluation, and one in which two series end up with the same
    labels, change nothing.
    """
    if isinstance(evaluation, Failed):
        return Step(alerts=alerts, problem=evaluation.reason)
    seen: dict[Labels, Alert] = {}
    for element in evaluation.vector:
        alert = _pending(rule, element, at=at, expand=expand, condition=condition)
        if alert.labels in seen:
            return Step(
                alerts=alerts,
                problem=f"the expression returns two series that are both {alert.labels} once the rule's labels are "
                "set; aggregate them, or drop the label that makes them equal",
            )
        seen[alert.labels] = alert
    holding = hold_restored_until is not None and at < hold_restored_until
    after: dict[Labels, Alert] = {}
    transitions: list[Transition] = []
    for labels, before in _joined(alerts, seen):
        if before is not None and before.manual:
            after[labels] = before
            continue
        if before is not None and labels not in seen and before.state is AlertState.FIRING:
            now, reason = _absent(rule, before, at, over=_is_over(before, evaluation, condition, holding=holding))
        else:
            now, reason = _advance(rule, before, seen.get(labels), at)
        if reason is not None:
            state = None if before is None else before.state
            transitions.append(Transition(alert=now, before=state, at=at, reason=reason))
        if now.state is not AlertState.RESOLVED:
            after[labels] = now
    problem = None
    count = sum(1 for alert in after.values() if not alert.manual)
    if 0 < limit < count:
        problem = f"the rule has {count} alerts, more than its group's limit of {limit}, so it keeps none"
        after, transitions = _wiped(alerts, at)
    samples = alert_samples(alerts, after, at=at.timestamp() - query_offset_seconds)
    return Step(alerts=after, transitions=tuple(transitions), samples=samples, problem=problem)


def remove(alerts: Mapping[Labels, Alert], *, at: datetime) -> Step:
    """Resolves all alerts of a rule that is no longer configured."""
    transitions = tuple(
        Transition(alert=_resolved(alert, at), before=alert.state, at=at, reason=TransitionReason.RULE_REMOVED)
        for alert in alerts.values()
    )
    return Step(alerts={}, transitions=transitions, samples=alert_samples(alerts, {}, at=at.timestamp()))


def severity_of(labels: Labels) -> Severity:
    """The severity that an alert's labels name; warning where they name none or an unknown one."""
    value = labels.get("severity", "")
    return Severity(value) if value in set(Severity) else Severity.WARNING


def _joined(alerts: Mapping[Labels, Alert], seen: Mapping[Labels, Alert]) -> Iterator[tuple[Labels, Alert | None]]:
    yield from alerts.items()
    for labels in seen:
        if labels not in alerts:
            yield labels, None


def _pending(
    rule: AlertingRule, element: Element, *, at: datetime, expand: Expand, condition: Condition | None
) -> Alert:
    """The alert that an element of the result stands for, as if it were new."""
    # Prometheus: a histogram's float value is 0.
    value = element.value if isinstance(element.value, float | int) else 0.0
    rule_labels = {name: expand(text, element.labels, value) for name, text in rule.labels.items()}
    labels = element.labels.with_labels({METRIC_NAME: "", **rule_labels, ALERT_NAME: rule.name})
    return Alert(
        labels=labels,
        annotations={name: expand(text, element.labels, value) for name, text in rule.annotations.items()},
        severity=severity_of(labels),
        state=AlertState.PENDING,
        active_at=at,
        last_held_at=at,
        series=element.labels,
        value=value,
        bound=condition.bound if condition else None,
        operator=condition.operator if condition else "",
        unit=rule.unit,
    )


def _advance(
    rule: AlertingRule, before: Alert | None, seen: Alert | None, at: datetime
) -> tuple[Alert, TransitionReason | None]:
    """An alert whose expression holds (``seen``), or a pending one whose expression does not."""
    if seen is None:
        assert before is not None  # noqa: S101 (one of the two mappings had it)
        return _resolved(before, at), TransitionReason.STOPPED_BEFORE_FIRING
    now = seen
    if before is not None:
        now = replace(seen, state=before.state, active_at=before.active_at, fired_at=before.fired_at)
    if now.state is AlertState.PENDING and at - now.active_at >= timedelta(seconds=rule.for_seconds):
        reason = TransitionReason.HELD_FOR if rule.for_seconds else TransitionReason.HELD
        return replace(now, state=AlertState.FIRING, fired_at=at), reason
    return now, TransitionReason.HELD if before is None else None


def _absent(
    rule: AlertingRule, before: Alert, at: datetime, *, over: bool | None
) -> tuple[Alert, TransitionReason | None]:
    """A firing alert whose series is not in the result: over, not over, or (None) nobody can tell."""
    if over is None:
        return before, None
    if not over:
        return replace(before, stopped_at=None), None
    # Prometheus counts keep_firing_for from the first evaluation at which the alert was absent.
    stopped_at = before.stopped_at or at
    if at - stopped_at < timedelta(seconds=rule.keep_firing_for_seconds):
        return replace(before, stopped_at=stopped_at), None
    return _resolved(replace(before, stopped_at=stopped_at), at), TransitionReason.STOPPED


def _is_over(alert: Alert, evaluation: Evaluation, condition: Condition | None, *, holding: bool) -> bool | None:
    """Whether an absent firing alert may be taken for over; None where an unfilled window may be the cause."""
    if not alert.restored or not holding:
        return True
    if condition is None or evaluation.measured is None:
        return None
    measured = evaluation.measured.get(alert.series)
    if measured is None:
        measured = evaluation.measured.get(alert.series.without((METRIC_NAME,)))
    # 0/0 is what a ratio is before the first request: no measurement.
    if measured is None or math.isnan(measured):
        return None
    return not condition.holds(measured)


def _wiped(alerts: Mapping[Labels, Alert], at: datetime) -> tuple[dict[Labels, Alert], list[Transition]]:
    """No alerts but those put in by hand, and the transitions of the others."""
    kept = {labels: alert for labels, alert in alerts.items() if alert.manual}
    gone = [
        Transition(alert=_resolved(alert, at), before=alert.state, at=at, reason=TransitionReason.LIMIT_EXCEEDED)
        for alert in alerts.values()
        if not alert.manual
    ]
    return kept, gone


def _resolved(alert: Alert, at: datetime) -> Alert:
    return replace(alert, state=AlertState.RESOLVED, resolved_at=at)
