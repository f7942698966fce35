"""What the request middleware counted, as OpenTelemetry metrics (for the exporter) and as points (for the window).

    Traffic.REQUEST        http.server.request.duration, http.server.active_requests
    Traffic.EVENT_STREAM   otelmon.event_stream.duration
    Traffic.WEBSOCKET      otelmon.websocket.duration

An exporter sends one form of a histogram, explicit or exponential; the window gets both from the same cells: the
classic series with semconv's bounds, and the native one at the recorder's own resolution, which no export limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.metrics.export import Buckets as OTelBuckets
from opentelemetry.sdk.metrics.export import Histogram as ExplicitHistogram

from otelmon.collect.names import Kind, label_set, metric_name
from otelmon.collect.samples import pack, unpack
from otelmon.collect.translate import Point, histogram_series, histogram_values
from otelmon.histogram import Buckets, Histogram
from otelmon.instrument.model import BOUNDS, SCALE, ActiveCell, RequestCell, RequestSnapshot, Traffic
from otelmon.labels import METRIC_NAME, Labels

# What an exponential histogram may have in OpenTelemetry by default; collectors refuse or merge more.
MOST_BUCKETS = 160

_DURATIONS = {
    Traffic.REQUEST: ("http.server.request.duration", "Duration of HTTP server requests."),
    Traffic.EVENT_STREAM: (
        "otelmon.event_stream.duration",
        "Duration of event streams, from request to the last byte.",
    ),
    Traffic.WEBSOCKET: ("otelmon.websocket.duration", "Duration of websocket connections."),
}
_ACTIVE = {
    Traffic.REQUEST: ("http.server.active_requests", "Number of active HTTP server requests.", "{request}"),
    Traffic.EVENT_STREAM: ("otelmon.event_stream.active", "Number of open event streams.", "{stream}"),
    Traffic.WEBSOCKET: ("otelmon.websocket.active", "Number of open websocket connections.", "{connection}"),
}


def cell_attributes(cell: RequestCell) -> dict[str, str | int | bool]:
    """The semantic-convention attributes of a cell: status a number, what is not known left out.

    The overflow cell has ``otel.metric.overflow`` only, as the specification says.
    """
    if cell.overflow:
        return {"otel.metric.overflow": True}
    attributes: dict[str, str | int | bool] = {"http.request.method": cell.method, "url.scheme": cell.scheme}
    if cell.route:
        attributes["http.route"] = cell.route
    if cell.status:
        attributes["http.response.status_code"] = cell.status
    if cell.error_type:
        attributes["error.type"] = cell.error_type
    return attributes


def request_metrics(
    snapshot: RequestSnapshot, *, at: float, exponential: bool, most_buckets: int = MOST_BUCKETS
) -> list[Metric]:
    """The snapshot as cumulative SDK metrics, stamped ``at`` (unix seconds); kinds without a cell are left out.

    Explicit histograms have semconv's bounds; exponential ones the recorder's scale, merged down until
    ``most_buckets`` hold them.
    """
    start, now = round(snapshot.start_at * 1e9), round(at * 1e9)
    metrics = []
    for traffic, (name, description) in _DURATIONS.items():
        cells = [cell for cell in snapshot.cells if cell.traffic is traffic]
        if cells:
            data = _exponential(cells, start, now, most_buckets) if exponential else _explicit(cells, start, now)
            metrics.append(Metric(name=name, description=description, unit="s", data=data))
    for traffic, (name, description, unit) in _ACTIVE.items():
        active = [cell for cell in snapshot.active if cell.traffic is traffic]
        if active:
            points = [
                NumberDataPoint(
                    attributes=_active_attributes(cell),
                    start_time_unix_nano=start,
                    time_unix_nano=now,
                    value=cell.count,
                )
                for cell in active
            ]
            cumulative = AggregationTemporality.CUMULATIVE
            data_sum = Sum(data_points=points, aggregation_temporality=cumulative, is_monotonic=False)
            metrics.append(Metric(name=name, description=description, unit=unit, data=data_sum))
    return metrics


# The recorder keeps no extremes; OTLP has them optional, the SDK's types do not.
_UNKNOWN = cast("float", None)


def _explicit(cells: Iterable[RequestCell], start: int, now: int) -> ExplicitHistogram:
    points = [
        HistogramDataPoint(
            attributes=cell_attributes(cell),
            start_time_unix_nano=start,
            time_unix_nano=now,
            count=cell.count,
            sum=cell.sum,
            bucket_counts=cell.explicit,
            explicit_bounds=BOUNDS,
            min=_UNKNOWN,
            max=_UNKNOWN,
        )
        for cell in cells
    ]
    return ExplicitHistogram(data_points=points, aggregation_temporality=AggregationTemporality.CUMULATIVE)


def _exponential(cells: Iterable[RequestCell], start: int, now: int, most_buckets: int) -> ExponentialHistogram:
    points = []
    for cell in cells:
        scale, buckets = dense_buckets(cell.exponential, SCALE, most_buckets)
        points.append(
            ExponentialHistogramDataPoint(
                attributes=cell_attributes(cell),
                start_time_unix_nano=start,
                time_unix_nano=now,
                count=cell.count,
                sum=cell.sum,
                scale=scale,
                zero_count=cell.zero_count,
                positive=buckets,
                negative=OTelBuckets(offset=0, bucket_counts=[]),
                flags=0,
                min=_UNKNOWN,
                max=_UNKNOWN,
            )
        )
    return ExponentialHistogram(data_points=points, aggregation_temporality=AggregationTemporality.CUMULATIVE)


def dense_buckets(sparse: Mapping[int, int], scale: int, most: int = MOST_BUCKETS) -> tuple[int, OTelBuckets]:
    """Counts by OpenTelemetry index as one array, merged to a coarser scale until it has ``most`` buckets.

    Merging one scale halves the index, rounding down (data model, "Exponential Scale"). Returns scale and buckets.
    """
    if not sparse:
        return scale, OTelBuckets(offset=0, bucket_counts=[])
    low, high = min(sparse), max(sparse)
    shift = 0
    while (high >> shift) - (low >> shift) >= most:
        shift += 1
    offset = low >> shift
    counts = [0] * ((high >> shift) - offset + 1)
    for index, count in sparse.items():
        counts[(index >> shift) - offset] += count
    return scale - shift, OTelBuckets(offset=offset, bucket_counts=counts)


def _active_attributes(cell: ActiveCell) -> dict[str, str]:
    return {"http.request.method": cell.method, "url.scheme": cell.scheme}


class RequestTranslation:
    """Translates snapshots of one recorder again and again; labels and unchanged histograms are made once and kept."""

    def __init__(self, *, job: str, instance: str) -> None:
        """``job`` and ``instance`` are on every series."""
        self._identity = {"job": job, "instance": instance}
        self._names = {traffic: metric_name(name, "s", Kind.HISTOGRAM) for traffic, (name, _) in _DURATIONS.items()}
        self._active_names = {
            traffic: metric_name(name, unit, Kind.UP_DOWN) for traffic, (name, _, unit) in _ACTIVE.items()
        }
        self._cells: dict[_CellKey, _KnownCell] = {}
        self._active: dict[ActiveKey, tuple[Labels, ...]] = {}

    def points(self, snapshot: RequestSnapshot) -> Iterator[Point]:
        """One point a cell: its _count, _sum, native histogram and _bucket series; then one for each active cell."""
        cells: dict[_CellKey, _KnownCell] = {}
        for cell in snapshot.cells:
            key = (cell.traffic, cell.method, cell.route, cell.status, cell.error_type, cell.scheme, cell.overflow)
            known = self._cells.get(key) or _KnownCell(key, self._cell_series(cell))
            # Under the key that is kept already: fewer new objects, fewer full collections of Python's garbage.
            cells[known.key] = known
            yield Point(series=known.series, values=known.values(cell), start=snapshot.start_at, kind=Kind.HISTOGRAM)
        self._cells = cells
        for active in snapshot.active:
            yield Point(series=self._active_series(active), values=(float(active.count),), kind=Kind.UP_DOWN)

    def _cell_series(self, cell: RequestCell) -> tuple[Labels, ...]:
        labels = {**label_set(cell_attributes(cell)), **self._identity}
        name = self._names[cell.traffic]
        count, total, *buckets = histogram_series(name, labels, BOUNDS)
        return (count, total, Labels({**labels, METRIC_NAME: name}), *buckets)

    def _active_series(self, cell: ActiveCell) -> tuple[Labels, ...]:
        key = (cell.traffic, cell.method, cell.scheme)
        series = self._active.get(key)
        if series is None:
            labels = {**label_set(_active_attributes(cell)), **self._identity}
            series = self._active[key] = (Labels({**labels, METRIC_NAME: self._active_names[cell.traffic]}),)
        return series


_CellKey = tuple[Traffic, str, str, int, str, str, bool]
ActiveKey = tuple[Traffic, str, str]


# Durations are not negative.
_NONE = Buckets()


class _KnownCell:
    """The series of a cell, and the values that it had last; changed in place, which makes no new objects."""

    __slots__ = ("_count", "_packed", "_sum", "key", "series")

    def __init__(self, key: _CellKey, series: tuple[Labels, ...]) -> None:
        self.key = key
        self.series = series
        self._count = -1
        self._sum = 0.0
        self._packed = b""

    def values(self, cell: RequestCell) -> Sequence[float | Histogram]:
        """The values of the series; those of the last time where nothing was counted since."""
        if (self._count, self._sum) == (cell.count, cell.sum):
            return unpack(self._packed)
        values = _cell_values(cell)
        self._count, self._sum, self._packed = cell.count, cell.sum, pack(values)
        return values


def _cell_values(cell: RequestCell) -> list[float | Histogram]:
    count, total, *buckets = histogram_values(cell.count, cell.sum, cell.explicit)
    return [count, total, native_histogram(cell), *buckets]


def native_histogram(cell: RequestCell) -> Histogram:
    """The cell at its full resolution. Prometheus counts buckets from one higher than OpenTelemetry."""
    buckets: list[tuple[int, Any]] = sorted(cell.exponential.items())
    return Histogram(
        count=float(cell.count),
        sum=cell.sum,
        scale=SCALE,
        zero_count=float(cell.zero_count),
        positive=Buckets(
            indices=tuple([index + 1 for index, _ in buckets]), counts=tuple([float(count) for _, count in buckets])
        ),
        negative=_NONE,
    )
