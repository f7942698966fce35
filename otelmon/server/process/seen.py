"""What matchers see of a data point: the names and labels that it has in rules, by either spelling.

    metric    its OpenTelemetry name, its Prometheus name, and those of a histogram's series (_count, _sum, _bucket)
    labels    the point's attributes, job and instance; `http.route` is `http_route`

A histogram is one point: a matcher that names one of its series takes the whole of it, and there is no ``le``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from otelmon.collect.names import Kind, label_name, label_set, metric_name
from otelmon.labels import METRIC_NAME
from otelmon.matching import Matcher, MatchOperator

_NEGATIVE = (MatchOperator.NOT_EQUAL, MatchOperator.NOT_REGEX)
_NAMESPACE, _NAME, _INSTANCE = "service.namespace", "service.name", "service.instance.id"


def points_of(metric: Any) -> Any:
    """The data points of a metric message; an empty tuple where it has no data."""
    kind = metric.WhichOneof("data")
    return () if kind is None else getattr(metric, kind).data_points


def prometheus_name(metric: Any) -> str:
    """The name that a metric's series begin with in rules."""
    return _names(metric.name, metric.unit, _kind(metric))[1]


def metric_names(metric: Any) -> Sequence[str]:
    """The names by which a matcher may mean a metric."""
    return _names(metric.name, metric.unit, _kind(metric))


def identity(resource: Any) -> dict[str, str]:
    """``job`` and ``instance`` of a resource message."""
    known = {pair.key: pair.value.string_value for pair in resource.attributes}
    job = "/".join(name for name in (known.get(_NAMESPACE, ""), known.get(_NAME, "")) if name)
    return {"job": job, "instance": known.get(_INSTANCE, "")}


def labels_of(attributes: Iterable[Any]) -> dict[str, str]:
    """The labels that attributes become: as in rules, of keys that become one label the values are joined."""
    return label_set({pair.key: plain(pair.value) for pair in attributes})


def plain(value: Any) -> Any:
    """An AnyValue message as a value of Python."""
    match kind := value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [plain(each) for each in value.array_value.values]
        case "kvlist_value":
            return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
        case _:
            return getattr(value, kind)


label_named = lru_cache(maxsize=4096)(label_name)
"""The label that an attribute becomes."""


class Condition:
    """All of some matchers, asked of a metric first and then of its points."""

    def __init__(self, matchers: Iterable[Matcher]) -> None:
        matchers = tuple(matchers)
        self._of_metric = [matcher for matcher in matchers if matcher.name == METRIC_NAME]
        self._of_point = [(label_named(each.name), each) for each in matchers if each.name != METRIC_NAME]
        self._wanted = frozenset(name for name, _ in self._of_point)

    def meets_metric(self, names: Iterable[str]) -> bool:
        """Whether a metric of these names may meet it: one that is asked for is there, or none that is ruled out."""
        return all(_meets(matcher, names) for matcher in self._of_metric)

    def meets_point(self, attributes: Iterable[Any], identity: Mapping[str, str]) -> bool:
        """Whether a point does, whose metric does."""
        if not self._of_point:
            return True
        wanted = [pair for pair in attributes if label_named(pair.key) in self._wanted]
        labels = {**labels_of(wanted), **identity}
        return all(matcher.matches(labels.get(name, "")) for name, matcher in self._of_point)


def _meets(matcher: Matcher, names: Iterable[str]) -> bool:
    if matcher.operator in _NEGATIVE:
        return all(matcher.matches(name) for name in names)
    return any(matcher.matches(name) for name in names)


def _kind(metric: Any) -> Kind | None:
    match metric.WhichOneof("data"):
        case "sum":
            return Kind.COUNTER if metric.sum.is_monotonic else Kind.UP_DOWN
        case "gauge":
            return Kind.GAUGE
        case "histogram" | "exponential_histogram":
            return Kind.HISTOGRAM
        case _:
            return None


@lru_cache(maxsize=4096)
def _names(name: str, unit: str, kind: Kind | None) -> tuple[str, ...]:
    base = metric_name(name, unit, kind or Kind.HISTOGRAM)
    parts = ("_count", "_sum", "_bucket") if kind is Kind.HISTOGRAM else () if kind else ("_count", "_sum")
    return (name, base, *(f"{base}{part}" for part in parts))
