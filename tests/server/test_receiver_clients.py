"""The exporters of the Python SDK as clients, over HTTP and gRPC, with TLS, tokens and more than is taken."""

from __future__ import annotations

import gzip
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter, ObservableUpDownCounter, UpDownCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader

from otelmon.collect.limits import OverloadedError
from otelmon.server.arrivals import TlsFiles
from tests.collect.making import data_of
from tests.collect.sending import SHOP, encoded, gauge, number
from tests.server.authority import Authority
from tests.server.clients import Server, serving
from tests.server.frames import EXPORT
from tests.server.workload import App, assert_evaluates_as_in_process, workload

DELTAS = (Counter, Histogram, ObservableCounter)
ALL = (*DELTAS, UpDownCounter, ObservableUpDownCounter)


@pytest.fixture
def grpc_server() -> Iterator[Server]:
    with serving(http_port=None, grpc_port=0, most_decompressed=64 * 1024) as server:
        yield server


def call(server: Server, body: bytes, *, method: str = EXPORT, **options: Any) -> bytes:
    with grpc.insecure_channel(f"127.0.0.1:{server.receiver.grpc_port}") as channel:
        return bytes(channel.unary_unary(method)(body, timeout=60, **options))


def body(value: float = 1.0, at: float | None = None) -> bytes:
    return encoded(data_of(gauge(number(value, time.time() if at is None else at)), resource=SHOP))


@pytest.mark.parametrize("deltas", [(), DELTAS, ALL], ids=["cumulative", "deltas", "all deltas"])
@pytest.mark.parametrize("protocol", ["http", "gzip", "grpc"])
def test_what_the_sdks_exporters_send_evaluates_as_in_process(protocol: str, deltas: Sequence[type]) -> None:
    how: dict[str, Any] = {"preferred_temporality": dict.fromkeys(deltas, AggregationTemporality.DELTA)}
    with serving(grpc_port=0) as server:
        if protocol == "grpc":
            exporter: Any = GrpcExporter(f"127.0.0.1:{server.receiver.grpc_port}", insecure=True, **how)
        else:
            compression = Compression.Gzip if protocol == "gzip" else None
            exporter = HttpExporter(f"{server.http}/v1/metrics", compression=compression, **how)
        app = App(PeriodicExportingMetricReader(exporter, export_interval_millis=10_000_000))
        played = workload()
        for each in played:
            app.play(each)
            app.provider.force_flush(60_000)
        sent = list(server.arrived)
        app.provider.shutdown()
        assert not server.faults.counts
    assert_evaluates_as_in_process(sent, played)


def test_grpc_answers_with_the_codes_of_the_specification(grpc_server: Server) -> None:
    assert call(grpc_server, body()) == b""
    said = ExportMetricsServiceResponse.FromString(call(grpc_server, body(at=1.0))).partial_success
    assert (said.rejected_data_points, said.error_message) == (1, "late: 1")
    traces = EXPORT.replace("metrics", "trace").replace("Metrics", "Trace")
    for code, sent, options in (
        (grpc.StatusCode.INVALID_ARGUMENT, body()[:-3], {}),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, bytes(100_000), {}),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, bytes(10_000_000), {"compression": grpc.Compression.Gzip}),
        (grpc.StatusCode.UNIMPLEMENTED, body(), {"method": traces}),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call(grpc_server, sent, **options)
        assert refused.value.code() is code
        assert call(grpc_server, body()) == b""
    assert not grpc_server.faults.counts


def test_grpc_says_when_to_come_again(grpc_server: Server) -> None:
    grpc_server.error = OverloadedError("too many samples wait")
    with pytest.raises(grpc.RpcError) as refused:
        call(grpc_server, body())
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    (details,) = [value for key, value in refused.value.trailing_metadata() if key == "grpc-status-details-bin"]
    retry = RetryInfo()
    assert Status.FromString(details).details[0].Unpack(retry)
    assert retry.retry_delay.seconds == 5
    grpc_server.error = RuntimeError("of ours")
    with pytest.raises(grpc.RpcError) as refused:
        call(grpc_server, body())
    assert refused.value.code() is grpc.StatusCode.INTERNAL
    assert grpc_server.faults.counts["receiver"] == 1


def test_grpc_asks_for_a_token() -> None:
    with serving(http_port=None, grpc_port=0, tokens={"secret": "team-a"}) as server:
        for metadata in (None, [("authorization", "Bearer wrong")], [("authorization", "secret")]):
            with pytest.raises(grpc.RpcError) as refused:
                call(server, body(), metadata=metadata)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        call(server, body(), metadata=[("authorization", "Bearer secret")])
        assert [sample.labels["tenant"] for sample in server.ingest.collect(time.time())] == ["team-a"]


def test_tls_and_only_who_has_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    client, client_key = authority.issue("client")
    tls = TlsFiles(certificate=certificate, key=key, client_ca=authority.file)
    with serving(grpc_port=0, tls=tls) as server:
        context = ssl.create_default_context(cafile=authority.file)
        url = f"{server.http.replace('http', 'https')}/v1/metrics"
        headers = {"content-type": "application/x-protobuf"}
        with httpx.Client(verify=context) as without, pytest.raises(httpx.HTTPError):
            without.post(url, content=body(), headers=headers)
        context.load_cert_chain(client, client_key)
        with httpx.Client(verify=context) as known:
            assert known.post(url, content=body(), headers=headers).status_code == 200
        authority_file, mine = authority.file.read_bytes(), (client_key.read_bytes(), client.read_bytes())
        target = f"127.0.0.1:{server.receiver.grpc_port}"
        anonymous = grpc.ssl_channel_credentials(authority_file)
        with grpc.secure_channel(target, anonymous) as channel, pytest.raises(grpc.RpcError):
            channel.unary_unary(EXPORT)(body(), timeout=30)
        with grpc.secure_channel(target, grpc.ssl_channel_credentials(authority_file, *mine)) as channel:
            assert channel.unary_unary(EXPORT)(body(), timeout=60) == b""
        with pytest.raises((ConnectionError, TimeoutError)):
            server.ask(body())  # in plain text
        assert server.ingest.series == 1


def test_bodies_of_many_requests_leave_no_memory_behind() -> None:
    whole = gzip.compress(body())
    with serving() as server, httpx.Client() as client:
        headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
        for _ in range(200):
            assert client.post(f"{server.http}/v1/metrics", content=whole, headers=headers).status_code == 200
            server.arrived.clear()
        assert server.ingest.series == 1
        assert len(server.ingest.collect(time.time())) == 1
