"""What few senders send, and none should be refused or misread for: odd values, clocks, shapes and spellings."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics.export import Histogram as ExplicitHistogram
from opentelemetry.sdk.metrics.export import HistogramDataPoint, Metric

from otelmon.collect.ingest import Ingest
from otelmon.collect.limits import MalformedError, Taken
from otelmon.collect.translate import Translation
from otelmon.histogram import Buckets, Histogram
from otelmon.promql.evaluation import Evaluation
from otelmon.promql.query import Query
from otelmon.window.window import Window
from tests.collect.making import START, by_text, data_of
from tests.collect.sending import CUMULATIVE, DELTA, SHOP, as_json, counter, encoded, gauge, nanoseconds, number, send
from tests.collect.sending import told as told_of

ORDERS = "orders_total{}"


def request_of(form: str, *, temporality: int = 0, **fields: Any) -> tuple[ExportMetricsServiceRequest, Any]:
    """A request with one point of a metric m, and the point."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    data = getattr(metric, form)
    if temporality:
        data.aggregation_temporality = temporality
    return request, data.data_points.add(time_unix_nano=nanoseconds(START), **fields)


def came_of(request: ExportMetricsServiceRequest, *, in_json: bool = False) -> tuple[Taken, list[Any]]:
    """What became of a request at START."""
    ingest = Ingest()
    body = request.SerializeToString()
    taken = ingest.take_json(as_json(body), at=START) if in_json else ingest.take(body, at=START)
    return taken, told_of(ingest.collect(START))


@pytest.mark.parametrize("bounds", [(math.nan,), (1.0, math.nan), (math.nan, 1.0), (2.0, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("in_json", [False, True])
def test_bounds_that_do_not_rise_cost_their_point_and_not_the_request(
    bounds: tuple[float, ...], *, in_json: bool
) -> None:
    request, _ = request_of(
        "histogram", temporality=2, count=3, sum=1, explicit_bounds=bounds, bucket_counts=[1] * (len(bounds) + 1)
    )
    other = request.resource_metrics[0].scope_metrics[0].metrics.add(name="depth")
    other.gauge.data_points.add(time_unix_nano=nanoseconds(START), as_int=1)
    taken, found = came_of(request, in_json=in_json)
    assert (taken.points, taken.rejected, taken.message) == (1, 1, "buckets that do not fit their bounds: 1")
    assert found == [("depth{}", 0.0, 1.0, None)]


def test_a_bound_at_infinity_is_the_one_that_each_histogram_has() -> None:
    point = HistogramDataPoint(
        attributes={},
        start_time_unix_nano=nanoseconds(START - 5),
        time_unix_nano=nanoseconds(START),
        count=6,
        sum=1.5,
        bucket_counts=(1, 2, 3),
        explicit_bounds=(0.5, math.inf),
        min=0,
        max=9,
    )
    data = data_of(Metric("m", "", "", ExplicitHistogram(data_points=[point], aggregation_temporality=CUMULATIVE)))
    expected = {"m_count{}": 6.0, "m_sum{}": 1.5, 'm_bucket{le="0.5"}': 1.0, 'm_bucket{le="+Inf"}': 6.0}
    ingest = Ingest()
    ingest.take(encoded(data), at=START)
    assert by_text(ingest.collect(START)) == expected
    assert by_text(Translation().samples(data, START)) == expected


def test_a_quantile_of_a_summary_is_written_whole() -> None:
    request, point = request_of("summary", count=2, sum=1)
    for quantile in (0.9999999, 0.5, 0, 1):
        point.quantile_values.add(quantile=quantile, value=quantile)
    _, found = came_of(request)
    assert [series for series, *_ in found[2:]] == [
        f'm{{quantile="{text}"}}' for text in ("0.9999999", "0.5", "0", "1")
    ]


def as_sent(point: dict[str, Any], **metric: Any) -> bytes:
    """OTLP/JSON of one point of a metric m at START."""
    written = {"name": "m", "gauge": {"dataPoints": [{"timeUnixNano": str(nanoseconds(START)), **point}]}, **metric}
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [written]}]}]}).encode()


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (None, ""),
        ({}, ""),
        ({"stringValue": None}, ""),
        ({"comesWithTheNextVersion": 5}, ""),
        ({"comesWithTheNextVersion": 5, "stringValue": "x"}, "x"),
        ({"boolValue": False}, "false"),
        ({"intValue": "-9223372036854775808"}, "-9223372036854775808"),
        ({"intValue": 7}, "7"),
        ({"doubleValue": 0.5}, "0.5"),
        ({"doubleValue": "NaN"}, "nan"),
        ({"bytesValue": "-_8="}, "+/8="),
        ({"bytesValue": "+/8"}, "+/8="),
        ({"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "b"}, {}]}}, '[1,"b",null]'),
        ({"arrayValue": {}}, "[]"),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}}, '{"k":true}'),
        ({"stringValue": "cut\ud83d"}, "cut\ufffd"),
        ({"stringValue": "\U0001f600"}, "\U0001f600"),
    ],
)
def test_each_kind_of_attribute_in_json_is_a_label(value: Any, label: str) -> None:
    ingest = Ingest()
    ingest.take_json(as_sent({"asInt": "3", "attributes": [{"key": "a", "value": value}]}), at=START)
    (sample,) = ingest.collect(START)
    assert (sample.value, sample.labels.get("a", "")) == (3.0, label)


def test_null_in_json_is_what_is_not_there() -> None:
    ingest = Ingest()
    nothing = dict.fromkeys(("asDouble", "attributes", "exemplars", "flags", "startTimeUnixNano"))
    ingest.take_json(as_sent({"asInt": "3", **nothing}, unit=None, sum=None), at=START)
    assert told_of(ingest.collect(START)) == [("m{}", 0.0, 3.0, None)]
    for body in (
        b'{"resourceMetrics": null}',
        b'{"resourceMetrics": [{"resource": null, "scopeMetrics": null}]}',
        b'{"resourceMetrics": [{"resource": {"attributes": null}, "scopeMetrics": [{"metrics": null}]}]}',
        b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": null}}]}]}]}',
    ):
        assert ingest.take_json(body, at=START) == Taken(points=0)


def test_the_names_of_the_proto_files_are_read_too() -> None:
    ingest = Ingest()
    point: dict[str, Any] = {
        "time_unix_nano": str(nanoseconds(START)),
        "start_time_unix_nano": str(nanoseconds(START - 5)),
    }
    point |= {"bucket_counts": ["1", 2], "explicit_bounds": [0.5], "count": "3", "sum": 1.5}
    point |= {"attributes": [{"key": "a_b", "value": {"string_value": "c_d"}}]}
    metric = {"name": "m_n", "histogram": {"aggregation_temporality": 2, "data_points": [point]}}
    body = {"resource_metrics": [{"scope_metrics": [{"metrics": [metric]}]}]}
    ingest.take_json(json.dumps(body).encode(), at=START)
    assert by_text(ingest.collect(START)) == {
        'm_n_count{a_b="c_d"}': 3.0,
        'm_n_sum{a_b="c_d"}': 1.5,
        'm_n_bucket{a_b="c_d", le="0.5"}': 1.0,
        'm_n_bucket{a_b="c_d", le="+Inf"}': 3.0,
    }


@pytest.mark.parametrize("written", [{"isMonotonic": "false"}, {"aggregationTemporality": [2]}])
def test_what_is_of_another_kind_than_otlp_says_is_malformed(written: dict[str, Any]) -> None:
    sum_of = {"aggregationTemporality": 2, "dataPoints": [{"asInt": "1"}], **written}
    with pytest.raises(MalformedError):
        Ingest().take_json(as_sent({}, gauge=None, sum=sum_of), at=START)


def test_a_clock_that_is_set_right_does_not_stop_its_series() -> None:
    window, ingest = Window(retention_seconds=600), Ingest()
    for tick in range(4):
        ahead = 3600 if tick < 2 else 0
        at = START + 10 * tick
        taken = send(ingest, counter(number(tick, at + ahead, since=START + 3590)), at=at)
        assert (taken.rejected, taken.points) == (0, 1)
        window.append(ingest.collect(at))
    (series,) = window.select([])
    assert series.values[-4:].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert ingest.dropped == {"ahead": 2}


def test_a_dead_sender_whose_clock_was_ahead_is_silent_at_once() -> None:
    ingest = Ingest()
    send(ingest, counter(number(3, START + 7200), temporality=DELTA), at=START)
    assert len(ingest.collect(START + 1)) == 1
    assert not len(ingest.collect(START + 100))


def test_a_histogram_from_the_future_is_one_point() -> None:
    request, point = request_of(
        "histogram", temporality=2, count=2, sum=1.0, explicit_bounds=(0.1, 1.0), bucket_counts=(1, 1, 0)
    )
    point.time_unix_nano = nanoseconds(START + 3600)
    ingest = Ingest()
    ingest.take(request.SerializeToString(), at=START)
    assert ingest.dropped == {"ahead": 1}


def test_when_a_sender_was_heard_of_does_not_depend_on_how_it_writes() -> None:
    said: list[float | None] = []

    class Heard:
        def heard(
            self,
            _job: str,
            _instance: str,
            *,
            at: float,
            newest_at: float | None = None,
            interval_seconds: float | None = None,
            tenant: str = "",
        ) -> None:
            del at, interval_seconds, tenant
            said.append(newest_at)

        def left(self, job: str, instance: str, *, tenant: str = "") -> None:
            """Nobody does."""

    ingest = Ingest(attendance=Heard())
    whole = encoded(data_of(counter(number(3.5, START + 10, kind="a")), resource=SHOP))
    usual = ExportMetricsServiceRequest.FromString(whole).resource_metrics[0].scope_metrics[0].metrics[0].sum
    point = usual.data_points[0].SerializeToString()
    start, time, value, attributes = point[:9], point[9:18], point[18:27], point[27:]
    send(ingest, counter(number(1, START + 5, kind="a")), at=START + 5)
    # Known by its attributes, with the value where the time mostly is.
    ingest.take(whole.replace(point, start + value + time + attributes), at=START + 30)
    assert said == [START + 5, START + 10]


def test_changes_of_what_may_fall_add_up_and_last_while_their_sender_sends() -> None:
    ingest = Ingest()
    inside: dict[str, Any] = {"temporality": DELTA, "rises": False, "name": "inside"}
    send(ingest, counter(number(5, START + 10), **inside), at=START + 10)
    send(ingest, counter(number(-2, START + 20), **inside), at=START + 20)
    send(ingest, gauge(number(1, START + 30)), at=START + 30)
    found = [each for each in told_of(ingest.collect(START + 31)) if each[0] == "inside{}"]
    assert found == [("inside{}", 10.0, 5.0, None), ("inside{}", 20.0, 3.0, None), ("inside{}", 30.0, 3.0, None)]
    assert not len(ingest.collect(START + 60))


def exponential(count: int, *, offset: int, at: float, threshold: float = 0.0) -> bytes:
    request, point = request_of("exponential_histogram", temporality=1, count=count, sum=count, scale=8)
    point.time_unix_nano, point.start_time_unix_nano = nanoseconds(at), nanoseconds(at - 10)
    point.zero_threshold = threshold
    point.positive.offset = offset
    point.positive.bucket_counts.append(count)
    return bytes(request.SerializeToString())


def test_deltas_that_lie_far_apart_add_up_to_as_many_buckets_as_an_sdk_would_keep() -> None:
    ingest = Ingest()
    offsets = (0, 300, -900, 4000, -8000)
    for index, offset in enumerate(offsets):
        at = START + 10 * index
        ingest.take(exponential(2, offset=offset, at=at), at=at)
    last = [sample.value for sample in ingest.collect(START + 40) if isinstance(sample.value, Histogram)][-1]
    indices = last.positive.indices
    assert indices[-1] - indices[0] < 160
    assert (last.count, sum(last.positive.counts)) == (10.0, 10.0)
    # The finest scale at which that holds.
    assert ((4000 >> (7 - last.scale)) - (-8000 >> (7 - last.scale))) >= 160


def test_a_delta_with_another_width_of_the_zero_bucket_counts_in_full() -> None:
    window, ingest = Window(retention_seconds=600), Ingest()
    for tick, (count, threshold) in enumerate(((5, 0.0), (10, 0.0), (20, 0.25), (1, 0.25))):
        at = START + 10 * tick
        ingest.take(exponential(count, offset=3, at=at, threshold=threshold), at=at)
        window.append(ingest.collect(at))
    query = Query("histogram_count(increase(m[25s]))")
    evaluated = query.evaluate(window, START + 30)
    assert isinstance(evaluated, Evaluation)
    (found,) = evaluated.vector
    native = [sample for sample in window.select([])[-1].values if isinstance(sample, Histogram)]
    assert native[-1] == replace(native[-1], count=21.0, positive=Buckets(indices=(4,), counts=(21.0,)))
    assert found.value == pytest.approx(21 * 25 / 20, rel=0.01)


@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA])
def test_what_is_observed_was_not_counted_within_the_moment_before(temporality: Any) -> None:
    # Python's SDK starts it with its first collection; what an application counts itself may be as young, and counts.
    window, ingest = Window(retention_seconds=600), Ingest()
    later = 8_000_000_150 if temporality is CUMULATIVE else 150
    for at, sent, orders in ((START, 8_000_000_000, 3), (START + 15, later, 3)):
        since = START - 0.000_05 if temporality is CUMULATIVE or at == START else START
        sent_bytes = counter(number(sent, at, since=since), name="sent", temporality=temporality)
        own = counter(number(orders, at, since=since), name="orders", temporality=temporality)
        send(ingest, sent_bytes, own, at=at)
        window.append(ingest.collect(at))
    found = {series.labels.metric_name: series.values.tolist() for series in window.select([])}
    assert found["sent_total"] == [8_000_000_000, 8_000_000_150]
    assert found["orders_total"][0] == 0


@pytest.mark.parametrize("together", [True, False])
def test_one_series_as_two_kinds_of_metric_is_taken_as_the_first_of_them(*, together: bool) -> None:
    ingest = Ingest()
    for tick in range(4):
        at = START + 10 * tick
        kinds = (
            counter(number(1000 + tick, at)),
            counter(number(1, at), temporality=DELTA),
            gauge(number(7, at), name="orders_total"),
        )
        taken = [send(ingest, *kinds, at=at)] if together else [send(ingest, kind, at=at) for kind in kinds]
        assert sum(each.rejected for each in taken) == 2
        assert taken[-1].message == f"two kinds of one series: {2 if together else 1}"
    assert [value for _, _, value, _ in told_of(ingest.collect(at))] == [1000.0, 1001.0, 1002.0, 1003.0]
    # A new version of the application has another kind: the old one is not heard of any more.
    taken = [send(ingest, counter(number(1, at + 200), temporality=DELTA), at=at + 200)]
    assert taken[0].rejected == 0
    assert [value for _, _, value, _ in told_of(ingest.collect(at + 200))] == [1.0]
