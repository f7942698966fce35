"""Values put through a rule by hand (``process_alert``): a series of its own beside those that are measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from otelmon.alerts.model import Alert, AlertState, Transition, TransitionReason
from otelmon.alerts.record import alert_samples
from otelmon.alerts.step import ALERT_NAME, Expand, Step, severity_of
from otelmon.labels import EMPTY_LABELS, Labels
from otelmon.promql.evaluation import Condition
from otelmon.rules.model import AlertingRule

SOURCE = "source"
MANUAL = "manual"
# An alert by hand resolves this long after the last value that held.
EXPIRES_AFTER = timedelta(minutes=5)


def manual_step(
    rule: AlertingRule,
    alerts: Mapping[Labels, Alert],
    *,
    value: float,
    condition: Condition,
    context: Mapping[str, str],
    at: datetime,
    expand: Expand,
    about: Labels = EMPTY_LABELS,
) -> Step:
    """The rule's alerts after a value was put in by hand.

    ``about`` are the labels that a measured series would have (job, instance): templates speak of them.

    The value fires at once when the condition holds (``for`` does not apply), refreshes the alert that fires already,
    and resolves it when the condition does not hold. NaN is no value and changes nothing. The alert is labelled
    ``source="manual"``, so that it never mixes with what is measured.
    """
    labels = _manual_labels(rule, value, expand, about)
    before = alerts.get(labels)
    after = dict(alerts)
    transition = None
    if math.isnan(value) or (before is None and not condition.holds(value)):
        return Step(alerts=alerts)
    if condition.holds(value):
        annotations = {name: expand(text, about, value) for name, text in rule.annotations.items()}
        now = _firing(
            rule, labels, before, value=value, condition=condition, context=context, at=at, annotations=annotations
        )
        after[labels] = now
        if before is None:
            transition = Transition(alert=now, before=None, at=at, reason=TransitionReason.HELD)
    elif before is not None:
        del after[labels]
        transition = _resolve(before, at, TransitionReason.STOPPED)
    return _result(alerts, after, () if transition is None else (transition,), at)


def expire(alerts: Mapping[Labels, Alert], *, at: datetime) -> Step:
    """The rule's alerts, less those put in by hand whose last value is five minutes old: these are resolved."""
    over = {labels: alert for labels, alert in alerts.items() if alert.manual and _is_over(alert, at)}
    if not over:
        return Step(alerts=alerts)
    after = {labels: alert for labels, alert in alerts.items() if labels not in over}
    transitions = tuple(_resolve(alert, at, TransitionReason.EXPIRED) for alert in over.values())
    return _result(alerts, after, transitions, at)


def _manual_labels(rule: AlertingRule, value: float, expand: Expand, about: Labels) -> Labels:
    expanded = {name: expand(text, about, value) for name, text in rule.labels.items()}
    return Labels({**about, **expanded, SOURCE: MANUAL, ALERT_NAME: rule.name})


def _firing(
    rule: AlertingRule,
    labels: Labels,
    before: Alert | None,
    *,
    value: float,
    condition: Condition,
    context: Mapping[str, str],
    at: datetime,
    annotations: Mapping[str, str],
) -> Alert:
    return Alert(
        labels=labels,
        annotations=annotations,
        severity=severity_of(labels),
        state=AlertState.FIRING,
        active_at=before.active_at if before else at,
        fired_at=before.fired_at if before else at,
        last_held_at=at,
        value=value,
        bound=condition.bound,
        operator=condition.operator,
        unit=rule.unit,
        manual=True,
        context=dict(context),
    )


def _is_over(alert: Alert, at: datetime) -> bool:
    return at - (alert.last_held_at or alert.active_at) >= EXPIRES_AFTER


def _resolve(alert: Alert, at: datetime, reason: TransitionReason) -> Transition:
    resolved = replace(alert, state=AlertState.RESOLVED, resolved_at=at)
    return Transition(alert=resolved, before=alert.state, at=at, reason=reason)


def _result(
    before: Mapping[Labels, Alert], after: Mapping[Labels, Alert], transitions: tuple[Transition, ...], at: datetime
) -> Step:
    # Only the series put in by hand: those that are measured are recorded by their own evaluation.
    by_hand_before = {labels: alert for labels, alert in before.items() if alert.manual}
    by_hand_after = {labels: alert for labels, alert in after.items() if alert.manual}
    samples = alert_samples(by_hand_before, by_hand_after, at=at.timestamp())
    return Step(alerts=after, transitions=transitions, samples=samples)
