"""An ExportMetricsServiceRequest of which the data points stay bytes, and a data point of which the attributes do.

What a decoded point costs is Python's objects for its attributes. So the envelope is decoded down to the points, which
are kept or dropped as they came. Fields that are not named here are kept as they are, as protobuf does.

Format: opentelemetry/proto/metrics/v1/metrics.proto; the numbers of the fields are those there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

_PACKAGE = "otelmon.process"
_NAME = "otelmon/server/process/envelope.proto"
_RESOURCE = ".opentelemetry.proto.resource.v1.Resource"
_SCOPE = ".opentelemetry.proto.common.v1.InstrumentationScope"
_PAIR = ".opentelemetry.proto.common.v1.KeyValue"
_POINTS = f".{_PACKAGE}.Points"
_KINDS = {"gauge": 5, "sum": 7, "histogram": 9, "exponential_histogram": 10, "summary": 11}


def _schema() -> descriptor_pb2.FileDescriptorProto:
    needed = [common_pb2.DESCRIPTOR.name, resource_pb2.DESCRIPTOR.name]
    file = descriptor_pb2.FileDescriptorProto(name=_NAME, package=_PACKAGE, syntax="proto3", dependency=needed)

    def message(name: str) -> Any:
        return file.message_type.add(name=name)

    def one(into: Any, name: str, number: int, kind: Any, **more: Any) -> None:
        of = {"type": Field.TYPE_MESSAGE, "type_name": kind} if isinstance(kind, str) else {"type": kind}
        into.field.add(**{"name": name, "number": number, "label": Field.LABEL_OPTIONAL, **of, **more})

    def many(into: Any, name: str, number: int, kind: Any) -> None:
        one(into, name, number, kind, label=Field.LABEL_REPEATED)

    many(message("Request"), "resource_metrics", 1, f".{_PACKAGE}.ResourceMetrics")
    resource, scope = message("ResourceMetrics"), message("ScopeMetrics")
    one(resource, "resource", 1, _RESOURCE)
    many(resource, "scope_metrics", 2, f".{_PACKAGE}.ScopeMetrics")
    one(scope, "scope", 1, _SCOPE)
    many(scope, "metrics", 2, f".{_PACKAGE}.Metric")
    metric = message("Metric")
    metric.oneof_decl.add(name="data")
    one(metric, "name", 1, Field.TYPE_STRING)
    one(metric, "unit", 3, Field.TYPE_STRING)
    for name, number in _KINDS.items():
        one(metric, name, number, _POINTS, oneof_index=0)
    many(metric, "metadata", 12, _PAIR)
    points = message("Points")
    many(points, "data_points", 1, Field.TYPE_BYTES)
    one(points, "is_monotonic", 3, Field.TYPE_BOOL)
    for name, attributes, exemplars in (
        ("Number", 7, 5),
        ("Explicit", 9, 8),
        ("Exponential", 1, 11),
        ("Summary", 7, 0),
    ):
        point = message(name)
        many(point, "attributes", attributes, Field.TYPE_BYTES)
        if exemplars:
            many(point, "exemplars", exemplars, Field.TYPE_BYTES)
    return file


# A pool of its own knows what it needs of OTLP's.
_POOL = descriptor_pool.DescriptorPool()
for _needed in (common_pb2, resource_pb2):
    _POOL.AddSerializedFile(_needed.DESCRIPTOR.serialized_pb)
_POOL.AddSerializedFile(_schema().SerializeToString())


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


class Form(NamedTuple):
    """How points are written."""

    message: Any
    """What a point is in OTLP."""
    parts: Any
    """The same with nothing but ``attributes`` and ``exemplars``, as bytes."""
    number: bool = False
    exemplars: bool = True
    attributes_first: bool = False


REQUEST = _class("Request")
"""An ExportMetricsServiceRequest with ``data_points`` as bytes."""

_NUMBER = Form(metrics_pb2.NumberDataPoint, _class("Number"), number=True)
FORMS: dict[str | None, Form] = {
    None: _NUMBER,
    "gauge": _NUMBER,
    "sum": _NUMBER,
    "histogram": Form(metrics_pb2.HistogramDataPoint, _class("Explicit")),
    "exponential_histogram": Form(
        metrics_pb2.ExponentialHistogramDataPoint, _class("Exponential"), attributes_first=True
    ),
    "summary": Form(metrics_pb2.SummaryDataPoint, _class("Summary"), exemplars=False),
}
"""By what a metric calls its data; None is a metric without any, which has no points."""
