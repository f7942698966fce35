"""How the value of the rule that fired went: as a row of blocks, and as the numbers of a chart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from otelmon.alerts.model import AlertState
from otelmon.incidents.model import Finding
from otelmon.incidents.noted import NotedKind
from otelmon.notify.pictures import Pictures
from otelmon.paging.charted import LEAST_POINTS, chart_of
from otelmon.paging.sparkline import value_finding
from otelmon.runtime.changed import Notes
from otelmon.runtime.course import EVERY_SECONDS
from otelmon.runtime.evidence import Question

_AT_ONCE_SECONDS = 0.001  # an event's instant has whole microseconds, the course's has not


class CourseSource:
    """The last hour of the rule's value. With ``pictures`` also as a chart, which those draw."""

    def __init__(self, notes: Notes, pictures: Pictures | None = None) -> None:
        self._notes = notes
        self._pictures = pictures

    def begin(self, question: Question) -> None:
        """Let what draws start, while others are asked."""
        enough = question.alert.bound is not None and len(question.course) >= LEAST_POINTS - 1
        if self._pictures is not None and enough:
            self._pictures.begin()

    def findings(self, question: Question) -> Iterator[Finding]:
        """One finding, where there are values of some minutes."""
        alert = question.alert
        until = question.at + _AT_ONCE_SECONDS
        points = [point for point in question.course if point[0] <= until]
        if alert.state is AlertState.FIRING:  # else it has the last value for which it fired, and the course the latest
            points = [point for point in points if point[0] < question.at - _AT_ONCE_SECONDS]
            points.append((question.at, alert.value))
        found = value_finding(
            [value for _, value in points], every_seconds=EVERY_SECONDS, bound=alert.bound, unit=alert.unit
        )
        if found is None or alert.bound is None:
            return
        if self._pictures is None:
            yield found
            return
        deploys = [(noted.at, noted.text) for noted in self._notes.all() if noted.kind is NotedKind.DEPLOY]
        chart = chart_of(points, question.incident, alert, every_seconds=EVERY_SECONDS, deploys=deploys)
        yield replace(found, chart=chart)
