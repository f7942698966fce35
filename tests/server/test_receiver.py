"""OTLP over HTTP: what is taken, what is refused and how, while the rest is served."""

from __future__ import annotations

import gzip
import json
import select
import socket
import threading
import time
import zlib
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import zstandard
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from otelmon.collect.limits import OverloadedError, Taken
from otelmon.collect.otlp import Signal
from otelmon.errors import ConfigError
from otelmon.faults import Faults
from otelmon.server.arrivals import ReceiverSettings, TlsFiles, Tokens
from otelmon.server.receiver import Receiver
from tests.collect.making import data_of
from tests.collect.sending import SHOP, as_json, encoded, gauge, number
from tests.server.clients import SETTINGS, Server, answer, serving


def request(value: float = 1.0) -> bytes:
    return encoded(data_of(gauge(number(value, time.time())), resource=SHOP))


def until_served(server: Server) -> None:
    """Ask until the answer is 200: on a busy machine a request may be too slow by accident."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with suppress(ConnectionError):
            if server.ask(request())[0] == 200:
                return
    pytest.fail("not served")


def answered(connections: list[socket.socket], count: int) -> list[socket.socket]:
    """The first ones that are answered."""
    until, ready = time.monotonic() + 15, []
    while len(ready) < count and time.monotonic() < until:
        ready = select.select(connections, [], [], 0.05)[0]
    return ready[:count]


def values(server: Server) -> list[float]:
    return [sample.value for sample in server.ingest.collect(time.time())]  # type: ignore[misc]


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "deflate", "zstd"])
def test_metrics_are_taken_however_they_are_compressed(encoding: str) -> None:
    compress = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.ZstdCompressor().compress}
    body = compress.get(encoding, bytes)(request(3))
    with serving() as server:
        status, headers, said = server.ask(body, content_encoding=encoding)
        assert (status, headers["content-type"], said) == (200, "application/x-protobuf", b"")
        assert values(server) == [3.0]


def test_json_is_answered_in_json_and_what_is_not_taken_is_said() -> None:
    late = as_json(encoded(data_of(gauge(number(1, time.time() - 3600)), resource=SHOP)))
    with serving() as server:
        status, headers, said = server.ask(as_json(request(2)), content_type="application/json; charset=utf-8")
        assert (status, headers["content-type"], json.loads(said)) == (200, "application/json", {})
        _, _, said = server.ask(late, content_type="application/json")
        assert json.loads(said) == {"partialSuccess": {"rejectedDataPoints": "1", "errorMessage": "late: 1"}}
        _, _, said = server.ask(encoded(data_of(gauge(number(1, 1.0)), resource=SHOP)))
        partial = ExportMetricsServiceResponse.FromString(said).partial_success
        assert (partial.rejected_data_points, partial.error_message) == (1, "late: 1")
        assert values(server) == [2.0]


def test_what_is_wrong_is_refused_for_good_and_the_rest_is_served() -> None:
    whole = request()
    bomb = gzip.compress(bytes(10_000_000), 9)
    long = zstandard.ZstdCompressor(level=19).compress(bytes(10_000_000))
    with serving() as server:
        for expected, body, headers in (
            (400, whole[:-3], {}),
            (400, b"\xff" * 20, {}),
            (400, b"{", {"content_type": "application/json"}),
            (400, b"not gzip", {"content_encoding": "gzip"}),
            (400, gzip.compress(whole)[:-9], {"content_encoding": "gzip"}),
            (400, gzip.compress(whole) + b"more", {"content_encoding": "gzip"}),
            (400, zstandard.ZstdCompressor().compress(whole)[:-2], {"content_encoding": "zstd"}),
            (400, b"not zstd", {"content_encoding": "zstd"}),
            (415, whole, {"content_encoding": "br"}),
            (415, whole, {"content_type": "text/plain"}),
            (415, whole, {"content_type": ""}),
            (413, bomb, {"content_encoding": "gzip"}),
            (413, long, {"content_encoding": "zstd"}),
            (413, b"", {"content_length": str(10**9)}),
            (413, gzip.compress(b" " * 200_000), {"content_type": "application/json", "content_encoding": "gzip"}),
            (404, whole, {"path": "/v1/traces"}),
            (404, whole, {"path": "/"}),
            (405, b"", {"method": "GET"}),
        ):
            status, answered, said = server.ask(body, **headers)
            assert status == expected, (body[:20], headers)
            if answered["content-type"] == "application/json":
                assert set(json.loads(said)) == {"code", "message"}
            elif answered["content-type"] == "text/plain":
                assert said.decode("ascii").endswith("application/json\n")
                assert expected == 415
            else:
                assert Status.FromString(said).message
            assert server.ask(whole)[0] == 200
        assert not server.faults.counts


def test_a_body_without_an_announced_length_is_refused_once_it_is_too_large() -> None:
    with serving() as server, server.connected() as connection:
        head = "POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(5):
            connection.sendall(b"4000\r\n" + bytes(0x4000) + b"\r\n")
        status, headers, _ = answer(connection)
        assert (status, headers["connection"]) == (413, "close")


def test_a_token_is_asked_for_and_says_whose_the_series_are() -> None:
    with serving(tokens={"secret-a": "team-a", "secret-b": ""}) as server:
        for authorization in ("", "Bearer", "Bearer wrong", "Basic secret-a", "Bearer secret-a-and-more"):
            status, headers, _ = server.ask(request(), authorization=authorization)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert server.ask(request(), authorization="Bearer secret-a")[0] == 200
        assert server.ask(request(), authorization="bearer secret-b")[0] == 200
        tenants = [sample.labels.get("tenant") for sample in server.ingest.collect(time.time())]
        assert tenants == ["team-a", None]
    assert "secret" not in repr(server.receiver._settings)


def test_who_is_refused_hears_why_and_the_log_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    with serving(tokens={"secret-a": "team-a"}) as server:
        for authorization, expected in (
            ("", "a bearer token is needed"),
            ("secret-a", "a bearer token is needed, and Authorization does not begin with Bearer"),
            ("Bearer wrong", "the bearer token is not known"),
        ):
            for _ in range(2):
                _, _, said = server.ask(b"{}", content_type="application/json", authorization=authorization)
                assert json.loads(said)["message"] == expected
        assert server.ask(request(), authorization="Bearer secret-a")[0] == 200
    said_in_log = [record.getMessage() for record in caplog.records if "is refused" in record.getMessage()]
    assert len(said_in_log) == 3
    assert all("OTEL_EXPORTER_OTLP_HEADERS" in line for line in said_in_log)
    assert not any("secret-a" in line or "wrong" in line for line in said_in_log)


def test_traces_without_anywhere_to_go_on_to_are_refused_with_the_reason() -> None:
    with serving() as server:
        status, _, said = server.ask(b"{}", path="/v1/traces", content_type="application/json")
        assert status == 404
        assert "`forward:` names nowhere for it" in json.loads(said)["message"]


def test_no_token_lets_in_whoever_is_without_one_only_where_none_is_known() -> None:
    assert Tokens({}).tenant("") == ""
    with pytest.raises(ConfigError, match="empty"):
        Tokens({"": "", "t": "team"})
    assert Tokens({"t": "team"}).tenant("Bearer \udcff") is None


def test_a_server_that_has_no_room_says_when_to_come_again() -> None:
    with serving() as server:
        server.error = OverloadedError("too many samples wait to be evaluated")
        status, headers, said = server.ask(request())
        assert (status, headers["retry-after"]) == (503, "5")
        assert Status.FromString(said).message == "too many samples wait to be evaluated"
        server.error = RuntimeError("of ours")
        assert server.ask(request())[0] == 500
        assert server.faults.counts["receiver"] == 1
        server.error = None
        assert server.ask(request())[0] == 200


def test_only_so_many_requests_are_read_at_once_and_the_slowest_gives_way() -> None:
    with serving(most_at_once=2) as server, ExitStack() as stack:
        head = (
            b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 9\r\n\r\n"
        )
        slow = [stack.enter_context(server.connected()) for _ in range(3)]
        for connection in slow:
            connection.sendall(head)
        until_served(server)
        for connection in answered(slow, 2):
            status, headers, said = answer(connection)
            assert (status, headers["retry-after"]) == (503, "5")
            assert Status.FromString(said).message == "too many requests at once"


def test_what_is_held_of_all_bodies_is_bounded_too() -> None:
    with serving(most_held=300_000) as server, ExitStack() as stack:
        bomb = gzip.compress(bytes(200_000))
        head = b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
        head += f"Content-Encoding: gzip\r\nContent-Length: {len(bomb) + 1}\r\n\r\n".encode()
        slow = [stack.enter_context(server.connected()) for _ in range(3)]
        for connection in slow:
            connection.sendall(head + bomb)
        assert [answer(connection)[0] for connection in answered(slow, 2)] == [503, 503]
        assert server.ask(request())[0] == 200


def test_who_is_too_slow_is_let_go_and_the_rest_is_served() -> None:
    with serving(head_seconds=0.5, body_seconds=0.5) as server:
        with server.connected() as silent, server.connected() as half, server.connected() as body:
            half.sendall(b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\n")
            body.sendall(b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n")
            body.sendall(b"Content-Length: 100\r\n\r\nab")
            until_served(server)
            assert answer(body)[0] == 408
            for connection in (silent, half):
                with pytest.raises((ConnectionError, AssertionError)):
                    assert connection.recv(100) == b"something"
            # One that has sent a request before may not hang in the next either.
        with server.connected() as again:
            whole = request()
            head = "POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
            head += f"Content-Length: {len(whole)}\r\n\r\n"
            again.sendall(head.encode() + whole)
            assert answer(again)[0] == 200
            again.sendall(b"POST /v1")
            with pytest.raises((ConnectionError, AssertionError)):
                assert again.recv(100) == b"something"


def test_a_slow_sink_holds_up_nobody_who_is_refused_and_stops_with_the_server() -> None:
    with serving(most_body=1 << 20) as server:
        server.hold.clear()
        many = encoded(data_of(gauge(*(number(1, time.time(), k=str(each)) for each in range(500))), resource=SHOP))
        waiting = threading.Thread(target=server.ask, args=(many,), daemon=True)
        waiting.start()
        assert server.ask(b"", path="/nothing")[0] == 404
        server.hold.set()
        waiting.join(30)
        assert len(server.arrived) == 1


def test_traces_and_logs_go_to_who_takes_them() -> None:
    with serving(signals=(Signal.METRICS, Signal.TRACES)) as server:
        server.partly = Taken(points=1, rejected=2, message="full")
        status, _, said = server.ask(b"{}", path="/v1/traces", content_type="application/json")
        assert status == 200
        assert json.loads(said) == {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "full"}}
        assert server.ask(b"", path="/v1/logs")[0] == 404


def test_files_that_are_no_certificate_are_named(tmp_path: Path) -> None:
    (tmp_path / "server.pem").write_text("no PEM", encoding="utf-8")
    tls = TlsFiles(certificate=tmp_path / "server.pem", key=tmp_path / "server.pem")
    receiver = Receiver(ReceiverSettings(http_port=0, grpc_port=None, tls=tls), {}, faults=Faults())
    with pytest.raises(OSError, match=r"serve\.tls: .*server\.pem are no certificate with its key, in PEM"):
        receiver.start()


def test_a_port_that_is_taken_is_said_and_nothing_is_left_listening() -> None:
    with serving() as server:
        for changes in ({"http_port": server.receiver.http_port}, {"grpc_port": server.receiver.http_port}):
            other = Receiver(
                SETTINGS.__class__(**{"http_port": None, "grpc_port": None, **changes}), {}, faults=Faults()
            )
            with pytest.raises(OSError, match="cannot listen at"):
                other.start()
    with pytest.raises(ConnectionError):
        server.ask(b"")


def test_who_is_refused_before_its_body_has_come_reads_why_to_the_end() -> None:
    with serving(grpc_port=0) as server:
        host, port = server.http.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            head = b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n"
            client.sendall(head)
            # Long enough that an answer at once would be here, and the connection closed: then the rest resets it.
            assert not select.select([client], [], [], 0.2)[0]
            client.sendall(b"abcdef")
            answer = b""
            while part := client.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 415 ")
