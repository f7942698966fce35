"""The samples that say which alerts there are: ALERTS and ALERTS_FOR_STATE, as Prometheus records them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from otelmon.alerts.model import Alert
from otelmon.labels import METRIC_NAME, Labels
from otelmon.sample import STALE, Sample

ALERTS = "ALERTS"
ALERTS_FOR_STATE = "ALERTS_FOR_STATE"


def alert_samples(before: Mapping[Labels, Alert], after: Mapping[Labels, Alert], *, at: float) -> tuple[Sample, ...]:
    """Samples at unix second ``at`` for a rule's alerts.

    ``ALERTS{alertstate="pending"|"firing"}`` is 1 and ``ALERTS_FOR_STATE`` the whole unix second at which the alert
    became active; a series that was there before and is gone ends with STALE.
    """
    return tuple(_samples(before, after, at))


def _samples(before: Mapping[Labels, Alert], after: Mapping[Labels, Alert], at: float) -> Iterator[Sample]:
    for labels, alert in before.items():
        now = after.get(labels)
        if now is None or now.state is not alert.state:
            yield Sample(labels=_state_labels(alert), at=at, value=STALE)
        if now is None:
            yield Sample(labels=labels.with_label(METRIC_NAME, ALERTS_FOR_STATE), at=at, value=STALE)
    for labels, alert in after.items():
        yield Sample(labels=_state_labels(alert), at=at, value=1.0)
        active_at = float(int(alert.active_at.timestamp()))
        yield Sample(labels=labels.with_label(METRIC_NAME, ALERTS_FOR_STATE), at=at, value=active_at)


def _state_labels(alert: Alert) -> Labels:
    return alert.labels.with_labels({METRIC_NAME: ALERTS, "alertstate": alert.state.value})
