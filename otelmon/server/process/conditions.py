"""Which points are meant: all of some matchers, asked of a metric first and then of its points."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from otelmon.labels import METRIC_NAME
from otelmon.matching import Matcher, MatchOperator
from otelmon.server.process.memo import Memo
from otelmon.server.process.request import Metric
from otelmon.server.process.seen import label_named, labels_of

_NEGATIVE = (MatchOperator.NOT_EQUAL, MatchOperator.NOT_REGEX)
# What the resource says, whatever a point's attributes do.
_IDENTITY = ("job", "instance")


class Condition:
    """All of some matchers, asked of a metric first and then of its points."""

    def __init__(self, matchers: Iterable[Matcher]) -> None:
        named = [(label_named(each.name), each) for each in matchers if each.name != METRIC_NAME]
        self._of_metric = [each for each in matchers if each.name == METRIC_NAME]
        self._of_identity = [(name, each) for name, each in named if name in _IDENTITY]
        self._of_point = [(name, each) for name, each in named if name not in _IDENTITY]
        self._wanted = frozenset(name for name, _ in self._of_point)
        self._met = Memo(self._meets_point)

    def meets_metric(self, names: Iterable[str]) -> bool:
        """Whether a metric of these names may meet it: one that is asked for is there, or none that is ruled out."""
        return all(_meets(matcher, names) for matcher in self._of_metric)

    def meets_points(self, metric: Metric) -> list[bool]:
        """Which points of a metric do, if the metric does."""
        if not all(matcher.matches(metric.identity[name]) for name, matcher in self._of_identity):
            return [False] * len(metric)
        if not self._of_point:
            return [True] * len(metric)
        return self._met.of(metric.form, metric.sets)

    def _meets_point(self, point: Any) -> bool:
        labels = labels_of([pair for pair in point.attributes if label_named(pair.key) in self._wanted])
        return all(matcher.matches(labels.get(name, "")) for name, matcher in self._of_point)


def _meets(matcher: Matcher, names: Iterable[str]) -> bool:
    if matcher.operator in _NEGATIVE:
        return all(matcher.matches(name) for name in names)
    return any(matcher.matches(name) for name in names)
