"""What the incidents missed: alerts that changed in a tick which did not come to its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from otelmon.alerts.model import Alert, AlertState, Transition, TransitionReason
from otelmon.incidents.model import Incident


def missed(
    incidents: Iterable[Incident], alerts: Iterable[Alert], transitions: Iterable[Transition], *, at: datetime
) -> Iterator[Transition]:
    """Transitions that bring the incidents, open and lately resolved, in line with the alerts as they stand.

    A rule steps its alerts before the incidents are stepped, paged and written. If that fails (a full disk, a fault of
    ours) the transition is gone, and without this nobody would ever be told: an alert that fires and that no incident
    holds for firing has fired now, and one that an incident holds for firing (one that was resolved by hand
    does) and that is no longer there has resolved now.
    ``transitions`` are those that this tick has anyway.
    """
    told = {transition.alert.labels for transition in transitions}
    held = {
        alert.labels: alert
        for incident in incidents
        if not incident.is_storm
        for alert in incident.alerts
        if alert.state is AlertState.FIRING
    }
    firing = {alert.labels: alert for alert in alerts if alert.state is AlertState.FIRING}
    for labels, alert in firing.items():
        if labels not in held and labels not in told:
            yield Transition(alert=alert, before=None, at=at, reason=TransitionReason.HELD)
    for labels, alert in held.items():
        if labels not in firing and labels not in told:
            over = replace(alert, state=AlertState.RESOLVED, resolved_at=at)
            yield Transition(alert=over, before=AlertState.FIRING, at=at, reason=TransitionReason.STOPPED)
