"""The backend of a whole server is down, in every way it can be, for a minute each: nothing that came in is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import psutil
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from otelmon.collect.otlp import GRPC, HTTP, Signal
from otelmon.server.forward.disk_queue import DiskQueue
from tests.e2e.fleet import Server
from tests.e2e.pipeline import Feeder, arrived, check_arrived_in_order, forwarding, numbers, place
from tests.server.forward.backend import BACKENDS, OK, Backend, Say
from tests.server.forward.test_forwarder import invalid
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.soak]

OUTAGE_SECONDS = 60.0
PATIENCE_SECONDS = 120.0
PARTLY, REFUSED = 20, 60
"""Numbers of a Feeder."""
REASONS = {HTTP: "HTTP 400", GRPC: "gRPC INVALID_ARGUMENT"}
QUEUE = Path("otelmon", "forward", "backend", "metrics")
"""In the state directory."""
MOST_MEGABYTES = 40.0


def busy(protocol: str) -> Say:
    """Come again in a second."""
    if protocol == HTTP:
        return Say(status=503, headers=(("Retry-After", "1"),))
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=Duration(seconds=1)))
    status = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], details=[detail])
    packed = (("grpc-status-details-bin", status.SerializeToString()),)
    return Say(code=grpc.StatusCode.UNAVAILABLE, headers=packed)


@contextmanager
def up(backend: Backend, protocol: str, answer: Callable[[Signal, bytes], Say]) -> Iterator[None]:
    backend.answer = answer
    with BACKENDS[protocol](backend):
        yield


@contextmanager
def hanging(backend: Backend, protocol: str) -> Iterator[None]:
    """It takes requests and answers none; when it is over, that they failed."""
    over = threading.Event()

    def hang(_signal: Signal, _body: bytes) -> Say:
        over.wait()
        return busy(protocol)

    with up(backend, protocol, hang):
        try:
            yield
        finally:
            over.set()


class Peak:
    """Memory of a server and the size of its queue, in MB, at their most."""

    def __init__(self, server: Server) -> None:
        self._process = psutil.Process(server.process.pid)
        self._queue = server.state_dir / QUEUE
        self.memory = self.queue = 0.0

    def look(self) -> None:
        self.memory = max(self.memory, self._process.memory_info().rss / 1e6)
        self.queue = max(self.queue, sum(path.stat().st_size for path in self._queue.glob("*.segment")) / 1e6)


def watched(server: Server, seconds: float) -> Peak:
    """Let so much time pass."""
    peak, end, pace = Peak(server), time.monotonic() + seconds, threading.Event()
    while time.monotonic() < end:
        peak.look()
        pace.wait(0.5)
    return peak


def caught_up(feeders: Sequence[Feeder], backend: Backend) -> Callable[[], bool]:
    """Whether the backend has what has been taken by now."""
    wanted = {feeder.instance: feeder.taken[-1] for feeder in feeders}
    newest = dict.fromkeys(wanted, -1)
    seen = [max(0, len(backend.taken) - 50)]  # what was taken last may have come already

    def so() -> bool:
        end = len(backend.taken)
        for instance, found in arrived(backend, seen[0], end).items():
            newest[instance] = max(newest[instance], *found)
        seen[0] = end
        return all(newest[instance] >= number for instance, number in wanted.items())

    return so


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_a_minute_each_of_silence_refusal_and_come_again_loses_nothing(protocol: str, tmp_path: Path) -> None:
    backend = Backend()
    with BACKENDS[protocol](backend):
        pass
    with (
        Server(tmp_path, config=forwarding(backend.url, protocol)) as server,
        Feeder("web-1", HTTP, server.endpoint) as first,
        Feeder("web-2", GRPC, place(server, GRPC)) as second,
        Feeder("web-3", HTTP, server.endpoint, pace_seconds=0.05, padding=60_000) as wide,
    ):
        feeders = [first, second, wide]
        with up(backend, protocol, lambda _signal, _body: OK):
            before = watched(server, 5.0)
            wait_until(caught_up(feeders, backend), server.log)
        ways = {
            "hanging": lambda: hanging(backend, protocol),
            "refusing": ExitStack,
            "busy": lambda: up(backend, protocol, lambda _signal, _body: busy(protocol)),
        }
        for name, way in ways.items():
            taken = len(backend.taken)
            with way():
                during = watched(server, OUTAGE_SECONDS)
            assert len(backend.taken) == taken
            with up(backend, protocol, lambda _signal, _body: OK):
                took = wait_until(caught_up(feeders, backend), server.log, timeout=PATIENCE_SECONDS)
            after = watched(server, 0.1)
            print(
                f"{name}: caught up after {took:.1f} s; queue {during.queue:.1f} MB; memory {before.memory:.0f} "
                f"MB before, {during.memory:.0f} during, {after.memory:.0f} after"
            )
            assert during.memory - before.memory < MOST_MEGABYTES
            assert during.queue > MOST_MEGABYTES
        with up(backend, protocol, lambda _signal, _body: OK):
            for feeder in feeders:
                feeder.stop()
            wait_until(caught_up(feeders, backend), server.log, timeout=PATIENCE_SECONDS)
            # Nothing waits but what the server has just measured of itself.
            size = 'otelmon_forward_queue_size_bytes{otelmon_forward_signal="metrics"} < 2^17'
            wait_until(lambda: len(server.query(size)) == 1, server.log)
            server.stop()
            assert server.process.returncode == 0
    check_arrived_in_order(feeders, backend)
    left = DiskQueue(server.state_dir / QUEUE, size_bytes=2**28)
    assert left.waiting == 0
    left.close()
    print(f"{sum(len(feeder.taken) for feeder in feeders)} requests taken, all of them forwarded")
    assert "are lost" not in server.log


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_what_the_backend_will_not_have_is_counted_and_said_and_not_sent_again(protocol: str, tmp_path: Path) -> None:
    """It takes all but two of one request's points, and one request not at all; all others go on."""
    partly = ExportMetricsServiceResponse()
    partly.partial_success.rejected_data_points, partly.partial_success.error_message = 2, "too old"
    with BACKENDS[protocol]() as backend:

        def answer(_signal: Signal, body: bytes) -> Say:
            found = [number for _, number in numbers(body)]
            if REFUSED in found:
                return invalid(protocol, "it has a flaw")
            return Say(body=partly.SerializeToString()) if PARTLY in found else OK

        backend.answer = answer
        with (
            Server(tmp_path, config=forwarding(backend.url, protocol)) as server,
            Feeder("web-1", HTTP, server.endpoint) as feeder,
        ):
            wait_until(lambda: len(feeder.taken) > REFUSED + 20, server.log)
            wait_until(caught_up([feeder], backend), server.log)
            wait_until(lambda: figure(server, "dropped", error_type=REASONS[protocol]) == 1, server.log)
            assert figure(server, "rejected") == 2
            feeder.stop()
            server.stop()
        came = arrived(backend)["web-1"]
        assert came == [number for number in feeder.taken if number != REFUSED]
        # With others first, and then by itself.
        assert sum(number == REFUSED for _, body in backend.asked for _, number in numbers(body)) <= 2
    assert server.log.count("are lost") == server.log.count("not all of them") == 1
    assert f"are lost: {REASONS[protocol]} (it has a flaw)" in server.log
    assert "not all of them (too old)" in server.log


def figure(server: Server, name: str, **labels: str) -> float:
    """A counter of the server's, of forwarding metrics; 0 where there is none."""
    selected = "".join(f',{label}="{value}"' for label, value in labels.items())
    found = server.query(f'otelmon_forward_{name}_total{{otelmon_forward_signal="metrics"{selected}}}')
    return sum(found.values())
