"""The alert of a rule with ``no_data: alert`` for which nothing is measured."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from otelmon.alerts.identity import ALERT_NAME, SOURCE, Expand, severity_of
from otelmon.alerts.model import Alert, AlertState, TransitionReason
from otelmon.alerts.over import resolved
from otelmon.labels import EMPTY_LABELS, Labels
from otelmon.rules.model import AlertingRule

NO_DATA = "no_data"
# An app that has just started has measured little yet, and a scrape may fail: only a lasting silence is told.
LEAST_HOLD = timedelta(minutes=5)
_KEPT_ANNOTATIONS = ("runbook", "runbook_url")
_SUMMARY = "Nothing is measured for this alert any more, so it can neither fire nor resolve."


def no_data_alert(rule: AlertingRule, *, at: datetime, expand: Expand) -> Alert:
    """That nothing is measured for the rule, as if it were noticed at ``at``.

    It has the rule's labels and ``source="no_data"``, so that it mixes neither with the rule's series nor with what is
    put in by hand.
    """
    expanded = {name: expand(text, EMPTY_LABELS, 0.0) for name, text in rule.labels.items()}
    labels = Labels({**expanded, SOURCE: NO_DATA, ALERT_NAME: rule.name})
    kept = {name: rule.annotations[name] for name in _KEPT_ANNOTATIONS if name in rule.annotations}
    title = rule.annotations.get("title") or rule.name
    return Alert(
        labels=labels,
        annotations={**kept, "title": f"{title}: no data", "summary": _SUMMARY},
        severity=severity_of(labels),
        state=AlertState.PENDING,
        active_at=at,
        last_held_at=at,
        value=0.0,
    )


def step_no_data(
    rule: AlertingRule, before: Alert | None, seen: Alert | None, *, at: datetime
) -> tuple[Alert, TransitionReason | None]:
    """The alert after an evaluation that measured nothing (``seen``) or something (None, and there was one before).

    It fires once nothing was measured for the rule's ``for``, and for five minutes at least; it resolves with the
    first value.
    """
    if seen is None:
        assert before is not None  # noqa: S101 (one of the two is there)
        return resolved(before, at, TransitionReason.MEASURED_AGAIN), TransitionReason.MEASURED_AGAIN
    now = seen
    if before is not None:
        now = replace(seen, state=before.state, active_at=before.active_at, fired_at=before.fired_at)
    hold = max(LEAST_HOLD, timedelta(seconds=rule.for_seconds))
    if now.state is AlertState.PENDING and at - now.active_at >= hold:
        return replace(now, state=AlertState.FIRING, fired_at=at), TransitionReason.NOTHING_MEASURED
    return now, TransitionReason.NOTHING_MEASURED if before is None else None
