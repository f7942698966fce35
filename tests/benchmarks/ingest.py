"""What taking OTLP in costs: a server in a process of its own, over HTTP and gRPC on loopback.

    python -m tests.benchmarks.ingest

Prints data points a second and the server's CPU seconds a million points for batches of 100, 1,000 and 10,000 points of
counters, explicit and exponential histograms; points a second of one core from the same CPU seconds; the server's
memory with 100,000 series; how long a tick with 100,000 series and the built-in rules takes; and what it costs to
send everything on. Exits with 1 where a bound is missed. The clients send bytes that were made before; only loopback
is used.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import psutil
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pydantic import SecretStr

from otelmon.collect.ingest import Ingest
from otelmon.collect.limits import IngestLimits, Taken
from otelmon.collect.otlp import Signal
from otelmon.config.forward import Compression, ForwardSettings
from otelmon.faults import Faults
from otelmon.rules.builtin import builtin_text
from otelmon.rules.load import load_rules
from otelmon.runtime.evaluate import RuleRunner
from otelmon.server.arrivals import Arrived, ReceiverSettings
from otelmon.server.forward.forwarder import Forwarder
from otelmon.server.receiver import Receiver
from otelmon.window.window import Window
from tests.server.forward.backend import http_backend

LEAST_POINTS_A_CORE = 250_000
MOST_TICK_SECONDS = 1.0
SERIES = 100_000
KINDS = ("counter", "explicit", "exponential")
BATCHES = (100, 1_000, 10_000)
# So many points of each kind are sent for each figure.
_POINTS = {"counter": 200_000, "explicit": 20_000, "exponential": 20_000}
_EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
LIMITS = IngestLimits(waiting=50_000_000, series=1_000_000, series_per_sender=1_000_000)


def made(kind: str, points: int, at: float, *, tick: int, first: int = 0, instance: str = "i-1") -> bytes:
    """A request with one point of each of so many series."""
    request = ExportMetricsServiceRequest()
    described = request.resource_metrics.add()
    for key, value in (("service.name", "shop"), ("service.instance.id", instance)):
        described.resource.attributes.add(key=key).value.string_value = value
    name = {"counter": "http.server.requests", "explicit": "took", "exponential": "exact"}[kind]
    metric = described.scope_metrics.add().metrics.add(name=name, unit="s" if kind != "counter" else "")
    data = {"counter": metric.sum, "explicit": metric.histogram, "exponential": metric.exponential_histogram}[kind]
    data.aggregation_temporality = 2
    if kind == "counter":
        metric.sum.is_monotonic = True
    stamp = {"start_time_unix_nano": int((at - 3600) * 1e9), "time_unix_nano": int(at * 1e9)}
    for index in range(first, first + points):
        point: Any = data.data_points.add(**stamp)
        if kind == "counter":
            point.as_int = index + 7 * tick
        else:
            counts = [tick + (index + place) % 9 for place in range(15 if kind == "explicit" else 80)]
            point.count, point.sum = sum(counts), 0.25 * sum(counts)
            if kind == "explicit":
                point.bucket_counts.extend(counts)
                point.explicit_bounds.extend(_BOUNDS)
            else:
                point.scale, point.positive.offset = 3, -40
                point.positive.bucket_counts.extend(counts)
        for key, value in (("http.request.method", "GET"), ("http.route", f"/route/{index}"), ("url.scheme", "https")):
            point.attributes.add(key=key).value.string_value = value
        point.attributes.add(key="http.response.status_code").value.int_value = 200
    return request.SerializeToString()


def serve(backend: str = "", compression: str = "gzip") -> None:
    """The server's process: says its ports and collects each second, as an engine would, until its input ends.

    With the URL of a ``backend`` it sends all on, by a queue on disk.
    """
    ingest = Ingest(limits=LIMITS)
    settings = ReceiverSettings(http_port=0, grpc_port=0, most_decompressed=64 * 1024 * 1024)
    with TemporaryDirectory() as folder:
        target = ForwardSettings(endpoint=SecretStr(backend), place="backend", compression=Compression(compression))
        forwarder = Forwarder((target,) if backend else (), directory=Path(folder), faults=Faults())
        stop = threading.Event()
        forwarding = threading.Thread(target=forwarder.run, args=(stop,))
        forwarding.start()

        def take(arrived: Arrived) -> Taken:
            taken = ingest.take(arrived.body, at=time.time())
            forwarder.put(Signal.METRICS, arrived.body)
            return taken

        receive(Receiver(settings, {Signal.METRICS: take}, faults=Faults()), ingest)
        stop.set()
        forwarding.join()


def receive(receiver: Receiver, ingest: Ingest) -> None:
    """Take requests in until the input ends."""
    receiver.start()
    print(receiver.http_port, receiver.grpc_port, flush=True)
    for line in sys.stdin:
        if line.strip() == "collect":
            print(len(ingest.collect(time.time())), ingest.series, flush=True)
    receiver.stop()


class Server:
    """A server in a process of its own."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.ingest", "serve", *options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._known = psutil.Process(self._process.pid)
        self.http_port, self.grpc_port = map(int, self._line().split())

    def collect(self) -> tuple[int, int]:
        """How many samples waited, and how many series there are."""
        assert self._process.stdin is not None
        print("collect", file=self._process.stdin, flush=True)
        samples, series = map(int, self._line().split())
        return samples, series

    def cpu(self) -> float:
        times = self._known.cpu_times()
        return times.user + times.system

    def megabytes(self) -> float:
        return self._known.memory_info().rss / 1e6

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def sender(server: Server, protocol: str) -> Iterator[Callable[[bytes], None]]:
    """What sends a request and waits for its answer, on one connection."""
    if protocol == "gRPC":
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            export = channel.unary_unary(_EXPORT)

            def call(body: bytes) -> None:
                assert export(body, timeout=60) == b""

            yield call
        return
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port)

    def post(body: bytes) -> None:
        connection.request("POST", "/v1/metrics", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")

    yield post
    connection.close()


def throughput(protocol: str, kind: str, batch: int) -> float:
    """Prints what sending costs; returns points a second of one of the server's cores."""
    server = Server()
    ticks = max(2, _POINTS[kind] // batch)
    now = time.time()
    bodies = [made(kind, batch, now - 500 + tick * 400 / ticks, tick=tick) for tick in range(ticks + 1)]
    with sender(server, protocol) as send:
        send(bodies[0])  # the first makes the labels
        server.collect()
        before, begun = server.cpu(), time.perf_counter()
        for body in bodies[1:]:
            send(body)
        took, cpu = time.perf_counter() - begun, server.cpu() - before
        samples, _ = server.collect()
    server.close()
    points = batch * ticks
    assert samples >= points, (samples, points)
    print(
        f"  {protocol:4} {kind:11} batches of {batch:6,}: {points / took:9,.0f} points/s, "
        f"{cpu / points * 1e6:6.2f} CPU s a million, {points / cpu:9,.0f} points/s a core",
        flush=True,
    )
    return points / cpu


def forwarding(batch: int = 1_000, rounds: int = 3) -> None:
    """Prints the CPU time of a server that sends everything on, beside that of one that does not, in turns."""
    requests = _POINTS["counter"] // batch
    now = time.time()
    bodies = [made("counter", batch, now - 500 + tick * 400 / requests, tick=tick) for tick in range(requests + 1)]
    ways: dict[str, list[float]] = {"off": [], "gzip": [], "none": []}
    for _ in range(rounds):
        for way, costs in ways.items():
            costs.append(forwarded(bodies, way) / (batch * requests) * 1e6)
    off, *on = (sorted(costs)[rounds // 2] for costs in ways.values())
    print(
        f"  forwarding counters in batches of {batch:,}: {off:.2f} CPU s a million without, {on[0]:.2f} with gzip "
        f"({on[0] - off:+.2f}), {on[1]:.2f} uncompressed ({on[1] - off:+.2f})"
    )


def forwarded(bodies: Sequence[bytes], way: str) -> float:
    """The CPU seconds of taking these in and, but for ``off``, of sending them on until the backend has them all."""
    with http_backend() as backend:
        server = Server(*(() if way == "off" else (backend.url, way)))
        with sender(server, "HTTP") as send:
            send(bodies[0])
            wanted = sum(map(len, bodies))
            before = server.cpu()
            for body in bodies[1:]:
                send(body)
            if way != "off":  # requests that go together are joined by joining bytes
                backend.wait(lambda: sum(len(body) for _, body in backend.taken) == wanted)
            cpu = server.cpu() - before
        server.close()
    return cpu


def memory() -> None:
    """Prints what 100,000 series take."""
    server = Server()
    with sender(server, "HTTP") as send:
        send(made("counter", 1, time.time(), tick=0, first=SERIES))
        before = server.megabytes()
        for first in range(0, SERIES, 10_000):
            body = made("counter", 10_000, time.time(), tick=1, first=first, instance=f"i-{first // 10_000}")
            send(body)
        server.collect()
        after = server.megabytes()
        _, series = server.collect()
    server.close()
    print(f"  {series:,} series: {after - before:.0f} MB, {(after - before) * 1e6 / series:,.0f} bytes a series")


def request_counts(instance: int, at: float, tick: int, routes: int) -> bytes:
    """What the built-in rules look at: the durations of requests by route and status, in explicit buckets."""
    request = ExportMetricsServiceRequest()
    described = request.resource_metrics.add()
    for key, value in (("service.name", "shop"), ("service.instance.id", f"i-{instance}")):
        described.resource.attributes.add(key=key).value.string_value = value
    metric = described.scope_metrics.add().metrics.add(name="http.server.request.duration", unit="s")
    metric.histogram.aggregation_temporality = 2
    for route in range(routes):
        counts = [tick * ((route + place) % 9) for place in range(15)]
        point = metric.histogram.data_points.add(
            start_time_unix_nano=int((at - 15 * tick - 3600) * 1e9), time_unix_nano=int(at * 1e9), count=sum(counts)
        )
        point.sum = 0.25 * point.count
        point.bucket_counts.extend(counts)
        point.explicit_bounds.extend(_BOUNDS)
        for key, value in (("http.request.method", "GET"), ("http.route", f"/route/{route}"), ("url.scheme", "http")):
            point.attributes.add(key=key).value.string_value = value
        point.attributes.add(key="http.response.status_code").value.int_value = 500 if route % 20 == 7 else 200
    return request.SerializeToString()


def ticks(rounds: int = 24, instances: int = 20) -> float:
    """Prints what ticks take, with what 20 instances sent taken in before each; returns their p99 in seconds.

    A tick here is collecting, storing in the window and stepping the rules; what is saved on disk is not in it.
    """
    ingest, window = Ingest(limits=LIMITS), Window(retention_seconds=600, max_series=2 * SERIES)
    rules = RuleRunner(tuple(load_rules(builtin_text(), name="builtin.yml")), interval_seconds=15, faults=Faults())
    routes = SERIES // instances // (len(_BOUNDS) + 3)
    begin = time.time() - 15 * rounds
    took: list[tuple[float, float, float]] = []
    cpus: list[float] = []
    for tick in range(rounds):
        at = begin + 15 * tick
        for instance in range(instances):
            ingest.take(request_counts(instance, at, tick, routes), at=at)
        begun, cpu = time.perf_counter(), time.process_time()
        samples = ingest.collect(at)
        reading = iter(samples)
        for _ in range(0, len(samples), 512):  # as the engine does
            window.append(islice(reading, 512))
        stored = time.perf_counter()
        rules.run(window, at)
        done = time.perf_counter()
        took.append((done - begun, stored - begun, done - stored))
        cpus.append(time.process_time() - cpu)
    warm = sorted(took[2:])
    worst = warm[min(len(warm) - 1, int(0.99 * len(warm)))]
    print(
        f"  tick with {window.series_count:,} series and the built-in rules: p50 {warm[len(warm) // 2][0]:.3f} s, p99 "
        f"{worst[0]:.3f} s (collect and store {worst[1]:.3f}, rules {worst[2]:.3f}); the first {took[0][0]:.2f} s; "
        f"p50 of its CPU {sorted(cpus[2:])[len(cpus) // 2 - 1]:.3f} s"
    )
    return worst[0]


def bound(what: str, *, holds: bool) -> bool:
    """Print a verdict."""
    print(f"  {'ok    ' if holds else 'MISSED'} {what}", flush=True)
    return holds


def main() -> None:
    """Measure, print and judge."""
    print("throughput, one client on one connection:")
    rate = {
        (protocol, kind, batch): throughput(protocol, kind, batch)
        for kind in KINDS
        for protocol in ("HTTP", "gRPC")
        for batch in BATCHES
    }
    met = [
        bound(
            f"counters over {protocol} in batches of 1,000: {rate[protocol, 'counter', 1_000]:,.0f} points/s a core, "
            f"at least {LEAST_POINTS_A_CORE:,}",
            holds=rate[protocol, "counter", 1_000] >= LEAST_POINTS_A_CORE,
        )
        for protocol in ("HTTP", "gRPC")
    ]
    print("sending on:")
    forwarding()
    print("memory and ticks:")
    memory()
    worst = ticks()
    met.append(bound(f"p99 of a tick {worst:.3f} s, at most {MOST_TICK_SECONDS} s", holds=worst <= MOST_TICK_SECONDS))
    sys.exit(not all(met))


if __name__ == "__main__":
    serve(*sys.argv[2:]) if sys.argv[1:2] == ["serve"] else main()
