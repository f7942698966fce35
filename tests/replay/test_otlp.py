"""Recordings as OTLP/JSON: they become the samples that live data become, and what is wrong in a line is said."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import MetricsData

from otelmon.collect.record import nanoseconds, recording_line
from otelmon.collect.translate import Translation
from otelmon.errors import ConfigError
from otelmon.replay.collection import Collection, LineError
from otelmon.replay.otlp import OtlpReader
from otelmon.replay.recording import MOST_BAD_LINES, Recording
from otelmon.sample import is_stale
from tests.collect.making import data_of
from tests.collect.test_translate import counter, explicit, exponential, gauge, number

AT = 1_767_225_600.25
ATTRIBUTES = [{"key": "service.name", "value": {"stringValue": "shop"}}]


def line(*metrics: dict[str, Any], complete: bool = False) -> str:
    scopes = [{"scope": {"name": "app"}, "metrics": list(metrics)}]
    request: dict[str, Any] = {"resourceMetrics": [{"resource": {"attributes": ATTRIBUTES}, "scopeMetrics": scopes}]}
    return json.dumps(request | ({"completeCollection": True} if complete else {}))


def orders(at: float, value: int, *, start: float | None = 50.0, **point: Any) -> dict[str, Any]:
    written = {"timeUnixNano": str(nanoseconds(at)), "asInt": str(value), **point}
    if start is not None:
        written["startTimeUnixNano"] = str(nanoseconds(start))
    return {"name": "orders", "sum": {"dataPoints": [written], "aggregationTemporality": 2, "isMonotonic": True}}


def told(collections: list[Collection]) -> list[tuple[float, str, object, float | None]]:
    return [(each.at, str(each.labels), each.value, each.start_at) for part in collections for each in part.samples]


def test_a_recorded_line_becomes_the_samples_that_its_data_become() -> None:
    data = data_of(
        counter("orders", number(3, kind="a", ok=True, code=200, share=0.5, tags=["x", "y"])),
        gauge("depth", number(float("inf"))),
        explicit("waited", (0.5, 1.0), (2, 3, 1), 4.5),
        exponential(5, -3, [1, 0, 2]),
    )
    assert isinstance(data, MetricsData)
    resource = data.resource_metrics[0].resource
    written = recording_line(data, None, at=AT, resource=resource, job="shop", instance="host")
    (collection,) = OtlpReader().read(written)
    assert collection.complete
    live = Translation(job="shop", instance="host").samples(data, AT)
    found = {each.labels: each for each in collection.samples}
    assert found.keys() == {each.labels for each in live}
    for each in live:
        assert (found[each.labels].at, found[each.labels].value) == (each.at, each.value)


def test_what_the_official_exporter_sends_reads_as_its_data_do() -> None:
    """As the collector writes it to a file: protobuf's own JSON form of what the exporter encodes."""
    resource = {"service.name": "shop", "service.instance.id": "host", "cloud.region": "x"}
    data = data_of(
        counter("orders", number(3, kind="a", ok=True, code=200, share=0.5)),
        gauge("depth", number(1.5)),
        explicit("waited", (0.5, 1.0), (2, 3, 1), 4.5),
        exponential(5, -3, [1, 0, 2]),
        resource=resource,
    )
    written = MessageToDict(encode_metrics(data))
    (collection,) = OtlpReader().read(json.dumps(written))
    live = {each.labels: each for each in Translation().samples(data, AT)}
    assert {each.labels: each.value for each in collection.samples} == {
        labels: each.value for labels, each in live.items()
    }
    assert not collection.complete


def test_instants_come_back_to_the_last_bit() -> None:
    at = 1_767_225_600.123456
    for _ in range(1000):
        at += 0.0137
        assert nanoseconds(at) / 10**9 == at


def test_what_the_collector_writes_is_read() -> None:
    depth = {"name": "depth", "unit": "1", "gauge": {"dataPoints": [{"timeUnixNano": "100000000000", "asDouble": 0.5}]}}
    found = told(OtlpReader().read(line(orders(100.0, 3), depth)))
    assert found == [
        (100.0, 'orders_total{job="shop"}', 3.0, 50.0),
        (100.0, 'depth_ratio{job="shop"}', 0.5, None),
    ]


def test_a_series_that_comes_later_was_zero_at_the_collection_before() -> None:
    reader = OtlpReader()
    depth = {"name": "depth", "gauge": {"dataPoints": [{"timeUnixNano": "100000000000", "asInt": 1}]}}
    reader.read(line(depth))
    assert told(reader.read(line(orders(115.0, 3)))) == [(115.0, 'orders_total{job="shop"}', 3.0, 100.0)]


def test_a_series_has_ended_where_a_whole_collection_is_without_it() -> None:
    reader = OtlpReader()
    depth = {"name": "depth", "gauge": {"dataPoints": [{"timeUnixNano": "115000000000", "asInt": 1}]}}
    reader.read(line(orders(100.0, 3), complete=True))
    _, (_, ended, value, _) = told(reader.read(line(depth, complete=True)))
    assert ended == 'orders_total{job="shop"}'
    assert isinstance(value, float)
    assert is_stale(value)

    partly = OtlpReader()
    partly.read(line(orders(100.0, 3)))
    assert len(told(partly.read(line(depth)))) == 1


def test_collections_batched_into_one_line_are_taken_apart() -> None:
    metric = orders(100.0, 3)
    metric["sum"]["dataPoints"] += orders(115.0, 4)["sum"]["dataPoints"]
    assert [(at, value) for at, _, value, _ in told(OtlpReader().read(line(metric)))] == [(100.0, 3.0), (115.0, 4.0)]


def test_what_has_no_meaning_for_rules_is_counted() -> None:
    reader = OtlpReader()
    delta = orders(100.0, 3)
    delta["sum"]["aggregationTemporality"] = "AGGREGATION_TEMPORALITY_DELTA"
    summary = {"name": "old", "summary": {"dataPoints": [{}]}}
    assert told(reader.read(line(delta, summary, orders(100.0, 3, flags=1)))) == []
    assert reader.skipped == {"delta": 1, "summaries, which rules cannot use": 1, "points without a value": 1}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('{"resourceMetrics": [', "no JSON"),
        ("[]", 'an object with "resourceMetrics" is expected'),
        ('{"resourceLogs": []}', "resourceLogs: no metrics"),
        (
            line({"name": "orders", "sum": {"dataPoints": [{"asInt": "1"}]}}),
            "orders: a point has no timeUnixNano",
        ),
        (
            line({"name": "orders", "sum": {"dataPoints": [{"timeUnixNano": "1"}]}}),
            "orders: a point has no asInt",
        ),
        (line({"name": "x", "gauge": {"dataPoints": [{"timeUnixNano": "1", "asInt": "a"}]}}), "metric x: it is not as"),
        (line({"name": "x", "gauge": []}), "metric x: it is not as OTLP has it"),
        (line({"gauge": {}}), "a metric without a name"),
        (
            line(
                {"name": "x", "histogram": {"dataPoints": [{"timeUnixNano": "1", "count": 1, "bucketCounts": [1, 2]}]}}
            ),
            "2 bucketCounts for 0 explicitBounds",
        ),
    ],
)
def test_what_is_wrong_in_a_line_is_said(written: str, said: str) -> None:
    with pytest.raises(LineError, match=said.replace("[", r"\[")):
        OtlpReader().read(written)


def test_bad_lines_are_told_with_file_and_line_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.write(f"{line(orders(100.0, 3))}\n\nnonsense\n{line(orders(115.0, 4))}\n")
    recording = Recording(path)
    assert [collection.at for collection in recording.collections()] == [100.0, 115.0]
    assert recording.bad_lines == 1
    assert str(recording.problems[0]).startswith(f"{path}:3: no JSON")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("GET / 200\n" * (MOST_BAD_LINES + 2), encoding="utf-8")
    with pytest.raises(ConfigError, match="more than 1000 lines cannot be read; a recording has OTLP/JSON lines"):
        list(Recording(path).collections())
    with pytest.raises(ConfigError, match="nowhere: cannot be read: No such file"):
        list(Recording(tmp_path / "nowhere").collections())
