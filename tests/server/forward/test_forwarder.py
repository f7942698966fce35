"""Forwarding with real backends over HTTP and gRPC: what arrives, in which order, and what becomes of the rest."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otelmon.collect.otlp import GRPC, HTTP, Signal
from otelmon.config.forward import ForwardSettings
from otelmon.config.load import load_settings
from otelmon.faults import Faults
from otelmon.server.forward.forwarder import Forwarder
from otelmon.server.forward.lane import Tempo
from tests.instrument.endpoint import make_certificate
from tests.server.forward.backend import (
    BACKENDS,
    OK,
    PATIENCE_SECONDS,
    Backend,
    Say,
    body_of,
    grpc_backend,
    http_backend,
    values_in,
)

QUICK = Tempo(batch_seconds=0.01, first_retry_seconds=0.02, longest_retry_seconds=0.05, sync_seconds=0.05)
PROTOCOLS = pytest.mark.parametrize("protocol", [HTTP, GRPC])
SECRET = "t0ps3cret"


def settings_of(tmp_path: Path, endpoint: str, protocol: str = HTTP, more: str = "") -> tuple[ForwardSettings, ...]:
    text = f"service: server\nforward:\n  endpoint: {endpoint}\n  protocol: {protocol}\n{more}"
    (tmp_path / "otelmon.yaml").write_text(text, encoding="utf-8")
    return load_settings(tmp_path / "otelmon.yaml", environ={}, directory=tmp_path).forward


@contextmanager
def running(
    tmp_path: Path, targets: tuple[ForwardSettings, ...], tempo: Tempo = QUICK, faults: Faults | None = None
) -> Iterator[Forwarder]:
    forwarder = Forwarder(targets, directory=tmp_path, faults=faults or Faults(), tempo=tempo)
    stop = threading.Event()
    thread = threading.Thread(target=forwarder.run, args=(stop,))
    thread.start()
    try:
        yield forwarder
    finally:
        stop.set()
        thread.join()


def refusing(first: int, say: Say) -> Callable[[Signal, bytes], Say]:
    """So many requests are answered like this, the others are taken."""
    left = [first]

    def answer(_signal: Signal, _body: bytes) -> Say:
        left[0] -= 1
        return say if left[0] >= 0 else OK

    return answer


def unavailable(protocol: str, seconds: float | None = None) -> Say:
    """Come again, after so many seconds."""
    if protocol == HTTP:
        return Say(status=503, headers=() if seconds is None else (("Retry-After", str(seconds)),))
    if seconds is None:
        return Say(code=grpc.StatusCode.UNAVAILABLE)
    delay = Duration()
    delay.FromTimedelta(timedelta(seconds=seconds))
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=delay))
    status = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], details=[detail])
    packed = (("grpc-status-details-bin", status.SerializeToString()),)
    return Say(code=grpc.StatusCode.RESOURCE_EXHAUSTED, headers=packed)


def invalid(protocol: str, words: str) -> Say:
    if protocol == HTTP:
        return Say(status=400, body=Status(message=words).SerializeToString())
    return Say(code=grpc.StatusCode.INVALID_ARGUMENT, details=words)


def count(forwarder: Forwarder, signal: Signal = Signal.METRICS) -> Any:
    (found,) = [each for each in forwarder.status() if each.signal is signal]
    return found


@PROTOCOLS
def test_what_goes_in_comes_out_in_batches_and_in_order(protocol: str, tmp_path: Path) -> None:
    with BACKENDS[protocol]() as backend, running(tmp_path, settings_of(tmp_path, backend.url, protocol)) as forwarder:
        for value in range(300):
            forwarder.put(Signal.METRICS, body_of(value))
        forwarder.put(Signal.TRACES, b"")
        backend.wait(lambda: len(backend.values()) == 300)
    assert backend.values() == list(range(300))
    assert len(backend.taken) < 100
    assert (count(forwarder).sent, count(forwarder).dropped, count(forwarder).retries) == (300, 0, 0)


@PROTOCOLS
def test_each_signal_goes_its_own_way_and_to_those_that_want_it(protocol: str, tmp_path: Path) -> None:
    with BACKENDS[protocol]() as backend:
        targets = settings_of(tmp_path, backend.url, protocol, "  signals: [traces, logs]\n")
        with running(tmp_path, targets) as forwarder:
            for signal in Signal:
                forwarder.put(signal, body_of(1))
            backend.wait(lambda: len(backend.taken) == 2)
    assert sorted(signal for signal, _ in backend.asked) == [Signal.LOGS, Signal.TRACES]


@PROTOCOLS
def test_one_target_that_is_down_holds_up_no_other(protocol: str, tmp_path: Path) -> None:
    with BACKENDS[protocol]() as backend:
        (up,) = settings_of(tmp_path, backend.url, protocol)
        down = up.model_copy(update={"name": "archive", "endpoint": type(up.endpoint)("http://127.0.0.1:1")})
        with running(tmp_path, (down, up)) as forwarder:
            forwarder.put(Signal.METRICS, body_of(7))
            backend.wait(lambda: backend.values() == [7])
        assert [
            each.waiting for each in forwarder.status() if each.signal is Signal.METRICS and each.target != "archive"
        ]
    with BACKENDS[protocol]() as second:
        late = down.model_copy(update={"endpoint": type(up.endpoint)(second.url)})
        with running(tmp_path, (late,)):
            second.wait(lambda: second.values() == [7])


@PROTOCOLS
def test_a_backend_that_is_down_and_comes_back_misses_nothing_and_gets_it_in_order(
    protocol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faults = Faults()
    with BACKENDS[protocol]() as backend:
        targets = settings_of(tmp_path, backend.url, protocol)
    with caplog.at_level(logging.INFO, "otelmon"), running(tmp_path, targets, faults=faults) as forwarder:
        for value in range(100):
            forwarder.put(Signal.METRICS, body_of(value))
        until(lambda: count(forwarder).retries >= 3)
        with BACKENDS[protocol](backend):
            for value in range(100, 200):
                forwarder.put(Signal.METRICS, body_of(value))
            backend.wait(lambda: len(backend.values()) >= 200)
    assert backend.values() == list(range(200))
    assert count(forwarder).dropped == 0
    said = [record.getMessage() for record in caplog.records]
    assert len([each for each in said if "takes metrics again" in each]) == 1
    assert len([each for each in said if "metrics wait for backend" in each]) <= 2  # one for each reason


@PROTOCOLS
def test_a_backend_says_how_long_to_wait_and_is_not_asked_before(protocol: str, tmp_path: Path) -> None:
    at: list[float] = []
    with BACKENDS[protocol]() as backend, running(tmp_path, settings_of(tmp_path, backend.url, protocol)) as forwarder:
        answer = refusing(1, unavailable(protocol, 1))
        backend.answer = lambda signal, body: (at.append(time.monotonic()), answer(signal, body))[1]
        forwarder.put(Signal.METRICS, body_of(1))
        backend.wait(lambda: backend.values() == [1])
    assert at[1] - at[0] >= 0.99
    assert (count(forwarder).sent, count(forwarder).retries) == (1, 1)


@PROTOCOLS
def test_only_what_the_backend_refuses_is_lost_and_the_reason_is_counted_and_said(
    protocol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with BACKENDS[protocol]() as backend, running(tmp_path, settings_of(tmp_path, backend.url, protocol)) as forwarder:
        backend.answer = lambda _signal, body: invalid(protocol, "13 is bad\nluck") if 13 in values_in(body) else OK
        for value in range(40):
            forwarder.put(Signal.METRICS, body_of(value))
        backend.wait(lambda: len(backend.values()) == 39)
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader])
        forwarder.measure(provider.get_meter("test"))
        until(lambda: count(forwarder).dropped + count(forwarder).sent == 40)
        points = measured(reader)
        provider.shutdown()
    assert backend.values() == [value for value in range(40) if value != 13]
    reason = "HTTP 400" if protocol == HTTP else "gRPC INVALID_ARGUMENT"
    where = {"otelmon.forward.target": "backend", "otelmon.forward.signal": "metrics"}
    assert points["otelmon.forward.dropped"] == [({**where, "error.type": reason}, 1)]
    assert (where, 39) in points["otelmon.forward.sent"]
    assert (where, 256 * 2**20) in points["otelmon.forward.queue.limit"]
    assert f"are lost: {reason} (13 is bad luck)" in caplog.text


@pytest.mark.parametrize("status", [401, 404, 500, 302])
def test_what_is_not_to_be_sent_again_over_http_is_not(status: int, tmp_path: Path) -> None:
    with http_backend() as backend, running(tmp_path, settings_of(tmp_path, backend.url)) as forwarder:
        backend.answer = refusing(1, Say(status=status, headers=(("Location", backend.url),)))
        forwarder.put(Signal.METRICS, body_of(1))
        backend.wait(lambda: len(backend.asked) == 1)
        until(lambda: count(forwarder).dropped)
        forwarder.put(Signal.METRICS, body_of(2))
        backend.wait(lambda: backend.values() == [2])
    assert len(backend.asked) == 2


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "INTERNAL", "UNIMPLEMENTED"])
def test_what_is_not_to_be_sent_again_over_grpc_is_not(code: str, tmp_path: Path) -> None:
    with grpc_backend() as backend, running(tmp_path, settings_of(tmp_path, backend.url, GRPC)) as forwarder:
        backend.answer = refusing(1, Say(code=grpc.StatusCode[code]))
        forwarder.put(Signal.METRICS, body_of(1))
        backend.wait(lambda: len(backend.asked) == 1)
        until(lambda: count(forwarder).dropped)
        forwarder.put(Signal.METRICS, body_of(2))
        backend.wait(lambda: backend.values() == [2])
    assert len(backend.asked) == 2


@PROTOCOLS
def test_a_backend_that_knows_no_token_of_ours_is_not_asked_again_for_each_part_of_a_batch(
    protocol: str, tmp_path: Path
) -> None:
    with BACKENDS[protocol]() as backend, running(tmp_path, settings_of(tmp_path, backend.url, protocol)) as forwarder:
        backend.answer = lambda *_: Say(status=401) if protocol == HTTP else Say(code=grpc.StatusCode.UNAUTHENTICATED)
        for value in range(50):
            forwarder.put(Signal.METRICS, body_of(value))
        until(lambda: count(forwarder).dropped == 50)
    assert len(backend.asked) < 50
    assert sorted(value for _, body in backend.asked for value in values_in(body)) == list(range(50))


@PROTOCOLS
def test_points_that_a_backend_leaves_out_are_counted_and_not_sent_again(
    protocol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    response = ExportMetricsServiceResponse()
    response.partial_success.rejected_data_points = 3
    response.partial_success.error_message = "too old"
    with BACKENDS[protocol]() as backend, running(tmp_path, settings_of(tmp_path, backend.url, protocol)) as forwarder:
        backend.answer = lambda _signal, _body: Say(body=response.SerializeToString())
        forwarder.put(Signal.METRICS, body_of(1, 2, 3, 4))
        backend.wait(lambda: len(backend.taken) == 1)
    assert (count(forwarder).sent, count(forwarder).rejected, count(forwarder).dropped) == (1, 3, 0)
    assert len(backend.asked) == 1
    assert "not all of them (too old)" in caplog.text


@PROTOCOLS
def test_headers_are_sent_and_never_shown(protocol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    more = f"  headers: {{Authorization: Bearer {SECRET}, X-Tenant: shop}}\n"
    with caplog.at_level(logging.DEBUG), BACKENDS[protocol]() as backend:
        targets = settings_of(tmp_path, backend.url, protocol, more)
        backend.answer = refusing(1, invalid(protocol, "no"))
        with running(tmp_path, targets) as forwarder:
            forwarder.put(Signal.METRICS, body_of(1))
            backend.wait(lambda: len(backend.asked) == 1)
            forwarder.put(Signal.METRICS, body_of(2) * 400)
            backend.wait(lambda: len(backend.taken) == 1)
        with running(tmp_path, settings_of(tmp_path, f"http://{SECRET}@localhost:1", protocol, more)) as forwarder:
            forwarder.put(Signal.METRICS, body_of(1))
            until(lambda: count(forwarder).retries)
    assert backend.headers[-1]["authorization"] == f"Bearer {SECRET}"
    assert backend.headers[-1]["x-tenant"] == "shop"
    assert SECRET not in caplog.text + repr(targets) + repr(forwarder.status())
    if protocol == HTTP:
        assert backend.headers[-1]["content-encoding"] == "gzip"
        assert backend.headers[-1]["content-type"] == "application/x-protobuf"
        assert "HTTP Request" not in caplog.text


@PROTOCOLS
def test_over_tls_both_sides_show_their_certificates(protocol: str, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "own.pem", days=1)
    more = "  tls: {ca: own.pem, certificate: own.pem, key: own.pem}\n"
    backend = Backend()
    if protocol == HTTP:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.load_verify_locations(certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        serving = http_backend(backend, tls=context)
    else:
        pem = certificate.read_bytes()
        credentials = grpc.ssl_server_credentials([(pem, pem)], pem, require_client_auth=True)
        serving = grpc_backend(backend, credentials=credentials)
    with serving:
        url = backend.url.replace("localhost", "127.0.0.1")
        with running(tmp_path, settings_of(tmp_path, url, protocol, more)) as forwarder:
            forwarder.put(Signal.METRICS, body_of(5))
            backend.wait(lambda: backend.values() == [5])
        with running(tmp_path, settings_of(tmp_path, url, protocol)) as stranger:
            stranger.put(Signal.METRICS, body_of(6))
            until(lambda: count(stranger).retries)
    assert backend.values() == [5]


def test_a_queue_that_cannot_be_on_disk_is_in_memory_which_is_said_once_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "forward").write_text("in the way")
    with caplog.at_level(logging.INFO, "otelmon"), http_backend() as backend:
        answer = backend.answer
        backend.answer = lambda *_: unavailable(HTTP)
        with running(tmp_path, settings_of(tmp_path, backend.url, more="  signals: [metrics]\n")) as forwarder:
            for value in range(20):
                forwarder.put(Signal.METRICS, body_of(value))
            backend.wait(lambda: len(backend.asked) > 2)
            (tmp_path / "forward").unlink()
            until(lambda: "are written to disk again" in caplog.text)
            for value in range(20, 40):
                forwarder.put(Signal.METRICS, body_of(value))
            backend.answer = answer
            backend.wait(lambda: len(backend.values()) == 40)
    assert backend.values() == list(range(40))
    assert caplog.text.count("cannot be written to disk") == 1
    assert caplog.text.count("are written to disk again") == 1


def test_a_full_queue_drops_the_oldest_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    targets = settings_of(tmp_path, "http://127.0.0.1:1", more="  signals: [metrics]\n  queue: {size: 1MiB}\n")
    with running(tmp_path, targets) as forwarder:
        for value in range(400):
            forwarder.put(Signal.METRICS, body_of(*[value] * 500))
        assert count(forwarder).queue_bytes <= 2**20
    dropped = count(forwarder).dropped
    assert 0 < dropped < 400
    assert caplog.text.count("are lost: the queue is full") == 1
    with http_backend() as backend:
        later = targets[0].model_copy(update={"endpoint": type(targets[0].endpoint)(backend.url)})
        with running(tmp_path, (later,)):
            backend.wait(lambda: 399 in backend.values())
    assert list(dict.fromkeys(backend.values()))[-1] == 399
    assert len(set(backend.values())) == 400 - dropped


def measured(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], float]]]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: [(dict(point.attributes), point.value) for point in metric.data.data_points]
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }


def until(condition: Callable[[], object]) -> None:
    """Wait for what no request to a backend tells of."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
