"""The built-in rules over measured series: what they count, in each form in which requests can arrive."""

from collections.abc import Iterable

import pytest

from otelmon.histogram import Buckets, Histogram
from otelmon.labels import Labels
from otelmon.promql.evaluation import Evaluation
from otelmon.promql.query import Query
from otelmon.rules.builtin import builtins
from otelmon.sample import Sample
from otelmon.window.window import Window

NAME = "http_server_request_duration_seconds"
END = 600.0
INTERVAL = 15.0
BOTH = ("classic", "native")


def series(labels: dict[str, str], a_second: float, seconds: float, form: str) -> Iterable[Sample]:
    """A cumulative series of requests that took so many seconds each, in one of the forms."""
    index = next(i for i in range(-200, 400) if 2 ** (i / 32) >= seconds)
    base = {"job": "shop", "instance": "web-1", **labels}
    for tick in range(int(END / INTERVAL) + 1):
        at = tick * INTERVAL
        count = a_second * at
        # An exponential histogram comes with its count, as a scrape that keeps the classic series has it.
        yield Sample(labels=Labels({"__name__": f"{NAME}_count", **base}), at=at, value=count, start_at=0.0)
        if form == "native":
            buckets = Buckets(indices=(index,), counts=(count,))
            value = Histogram(count=count, sum=count * seconds, scale=5, positive=buckets)
            yield Sample(labels=Labels({"__name__": NAME, **base}), at=at, value=value, start_at=0.0)
            continue
        for bound in ("0.1", "1.0", "2.5", "+Inf"):
            below = count if float(bound) >= seconds else 0.0
            labelled = Labels({"__name__": f"{NAME}_bucket", **base, "le": bound})
            yield Sample(labels=labelled, at=at, value=below, start_at=0.0)


def fired(rule: str, samples: Iterable[Sample]) -> dict[Labels, float]:
    window = Window(retention_seconds=900.0)
    window.append(sorted(samples, key=lambda sample: sample.at))
    result = Query(builtins()[rule].rule.expr).evaluate(window, END)
    assert isinstance(result, Evaluation), result
    return {element.labels: element.value for element in result.vector if isinstance(element.value, float)}


def requests(*kinds: tuple[dict[str, str], float], forms: Iterable[str], seconds: float = 0.05) -> list[Sample]:
    return [sample for form in forms for labels, rate in kinds for sample in series(labels, rate, seconds, form)]


OK = {"http_response_status_code": "200", "http_route": "/a"}
FORMS = pytest.mark.parametrize("forms", [("classic",), ("native",), BOTH], ids=["classic", "native", "both"])


@FORMS
def test_failing_requests_fire_with_their_share_and_count_once(forms):
    failing = {"http_response_status_code": "500", "error_type": "500", "http_route": "/a"}
    found = fired("error_rate", requests((OK, 9.0), (failing, 1.0), forms=forms))
    assert found == {Labels({"job": "shop"}): pytest.approx(0.1)}


@FORMS
def test_a_missing_status_and_an_exception_after_the_status_are_errors(forms):
    unanswered = {"http_route": "/a"}
    broken = {"http_response_status_code": "200", "error_type": "ValueError", "http_route": "/a"}
    found = fired("error_rate", requests((OK, 8.0), (unanswered, 1.0), (broken, 1.0), forms=forms))
    assert found == {Labels({"job": "shop"}): pytest.approx(0.2)}


@FORMS
def test_client_errors_and_clients_that_hang_up_are_no_errors(forms):
    missing = {"http_response_status_code": "404"}
    closed = {"http_response_status_code": "499"}
    gone = {"http_response_status_code": "200", "error_type": "starlette.requests.ClientDisconnect"}
    assert fired("error_rate", requests((OK, 1.0), (missing, 5.0), (closed, 5.0), (gone, 5.0), forms=forms)) == {}


def test_where_everything_fails_the_share_is_one():
    failing = {"http_response_status_code": "500", "error_type": "ValueError"}
    assert fired("error_rate", requests((failing, 1.0), forms=BOTH)) == {Labels({"job": "shop"}): pytest.approx(1.0)}


def test_less_than_five_errors_page_nobody():
    failing = {"http_response_status_code": "500"}
    assert fired("error_rate", requests((failing, 4 / 300), forms=BOTH)) == {}
    assert fired("error_rate", requests((failing, 5.2 / 300), forms=BOTH)) != {}


@FORMS
def test_a_single_route_fires_by_its_name_while_the_service_looks_well(forms):
    failing = {"http_response_status_code": "500", "http_route": "/pay"}
    samples = requests((OK, 49.0), (failing, 1.0), forms=forms)
    assert fired("error_rate", samples) == {}
    found = fired("route_error_rate", samples)
    assert found == {Labels({"job": "shop", "http_route": "/pay"}): pytest.approx(1.0)}
    few = {"http_response_status_code": "500", "http_route": "/pay"}
    assert fired("route_error_rate", requests((OK, 49.0), (few, 9 / 300), forms=forms)) == {}


@FORMS
def test_slow_requests_fire_in_milliseconds_and_a_handful_does_not(forms):
    slow = requests((OK, 1.0), forms=forms, seconds=2.0)
    ((labels, value),) = fired("response_time", slow).items()
    assert labels == Labels({"job": "shop"})
    assert value == pytest.approx(2000.0, rel=0.02 if "native" in forms else 0.25)
    assert fired("response_time", requests((OK, 19 / 300), forms=forms, seconds=2.0)) == {}
    assert fired("response_time", requests((OK, 5.0), forms=forms, seconds=0.05)) == {}


def gauge(name: str, value: float, **labels: str) -> list[Sample]:
    full = Labels({"__name__": name, "job": "shop", "instance": "web-1", **labels})
    return [Sample(labels=full, at=at * INTERVAL, value=value) for at in range(41)]


def test_each_full_disk_is_an_alert_and_free_space_is_none():
    name, device = "system_filesystem_utilization_ratio", "system_device"
    samples = [
        *gauge(name, 0.9, system_device="/dev/a", system_filesystem_mountpoint="/", system_filesystem_type="ext4"),
        *gauge(name, 0.86, system_device="/dev/b", system_filesystem_mountpoint="/b", system_filesystem_state="used"),
        *gauge(name, 0.99, system_device="/dev/c", system_filesystem_mountpoint="/c", system_filesystem_state="free"),
        *gauge(name, 0.85, system_device="/dev/d", system_filesystem_mountpoint="/d"),
    ]
    found = fired("disk_usage", samples)
    assert {labels[device]: value for labels, value in found.items()} == {
        "/dev/a": pytest.approx(90.0),
        "/dev/b": pytest.approx(86.0),
    }
    assert all(labels["system_filesystem_mountpoint"] and labels["instance"] == "web-1" for labels in found)


def test_memory_is_measured_against_its_limit():
    limit = gauge("otelmon_memory_limit_bytes", 1000.0)
    assert list(fired("memory_usage", [*gauge("otelmon_memory_usage_bytes", 910.0), *limit]).values()) == [91.0]
    assert fired("memory_usage", [*gauge("otelmon_memory_usage_bytes", 890.0), *limit]) == {}
    assert fired("memory_usage", gauge("otelmon_memory_usage_bytes", 890.0)) == {}


def test_processor_time_is_measured_against_the_quota():
    labels = Labels({"__name__": "otelmon_cpu_time_seconds_total", "job": "shop", "instance": "web-1"})
    busy = [Sample(labels=labels, at=at * INTERVAL, value=1.9 * at * INTERVAL, start_at=0.0) for at in range(41)]
    assert list(fired("cpu_usage", [*busy, *gauge("otelmon_cpu_limit", 2.0)]).values()) == [pytest.approx(95.0)]
    assert fired("cpu_usage", [*busy, *gauge("otelmon_cpu_limit", 4.0)]) == {}


def test_each_connection_pool_is_measured_against_its_maximum():
    pool = "db_client_connection_pool_name"
    samples = [
        *gauge("db_client_connection_count", 9.0, **{pool: "orders", "db_client_connection_state": "used"}),
        *gauge("db_client_connection_count", 1.0, **{pool: "orders", "db_client_connection_state": "idle"}),
        *gauge("db_client_connection_max", 10.0, **{pool: "orders"}),
        *gauge("db_client_connection_count", 2.0, **{pool: "users", "db_client_connection_state": "used"}),
        *gauge("db_client_connection_max", 10.0, **{pool: "users"}),
    ]
    found = fired("database_connections", samples)
    assert found == {Labels({"job": "shop", "instance": "web-1", pool: "orders"}): pytest.approx(90.0)}


def test_those_who_wait_for_a_connection_and_those_who_gave_up_count_too():
    pool = {"db_client_connection_pool_name": "shop"}
    used = gauge("db_client_connection_count", 5.0, **pool, db_client_connection_state="used")
    most = gauge("db_client_connection_max", 10.0, **pool)
    waiting = gauge("db_client_connection_pending_requests", 4.0, **pool)
    assert fired("database_connections", [*used, *most]) == {}
    assert list(fired("database_connections", [*used, *most, *waiting]).values()) == [pytest.approx(90.0)]
    labels = Labels({"__name__": "db_client_connection_timeouts_total", "job": "shop", "instance": "web-1", **pool})
    gave_up = [Sample(labels=labels, at=at * INTERVAL, value=float(at)) for at in range(41)]
    found = fired("database_connections", [*used, *most, *waiting, *gave_up])
    assert list(found.values()) == [pytest.approx(130.0)]  # 5 in use, 4 waiting, 4 gave up in the last minute


def test_nothing_fires_where_nothing_is_measured():
    for name in builtins():
        assert fired(name, []) == {}
