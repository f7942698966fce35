from __future__ import annotations

import math

import pytest

from otelmon.collect.names import Kind, bound_label, label_name, label_set, label_value, metric_name

COUNTER, GAUGE, UP_DOWN, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.UP_DOWN, Kind.HISTOGRAM

# Name, unit, kind, Prometheus name. Cases as otlptranslator's own tests have them, and ours.
NAMES = [
    ("http.server.request.duration", "s", HISTOGRAM, "http_server_request_duration_seconds"),
    ("http.server.active_requests", "{request}", UP_DOWN, "http_server_active_requests"),
    ("system.filesystem.utilization", "1", GAUGE, "system_filesystem_utilization_ratio"),
    ("otelmon.memory.usage", "By", GAUGE, "otelmon_memory_usage_bytes"),
    ("otelmon.cpu.time", "s", COUNTER, "otelmon_cpu_time_seconds_total"),
    ("otelmon.cpu.limit", "{cpu}", GAUGE, "otelmon_cpu_limit"),
    ("process.memory.usage", "By", UP_DOWN, "process_memory_usage_bytes"),
    ("otelmon.event_loop.lag", "s", GAUGE, "otelmon_event_loop_lag_seconds"),
    ("http.server.request.body.size", "By", HISTOGRAM, "http_server_request_body_size_bytes"),
    ("db.client.connection.count", "{connection}", UP_DOWN, "db_client_connection_count"),
    ("orders", "", COUNTER, "orders_total"),
    ("orders", "1", COUNTER, "orders_total"),
    ("orders", "{order}", COUNTER, "orders_total"),
    ("orders.total", "", COUNTER, "orders_total"),
    ("orders_total", "1", COUNTER, "orders_total"),
    ("orders.total.placed", "", COUNTER, "orders_placed_total"),
    ("orders.total", "", GAUGE, "orders_total"),
    ("orders.total", "", UP_DOWN, "orders_total"),
    ("queue.length", "", UP_DOWN, "queue_length"),
    ("queue.length", "1", UP_DOWN, "queue_length"),
    ("queue.length", "1", GAUGE, "queue_length_ratio"),
    ("hit.ratio", "1", GAUGE, "hit_ratio"),
    ("ratio.of.hits", "1", GAUGE, "of_hits_ratio"),
    ("hit.ratio", "1", HISTOGRAM, "hit_ratio"),
    ("disk.used", "%", GAUGE, "disk_used_percent"),
    ("disk.used.percent", "%", GAUGE, "disk_used_percent"),
    ("sent", "By", COUNTER, "sent_bytes_total"),
    ("sent.bytes", "By", COUNTER, "sent_bytes_total"),
    ("sent_bytes_total", "By", COUNTER, "sent_bytes_total"),
    ("bytes.sent", "By", COUNTER, "bytes_sent_total"),
    ("speed", "By/s", GAUGE, "speed_bytes_per_second"),
    ("speed", "m/s", GAUGE, "speed_meters_per_second"),
    ("speed.meters", "m/s", GAUGE, "speed_meters_per_second"),
    ("arrivals", "{car}/s", GAUGE, "arrivals_per_second"),
    ("arrivals", "1/s", GAUGE, "arrivals_per_second"),
    ("arrivals", "/s", GAUGE, "arrivals_per_second"),
    ("arrivals", "{car}/{road}", GAUGE, "arrivals"),
    ("arrivals", "{car}/m", GAUGE, "arrivals_per_minute"),
    ("rent", "EUR/mo", GAUGE, "rent_EUR_per_month"),
    ("consumption", "J/h", GAUGE, "consumption_joules_per_hour"),
    ("sleep", "ms", HISTOGRAM, "sleep_milliseconds"),
    ("sleep", "us", HISTOGRAM, "sleep_microseconds"),
    ("sleep", "ns", HISTOGRAM, "sleep_nanoseconds"),
    ("sleep", "min", HISTOGRAM, "sleep_minutes"),
    ("sleep", "h", HISTOGRAM, "sleep_hours"),
    ("sleep", "d", HISTOGRAM, "sleep_days"),
    ("heap", "KiBy", GAUGE, "heap_kibibytes"),
    ("heap", "MiBy", GAUGE, "heap_mebibytes"),
    ("heap", "GiBy", GAUGE, "heap_gibibytes"),
    ("heap", "MBy", GAUGE, "heap_megabytes"),
    ("room", "Cel", GAUGE, "room_celsius"),
    ("clock", "Hz", GAUGE, "clock_hertz"),
    ("mains", "V", GAUGE, "mains_volts"),
    ("mains", "A", GAUGE, "mains_amperes"),
    ("mains", "W", GAUGE, "mains_watts"),
    ("parcel", "g", GAUGE, "parcel_grams"),
    ("flow", "l/min", GAUGE, "flow_l_per_min"),
    ("price", "€", GAUGE, "price"),
    ("odd unit", "a.b-c", GAUGE, "odd_unit_a_b_c"),
    ("padded", " s ", GAUGE, "padded_seconds"),
    ("job:errors:rate5m", "", GAUGE, "job:errors:rate5m"),
    (":leading:colon", "", GAUGE, ":leading:colon"),
    ("a..b--c  d", "", GAUGE, "a_b_c_d"),
    ("a__b", "", GAUGE, "a_b"),
    ("_private.value_", "", GAUGE, "private_value"),
    ("2xx.responses", "", COUNTER, "_2xx_responses_total"),
    ("größe.der.queue", "", GAUGE, "gr_e_der_queue"),
    ("temps/réponse", "s", HISTOGRAM, "temps_r_ponse_seconds"),
    ("Mixed.Case", "", GAUGE, "Mixed_Case"),
    ("数", "", GAUGE, ""),
]


@pytest.mark.parametrize(("name", "unit", "kind", "expected"), NAMES)
def test_a_metric_has_the_name_that_prometheus_gives_it(name: str, unit: str, kind: Kind, expected: str) -> None:
    assert metric_name(name, unit, kind) == expected


@pytest.mark.parametrize(("_name", "unit", "kind", "expected"), [row for row in NAMES if row[3] and row[1].isalnum()])
def test_a_name_that_is_translated_already_stays(_name: str, unit: str, kind: Kind, expected: str) -> None:
    assert metric_name(expected, unit, kind) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("http.route", "http_route"),
        ("http.response.status_code", "http_response_status_code"),
        ("a:b", "a_b"),
        ("a..b", "a_b"),
        ("a__b", "a_b"),
        ("2xx", "key_2xx"),
        ("_private", "key_private"),
        ("__name__", "key_name_"),
        ("größe", "gr_e"),
        ("数", "key_"),
        ("", "key_"),
    ],
)
def test_an_attribute_becomes_a_label_that_prometheus_allows(key: str, expected: str) -> None:
    assert label_name(key) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (True, "true"),
        (False, "false"),
        (200, "200"),
        (1.0, "1"),
        (0.25, "0.25"),
        (math.inf, "inf"),
        (None, ""),
        (b"\x00\xff", "AP8="),
        (("a", 1, True), '["a",1,true]'),
        ({"k": ["é"]}, '{"k":["é"]}'),
    ],
)
def test_the_value_of_a_label_is_text(value: object, expected: str) -> None:
    assert label_value(value) == expected


def test_attributes_that_become_the_same_label_are_joined_in_the_order_of_their_keys() -> None:
    assert label_set({"a_b": "2", "a.b": "1", "a-b": "0"}) == {"a_b": "0;1;2"}
    assert label_set(None) == {}


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (10, "10.0"),
        (0.005, "0.005"),
        (2.5, "2.5"),
        (-1.0, "-1.0"),
        (100_000.0, "100000.0"),
        (1_000_000.0, "1e+06"),
        (1_234_567.0, "1.234567e+06"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (2.5e-7, "2.5e-07"),
        (1e21, "1e+21"),
        (-2.5e7, "-2.5e+07"),
        (1e100, "1e+100"),
        (math.inf, "+Inf"),
    ],
)
def test_bounds_are_written_as_prometheus_writes_le(bound: float, expected: str) -> None:
    assert bound_label(bound) == expected
    assert float(expected.replace("+Inf", "inf")) == bound
