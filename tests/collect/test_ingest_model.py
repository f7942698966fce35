"""Requests as they come: out of order, twice, late, after gaps and restarts; what the slow and obvious model says."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otelmon.collect.ingest import Ingest
from otelmon.histogram import Buckets, Histogram
from otelmon.sample import is_stale
from tests.collect.ingest_model import SECOND, Expected, Given, Kind, Model
from tests.collect.sending import as_json

NOW = 1_700_000_000 * SECOND
KEYS = "ab"
_SUMS = {Kind.LEVEL: (2, False), Kind.COUNTER: (2, True), Kind.DELTA: (1, True), Kind.DELTA_LEVEL: (1, False)}

# Before the request, in seconds; None is a point without a time.
ages = st.sampled_from([0, 0, 0, 1, 5, 15, 15, 40, 599, 601, -10, -31, -3600, None])
starts = st.sampled_from([None, None, 0, 3, 12, 100, 100, 100, 2000, -1])
values = st.one_of(st.integers(0, 50), st.integers(0, 50).map(lambda value: value / 4), st.none())


@st.composite
def requests(draw: st.DrawFn, now: int, first: bool) -> list[Given]:
    points = [Given(Kind.GAUGE, "a", now, 0, 1)]
    if first:
        # Whatever is new to a metric that was there before begins later than it says; that has a test of its own.
        points += [Given(kind, key, now - 100 * SECOND, 0, 0) for kind in Kind for key in KEYS]
    for _ in range(draw(st.integers(0, 12))):
        kind, age, value = draw(st.sampled_from(list(Kind))), draw(ages), draw(values)
        time = 0 if age is None else now - age * SECOND
        since = draw(starts)
        start = 0 if kind is Kind.GAUGE or value is None or since is None else (time or now) - since * SECOND
        points.append(Given(kind, draw(st.sampled_from(KEYS)), time, start, value))
    # Which of two for one time is the first is not kept where they are written in other ways.
    shapes: dict[Any, Any] = {}
    return [
        point
        for point in points
        if (shape := (point.start > 0, point.time > 0, point.value is None))
        == shapes.setdefault((point.kind, point.key, point.time or now), shape)
    ]


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[int, list[Given], bool]]:
    """Requests, each with its time and whether the engine collects after it."""
    now, found = NOW, []
    for index in range(draw(st.integers(1, 7))):
        now += draw(st.sampled_from([1, 5, 15, 60, 130])) * SECOND
        found.append((now, draw(requests(now, first=index == 0)), draw(st.booleans())))
    return found


def written(points: list[Given]) -> bytes:
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    for kind in Kind:
        own = [point for point in points if point.kind is kind]
        if not own:
            continue
        metric = metrics.add(name=kind.value.removesuffix("_total"))
        data: Any = metric.gauge if kind is Kind.GAUGE else metric.sum
        if kind is not Kind.GAUGE:
            data.aggregation_temporality, data.is_monotonic = _SUMS[kind]
        for point in own:
            made = data.data_points.add(time_unix_nano=point.time, start_time_unix_nano=point.start)
            made.attributes.add(key="key").value.string_value = point.key
            if point.value is None:
                made.flags = 1
            elif isinstance(point.value, int):
                made.as_int = point.value
            else:
                made.as_double = point.value
    return bytes(request.SerializeToString())


def collected(ingest: Ingest, now: int) -> dict[tuple[Kind, str], list[Expected]]:
    found: dict[tuple[Kind, str], list[Expected]] = {}
    for sample in ingest.collect(now / SECOND):
        assert isinstance(sample.value, float)
        start = None if sample.start_at is None else _microseconds(sample.start_at * SECOND)
        value = None if is_stale(sample.value) else sample.value
        identity = Kind(sample.labels.metric_name), sample.labels["key"]
        found.setdefault(identity, []).append(Expected(_microseconds(sample.at * SECOND), value, start))
    return found


def _microseconds(nanoseconds: float) -> int:
    """Unix seconds in a float are as exact."""
    return round(nanoseconds / 1000)


def expected(model: Model, now: int) -> dict[tuple[Kind, str], list[Expected]]:
    return {
        identity: [
            Expected(
                _microseconds(sample.at),
                sample.value,
                None if sample.start is None else _microseconds(sample.start),
            )
            for sample in samples
        ]
        for identity, samples in model.collect(now).items()
    }


@settings(max_examples=150, deadline=None)
@given(lives(), st.booleans())
def test_numbers_become_what_the_model_says(life: list[tuple[int, list[Given], bool]], in_json: bool) -> None:
    ingest, model = Ingest(), Model()
    for now, points, collects in life:
        body, at = written(points), now / SECOND
        taken = ingest.take_json(as_json(body), at=at) if in_json else ingest.take(body, at=at)
        assert (taken.points, taken.rejected) == model.take(points, now)
        if collects:
            assert collected(ingest, now) == expected(model, now)
    assert collected(ingest, now + SECOND) == expected(model, now + SECOND)


@st.composite
def deltas(draw: st.DrawFn) -> tuple[int, Histogram]:
    """The scale of a delta, and its buckets as OpenTelemetry counts them."""
    sides = []
    for _ in range(2):
        first = draw(st.integers(-500, 500))
        counts = draw(st.lists(st.integers(0, 9), max_size=6))
        filled = [(first + index, float(count)) for index, count in enumerate(counts) if count]
        sides.append(Buckets(indices=tuple(index for index, _ in filled), counts=tuple(count for _, count in filled)))
    zeros = draw(st.integers(0, 2))
    count = sum(sum(side.counts) for side in sides) + zeros
    scale = draw(st.integers(-4, 12))
    return scale, Histogram(
        count=count, sum=count / 4, scale=scale, zero_count=zeros, positive=sides[0], negative=sides[1]
    )


def sent(scale: int, histogram: Histogram, at: int) -> bytes:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="exact")
    metric.exponential_histogram.aggregation_temporality = 1
    point = metric.exponential_histogram.data_points.add(time_unix_nano=at, start_time_unix_nano=at - SECOND)
    point.count, point.sum, point.scale = int(histogram.count), histogram.sum, scale
    point.zero_count = int(histogram.zero_count)
    for side, buckets in ((point.positive, histogram.positive), (point.negative, histogram.negative)):
        if buckets.indices:
            side.offset = buckets.indices[0]
            counts = dict(zip(buckets.indices, buckets.counts, strict=True))
            side.bucket_counts.extend(int(counts.get(i, 0)) for i in range(side.offset, buckets.indices[-1] + 1))
    return bytes(request.SerializeToString())


def coarser(histograms: list[Histogram], side: str, scale: int) -> dict[int, float]:
    """All counts of a side at a scale, by the index that Prometheus has."""
    counts: dict[int, float] = {}
    for histogram in histograms:
        buckets = getattr(histogram, side)
        for index, count in zip(buckets.indices, buckets.counts, strict=True):
            place = (index >> (histogram.scale - scale)) + 1
            counts[place] = counts.get(place, 0.0) + count
    return counts


def width(counts: dict[int, float]) -> int:
    return max(counts) - min(counts) + 1 if counts else 0


@settings(max_examples=60, deadline=None)
@given(st.lists(deltas(), min_size=1, max_size=6))
def test_deltas_of_exponential_histograms_add_up_at_the_finest_scale_that_holds_them(
    drawn: list[tuple[int, Histogram]],
) -> None:
    ingest, all_of_it = Ingest(), []
    for index, (scale, histogram) in enumerate(drawn):
        now = NOW + index * 10 * SECOND
        ingest.take(sent(scale, histogram, now), at=now / SECOND)
        all_of_it.append(histogram)
        (total,) = [each.value for each in ingest.collect(now / SECOND) if isinstance(each.value, Histogram)]
        assert (total.count, total.zero_count) == (
            sum(each.count for each in all_of_it),
            sum(each.zero_count for each in all_of_it),
        )
        for side in ("positive", "negative"):
            buckets = getattr(total, side)
            assert dict(zip(buckets.indices, buckets.counts, strict=True)) == coarser(all_of_it, side, total.scale)
        assert max(width(coarser(all_of_it, side, total.scale)) for side in ("positive", "negative")) <= 160
        finest = min(8, *(each.scale for each in all_of_it))
        if total.scale < finest:
            finer = [width(coarser(all_of_it, side, total.scale + 1)) for side in ("positive", "negative")]
            assert max(finer) > 160
