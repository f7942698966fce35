"""What becomes of the points that clients send: order, starts, deltas, bounds."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics.export import Histogram, HistogramDataPoint, Metric

from otelmon.collect.ingest import Ingest
from otelmon.collect.limits import IngestLimits, MalformedError, OverloadedError
from otelmon.collect.senders import INTERVAL
from otelmon.window.window import Window
from tests.collect.making import START, data_of
from tests.collect.sending import DELTA, SHOP, as_json, counter, encoded, gauge, nanoseconds, number, send, told

ORDERS = "orders_total{}"


class Heard:
    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def heard(
        self,
        job: str,
        instance: str,
        *,
        at: float,
        newest_at: float | None = None,
        interval_seconds: float | None = None,
        tenant: str = "",
    ) -> None:
        self.said.append((*([tenant] if tenant else []), job, instance, at, newest_at, interval_seconds))

    def left(self, job: str, instance: str, *, tenant: str = "") -> None:
        self.said.append(("left", *([tenant] if tenant else []), job, instance))


def histogram(counts: tuple[int, ...], bounds: tuple[float, ...], at: float, *, temporality: Any = DELTA) -> Metric:
    point = HistogramDataPoint(
        attributes={},
        start_time_unix_nano=nanoseconds(START),
        time_unix_nano=nanoseconds(at),
        count=sum(counts),
        sum=1.5,
        bucket_counts=counts,
        explicit_bounds=bounds,
        min=0,
        max=9,
    )
    return Metric("took", "", "s", Histogram(data_points=[point], aggregation_temporality=temporality))


def test_a_point_is_at_its_own_time_and_says_once_since_when_it_counts() -> None:
    ingest = Ingest()
    send(ingest, counter(number(3, START + 10)), at=START + 11)
    send(ingest, counter(number(5, START + 20)), at=START + 21)
    assert told(ingest.collect(START + 25)) == [(ORDERS, 10.0, 3.0, 0.0), (ORDERS, 20.0, 5.0, None)]
    assert told(ingest.collect(START + 30)) == []


def test_a_restart_is_a_new_start_even_where_the_count_is_higher() -> None:
    ingest = Ingest()
    send(ingest, counter(number(3, START + 10)), at=START + 10)
    send(ingest, counter(number(7, START + 20, since=START + 12)), at=START + 20)
    assert told(ingest.collect(START + 20)) == [(ORDERS, 10.0, 3.0, 0.0), (ORDERS, 20.0, 7.0, 12.0)]


def test_a_start_that_is_the_time_itself_is_not_known() -> None:
    ingest = Ingest()
    send(ingest, counter(number(500, START + 10, since=START + 10)), at=START + 10)
    send(ingest, counter(number(501, START + 20, since=START + 10)), at=START + 20)
    assert told(ingest.collect(START + 20)) == [(ORDERS, 10.0, 500.0, None), (ORDERS, 20.0, 501.0, None)]


def test_the_first_error_counts_where_an_sdk_starts_every_series_with_the_process() -> None:
    ingest = Ingest()
    long_ago = START - 36_000
    for tick in (0, 10, 20):
        send(ingest, counter(number(900 + tick, START + tick, since=long_ago, status=200)), at=START + tick)
    both = number(930, START + 30, since=long_ago, status=200), number(1, START + 30, since=long_ago, status=500)
    send(ingest, counter(*both), at=START + 30)
    assert ('orders_total{status="500"}', 30.0, 1.0, 20.0) in told(ingest.collect(START + 30))


def test_a_metric_seen_for_the_first_time_has_no_other_start_than_its_own() -> None:
    # After a restart of the server every series is new to it, and most of what they count is old.
    ingest = Ingest()
    send(ingest, counter(number(900, START, since=START - 36_000, status=200)), at=START)
    send(ingest, counter(number(40, START + 10, since=START - 36_000, status=500)), at=START + 10)
    assert [start for *_, start in told(ingest.collect(START + 10))] == [-36_000.0, -36_000.0]


def test_duplicates_are_dropped_without_a_word_to_the_client_and_older_points_with_one() -> None:
    ingest = Ingest()
    twice = counter(number(3, START + 10), number(3, START + 10), number(2, START + 5))
    taken = send(ingest, twice, at=START + 10)
    assert (taken.points, taken.rejected) == (3, 0)
    taken = send(ingest, counter(number(1, START + 7), number(3, START + 10)), at=START + 12)
    assert (taken.points, taken.rejected, taken.message) == (1, 1, "out of order: 1")
    assert told(ingest.collect(START + 20)) == [(ORDERS, 5.0, 2.0, 0.0), (ORDERS, 10.0, 3.0, None)]
    assert ingest.dropped == {"duplicate": 2, "out of order": 1}


def test_two_scopes_with_one_series_count_once() -> None:
    ingest = Ingest()
    request = ExportMetricsServiceRequest.FromString(encoded(data_of(gauge(number(1, START)), resource=SHOP)))
    request.MergeFromString(encoded(data_of(gauge(number(2, START)), resource=SHOP, scope="other")))
    ingest.take(request.SerializeToString(), at=START)
    assert told(ingest.collect(START)) == [("depth{}", 0.0, 1.0, None)]


def test_a_point_from_long_ago_is_rejected_and_one_from_the_future_is_one_of_now() -> None:
    ingest = Ingest()
    taken = send(ingest, gauge(number(1, START - 601)), at=START)
    assert (taken.points, taken.rejected, taken.message) == (0, 1, "late: 1")
    taken = send(ingest, gauge(number(2, START + 3600)), at=START)
    assert (taken.points, taken.rejected, taken.message) == (1, 0, "")
    assert told(ingest.collect(START)) == [("depth{}", 0.0, 2.0, None)]
    assert ingest.dropped == {"late": 1, "ahead": 1}


def test_a_clock_that_is_ahead_keeps_the_order_of_its_points() -> None:
    ingest = Ingest()
    for tick in range(3):
        send(ingest, counter(number(tick, START + 7200 + tick, since=START + 7199)), at=START + tick)
    assert told(ingest.collect(START + 3)) == [
        (ORDERS, 0.0, 0.0, -1.0),
        (ORDERS, 1.0, 1.0, None),
        (ORDERS, 2.0, 2.0, None),
    ]


def test_two_processes_that_count_one_series_do_not_reset_each_other() -> None:
    ingest = Ingest()
    for tick in range(4):
        since = START - 100 * (tick % 2)
        send(ingest, counter(number(1000 * (tick % 2) + tick, START + 10 * tick, since=since)), at=START + 10 * tick)
    assert [value for _, _, value, _ in told(ingest.collect(START + 40))] == [0.0, 2.0]
    assert ingest.dropped == {"two senders": 2}
    # Once nobody counts from the newer start any more, the older one goes on.
    send(ingest, counter(number(1007, START + 200, since=START - 100)), at=START + 200)
    assert len(ingest.collect(START + 200)) == 1


def test_deltas_add_up_and_the_first_counts_too() -> None:
    ingest = Ingest()
    for tick, value in ((10, 3), (20, 4), (40, 1)):
        since = START + tick - 10
        send(ingest, counter(number(value, START + tick, since=since), temporality=DELTA), at=START + tick)
    samples = told(ingest.collect(START + 40))
    assert samples == [(ORDERS, 10.0, 3.0, 0.0), (ORDERS, 20.0, 7.0, None), (ORDERS, 40.0, 8.0, None)]


def test_an_idle_delta_series_goes_on_as_a_cumulative_one_would_while_its_sender_sends() -> None:
    ingest = Ingest()
    orders = counter(number(3, START + 10), temporality=DELTA)
    send(ingest, orders, gauge(number(1, START + 10)), at=START + 10)
    ingest.collect(START + 12)
    send(ingest, gauge(number(1, START + 20)), at=START + 20)
    assert told(ingest.collect(START + 22)) == [("depth{}", 20.0, 1.0, None), (ORDERS, 20.0, 3.0, None)]
    # What comes for that time all the same, in another request, is not lost.
    send(ingest, counter(number(2, START + 20, since=START + 10), temporality=DELTA), at=START + 20.5)
    assert told(ingest.collect(START + 23)) == [(ORDERS, 20.001, 5.0, None)]
    assert told(ingest.collect(START + 33)) == []


def test_after_a_restart_of_the_server_deltas_are_no_less_than_they_were() -> None:
    window = Window(retention_seconds=600)
    for begin, value in ((START, 5), (START + 10, 7)):
        ingest = Ingest()  # a new process each time; the window was restored
        send(ingest, counter(number(value, begin + 10, since=begin), temporality=DELTA), at=begin + 10)
        window.append(ingest.collect(begin + 10))
    ((series),) = window.select([])
    assert series.values.tolist() == [0.0, 5.0, 0.0, 7.0]


def test_delta_histograms_add_up_bucket_by_bucket() -> None:
    ingest = Ingest()
    send(ingest, histogram((1, 0, 2), (0.1, 1.0), START + 10), at=START + 10)
    send(ingest, histogram((0, 3, 0), (0.1, 1.0), START + 20), at=START + 20)
    last = {series: value for series, _, value, _ in told(ingest.collect(START + 20))}
    assert last == {
        "took_seconds_count{}": 6.0,
        "took_seconds_sum{}": 3.0,
        'took_seconds_bucket{le="0.1"}': 1.0,
        'took_seconds_bucket{le="1.0"}': 4.0,
        'took_seconds_bucket{le="+Inf"}': 6.0,
    }


def test_buckets_that_a_histogram_has_no_longer_end() -> None:
    ingest = Ingest()
    send(ingest, histogram((1, 1), (0.5,), START + 10), at=START + 10)
    ingest.collect(START + 10)
    send(ingest, histogram((1, 1), (1.0,), START + 20), at=START + 20)
    found = {series: value for series, _, value, _ in told(ingest.collect(START + 20))}
    assert found['took_seconds_bucket{le="0.5"}'] == "stale"
    assert found['took_seconds_bucket{le="1.0"}'] == 1.0


def test_a_point_without_a_recorded_value_ends_its_series() -> None:
    ingest = Ingest()
    send(ingest, gauge(number(1, START)), at=START)
    request = ExportMetricsServiceRequest.FromString(encoded(data_of(gauge(number(1, START + 10)), resource=SHOP)))
    point = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    point.ClearField("as_int")
    point.flags = 1
    for body, at in ((request.SerializeToString(), START + 10),):
        assert ingest.take(body, at=at).rejected == 0
    assert told(ingest.collect(START + 10)) == [("depth{}", 0.0, 1.0, None), ("depth{}", 10.0, "stale", None)]


def test_a_summary_is_what_prometheus_has() -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="rpc", unit="s")
    point = metric.summary.data_points.add(
        start_time_unix_nano=nanoseconds(START), time_unix_nano=nanoseconds(START + 5), count=4, sum=2.5
    )
    point.quantile_values.add(quantile=0.99, value=1.5)
    point.quantile_values.add(quantile=1, value=2.0)
    expected = [
        ("rpc_seconds_count{}", 5.0, 4.0, 0.0),
        ("rpc_seconds_sum{}", 5.0, 2.5, 0.0),
        ('rpc_seconds{quantile="0.99"}', 5.0, 1.5, 0.0),
        ('rpc_seconds{quantile="1"}', 5.0, 2.0, 0.0),
    ]
    body = request.SerializeToString()
    for take, written in (("take", body), ("take_json", as_json(body))):
        ingest = Ingest()
        getattr(ingest, take)(written, at=START + 5)
        assert told(ingest.collect(START + 5)) == expected


def test_more_series_than_a_sender_may_have_are_rejected_and_those_that_exist_go_on() -> None:
    ingest = Ingest(limits=IngestLimits(series_per_sender=2))
    for tick in range(2):
        points = [number(1, START + tick, route=str(each)) for each in range(5)]
        taken = send(ingest, gauge(*points), at=START + tick)
        assert (taken.points, taken.rejected, taken.message) == (2, 3, "too many series of one client: 3")
    assert (ingest.overflowed, ingest.series, len(ingest.collect(START + 2))) == (6, 2, 4)
    other = {"service.name": "cart", "service.instance.id": "i-2"}
    assert send(ingest, gauge(number(1, START)), at=START, resource=other).rejected == 0


def test_too_many_attributes_and_too_long_ones_are_rejected() -> None:
    ingest = Ingest()
    wide = number(1, START, **{f"a{each}": "x" for each in range(129)})
    long = number(1, START, text="x" * 10_000)
    taken = send(ingest, gauge(wide, long, number(1, START)), at=START)
    assert (taken.points, taken.rejected) == (1, 2)
    assert taken.message == "too many attributes, or too long ones: 2"
    wide_resource = {f"a{each}": "x" for each in range(129)}
    for resource in ({"text": "x" * 10_000}, wide_resource):
        taken = send(ingest, gauge(number(1, START)), at=START, resource=resource)
        assert (taken.points, taken.rejected) == (0, 1)
    assert ingest.series == 1


def several(count: int, job: str, instance: str = "i", **how: str) -> tuple[Metric, dict[str, str]]:
    points = [number(1, START, k=str(each), **how) for each in range(count)]
    return gauge(*points), {"service.name": job, "service.instance.id": instance}


def test_one_service_cannot_take_all_series_from_the_others_however_many_instances_it_has(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ingest = Ingest(limits=IngestLimits(series=100, share=0.5, series_per_sender=25))
    for instance in range(10):
        metric, resource = several(30, "greedy", f"i-{instance}")
        send(ingest, metric, at=START, resource=resource)
    assert ingest.series == 50
    metric, resource = several(20, "modest")
    assert send(ingest, metric, at=START, resource=resource).rejected == 0
    assert ingest.overflowed == 300 - 50
    (said,) = caplog.messages
    assert "data points of 'greedy': it has as many series as one client may have" in said
    # What it no longer sends makes room for it again.
    ingest.collect(START)
    ingest.collect(START + 4000)
    metric, resource = several(20, "greedy", "new")
    assert send(ingest, metric, at=START + 4000, resource=resource).message == "late: 20"
    assert ingest.series == 20


def test_one_tenant_cannot_take_all_series_from_the_others_however_many_services_it_names() -> None:
    ingest = Ingest(limits=IngestLimits(series=100, tenant_share=0.4, senders=100))
    for number_ in range(10):
        metric, resource = several(10, f"s-{number_}")
        ingest.take(encoded(data_of(metric, resource=resource)), at=START, tenant="a")
    assert ingest.series == 40
    metric, resource = several(40, "s-1")
    assert ingest.take(encoded(data_of(metric, resource=resource)), at=START, tenant="b").rejected == 0
    assert ingest.take(encoded(data_of(metric, resource=resource)), at=START).points == 20


def test_one_service_cannot_take_all_metrics_and_resources_from_the_others() -> None:
    ingest = Ingest(limits=IngestLimits(series=10, senders=10, share=0.5))
    useless = [number(1, START, **{f"a{each}": "x" for each in range(129)})]
    for each in range(20):
        resource = {"service.name": "greedy", "service.instance.id": f"i-{each}"}
        send(ingest, gauge(*useless, name=f"m{each}"), at=START, resource=resource)
    assert send(ingest, gauge(number(1, START)), at=START).rejected == 0


def test_what_was_not_sent_for_long_is_forgotten_and_makes_room() -> None:
    ingest = Ingest(limits=IngestLimits(series=1, forget_seconds=60))
    assert send(ingest, gauge(number(1, START, k="a")), at=START).rejected == 0
    ingest.collect(START)
    assert send(ingest, gauge(number(1, START + 1, k="b")), at=START + 1).rejected == 1
    ingest.collect(START + 120)
    assert ingest.series == 0
    assert send(ingest, gauge(number(1, START + 121, k="b")), at=START + 121).rejected == 0
    assert told(ingest.collect(START + 122)) == [('depth{k="b"}', 121.0, 1.0, None)]


def test_a_server_that_does_not_evaluate_refuses_what_it_cannot_keep() -> None:
    ingest = Ingest(limits=IngestLimits(waiting=10))
    for tick in range(11):
        send(ingest, gauge(number(1, START + tick)), at=START + tick)
    with pytest.raises(OverloadedError):
        send(ingest, gauge(number(1, START + 20)), at=START + 20)
    assert len(ingest.collect(START + 20)) == 11
    assert send(ingest, gauge(number(1, START + 21)), at=START + 21).points == 1


def test_the_instance_is_its_id_or_else_the_pod_or_the_host_and_a_tenant_is_a_label() -> None:
    for resource, instance in (
        ({"service.instance.id": "i", "host.name": "h"}, "i"),
        ({"k8s.pod.name": "p", "host.name": "h"}, "p"),
        ({"host.name": "h"}, "h"),
    ):
        ingest = Ingest()
        body = encoded(data_of(gauge(number(1, START)), resource={"service.name": "shop", **resource}))
        ingest.take(body, at=START, tenant="team-a")
        labels = [dict(sample.labels) for sample in ingest.collect(START)]
        assert labels[0] == {"__name__": "depth", "job": "shop", "instance": instance, "tenant": "team-a"}


def test_who_sends_is_told_and_who_says_farewell() -> None:
    heard = Heard()
    ingest = Ingest(attendance=heard)
    for tick, running in ((0, 1), (10, 0)):
        send(ingest, gauge(number(running, START + tick), name="otelmon.running"), at=START + tick + 1)
    shop = ("shop", "i-1")
    first, last = (*shop, START + 1, START, None), (*shop, START + 11, START + 10, None)
    assert heard.said == [first, last, ("left", *shop)]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(15.0, 15.0), (5, 5.0), (0.0, None), (-1.0, None), (math.inf, None), (math.nan, None), ("15", None), (True, None)],
)
def test_how_often_a_client_sends_is_told_where_it_says_so_and_is_no_label(said: Any, seconds: float | None) -> None:
    heard = Heard()
    ingest = Ingest(attendance=heard)
    send(ingest, gauge(number(1, START)), at=START + 1, resource={**SHOP, INTERVAL: said})
    ((*_, found),) = heard.said
    assert found == seconds
    assert "otelmon_interval" not in {name for sample in ingest.collect(START + 2) for name in sample.labels}


def test_nothing_of_a_request_that_is_cut_short_is_taken() -> None:
    whole = encoded(data_of(gauge(number(1, START), number(2, START, k="v")), resource=SHOP))
    for length in range(1, len(whole)):
        ingest = Ingest()
        with pytest.raises(MalformedError):
            ingest.take(whole[:length], at=START)
        assert not len(ingest.collect(START))
    for text in (b"", b"{", b"[]", b"7", b'{"resourceMetrics": 7}', b'{"resourceMetrics": [[]]}', b"[" * 100_000):
        with pytest.raises(MalformedError):
            Ingest().take_json(text, at=START)


def test_points_of_one_series_without_end_cost_no_more_than_they_may() -> None:
    ingest = Ingest()
    taken = send(ingest, gauge(*(number(1, START + each / 1000) for each in range(2000))), at=START)
    assert (taken.points, taken.rejected) == (256, 1744)


def test_the_clock_jumps_and_what_comes_next_is_taken() -> None:
    window, ingest = Window(retention_seconds=600), Ingest()
    send(ingest, counter(number(3, START + 10)), at=START + 10)
    window.append(ingest.collect(START + 10))
    window.shift(-5.0)
    ingest.shift(-5.0)
    send(ingest, counter(number(4, START + 12)), at=START + 12)
    window.append(ingest.collect(START + 12))
    assert (window.out_of_order, window.select([])[0].values.tolist()) == (0, [0.0, 3.0, 4.0])


def test_a_point_is_the_same_in_whatever_order_its_fields_are_written() -> None:
    # Known by its attributes already, so that it would be cut out by places that are not as usual.
    request = ExportMetricsServiceRequest.FromString(
        encoded(data_of(counter(number(3.5, START + 10, kind="a")), resource=SHOP))
    )
    usual = request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].SerializeToString()
    assert (usual[0], usual[9], usual[18], usual[27]) == (0x11, 0x19, 0x21, 0x3A)
    fields = usual[:9], usual[9:18], usual[18:27], usual[27:]
    whole = request.SerializeToString()
    for order in permutations(fields):
        ingest = Ingest()
        send(ingest, counter(number(1, START + 5, kind="a")), at=START + 5)
        taken = ingest.take(whole.replace(usual, b"".join(order)), at=START + 10)
        assert (taken.points, taken.rejected) == (1, 0)
        series = 'orders_total{kind="a"}'
        assert told(ingest.collect(START + 10)) == [(series, 5.0, 1.0, 0.0), (series, 10.0, 3.5, None)]
