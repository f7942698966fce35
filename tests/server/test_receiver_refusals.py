"""What is too much, too slow or not OTLP at all is refused with the right status, while an honest client is served."""

from __future__ import annotations

import gzip
import importlib
import json
import socket
import ssl
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
import zstandard
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otelmon.collect.limits import IngestLimits
from otelmon.server.arrivals import TlsFiles
from tests.collect.making import data_of
from tests.collect.sending import SHOP, as_json, encoded, gauge, number
from tests.server.authority import Authority
from tests.server.clients import Server, answer, serving
from tests.server.frames import EXPORT, PREFACE, SETTINGS, Calls, frame, message, statuses
from tests.server.meanwhile import served

MOST = 256 * 1024
GIGABYTE = 1_000_000_000
HEAD = b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(grpc_port=0, most_decompressed=MOST) as running:
        yield running


@pytest.fixture(scope="module", params=["httptools_impl.HttpToolsProtocol", "h11_impl.H11Protocol"])
def either(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server with either of uvicorn's parsers; without httptools, which otelmon does not ask for, it is h11."""
    module, _, name = request.param.rpartition(".")
    with pytest.MonkeyPatch.context() as patch:
        parser = getattr(importlib.import_module(f"uvicorn.protocols.http.{module}"), name)
        patch.setattr("uvicorn.protocols.http.auto.AutoHTTPProtocol", parser)
        with serving(grpc_port=0, most_decompressed=MOST) as running:
            yield running


def whole(resource: dict[str, str] = SHOP) -> bytes:
    return encoded(data_of(gauge(number(1, time.time())), resource=resource))


def padded(size: int) -> bytes:
    """A valid request, most of which is a field that nobody knows."""
    return ExportMetricsServiceRequest().SerializeToString() + b"\x7a" + _varint(size) + bytes(size)


def _varint(value: int) -> bytes:
    written = b""
    while value > 0x7F:
        written += bytes([value & 0x7F | 0x80])
        value >>= 7
    return written + bytes([value])


def nested(depth: int) -> bytes:
    """A point whose attribute holds lists in lists."""
    value = b"\x0a\x04deep"
    for _ in range(depth):
        values = b"\x0a" + _varint(len(value)) + value
        value = b"\x2a" + _varint(len(values)) + values
    attribute = b"\x0a\x01k\x12" + _varint(len(value)) + value
    return request_of(b"\x3a" + _varint(len(attribute)) + attribute)


def request_of(attributes: bytes = b"", count: int = 1) -> bytes:
    """Points of a gauge, byte by byte."""
    point = b"\x19" + struct.pack("<q", time.time_ns()) + b"\x31" + struct.pack("<q", 1) + attributes
    points = (b"\x0a" + _varint(len(point)) + point) * count
    metric = b"\x0a\x01m\x2a" + _varint(len(points)) + points
    scope = b"\x12" + _varint(len(metric)) + metric
    resource = b"\x12" + _varint(len(scope)) + scope
    return b"\x0a" + _varint(len(resource)) + resource


def test_bombs_and_what_is_cut_short_are_refused_over_http(server: Server) -> None:
    zstd = zstandard.ZstdCompressor(level=19).compress
    small = whole()
    with served(server):
        for expected, encoding, body in (
            (413, "gzip", gzip.compress(padded(50_000_000), 9)),
            (413, "deflate", zlib.compress(padded(50_000_000), 9)),
            (413, "zstd", zstd(padded(50_000_000))),
            (413, "zstd", zstd(padded(2_000_000)) * 3),  # several frames
            (400, "gzip", gzip.compress(gzip.compress(small))),  # what is in it is no request
            (400, "zstd", zstd(zstd(padded(2_000_000)))),
            (400, "gzip", gzip.compress(gzip.compress(padded(50_000_000), 9))),
            (415, "gzip, gzip", gzip.compress(gzip.compress(small))),
            *((400, "gzip", gzip.compress(small)[:-cut]) for cut in (1, 8, 20)),
            *((400, "zstd", zstd(small)[:-cut]) for cut in (1, 5)),
            (400, "zstd", gzip.compress(small)),
            (400, "gzip", zstd(small)),
            (400, "gzip", small),
            (415, "snappy", small),
            (415, "x-gzip;", gzip.compress(small)),
        ):
            assert server.ask(body, content_encoding=encoding)[0] == expected, (encoding, len(body))
    assert not server.faults.counts


def test_bombs_and_what_is_too_large_are_refused_over_grpc(server: Server) -> None:
    port = server.receiver.grpc_port or 0
    with served(server), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        export = channel.unary_unary(EXPORT)
        for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate, grpc.Compression.NoCompression):
            export(padded(MOST - 100), compression=compression, timeout=60)
            with pytest.raises(grpc.RpcError) as refused:
                export(padded(20_000_000), compression=compression, timeout=60)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.RpcError) as refused:
            export(gzip.compress(gzip.compress(whole())), compression=grpc.Compression.Gzip, timeout=60)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        # A gigabyte that is only announced; a message that is called compressed and is not.
        announced, *broken = statuses(
            port, [message(b"", length=GIGABYTE), message(whole(), compressed=1), message(whole()[:-2], length=5000)]
        )
        assert announced is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert all(status is not grpc.StatusCode.OK for status in broken)
    assert not server.faults.counts


def test_a_gigabyte_is_refused_as_soon_as_it_is_known(either: Server) -> None:
    with served(either):
        for length, expected in (
            (str(GIGABYTE), 413),
            ("9" * 30, (400, 413)),
            ("-5", 400),
            ("5, 6", 400),
            ("0x5", 400),
        ):
            with either.connected() as connection:
                connection.sendall(HEAD + f"Content-Length: {length}\r\n\r\n".encode())
                assert answer(connection)[0] in (expected if isinstance(expected, tuple) else (expected,)), length
        with either.connected() as connection:
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            sent = 0
            with suppress(ConnectionError):
                while sent < GIGABYTE:
                    connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                    sent += 0x10000
            assert sent < GIGABYTE // 10
        # Never more than what one request may have of memory, however the chunks are cut.
        with either.connected() as connection, suppress(ConnectionError):
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            connection.sendall(b"1;" + b"x" * 100 + b"\r\n\0\r\n")
            for _ in range(300):
                connection.sendall(b"1;" + b"x" * 65_000 + b"\r\n\0\r\n")
            assert answer(connection)[0] == 413


def test_who_has_no_token_or_a_wrong_one_is_refused_before_anything_is_read() -> None:
    secret = "0123456789abcdef"
    wrong = ("", "Bearer", "Bearer ", f"Bearer {secret[:-1]}", f"Bearer {secret}0", f"Basic {secret}", secret,
             f"Bearer {secret.upper()}", f"Bearer\t{secret}", f"Bearer {'x' * 5000}")  # fmt: skip
    with serving(grpc_port=0, tokens={secret: "team"}) as server, served(server, secret):
        for each in wrong:
            with server.connected() as connection:
                line = f"Authorization: {each}\r\n" if each else ""
                connection.sendall(HEAD + f"{line}Content-Length: 50\r\nExpect: 100-continue\r\n\r\n".encode())
                assert answer(connection)[0] == 401, each
        # Over gRPC, without sending the message at all: more of them than there are threads.
        with ExitStack() as stack:
            for _ in range(10):
                calls = stack.enter_context(Calls(server.receiver.grpc_port or 0))
                for each in wrong:
                    stream = calls.begin(headers=[("authorization", each)] if each else ())
                    assert calls.status(stream) is grpc.StatusCode.UNAUTHENTICATED, each
        assert server.ask(whole(), authorization=f"Bearer {secret}")[0] == 200
        assert not server.faults.counts


def test_what_grpc_does_not_know_is_said_so(server: Server) -> None:
    other = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    with served(server), Calls(server.receiver.grpc_port or 0) as calls:
        for path in (other, "/", "/x/Export", EXPORT.lower(), EXPORT + "/"):
            stream = calls.begin(path)
            calls.data(stream, message(whole()))
            assert calls.status(stream) is grpc.StatusCode.UNIMPLEMENTED
        stream = calls.begin()
        calls.data(stream, message(b"\xff" * 9))
        assert calls.status(stream) is grpc.StatusCode.INVALID_ARGUMENT
        assert statuses(server.receiver.grpc_port or 0, [message(whole())]) == [grpc.StatusCode.OK]


def test_calls_that_never_send_their_message_keep_nobody_out() -> None:
    with serving(grpc_port=0, most_at_once=4) as server, ExitStack() as stack:
        silent = [stack.enter_context(Calls(server.receiver.grpc_port or 0)) for _ in range(20)]
        streams = [(calls, calls.begin()) for calls in silent]
        half = [calls.begin() for calls in silent]
        for calls, stream in zip(silent, half, strict=True):
            calls.data(stream, message(b"ab", length=100), last=False)
        with served(server, least=10):
            pass
        first, stream = streams[0]
        assert first.status(stream) in {grpc.StatusCode.CANCELLED, None}
        assert not server.faults.counts


def test_requests_beyond_what_is_handled_at_once_are_to_come_again(server: Server) -> None:
    with serving(grpc_port=0, most_at_once=1) as one, one.connected() as first:
        one.hold.clear()
        body = padded(20_000)
        first.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        with suppress(TimeoutError):
            first.settimeout(0.2)
            first.recv(1)  # until it is handled
        status, headers, _ = one.ask(padded(20_000))
        assert (status, headers["retry-after"]) == (503, "5")
        with (
            grpc.insecure_channel(f"127.0.0.1:{one.receiver.grpc_port}") as channel,
            pytest.raises(grpc.RpcError) as refused,
        ):
            channel.unary_unary(EXPORT)(whole(), timeout=60)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        details = dict(refused.value.trailing_metadata())["grpc-status-details-bin"]
        retry = RetryInfo()
        assert Status.FromString(details).details[0].Unpack(retry)
        assert retry.retry_delay.seconds == 5
        one.hold.set()
        first.settimeout(30)
        assert answer(first)[0] == 200
    assert server.ask(whole())[0] == 200


def rejected(server: Server, body: bytes) -> tuple[int, int, str]:
    """The status; how many points were rejected and why."""
    status, _, said = server.ask(body)
    partial = ExportMetricsServiceResponse.FromString(said).partial_success if status == 200 else None
    return status, *((0, "") if partial is None else (partial.rejected_data_points, partial.error_message))


def test_ten_thousand_attributes_cost_the_points_that_have_them_and_no_others() -> None:
    # OTLP: what is taken in part is 200 with a partial success; a sender must not send it again.
    many = [KeyValue(key=f"k{each}", value=AnyValue(int_value=each)) for each in range(10_000)]
    wide = (1, "too many attributes, or too long ones: 1")
    with serving(grpc_port=0, most_body=1 << 20, most_decompressed=1 << 20, most_json=1 << 21) as server:
        with served(server):
            for place, expected in (("resource", wide), ("point", wide), ("scope", (0, ""))):
                request = ExportMetricsServiceRequest.FromString(whole())
                resource = request.resource_metrics[0]
                scope = resource.scope_metrics[0]
                point = scope.metrics[0].gauge.data_points[0]
                {"resource": resource.resource, "point": point, "scope": scope.scope}[place].attributes.extend(many)
                # The next resource is taken all the same.
                beside = {"service.name": "beside", "service.instance.id": place}
                request.MergeFrom(ExportMetricsServiceRequest.FromString(whole(beside)))
                body = request.SerializeToString()
                assert rejected(server, body) == (200, *expected), place
                status, _, said = server.ask(as_json(body), content_type="application/json")
                partial = json.loads(said).get("partialSuccess", {"rejectedDataPoints": "0"})
                assert (status, int(partial["rejectedDataPoints"])) == (200, expected[0]), place
        assert server.ingest.series < 12


def test_long_names_and_values_and_deep_nesting_are_refused_and_kept_nowhere(server: Server) -> None:
    with served(server):
        long_name = encoded(data_of(gauge(number(1, time.time()), name="n" * 2000), resource=SHOP))
        assert rejected(server, long_name)[:2] == (200, 1)
        long_value = encoded(data_of(gauge(number(1, time.time(), k="v" * 50_000)), resource=SHOP))
        assert rejected(server, long_value)[:2] == (200, 1)
        assert rejected(server, nested(40))[0] == 200
        assert server.ask(nested(500))[0] == 400  # protobuf's own bound is 100
        assert server.ask(b'{"resourceMetrics":' * 3_000, content_type="application/json")[0] == 400
        assert server.ask(b"[" * 50_000, content_type="application/json")[0] == 400
        deep = b'{"resourceMetrics":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
        assert server.ask(deep, content_type="application/json")[0] == 400
    assert not server.faults.counts


def test_a_million_points_in_a_request_are_too_many_and_hold_nobody_up() -> None:
    body = request_of(count=1_000_000)
    empty = b"\x0a\x00" * 1_000_000
    sizes = {"most_body": 1 << 25, "most_decompressed": 1 << 25}
    with serving(grpc_port=0, **sizes) as server, served(server):
        for _ in range(3):
            said = (200, 1_000_000, "too many points in one request: 1000000")
            assert rejected(server, body) == said
            assert server.ask(empty)[0] == 400  # more resources than there may be in all
        assert IngestLimits().points < 1_000_000


def test_idle_connections_and_slow_heads_keep_nobody_out() -> None:
    with serving(grpc_port=0, most_connections=20, head_seconds=1.0) as server, ExitStack() as stack:
        idle = [stack.enter_context(server.connected()) for _ in range(100)]
        for each in idle[::2]:
            with suppress(ConnectionError):
                each.sendall(b"POST /v1/metrics HTTP/1.1\r\nHost:")
        quiet = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.receiver.grpc_port or 0), timeout=30))
            for _ in range(100)
        ]
        for each in quiet[::2]:
            each.sendall(PREFACE + frame(SETTINGS, 0, 0))
        with served(server, least=10):
            pass
        for each in idle:
            assert closed(each)


def closed(connection: socket.socket) -> bool:
    """Whether the other side ends it, having answered or not."""
    connection.settimeout(30)
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


def test_a_flood_of_headers_is_cut_off(either: Server) -> None:
    with served(either):
        for flood in (b"X: " + b"y" * 10_000 + b"\r\n", b"Z" * 10_000):
            with either.connected() as connection:
                sent = 0
                with suppress(ConnectionError):
                    connection.sendall(HEAD)
                    while sent < 100_000_000:
                        connection.sendall(flood)
                        sent += len(flood)
                assert sent < 100_000_000
        with Calls(either.receiver.grpc_port or 0) as calls:
            calls.flood(50_000_000)  # a head that never ends
            before = psutil.Process().memory_info().rss
            calls.flood(100_000_000)
            assert psutil.Process().memory_info().rss - before < 60_000_000


def test_who_never_reads_its_answers_is_let_go() -> None:
    ask = b"GET /" + b"x" * 200 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(grpc_port=0, body_seconds=0.5) as server, server.connected() as connection, served(server):
        connection.settimeout(0.5)
        with suppress(ConnectionError, TimeoutError):
            for _ in range(20_000):
                connection.sendall(ask * 50)
        assert closed(connection)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: x\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length : 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5\r\n continued\r\n",
        b"X: a\0b\r\nContent-Length: 5\r\n",
    ],
)
def test_a_request_whose_end_two_servers_would_see_in_two_places_is_refused(either: Server, head: bytes) -> None:
    hidden = b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    with either.connected() as connection:
        connection.sendall(HEAD + head + b"\r\n" + hidden)
        came = b""
        with suppress(ConnectionError):
            while piece := connection.recv(65536):
                came += piece
    # One refusal and the end: what is hidden behind it is no request.
    assert came.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    assert came.count(b"HTTP/1.1 ") == 1
    assert either.ask(whole())[0] == 200


def test_a_handshake_that_does_not_go_on_keeps_nobody_out(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    tls = TlsFiles(certificate=certificate, key=key)
    with serving(grpc_port=0, tls=tls, head_seconds=0.5) as server, ExitStack() as stack:
        ports = (server.receiver.http_port or 0, server.receiver.grpc_port or 0)
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            for port in ports
            for _ in range(30)
        ]
        for each in slow[::2]:
            each.sendall(b"\x16\x03\x01\x02\x00")  # the first bytes of a ClientHello
        context = ssl.create_default_context(cafile=authority.file)
        headers = {"content-type": "application/x-protobuf"}
        url = f"{server.http.replace('http', 'https')}/v1/metrics"
        assert httpx.post(url, content=whole(), headers=headers, verify=context, timeout=60).status_code == 200
        trusted = grpc.ssl_channel_credentials(authority.file.read_bytes())
        with grpc.secure_channel(f"127.0.0.1:{ports[1]}", trusted) as channel:
            assert channel.unary_unary(EXPORT)(whole(), timeout=60) == b""
        for each in slow:
            assert closed(each)
