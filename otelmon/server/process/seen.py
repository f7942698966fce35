"""What matchers see of a data point: the names and labels that it has in rules, by either spelling.

    metric    its OpenTelemetry name, its Prometheus name, and those of a histogram's series (_count, _sum, _bucket)
    labels    the point's attributes, job and instance; `http.route` is `http_route`

A histogram is one point: a matcher that names one of its series takes the whole of it, and there is no ``le``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from otelmon.collect.names import Kind, label_name, label_set, metric_name

_NAMESPACE, _NAME, _INSTANCE = "service.namespace", "service.name", "service.instance.id"


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
