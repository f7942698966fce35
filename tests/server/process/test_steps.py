"""What each step makes of a request: what is kept, what it is called, what nobody gets to see."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from otelmon.config.process import ProcessSettings
from otelmon.faults import Faults
from otelmon.server.process.process import Process
from tests.server.process.making import (
    AT,
    applied,
    attributes,
    counter,
    histogram,
    only_points,
    process,
    request,
    shown,
)


def test_without_steps_the_bytes_pass_as_they_are() -> None:
    body = b"not even a request"
    assert Process(ProcessSettings(), faults=Faults()).take(body, AT) is body


@pytest.mark.parametrize("name", ["http.route", "http_route"])
def test_points_are_dropped_by_a_label_in_either_spelling(name: str, tmp_path: Path) -> None:
    sent = request()
    counter(sent, "orders", [({"http.route": "/health"}, 1), ({"http.route": "/pay"}, 2), ({}, 3)])
    steps = process(tmp_path, f"  - drop: '{name}=\"/health\"'\n")
    assert shown(applied(steps, sent)) == [("orders", {"http.route": "/pay"}, 2), ("orders", {}, 3)]
    assert steps.counts == {(1, "drop"): 1}


@pytest.mark.parametrize(
    "name", ["http.server.duration", "http_server_duration_seconds", "http_server_duration_seconds_bucket"]
)
def test_a_metric_is_dropped_by_any_of_its_names_and_nothing_of_it_stays(name: str, tmp_path: Path) -> None:
    sent = request()
    histogram(sent, "http.server.duration", [({}, [1, 2]), ({"a": "b"}, [3, 4])])
    assert len(applied(process(tmp_path, f"  - drop: {name}\n"), sent).resource_metrics) == 0


def test_what_is_kept_is_kept_by_matchers_of_metric_job_and_label_together(tmp_path: Path) -> None:
    sent = request(service_namespace="eu")
    counter(sent, "orders", [({"kind": "a"}, 1), ({"kind": "b"}, 2)])
    counter(sent, "carts", [({"kind": "a"}, 3)])
    steps = process(tmp_path, "  - keep: ['__name__=\"orders_total\"', 'kind=a, job=\"eu/shop\"']\n")
    assert shown(applied(steps, sent)) == [("orders", {"kind": "a"}, 1)]


def test_a_negative_matcher_of_a_name_holds_where_none_of_the_names_is_that(tmp_path: Path) -> None:
    sent = request()
    histogram(sent, "wait", [({}, [1, 2])])
    counter(sent, "orders", [({}, 1)])
    steps = process(tmp_path, "  - drop: ['__name__!=wait_seconds_count', 'job=shop']\n")
    assert [name for name, _, _ in shown(applied(steps, sent))] == ["wait"]


def test_a_metric_gets_another_name_by_either_of_its_own(tmp_path: Path) -> None:
    sent = request()
    counter(sent, "old.name", [({}, 1)])
    counter(sent, "other", [({}, 2)])
    steps = process(
        tmp_path, "  - rename: {metric: old_name_total, to: new.name}\n  - rename: {metric: new.name, to: n}\n"
    )
    assert shown(applied(steps, sent)) == [("n", {}, 1), ("other", {}, 2)]


def test_a_label_gets_another_name_and_series_that_become_one_are_summed(tmp_path: Path) -> None:
    sent = request()
    counter(sent, "orders", [({"userid": 7}, 1), ({"user.id": 7}, 2), ({"user.id": 8}, 4)])
    steps = process(tmp_path, "  - rename: {label: userid, to: user.id}\n")
    assert shown(applied(steps, sent)) == [("orders", {"user.id": 7}, 3), ("orders", {"user.id": 8}, 4)]


def test_a_renamed_label_takes_the_place_of_one_that_has_the_name(tmp_path: Path) -> None:
    sent = request()
    counter(sent, "orders", [({"a": "1", "b": "2"}, 1)])
    assert shown(applied(process(tmp_path, "  - rename: {label: a, to: b}\n"), sent)) == [("orders", {"b": "1"}, 1)]


def test_redacting_leaves_the_value_nowhere_and_sums_what_is_one_series_then(tmp_path: Path) -> None:
    secret = "ada@example.com"
    sent = request(user_mail=secret)
    attributes(sent.resource_metrics[0].scope_metrics[0].scope.attributes, {"user.mail": secret})
    made = counter(sent, "orders", [({"user.mail": secret, "k": "a"}, 1), ({"user.mail": "bo", "k": "a"}, 2)])
    attributes(made.metadata, {"user_mail": secret})
    exemplar = made.sum.data_points[0].exemplars.add(as_int=1)
    attributes(exemplar.filtered_attributes, {"user.mail": secret})
    steps = process(tmp_path, "  - redact: {labels: [user.mail]}\n")
    assert secret.encode() not in steps.take(sent.SerializeToString(), AT)
    assert shown(applied(steps, sent)) == [("orders", {"user.mail": "[redacted]", "k": "a"}, 3)]
    assert steps.counts[1, "redact"] == 4


def test_redacting_by_matchers_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    sent = request()
    counter(sent, "orders", [({"user": "ada", "k": "a"}, 1), ({"user": "ada", "k": "b"}, 2)])
    steps = process(tmp_path, "  - redact: {labels: [user], match: 'k=a', with: '***'}\n")
    assert shown(applied(steps, sent)) == [
        ("orders", {"user": "***", "k": "a"}, 1),
        ("orders", {"user": "ada", "k": "b"}, 2),
    ]


def test_histograms_that_become_one_series_are_summed_bucket_by_bucket(tmp_path: Path) -> None:
    sent = request()
    made = histogram(sent, "wait", [({"user": "a"}, [1, 0, 2]), ({"user": "b"}, [4, 5, 0])])
    made.histogram.data_points[0].min, made.histogram.data_points[1].min = 0.5, 0.25
    (point,) = only_points(applied(process(tmp_path, "  - redact: {labels: [user]}\n"), sent))
    assert (list(point.bucket_counts), point.count, point.sum, point.min) == ([5, 5, 2], 12, 12.0, 0.25)
    assert not point.HasField("max")


def test_exponential_histograms_that_become_one_are_summed_at_the_coarser_scale(tmp_path: Path) -> None:
    sent = request()
    made = counter(sent, "wait", [])
    for user, scale, offset, counts in (("a", 1, 2, [1, 2, 3]), ("b", 0, 0, [10, 20])):
        point = made.exponential_histogram.data_points.add(scale=scale, count=sum(counts), time_unix_nano=1)
        point.positive.offset = offset
        point.positive.bucket_counts[:] = counts
        attributes(point.attributes, {"user": user})
    (point,) = only_points(applied(process(tmp_path, "  - redact: {labels: [user]}\n"), sent))
    # Indices 2, 3, 4 at scale 1 are 1, 1, 2 at scale 0.
    assert (point.scale, point.positive.offset, list(point.positive.bucket_counts)) == (0, 0, [10, 23, 3])


def test_exponential_histograms_far_apart_are_merged_without_millions_of_zeros(tmp_path: Path) -> None:
    sent = request()
    made = counter(sent, "wait", [])
    for user, offset in (("a", -(2**31)), ("b", 2**31 - 1)):
        point = made.exponential_histogram.data_points.add(scale=20, count=1)
        point.positive.offset = offset
        point.positive.bucket_counts[:] = [1]
        attributes(point.attributes, {"user": user})
    (point,) = only_points(applied(process(tmp_path, "  - redact: {labels: [user]}\n"), sent))
    assert point.count == sum(point.positive.bucket_counts) == 2
    assert len(point.positive.bucket_counts) <= 4096


def test_the_same_series_measured_at_two_times_is_not_summed(tmp_path: Path) -> None:
    sent = request()
    made = counter(sent, "orders", [({"user": "a"}, 1), ({"user": "a"}, 2)])
    made.sum.data_points[1].time_unix_nano += 10**9
    after = applied(process(tmp_path, "  - redact: {labels: [user]}\n"), sent)
    assert [point.as_int for point in only_points(after)] == [1, 2]


def test_counts_beyond_what_there_is_room_for_are_not_summed_but_nothing_breaks(tmp_path: Path) -> None:
    sent = request()
    made = histogram(sent, "wait", [({"user": "a"}, [1, 1]), ({"user": "b"}, [1, 1])])
    for point in made.histogram.data_points:
        point.bucket_counts[0] = 2**64 - 1
    (point,) = only_points(applied(process(tmp_path, "  - redact: {labels: [user]}\n"), sent))
    assert list(point.bucket_counts) == [2**64 - 1, 1]


def test_attributes_of_the_resource_become_labels_of_points_that_have_none_of_the_name(tmp_path: Path) -> None:
    sent = request(cloud_region="eu-1", other="x")
    counter(sent, "orders", [({}, 1), ({"cloud_region": "mine"}, 2)])
    steps = process(tmp_path, "  - promote: [cloud.region, k8s.pod.name]\n  - drop: 'cloud_region=\"mine\"'\n")
    assert shown(applied(steps, sent)) == [("orders", {"cloud.region": "eu-1"}, 1)]
    assert steps.counts == {(1, "promote"): 1, (2, "drop"): 1}


def test_a_metric_with_too_many_series_keeps_the_first_and_is_named_once_with_the_label_to_blame(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    steps = process(tmp_path, "  - limit: {series: 3}\n")
    with caplog.at_level(logging.ERROR, "otelmon"):
        for at in range(3):
            sent = request(service_instance_id="web-1")
            counter(sent, "orders", [({"user": f"u{n}", "kind": "ab"[n % 2]}, n) for n in range(10)])
            counter(sent, "few", [({}, 1)])
            assert [value for _, _, value in shown(applied(steps, sent, AT + at))] == [0, 1, 2, 1]
    (offender,) = steps.offenders()
    assert (offender.metric, offender.label, offender.values, offender.refused) == ("orders_total", "user", 10, 21)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "orders_total has more than 3 series; user has 10 values; further ones are dropped" in said


def test_series_that_nobody_sends_any_more_make_room(tmp_path: Path) -> None:
    steps = process(tmp_path, "  - limit: {series: 2, match: orders_total}\n")

    def passed(at: float, *users: str) -> list[object]:
        sent = request()
        counter(sent, "orders", [({"user": user}, 1) for user in users])
        counter(sent, "free", [({"user": user}, 1) for user in "abcdef"])
        return [labels["user"] for name, labels, _ in shown(applied(steps, sent, at)) if name == "orders"]

    assert passed(AT, "a", "b", "c") == ["a", "b"]
    assert passed(AT + 600, "b", "c") == ["b"]
    assert passed(AT + 1000, "b", "c", "d") == ["b", "c"]


def test_limits_hold_a_metric_over_all_instances(tmp_path: Path) -> None:
    steps = process(tmp_path, "  - limit: {series: 2}\n")
    for instance, kept in (("a", 1), ("b", 1), ("c", 0), ("a", 1)):
        sent = request(service_instance_id=instance)
        counter(sent, "orders", [({}, 1)])
        assert len(shown(applied(steps, sent))) == kept
