"""What pipelines of real processes are built from: taps that note what passes, what to compare, clients under load."""

from __future__ import annotations

import http.client
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import grpc
import httpx
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otelmon.collect.otlp import GRPC, Signal
from otelmon.server.forward.messages import request_type
from tests.e2e.fleet import CONFIG, Server
from tests.server.forward.backend import BACKENDS, METHODS, Backend, Say
from tests.server.forward.test_between_agents import points

SERVER = CONFIG.replace("grpc: off", "grpc: 0")
OWN = "otelmon"
"""The service.name of the server's own data, which it forwards with that of others."""
_SECONDS = 60.0
_FIELDS = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
}


def grpc_port(server: Server) -> int:
    return int(re.findall(r"grpc on port (\d+)", server.wait_for_log("taking OTLP"))[0])


def place(server: Server, protocol: str) -> str:
    """Where a server takes OTLP."""
    return f"http://127.0.0.1:{grpc_port(server)}" if protocol == GRPC else server.endpoint


def forwarding(url: str, protocol: str, config: str = SERVER) -> str:
    """The configuration of a server that sends on."""
    return f"{config}forward: {{endpoint: '{url}', protocol: {protocol}}}\n"


def items(taken: Iterable[tuple[Signal, bytes]]) -> Counter[bytes]:
    """Every point, span and record with all that it belongs to, by its bytes; without the server's own."""
    found: Counter[bytes] = Counter()
    for signal, body in list(taken):
        request = request_type(signal).FromString(body)
        _leave_out_own(request)
        found.update(points(request) if signal is Signal.METRICS else _entries(signal, request))
    return found


def _leave_out_own(request: Any) -> None:
    (resources,) = [value for field, value in request.ListFields() if field.name.startswith("resource_")] or [[]]
    kept = [each for each in resources if not _is_own(each.resource)]
    del resources[:]
    resources.extend(kept)


def _is_own(resource: Any) -> bool:
    return any(pair.key == "service.name" and pair.value.string_value == OWN for pair in resource.attributes)


def _entries(signal: Signal, request: Any) -> Iterator[bytes]:
    of_resources, of_scopes, of_entries = _FIELDS[signal]
    for resource in getattr(request, of_resources):
        for scope in getattr(resource, of_scopes):
            belongs = [resource.resource, scope.scope]
            for entry in getattr(scope, of_entries):
                whole = b"".join(each.SerializeToString(deterministic=True) for each in (*belongs, entry))
                yield f"{signal} {resource.schema_url} {scope.schema_url} ".encode() + whole


@contextmanager
def tap(target: str, protocol: str) -> Iterator[Backend]:
    """Passes on what it is sent, answers what it was answered, and has noted what the target took."""
    with BACKENDS[protocol]() as tapped, httpx.Client(timeout=_SECONDS, trust_env=False) as client:
        tapped.show = _shown(client, target)
        if protocol == GRPC:
            with grpc.insecure_channel(target.removeprefix("http://")) as channel:
                tapped.answer = _over_grpc(channel)
                yield tapped
        else:
            tapped.answer = _over_http(client, target)
            yield tapped


def _shown(client: httpx.Client, target: str) -> Callable[[str], tuple[int, bytes]]:
    def show(path: str) -> tuple[int, bytes]:
        answer = client.get(target + path)
        return answer.status_code, answer.content

    return show


def _over_http(client: httpx.Client, target: str) -> Callable[[Signal, bytes], Say]:
    def answer(signal: Signal, body: bytes) -> Say:
        said = client.post(target + signal.path, content=body, headers={"Content-Type": "application/x-protobuf"})
        return Say(status=said.status_code, body=said.content)

    return answer


def _over_grpc(channel: grpc.Channel) -> Callable[[Signal, bytes], Say]:
    def answer(signal: Signal, body: bytes) -> Say:
        try:
            return Say(body=channel.unary_unary(METHODS[signal])(body, timeout=_SECONDS))
        except grpc.RpcError as error:
            return Say(code=error.code(), details=error.details())

    return answer


class Feeder:
    """An instance of the shop that counts up, a request for each number, for the length of a ``with`` block.

    Like an SDK it sends a number again until a server has taken it, and the next one after that. ``taken`` are those
    that were taken, in order, ``unsure`` those that were sent more than once. ``faults`` are sent along, as the
    gauge ``shop.fault`` by its attribute ``round``. Each request has ``padding`` bytes more, of no meaning.
    """

    def __init__(self, instance: str, protocol: str, url: str, pace_seconds: float = 0.01, padding: int = 0) -> None:
        self.instance = instance
        self.url = url
        self.taken: list[int] = []
        self.unsure: set[int] = set()
        self.faults: dict[str, int] = {}
        self._pace_seconds = pace_seconds
        self._padding = random.Random(padding).randbytes(padding // 2).hex()
        self._post = _post_over_grpc if protocol == GRPC else _post_over_http
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Begin no further request."""
        self._over.set()
        self._thread.join(_SECONDS)

    def _run(self) -> None:
        number = 0
        while not self._over.wait(self._pace_seconds):
            if self._post(self.url, self._request(number)):
                self.taken.append(number)
                number += 1
            else:
                self.unsure.add(number)

    def _request(self, number: int) -> bytes:
        request = ExportMetricsServiceRequest()
        described = request.resource_metrics.add()
        for key, value in (("service.name", "shop"), ("service.instance.id", self.instance)):
            described.resource.attributes.add(key=key).value.string_value = value
        metrics, stamp = described.scope_metrics.add().metrics, time.time_ns()
        metrics.add(name=NUMBER, description=self._padding).gauge.data_points.add(time_unix_nano=stamp, as_int=number)
        if faults := dict(self.faults):
            gauge = metrics.add(name="shop.fault").gauge
            for name, value in faults.items():
                point = gauge.data_points.add(time_unix_nano=stamp, as_int=value)
                point.attributes.add(key="round").value.string_value = name
        return bytes(request.SerializeToString())


NUMBER = "shop.number"
"""The metric of a Feeder."""


def numbers(body: bytes) -> Iterator[tuple[str, int]]:
    """The numbers of feeders in a request, each with its instance, in order."""
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        found = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == NUMBER:
                    yield from ((found["service.instance.id"], point.as_int) for point in metric.gauge.data_points)


def arrived(backend: Backend, first: int = 0, end: int | None = None) -> dict[str, list[int]]:
    """What the backend took of each feeder, in order; of some of its requests only."""
    found: dict[str, list[int]] = {}
    for signal, body in backend.taken[first:end]:
        if signal is Signal.METRICS:
            for instance, number in numbers(body):
                found.setdefault(instance, []).append(number)
    return found


def check_arrived_in_order(feeders: Sequence[Feeder], backend: Backend) -> None:
    """All that was taken of the feeders has come, one number after the other."""
    found = arrived(backend)
    for feeder in feeders:
        first = list(dict.fromkeys(found[feeder.instance]))
        assert first == list(range(len(first)))
        # The last one may have been taken with its answer lost.
        assert len(feeder.taken) <= len(first) <= len(feeder.taken) + 1


def twice(numbers: Iterable[int]) -> set[int]:
    return {number for number, times in Counter(numbers).items() if times > 1}


def _post_over_http(url: str, body: bytes) -> bool:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_SECONDS)
    try:
        connection.request("POST", Signal.METRICS.path, body, {"Content-Type": "application/x-protobuf"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _post_over_grpc(url: str, body: bytes) -> bool:
    with grpc.insecure_channel(urlsplit(url).netloc) as channel:
        try:
            channel.unary_unary(METHODS[Signal.METRICS])(body, timeout=_SECONDS)
        except grpc.RpcError:
            return False
        return True
