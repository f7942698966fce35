"""Snapshot: the app's vital signs now, each the value of a view over the window, or one for each thing it names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, TypeVar

from otelmon.promql.evaluation import Failed

if TYPE_CHECKING:
    from otelmon.promql.query import Query
    from otelmon.window.window import Window

_Status = TypeVar("_Status")
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


_POOL = "db_client_connection_pool_name"
_OPERATION = "otelmon_operation_name"
_ATTEMPTS = (
    f"round(sum by ({_OPERATION})"
    " (increase(otelmon_operation_duration_seconds_count{{otelmon_operation_outcome{matches}}}[15m])))"
)

# The views behind what has names of its own: the label that holds the name, and a view for each figure.
NAMED_VIEWS: dict[str, tuple[str, dict[str, str]]] = {
    "services": ("job", {"instances": "max by (job) (otelmon_service_instances)"}),
    "pools": (
        _POOL,
        {
            "usage": f'100 * sum by ({_POOL}) (db_client_connection_count{{db_client_connection_state="used"}})'
            f" / sum by ({_POOL}) (db_client_connection_max)",
            "pending": f"sum by ({_POOL}) (db_client_connection_pending_requests)",
        },
    ),
    "redis": ("otelmon_redis_name", {"up": "min by (otelmon_redis_name) (otelmon_redis_up)"}),
    "probes": ("otelmon_probe_name", {"up": "min by (otelmon_probe_name) (otelmon_probe_up)"}),
    "queues": (
        "otelmon_queue_name",
        {
            "depth": "max by (otelmon_queue_name) (otelmon_queue_depth)",
            "oldest_age": "max by (otelmon_queue_name) (otelmon_queue_oldest_age_seconds)",
        },
    ),
    "operations": (
        _OPERATION,
        {
            "attempts": _ATTEMPTS.format(matches='!="aborted"'),
            "failures": _ATTEMPTS.format(matches='="failure"'),
        },
    ),
}


def view_texts() -> Iterator[str]:
    """Every expression that a snapshot evaluates."""
    yield from VIEWS.values()
    for _, views in NAMED_VIEWS.values():
        yield from views.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """A pool of connections: ``usage`` in percent of its maximum, None where it has none; requests that wait."""

    usage: float | None = None
    pending: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """A queue: jobs that wait, and how long the oldest of them has, in seconds."""

    depth: float | None = None
    oldest_age: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationStatus:
    """An operation over the last 15 minutes: attempts that came to an end, and those of them that failed."""

    attempts: float = 0.0
    failures: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The vital signs over the last five minutes; None where nothing was measured.

    ``error_rate`` is a ratio (0 to 1) of requests that failed with a 5xx status, an exception or no response;
    ``request_rate`` is requests a second; ``response_time_*`` are milliseconds; ``disk_usage`` (the fullest device),
    ``memory_usage`` and ``cpu_usage`` are percent of what the container or host has. The others are by name; ``redis``
    and ``probes`` say whether it is up, by the verdict that alerts go by; ``services``, under `otelmon serve`, how many
    instances of each send.
    """

    error_rate: float | None = None
    request_rate: float | None = None
    response_time_p50: float | None = None
    response_time_p95: float | None = None
    response_time_p99: float | None = None
    disk_usage: float | None = None
    memory_usage: float | None = None
    cpu_usage: float | None = None
    services: dict[str, int] = field(default_factory=dict)
    pools: dict[str, PoolStatus] = field(default_factory=dict)
    redis: dict[str, bool] = field(default_factory=dict)
    probes: dict[str, bool] = field(default_factory=dict)
    queues: dict[str, QueueStatus] = field(default_factory=dict)
    operations: dict[str, OperationStatus] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """The same as a plain dictionary, ready for JSON."""
        return asdict(self)


class SnapshotViews:
    """The compiled views of a snapshot."""

    def __init__(self) -> None:
        from otelmon.promql.query import Query

        self._queries: dict[str, Query] = {name: Query(text) for name, text in VIEWS.items()}
        self._named: dict[str, tuple[str, dict[str, Query]]] = {
            name: (label, {figure: Query(text) for figure, text in views.items()})
            for name, (label, views) in NAMED_VIEWS.items()
        }

    def evaluate(self, window: Window, at: float) -> Snapshot:
        """The snapshot at an instant (unix seconds)."""
        values = {name: _value(query, window, at) for name, query in self._queries.items()}
        named = {name: _by_name(label, queries, window, at) for name, (label, queries) in self._named.items()}
        return Snapshot(
            **values,
            services=_each(named["services"], lambda figures: int(figures["instances"])),
            pools=_each(named["pools"], lambda figures: PoolStatus(**figures)),
            redis=_each(named["redis"], lambda figures: bool(figures["up"])),
            probes=_each(named["probes"], lambda figures: bool(figures["up"])),
            queues=_each(named["queues"], lambda figures: QueueStatus(**figures)),
            operations=_each(named["operations"], lambda figures: OperationStatus(**figures)),
        )


def _each(found: dict[str, dict[str, float]], make: Callable[[dict[str, float]], _Status]) -> dict[str, _Status]:
    return {name: make(figures) for name, figures in found.items()}


def _by_name(label: str, queries: dict[str, Query], window: Window, at: float) -> dict[str, dict[str, float]]:
    """The figures of each name, without those that are not measured."""
    found: dict[str, dict[str, float]] = {}
    for figure, query in queries.items():
        evaluation = query.evaluate(window, at)
        for element in () if isinstance(evaluation, Failed) else evaluation.vector:
            if isinstance(element.value, float) and math.isfinite(element.value):
                found.setdefault(element.labels.get(label, ""), {})[figure] = element.value
    return found


def _value(query: Query, window: Window, at: float) -> float | None:
    evaluation = query.evaluate(window, at)
    if isinstance(evaluation, Failed) or not evaluation.vector:
        return None
    value = evaluation.vector[0].value
    return value if isinstance(value, float) and math.isfinite(value) else None
