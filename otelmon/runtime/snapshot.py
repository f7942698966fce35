"""Snapshot: the app's vital signs now, each the value of a view over the window."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from otelmon.promql.evaluation import Failed

if TYPE_CHECKING:
    from otelmon.promql.query import Query
    from otelmon.window.window import Window

_REQUESTS = "http_server_request_duration_seconds"
# What the built-in rule error_rate counts as an error.
_ERRORS = (
    f'rate({_REQUESTS}_count{{http_response_status_code=~"5..|"}}[5m])'
    f' or rate({_REQUESTS}_count{{http_response_status_code=~"[1-4]..",'
    'error_type!~"|[1-5]..|.*Disconnect.*|.*CancelledError"}[5m])'
)
_LATENCY = (
    "1000 * (histogram_quantile({quantile}, sum(rate({name}[5m])))"
    " or histogram_quantile({quantile}, sum by (le) (rate({name}_bucket[5m]))))"
)

# The view behind each field, in the mission's units.
VIEWS = {
    "error_rate": f"(sum({_ERRORS}) or vector(0)) / sum(rate({_REQUESTS}_count[5m]))",
    "request_rate": f"sum(rate({_REQUESTS}_count[5m]))",
    "response_time_p50": _LATENCY.format(quantile="0.5", name=_REQUESTS),
    "response_time_p95": _LATENCY.format(quantile="0.95", name=_REQUESTS),
    "response_time_p99": _LATENCY.format(quantile="0.99", name=_REQUESTS),
    "disk_usage": "100 * max(system_filesystem_utilization_ratio)",
    "memory_usage": "100 * max(otelmon_memory_usage_bytes / otelmon_memory_limit_bytes)",
    "cpu_usage": "100 * max(rate(otelmon_cpu_time_seconds_total[5m]) / otelmon_cpu_limit)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The vital signs over the last five minutes; None where nothing was measured.

    ``error_rate`` is a ratio (0 to 1) of requests that failed with a 5xx status, an exception or no response;
    ``request_rate`` is requests a second; ``response_time_*`` are milliseconds; ``disk_usage`` (the fullest device),
    ``memory_usage`` and ``cpu_usage`` are percent of what the container or host has.
    """

    error_rate: float | None = None
    request_rate: float | None = None
    response_time_p50: float | None = None
    response_time_p95: float | None = None
    response_time_p99: float | None = None
    disk_usage: float | None = None
    memory_usage: float | None = None
    cpu_usage: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """The same as a plain dictionary, ready for JSON."""
        return asdict(self)


class SnapshotViews:
    """The compiled views of a snapshot."""

    def __init__(self) -> None:
        from otelmon.promql.query import Query

        self._queries: dict[str, Query] = {name: Query(text) for name, text in VIEWS.items()}

    def evaluate(self, window: Window, at: float) -> Snapshot:
        """The snapshot at an instant (unix seconds)."""
        return Snapshot(**{name: _value(query, window, at) for name, query in self._queries.items()})


def _value(query: Query, window: Window, at: float) -> float | None:
    evaluation = query.evaluate(window, at)
    if isinstance(evaluation, Failed) or not evaluation.vector:
        return None
    value = evaluation.vector[0].value
    return value if isinstance(value, float) and math.isfinite(value) else None
