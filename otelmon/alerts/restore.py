"""Alerts over a restart and over a jump of the wall clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from otelmon.alerts.model import Alert, AlertState
from otelmon.labels import Labels
from otelmon.rules.model import AlertingRule

# Prometheus's defaults of --rules.alert.for-outage-tolerance and --rules.alert.for-grace-period.
OUTAGE_TOLERANCE = timedelta(hours=1)
GRACE_SECONDS = 600.0


def restore(
    rule: AlertingRule,
    alerts: Mapping[Labels, Alert],
    *,
    saved_at: datetime,
    at: datetime,
    grace_seconds: float = GRACE_SECONDS,
) -> dict[Labels, Alert]:
    """A rule's alerts as they go on at ``at``, after they were last saved at ``saved_at``.

    A firing alert goes on firing and is marked restored: it resolves on a measured value only. A pending one goes on
    where it was, as in Prometheus (rules/group.go, RestoreForState): dropped after an outage of more than an hour;
    with less than ``grace_seconds`` of its ``for`` left it waits that long; else the outage does not count. Where the
    whole ``for`` is shorter than the grace, Prometheus starts afresh; here the time already served counts, because
    the window is restored with it. With ``grace_seconds=0`` no alert waits longer than it had to, which suits a monitor
    that restarts whenever its application does. Alerts put in by hand are as they were.
    """
    outage = max(at - saved_at, timedelta())
    restored: dict[Labels, Alert] = {}
    for labels, alert in alerts.items():
        if alert.manual:
            restored[labels] = alert
        elif alert.state is AlertState.FIRING:
            restored[labels] = replace(alert, restored=True)
        elif outage <= OUTAGE_TOLERANCE:
            active_at = _active_at(rule, alert, saved_at, at, timedelta(seconds=grace_seconds))
            restored[labels] = replace(alert, active_at=active_at, restored=True)
    return restored


def shift(alerts: Mapping[Labels, Alert], seconds: float) -> dict[Labels, Alert]:
    """The same alerts after the wall clock jumped by so many seconds: every instant moves with it."""
    by = timedelta(seconds=seconds)
    return {labels: shift_alert(alert, by) for labels, alert in alerts.items()}


def shift_alert(alert: Alert, by: timedelta) -> Alert:
    """One alert with every instant moved."""

    def moved(instant: datetime | None) -> datetime | None:
        return None if instant is None else instant + by

    return replace(
        alert,
        active_at=alert.active_at + by,
        fired_at=moved(alert.fired_at),
        resolved_at=moved(alert.resolved_at),
        last_held_at=moved(alert.last_held_at),
        stopped_at=moved(alert.stopped_at),
    )


def _active_at(rule: AlertingRule, alert: Alert, saved_at: datetime, at: datetime, grace: timedelta) -> datetime:
    hold = timedelta(seconds=rule.for_seconds)
    remaining = hold - (saved_at - alert.active_at)
    if remaining <= timedelta():
        return alert.active_at
    if remaining < grace <= hold:
        return at + grace - hold
    return alert.active_at + max(at - saved_at, timedelta())
