"""Requests as clients send them, made of few words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from otelmon.config.load import load_settings
from otelmon.faults import Faults
from otelmon.server.process.process import Process

AT = 1_700_000_000.0
NOW = round(AT * 1e9)


def process(tmp_path: Path, text: str) -> Process:
    """The steps of a file."""
    (tmp_path / "otelmon.yaml").write_text(f"service: server\nprocess:\n{text}", encoding="utf-8")
    settings = load_settings(tmp_path / "otelmon.yaml", environ={}, directory=tmp_path)
    return Process(settings.process, faults=Faults())


def applied(steps: Process, sent: ExportMetricsServiceRequest, at: float = AT) -> ExportMetricsServiceRequest:
    """What the steps make of a request."""
    return ExportMetricsServiceRequest.FromString(steps.take(sent.SerializeToString(), at))


def only_points(sent: ExportMetricsServiceRequest) -> Any:
    """The points of the one metric of a request."""
    (metric,) = sent.resource_metrics[0].scope_metrics[0].metrics
    return getattr(metric, metric.WhichOneof("data") or "sum").data_points


def attributes(into: Any, values: Mapping[str, object]) -> None:
    for key, value in values.items():
        pair = into.add(key=key)
        kind = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(value)]
        setattr(pair.value, kind, value)


def request(**resource: object) -> ExportMetricsServiceRequest:
    """An empty request of one resource, whose attributes have _ for dots."""
    made = ExportMetricsServiceRequest()
    named = {key.replace("_", "."): value for key, value in {"service_name": "shop", **resource}.items()}
    attributes(made.resource_metrics.add().resource.attributes, named)
    made.resource_metrics[0].scope_metrics.add().scope.name = "test"
    return made


def metric(into: ExportMetricsServiceRequest, name: str, unit: str = "") -> Any:
    return into.resource_metrics[-1].scope_metrics[-1].metrics.add(name=name, unit=unit)


def counter(into: ExportMetricsServiceRequest, name: str, points: list[tuple[Mapping[str, object], int]]) -> Any:
    made = metric(into, name)
    made.sum.is_monotonic = True
    made.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    for values, count in points:
        point = made.sum.data_points.add(as_int=count, time_unix_nano=NOW, start_time_unix_nano=NOW - 10**9)
        attributes(point.attributes, values)
    return made


def histogram(
    into: ExportMetricsServiceRequest, name: str, points: list[tuple[Mapping[str, object], list[int]]]
) -> Any:
    made = metric(into, name, "s")
    made.histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    for values, counts in points:
        point = made.histogram.data_points.add(time_unix_nano=NOW, count=sum(counts), sum=float(sum(counts)))
        point.explicit_bounds[:] = [float(bound + 1) for bound in range(len(counts) - 1)]
        point.bucket_counts[:] = counts
        attributes(point.attributes, values)
    return made


def shown(sent: ExportMetricsServiceRequest) -> list[tuple[str, dict[str, object], object]]:
    """Every point: its metric, its attributes, its value (or count)."""
    found = []
    for resource in sent.resource_metrics:
        for scope in resource.scope_metrics:
            for each in scope.metrics:
                for point in getattr(each, each.WhichOneof("data")).data_points:
                    plain = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in point.attributes}
                    value = point.as_int if hasattr(point, "as_int") else point.count
                    found.append((each.name, plain, value))
    return found
