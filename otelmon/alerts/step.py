"""The state machine of one rule, exactly as Prometheus has it (prometheus/rules/alerting.go, AlertingRule.Eval).

What is added decides when a firing alert whose expression no longer holds is over (over.py): a restored one resolves
on a measured value only, as long as the window may not be filled yet; ``no_data`` and ``resolve_when`` of the rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from otelmon.alerts.identity import ALERT_NAME, Expand, severity_of
from otelmon.alerts.model import Alert, AlertState, Transition, TransitionReason
from otelmon.alerts.no_data import no_data_alert, step_no_data
from otelmon.alerts.over import Judge, Verdict, is_unmeasured, resolved
from otelmon.alerts.record import alert_samples
from otelmon.labels import METRIC_NAME, Labels
from otelmon.promql.evaluation import Condition, Element, Evaluation, Failed
from otelmon.rules.model import AlertingRule, NoData
from otelmon.sample import Sample

_REMOVED = TransitionReason.RULE_REMOVED
_EXCEEDED = TransitionReason.LIMIT_EXCEEDED


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
    resolving: Evaluation | Failed | None = None,
    limit: int = 0,
    hold_restored_until: datetime | None = None,
    query_offset_seconds: float = 0.0,
) -> Step:
    """The rule's alerts after an evaluation at ``at``.

    ``condition`` is the comparison at the top of the rule's expression; an alert takes its bound from it.
    ``resolving`` is the evaluation of the rule's ``resolve_when``, where that is an expression. ``limit`` is how many
    alerts the rule may have (0: any number). Until ``hold_restored_until`` (the restart plus the rule's look-back) a
    restored alert, pending or firing, is over only where the evaluation measured its series and the condition does
    not hold.
    Alerts put in by hand pass through unchanged. A failed evaluation, and one in which two series end up with the same
    labels, change nothing.
    """
    if isinstance(evaluation, Failed):
        return Step(alerts=alerts, problem=evaluation.reason)
    seen = _seen(rule, evaluation, at=at, expand=expand, condition=condition)
    if isinstance(seen, str):
        return Step(alerts=alerts, problem=seen)
    nothing = no_data_alert(rule, at=at, expand=expand) if rule.no_data is NoData.ALERT else None
    if nothing is not None and is_unmeasured(rule, evaluation, condition):
        seen.setdefault(nothing.labels, nothing)
    judge = Judge(
        rule=rule,
        evaluation=evaluation,
        condition=condition,
        resolving=resolving,
        holding=hold_restored_until is not None and at < hold_restored_until,
        at=at,
    )
    after: dict[Labels, Alert] = {}
    transitions: list[Transition] = []
    for labels, before in _joined(alerts, seen):
        now, reason = _moved(labels, before, seen.get(labels), judge, nothing)
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
        Transition(alert=resolved(alert, at, _REMOVED), before=alert.state, at=at, reason=_REMOVED)
        for alert in alerts.values()
    )
    return Step(alerts={}, transitions=transitions, samples=alert_samples(alerts, {}, at=at.timestamp()))


def _seen(
    rule: AlertingRule, evaluation: Evaluation, *, at: datetime, expand: Expand, condition: Condition | None
) -> dict[Labels, Alert] | str:
    """The alerts that the elements of the result stand for; or why they cannot be told apart."""
    seen: dict[Labels, Alert] = {}
    for element in evaluation.vector:
        alert = _pending(rule, element, at=at, expand=expand, condition=condition)
        if alert.labels in seen:
            return (
                f"the expression returns two series that are both {alert.labels} once the rule's labels are set; "
                "aggregate them, or drop the label that makes them equal"
            )
        seen[alert.labels] = alert
    return seen


def _moved(
    labels: Labels, before: Alert | None, seen: Alert | None, judge: Judge, nothing: Alert | None
) -> tuple[Alert, TransitionReason | None]:
    """One alert after an evaluation, and why if its state is another; ``nothing`` is the rule's alert of no data."""
    rule, at = judge.rule, judge.at
    if before is not None and (before.manual or (seen is None and _is_awaited(before, judge))):
        return before, None
    if nothing is not None and labels == nothing.labels:
        return step_no_data(rule, before, seen, at=at)
    if before is not None and seen is None and before.state is AlertState.FIRING:
        return _absent(rule, before, at, judge.verdict(before))
    return _advance(rule, before, seen, at)


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
        reason = TransitionReason.STOPPED_BEFORE_FIRING
        return resolved(before, at, reason), reason
    now = seen
    if before is not None:
        now = replace(seen, state=before.state, active_at=before.active_at, fired_at=before.fired_at)
    if now.state is AlertState.PENDING and at - now.active_at >= timedelta(seconds=rule.for_seconds):
        reason = TransitionReason.HELD_FOR if rule.for_seconds else TransitionReason.HELD
        return replace(now, state=AlertState.FIRING, fired_at=at), reason
    return now, TransitionReason.HELD if before is None else None


def _is_awaited(before: Alert, judge: Judge) -> bool:
    """Whether a restored pending alert may still be there once the window has filled."""
    waiting = before.restored and before.state is AlertState.PENDING and judge.holding
    return waiting and judge.verdict(before).over is None


def _absent(rule: AlertingRule, before: Alert, at: datetime, verdict: Verdict) -> tuple[Alert, TransitionReason | None]:
    """A firing alert whose series is not in the result."""
    if verdict.over is None:
        return before, None
    if not verdict.over:
        return replace(before, stopped_at=None), None
    # Prometheus counts keep_firing_for from the first evaluation at which the alert was absent.
    stopped_at = before.stopped_at or at
    if at - stopped_at < timedelta(seconds=rule.keep_firing_for_seconds):
        return replace(before, stopped_at=stopped_at), None
    return resolved(replace(before, stopped_at=stopped_at), at, verdict.reason), verdict.reason


def _wiped(alerts: Mapping[Labels, Alert], at: datetime) -> tuple[dict[Labels, Alert], list[Transition]]:
    """No alerts but those put in by hand, and the transitions of the others."""
    kept = {labels: alert for labels, alert in alerts.items() if alert.manual}
    gone = [
        Transition(alert=resolved(alert, at, _EXCEEDED), before=alert.state, at=at, reason=_EXCEEDED)
        for alert in alerts.values()
        if not alert.manual
    ]
    return kept, gone
