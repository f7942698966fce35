"""What clients send, as the SDK's own encoder writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    Sum,
)

from otelmon.collect.ingest import Ingest
from otelmon.collect.limits import Taken
from otelmon.sample import Sample, is_stale
from tests.collect.making import START, data_of

CUMULATIVE, DELTA = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA
SHOP = {"service.name": "shop", "service.instance.id": "i-1"}


def nanoseconds(at: float) -> int:
    return round(at * 1e9)


def number(value: float, at: float, *, since: float = START, **attributes: Any) -> NumberDataPoint:
    return NumberDataPoint(
        attributes=attributes, start_time_unix_nano=nanoseconds(since), time_unix_nano=nanoseconds(at), value=value
    )


def counter(
    *points: NumberDataPoint, name: str = "orders", temporality: Any = CUMULATIVE, rises: bool = True
) -> Metric:
    data = Sum(data_points=list(points), aggregation_temporality=temporality, is_monotonic=rises)
    return Metric(name=name, description="", unit="", data=data)


def gauge(*points: NumberDataPoint, name: str = "depth") -> Metric:
    return Metric(name=name, description="", unit="", data=Gauge(data_points=list(points)))


def encoded(data: MetricsData) -> bytes:
    return bytes(encode_metrics(data).SerializeToString())


def as_json(request: bytes) -> bytes:
    """The same request in OTLP/JSON."""
    return json.dumps(MessageToDict(ExportMetricsServiceRequest.FromString(request))).encode()


def send(ingest: Ingest, *metrics: Metric, at: float, resource: dict[str, Any] | None = None) -> Taken:
    return ingest.take(encoded(data_of(*metrics, resource=SHOP if resource is None else resource)), at=at)


def told(samples: Iterable[Sample]) -> list[tuple[str, float, Any, float | None]]:
    """Series without job and instance, seconds after START, value, seconds after START of the start."""
    return [
        (
            str(sample.labels.without(["job", "instance"])),
            round(sample.at - START, 4),
            "stale" if isinstance(sample.value, float) and is_stale(sample.value) else sample.value,
            None if sample.start_at is None else round(sample.start_at - START, 4),
        )
        for sample in samples
    ]
