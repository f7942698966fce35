"""Values that the tests of this stage are about."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otelmon.instrument.model import BOUNDS, SCALE, ActiveCell, RequestCell, RequestSnapshot, Traffic
from otelmon.sample import Sample, is_stale

START = 1_700_000_000.0


def cell(seconds: Sequence[float], **attributes: Any) -> RequestCell:
    """The cell of exchanges that took so long."""
    explicit = [0] * (len(BOUNDS) + 1)
    for value in seconds:
        explicit[bisect_left(BOUNDS, value)] += 1
    populated = Counter(math.ceil(math.log2(value) * 2**SCALE) - 1 for value in seconds if value > 0)
    fields: dict[str, Any] = {
        "traffic": Traffic.REQUEST,
        "method": "GET",
        "route": "/orders/{id}",
        "status": 200,
        "error_type": "",
        "scheme": "https",
        "count": len(seconds),
        "sum": math.fsum(seconds),
        "zero_count": sum(1 for value in seconds if value == 0),
        "exponential": dict(populated),
        "explicit": tuple(explicit),
    }
    return RequestCell(**{**fields, **attributes})


def snapshot(*cells: RequestCell, active: Iterable[ActiveCell] = (), start_at: float = START) -> RequestSnapshot:
    return RequestSnapshot(start_at=start_at, cells=cells, active=tuple(active))


class Recorder:
    """Counts as the test says."""

    def __init__(self, *cells: RequestCell, active: Iterable[ActiveCell] = ()) -> None:
        self.now = snapshot(*cells, active=active)

    def count(self, *cells: RequestCell) -> None:
        self.now = snapshot(*cells)

    def snapshot(self) -> RequestSnapshot:
        return self.now


def data_of(*metrics: Metric, resource: dict[str, Any] | None = None, scope: str = "test") -> MetricsData:
    described = Resource(resource or {})
    scoped = ScopeMetrics(scope=InstrumentationScope(scope), metrics=list(metrics), schema_url="")
    return MetricsData(resource_metrics=[ResourceMetrics(resource=described, scope_metrics=[scoped], schema_url="")])


def by_text(samples: Iterable[Sample]) -> dict[str, Any]:
    """Values by the series' text without job and instance; stale ones as the word."""
    return {
        str(sample.labels.without(["job", "instance"])): (
            "stale" if isinstance(sample.value, float) and is_stale(sample.value) else sample.value
        )
        for sample in samples
    }


def starts(samples: Iterable[Sample]) -> dict[str, float | None]:
    return {str(sample.labels.without(["job", "instance"])): sample.start_at for sample in samples}
