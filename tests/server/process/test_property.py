"""For any request, what the steps keep is what a plain model keeps, and what is redacted is nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.server.process.making import AT, applied, attributes, counter, process, request, shown

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# A value that is redacted has a mark in it that stands nowhere else.
MARK = "s3cr3t"
VALUES = st.one_of(st.sampled_from(["", "a", "b", "/x"]), st.integers(0, 3), st.booleans())
LABELS = st.dictionaries(st.sampled_from(["http.route", "http_route", "kind", "user"]), VALUES, max_size=3)
SECRET_LABELS = st.dictionaries(
    st.sampled_from(["user.mail", "user_mail", "user-mail"]), st.text("xyz", max_size=3).map(MARK.__add__), max_size=2
)
POINTS = st.lists(st.tuples(LABELS, st.integers(0, 9)), max_size=5)
METRICS = st.lists(st.tuples(st.sampled_from(["orders", "carts", "old.orders"]), POINTS), max_size=4)
Plain = list[tuple[str, dict[str, object], object]]


def made(metrics: list[tuple[str, list[tuple[dict[str, object], int]]]]) -> ExportMetricsServiceRequest:
    sent = request(service_instance_id="web-1")
    for name, points in metrics:
        counter(sent, name, points)
    return sent


def label(labels: dict[str, object], name: str) -> str:
    """A label as rules see it."""
    values = [labels[key] for key in sorted(labels) if key.replace(".", "_") == name]
    return ";".join(str(value).lower() if isinstance(value, bool) else str(value) for value in values)


MODELS = {
    "drop: 'http.route=\"/x\"'": lambda name, labels: label(labels, "http_route") != "/x",
    "keep: 'http_route=~\"a|b\"'": lambda name, labels: label(labels, "http_route") in ("a", "b"),
    "drop: ['orders_total', 'kind!~\"a.*\"']": lambda name, labels: (
        name != "orders" or label(labels, "kind").startswith("a")
    ),
    'keep: \'__name__=~"old.*", user!="1"\'': lambda name, labels: (
        name.startswith("old") and label(labels, "user") != "1"
    ),
    "drop: 'instance=web-1, job=~\".+\", kind=true'": lambda name, labels: label(labels, "kind") != "true",
}


@pytest.mark.parametrize("step", MODELS)
@SETTINGS
@given(metrics=METRICS)
def test_what_is_kept_is_what_a_plain_model_keeps(
    step: str, metrics: list[tuple[str, list[tuple[dict[str, object], int]]]], tmp_path: Path
) -> None:
    steps, keeps, sent = process(tmp_path, f"  - {step}\n"), MODELS[step], made(metrics)
    before = shown(sent)
    expected = [(name, labels, value) for name, labels, value in before if keeps(name, labels)]
    empty = [name for name, points in metrics if not points]
    after = applied(steps, sent)
    assert shown(after) == expected
    assert steps.counts.total() == len(before) - len(expected)
    left = [
        each.name for resource in after.resource_metrics for scope in resource.scope_metrics for each in scope.metrics
    ]
    # A metric that came without a point is nobody's to drop; one that lost its last point is gone.
    assert len(left) >= len(empty)


@SETTINGS
@given(metrics=METRICS, secrets=st.lists(SECRET_LABELS, min_size=6, max_size=6))
def test_what_is_redacted_is_nowhere_in_the_bytes_and_no_count_is_lost(
    metrics: list[tuple[str, list[tuple[dict[str, object], int]]]], secrets: list[dict[str, object]], tmp_path: Path
) -> None:
    sent = made(metrics)
    resource = sent.resource_metrics[0]
    attributes(resource.resource.attributes, secrets[0])
    attributes(resource.scope_metrics[0].scope.attributes, secrets[1])
    for at, each in enumerate(resource.scope_metrics[0].metrics):
        attributes(each.metadata, secrets[2])
        for number, point in enumerate(each.sum.data_points):
            attributes(point.attributes, secrets[(at + number) % 6])
            attributes(point.exemplars.add(as_int=1).filtered_attributes, secrets[3])
    totals = _totals(sent)
    redacted = process(tmp_path, "  - redact: {labels: [user.mail]}\n").take(sent.SerializeToString(), AT)
    assert MARK.encode() not in redacted
    assert _totals(ExportMetricsServiceRequest.FromString(redacted)) == totals


def _totals(sent: ExportMetricsServiceRequest) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, _, value in shown(sent):
        assert isinstance(value, int)
        found[name] = found.get(name, 0) + value
    return found
