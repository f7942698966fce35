"""What an app sends to its server, and what it makes of the answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otelmon.clock import SystemClock
from otelmon.collect.collector import Collector
from otelmon.collect.ingest import Ingest
from otelmon.collect.otlp import Signal
from otelmon.collect.senders import INTERVAL
from otelmon.config.load import load_settings
from otelmon.faults import Faults
from otelmon.instrument.model import Traffic
from otelmon.instrument.recorder import RequestRecorder
from otelmon.runtime.client import Client
from otelmon.runtime.hand_over import HandOver
from otelmon.server.arrivals import ReceiverSettings
from otelmon.server.receiver import Receiver
from tests.collect.receiver import Received, http_receiver


def connected(folder: Path, received: Received, faults: Faults) -> tuple[Client, HandOver]:
    environ = {"OTEL_SERVICE_NAME": "shop", "OTELMON_ENDPOINT": received.url, "OTELMON_TOKEN": "a-token", "HOME": "/"}
    (folder / "otelmon.yaml").write_text("instance: web-1\ninterval: 1s\n", encoding="utf-8")
    settings = load_settings(None, environ=environ, directory=folder)
    assert settings.client is not None
    hand_over = HandOver(server=settings.client.url, interval_seconds=1.0, lookbacks=dict)
    return Client(settings, settings.client, hand_over, clock=SystemClock(), faults=faults), hand_over


def measured() -> Collector:
    recorder = RequestRecorder(start_at=1.0)
    lane = recorder.lane(Traffic.REQUEST, "GET", "http")
    for _ in range(3):
        lane.begin()
        lane.end("/items", 200, "", 0.02)
    collector = Collector(None, recorder=recorder, job="shop", instance="web-1")
    collector.count(SystemClock().now())
    return collector


def test_a_process_sends_what_it_counted_under_a_name_of_its_own_and_says_farewell(tmp_path: Path) -> None:
    with http_receiver() as received:
        client, _ = connected(tmp_path, received, Faults())
        client.send(measured().finest)
        client.say_farewell(measured().finest)
        first, last = received.requests
        (resource,) = first.resource_metrics
        named = {each.key: each.value.string_value for each in resource.resource.attributes}
        assert named["service.name"] == "shop"
        assert named["service.instance.id"].startswith("web-1/")
        said = {each.key: each.value.double_value for each in resource.resource.attributes}
        assert said[INTERVAL] == 1.0
        duration: Metric = received.metric("http.server.request.duration", 0)
        (point,) = duration.exponential_histogram.data_points
        assert point.count == 3
        running = [received.metric("otelmon.running", index).gauge.data_points[0].as_int for index in (0, 1)]
        assert running == [1, 0]
        assert last.resource_metrics[0].resource == resource.resource
        assert all(each["authorization"] == "Bearer a-token" for each in received.headers)


def test_a_server_that_takes_metrics_and_says_nothing_of_pages_is_no_server_to_rely_on(tmp_path: Path) -> None:
    faults = Faults()
    with http_receiver() as received:
        client, hand_over = connected(tmp_path, received, faults)
        for _ in range(3):
            assert not hand_over.lost
            assert not client.send(measured().finest)
        assert hand_over.lost
    assert faults.counts["client"] == 3


def test_a_token_that_the_server_does_not_know_is_said_with_what_to_set_also_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Ingest(faults=Faults()).take
    settings = ReceiverSettings(http_port=0, grpc_port=None, tokens={"another-token-of-16": "apps"})
    receiver = Receiver(settings, {Signal.METRICS: lambda arrived: sink(arrived.body, at=1.0)}, faults=Faults())
    receiver.start()
    try:
        received = Received()
        received.url = f"http://127.0.0.1:{receiver.http_port}"
        client, _ = connected(tmp_path, received, Faults())
        assert not client.send(measured().finest)
        client.say_farewell(measured().finest)
    finally:
        receiver.stop(5.0)
    assert caplog.text.count("set OTELMON_TOKEN (or token:) to one of its `serve: tokens`") == 2
    assert "Traceback" not in caplog.text


def test_a_server_that_is_not_there_is_lost_after_three_sends(tmp_path: Path) -> None:
    with http_receiver() as received:
        client, hand_over = connected(tmp_path, received, Faults())
    assert [client.send(None) for _ in range(3)] == [False] * 3
    assert hand_over.lost
    client.say_farewell(None)  # to nobody, and without an error


@pytest.mark.parametrize("refusal", [0, 429, 502, 503, 504])
def test_what_was_lost_on_the_way_or_came_in_a_bad_moment_is_sent_once_more(tmp_path: Path, refusal: int) -> None:
    with http_receiver() as received:
        client, _ = connected(tmp_path, received, Faults())
        received.refuse, received.refusal = 1, refusal
        client.send(measured().finest)
        assert len(received.requests) == 1
        received.refuse = 2
        client.send(measured().finest)
        assert len(received.requests) == 1
        assert received.refuse == 0


def test_a_farewell_that_was_lost_is_said_once_more(tmp_path: Path) -> None:
    with http_receiver() as received:
        client, _ = connected(tmp_path, received, Faults())
        received.refuse, received.refusal = 1, 503
        client.say_farewell(None)
        assert [received.metric("otelmon.running").gauge.data_points[0].as_int] == [0]


def test_what_another_try_does_not_mend_is_tried_once(tmp_path: Path) -> None:
    with http_receiver() as received:
        client, hand_over = connected(tmp_path, received, Faults())
        for refusal in (400, 401, 413):
            received.refuse, received.refusal = 2, refusal
            client.send(None)
            assert received.refuse == 1
        assert hand_over.lost
        received.refuse, received.refusal = 2, 503
        client.send(None)  # a server that is known to be lost is asked once an interval
        assert received.refuse == 1
        assert received.requests == []
