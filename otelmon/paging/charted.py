"""The chart of an incident: from the course of its rule's value, its timeline, and what was deployed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from otelmon.alerts.model import Alert
from otelmon.incidents.chart import Chart
from otelmon.incidents.model import EventKind, Incident

SPAN_SECONDS = 3600.0
"""How much of the past a chart shows."""
LEAST_POINTS = 3
"""In fewer instants nothing can be seen."""

_MOST_DEPLOYS = 6
_TEXT_LIMIT = 40
_DIGITS = 6


def chart_of(
    course: Sequence[tuple[float, float | None]],
    incident: Incident,
    alert: Alert,
    *,
    every_seconds: float,
    deploys: Iterable[tuple[datetime, str]] = (),
) -> Chart | None:
    """What to draw for an alert of an incident; None where too little was measured, or there is no limit.

    ``course`` are instants (unix seconds, in order) with the value then, ``every_seconds`` apart where none is
    missing.
    """
    points = tuple(_whole(course, every_seconds))
    if alert.bound is None or len(points) < LEAST_POINTS or all(value is None for _, value in points):
        return None
    start, end = points[0][0], points[-1][0]
    within = [(at.timestamp(), text[:_TEXT_LIMIT]) for at, text in deploys if start <= at.timestamp() <= end]
    return Chart(
        points=points,
        unit=alert.unit,
        severity=alert.severity,
        bound=alert.bound,
        firing=tuple(span for span in _firing(incident) if span[1] is None or span[1] >= start),
        deploys=tuple(sorted(within)[-_MOST_DEPLOYS:]),
    )


def _whole(course: Sequence[tuple[float, float | None]], every_seconds: float) -> Iterator[tuple[float, float | None]]:
    """The last hour of it; where instants are missing (nobody watched), a point without a value says so."""
    before = math.inf
    since = course[-1][0] - SPAN_SECONDS if course else 0.0
    for at, value in course:
        if at < since:
            continue
        if at - before > 2.5 * every_seconds:
            yield before + every_seconds, None
        yield at, float(f"{value:.{_DIGITS}g}") if value is not None and math.isfinite(value) else None
        before = at


def _firing(incident: Incident) -> Iterator[tuple[float, float | None]]:
    """When it fired: from each time that it was triggered until it was resolved."""
    since: float | None = None
    for event in incident.timeline:
        if event.kind in (EventKind.TRIGGERED, EventKind.REOPENED) and since is None:
            since = event.at.timestamp()
        elif event.kind is EventKind.RESOLVED and since is not None:
            yield since, event.at.timestamp()
            since = None
    if since is not None:
        yield since, None
