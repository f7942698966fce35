"""Whatever comes in: an answer with a right status, no fault of ours, and nothing that grows."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otelmon.collect.ingest import Ingest
from otelmon.collect.limits import IngestLimits, MalformedError
from otelmon.collect.otlp import Signal
from tests.collect.making import data_of
from tests.collect.sending import SHOP, encoded, gauge, number
from tests.e2e.fleet import Server
from tests.server.authority import Authority
from tests.server.frames import EXPORT, PREFACE, SETTINGS, Calls, frame, message
from tests.server.fuzzing import (
    AT,
    TOKEN,
    WHOLE,
    Call,
    HttpRequest,
    bodies,
    calls,
    http2_frames,
    http_bytes,
    http_requests,
    json_bodies,
    spoiled,
)

# For each of two servers; with their start and end about 20 s on a quiet machine.
_SECONDS = 4.0
_SOAK_SECONDS = 300.0
_MOST_SERIES = 1000
_MOST_GROWTH = 48 * 2**20
_MOST_THREADS = 150
CONFIG = """\
interval: 1s
paging: off
max_series: 1000
serve: {http: 0, grpc: 0, public: "127.0.0.1:0", max_body: 1MiB%s}
forward: {endpoint: "http://127.0.0.1:9", queue: {size: 1MiB}}
"""


def fed(body: bytes, *, in_json: bool) -> None:
    ingest = Ingest(limits=IngestLimits(series=50))
    try:
        taken = (ingest.take_json if in_json else ingest.take)(body, at=AT)
        assert taken.points >= 0
        assert taken.rejected >= 0
    except MalformedError:
        assert not len(ingest.collect(AT))
    assert ingest.series <= 50
    for sample in ingest.collect(AT + 1):
        assert AT - 600 <= sample.at <= AT + 31
        assert sample.start_at is None or sample.start_at < sample.at


@settings(max_examples=120, deadline=None)
@given(bodies(Signal.METRICS))
def test_bytes_are_taken_or_refused(body: bytes) -> None:
    fed(body, in_json=False)


@settings(max_examples=80, deadline=None)
@given(json_bodies)
def test_json_is_taken_or_refused(body: bytes) -> None:
    fed(body, in_json=True)


@settings(max_examples=60, deadline=None)
@given(spoiled(WHOLE[Signal.METRICS]))
def test_what_is_refused_is_what_protobuf_refuses_too(body: bytes) -> None:
    # Where protobuf reads it, so do we: a request is not refused for the way it is written.
    try:
        ExportMetricsServiceRequest.FromString(body)
    except DecodeError:
        return
    try:
        Ingest().take(body, at=AT)
    except MalformedError as error:
        # Groups, which OTLP has never had.
        assert "unknown kind" in str(error)  # noqa: PT017


class Target:
    """A real `otelmon serve`, with or without tokens and TLS, and clients of it."""

    def __init__(self, server: Server, authority: Authority | None) -> None:
        self.server = server
        self.guarded = authority is not None
        self.asked: Counter[str] = Counter()
        self._tls = None if authority is None else ssl.create_default_context(cafile=authority.file)
        self._h2 = None if authority is None else ssl.create_default_context(cafile=authority.file)
        if self._h2 is not None:
            self._h2.set_alpn_protocols(["h2"])
        self._authority = authority
        (self._grpc_port,) = map(int, re.findall(r"grpc on port (\d+)", server.wait_for_log("taking OTLP")))
        self._url = f"{'https' if self.guarded else 'http'}://127.0.0.1:{server.otlp_port}"
        self.client = httpx.Client(verify=self._tls or False, trust_env=False, timeout=60)
        self.process = psutil.Process(server.process.pid)

    def ask(self, request: HttpRequest) -> None:
        """Over HTTP."""
        status = self.client.post(self._url + request.path, content=request.body, headers=request.headers).status_code
        assert status in request.right
        self.asked[f"HTTP {status}"] += 1

    def call(self, call: Call) -> None:
        """Over gRPC."""
        with Calls(self._grpc_port, self._h2) as connection:
            stream = connection.begin(call.path, call.headers)
            connection.data(stream, message(call.body, compressed=call.compressed, length=call.length))
            status = connection.status(stream)
        assert status in call.right
        self.asked[f"gRPC {None if status is None else status.name}"] += 1

    def say(self, written: bytes) -> None:
        """Bytes on a connection over HTTP, which is then over."""
        came = self._said(self.server.otlp_port, self._tls, written)
        assert came is None or not came or came.startswith((b"HTTP/1.1 ", b"HTTP/1.0 "))
        for status in re.findall(rb"HTTP/1\.[01] (\d+) ", came or b""):
            assert int(status) in {100, 200, 400, 401, 404, 405, 413, 415, 431, 501}, came
        self.asked["HTTP as bytes"] += 1

    def frame(self, written: bytes) -> None:
        """Frames on a connection over gRPC, which is then over."""
        self._said(self._grpc_port, self._h2, PREFACE + frame(SETTINGS, 0, 0) + written)
        self.asked["HTTP/2 as bytes"] += 1

    @staticmethod
    def _said(port: int, tls: ssl.SSLContext | None, written: bytes) -> bytes | None:
        came = b""
        with suppress(ConnectionError, ssl.SSLError), ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            if tls is not None:
                connection = stack.enter_context(tls.wrap_socket(connection, server_hostname="127.0.0.1"))
            connection.sendall(written)
            if tls is None:
                connection.shutdown(socket.SHUT_WR)
            else:
                connection.settimeout(0.01)
            with suppress(TimeoutError):
                while piece := connection.recv(65536):
                    came += piece
        return came

    def is_well(self) -> None:
        """An honest client is served, and nothing of ours is broken."""
        body = encoded(data_of(gauge(number(1, time.time())), resource=SHOP))
        headers = {"content-type": "application/x-protobuf", "authorization": f"Bearer {TOKEN}"}
        assert self.client.post(f"{self._url}/v1/metrics", content=body, headers=headers).status_code == 200
        place = f"127.0.0.1:{self._grpc_port}"
        trusted = None if self._authority is None else grpc.ssl_channel_credentials(self._authority.file.read_bytes())
        with grpc.insecure_channel(place) if trusted is None else grpc.secure_channel(place, trusted) as channel:
            channel.unary_unary(EXPORT)(body, timeout=60, metadata=[("authorization", f"Bearer {TOKEN}")])
        assert "Traceback" not in self.server.log
        assert "could not be handled" not in self.server.log
        assert ".cc:" not in self.server.log  # what gRPC would write of broken bytes
        assert self.server.page("/-/healthy").status_code == 200

    def size(self) -> tuple[int, int, int, float]:
        """Memory in bytes, threads, open files, series."""
        series = re.findall(r"^otelmon_series(?:\{.*\})? (\S+)", self.server.page("/metrics").text, re.MULTILINE)
        process = self.process
        return process.memory_info().rss, process.num_threads(), process.num_fds(), max(map(float, series), default=0.0)


@pytest.fixture(scope="module", params=["open", "guarded"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    authority, more = None, ""
    if request.param == "guarded":
        authority = Authority(folder)
        certificate, key = authority.issue("server")
        more = f", tokens: {{apps: {TOKEN}}}, tls: {{certificate: {certificate}, key: {key}}}"
    with Server(folder, config=CONFIG % more) as server:
        found = Target(server, authority)
        yield found
        found.client.close()


def _fuzz(target: Target, seconds: float) -> None:
    """Each of the ways in turn, until the time is over."""
    until = time.monotonic() + seconds

    def run(strategy: st.SearchStrategy[object], act: object, examples: int) -> None:
        @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(strategy)
        def once(given_: object) -> None:
            act(given_)

        once()

    ways = (
        (http_requests(guarded=target.guarded), target.ask),
        (calls(guarded=target.guarded), target.call),
        (http_bytes, target.say),
        (http2_frames(), target.frame),
    )
    while True:
        for strategy, act in ways:
            run(strategy, act, 40)
        target.is_well()
        if time.monotonic() >= until:
            return


def _assert_bounded(target: Target, before: tuple[int, int, int, float]) -> None:
    target.server.pass_ticks(2)
    until = time.monotonic() + 60
    # Connections that were cut off are found out about in time.
    while target.size()[2] > before[2] + 20 and time.monotonic() < until:
        target.server.pass_ticks(1)
    memory, threads, files, series = target.size()
    print(f"\n{dict(target.asked)}\nmemory {before[0] >> 20} to {memory >> 20} MiB, {threads} threads, "
          f"{before[2]} to {files} files, {series:g} series")  # fmt: skip
    assert memory - before[0] < _MOST_GROWTH
    assert threads < _MOST_THREADS
    assert files <= before[2] + 20
    assert series <= _MOST_SERIES


@pytest.mark.slow
def test_every_request_is_answered_and_the_server_goes_on(target: Target) -> None:
    _fuzz(target, 0.0)
    before = target.size()
    _fuzz(target, _SECONDS)
    _assert_bounded(target, before)


@pytest.mark.soak
@pytest.mark.slow
def test_ten_minutes_of_it_leave_nothing_behind(target: Target) -> None:
    _fuzz(target, 20.0)
    before = target.size()
    _fuzz(target, _SOAK_SECONDS)
    _assert_bounded(target, before)
