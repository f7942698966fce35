"""Client: sends what this process measures to `otelmon serve`, after each tick, and hears what the server has paged."""

from __future__ import annotations

import gzip
import math
import os
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

import httpx
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.sdk.metrics.export import MetricsData

from otelmon.clock import Clock
from otelmon.collect.otlp import Signal
from otelmon.collect.senders import INTERVAL
from otelmon.config.client import ClientSettings
from otelmon.config.settings import Settings
from otelmon.errors import StateError
from otelmon.faults import Faults
from otelmon.notify.exchange import BoundedClient, ExchangeError
from otelmon.runtime.hand_over import ALERT, CLAIM, HandOver
from otelmon.server.paged import PAGED_PATH

RUNNING = "otelmon.running"
"""A gauge: 1 while the process runs, 0 in what it sends last (see ``otelmon.collect.senders.FAREWELL``)."""
_LONGEST_SECONDS = 5.0
# A send that is lost is sent again soon, so that the server still hears of this process in the same interval: the first
# try may take this part of the interval, and the second one comes after a pause of up to this part and second.
_FIRST_TRY, _LEAST_TRY_SECONDS = 0.25, 0.5
_PAUSE, _LONGEST_PAUSE_SECONDS = 0.1, 1.0
# What another try may mend, as the OTLP specification has it; a token that is refused is so again.
_PASSING = frozenset({429, 502, 503, 504})
_HINTS = {
    401: ", it does not know this token; set OTELMON_TOKEN (or token:) to one of its `serve: tokens`",
    404: ", no OTLP is taken there; `endpoint` is where otelmon serve has `http`, such as http://otelmon:4318",
}
_IDENTITY = frozenset({"service.name", "service.namespace", "service.instance.id", INTERVAL})


class PassingError(StateError):
    """It was lost on the way, or the server could not take it just then."""


class Client:
    """One process's connection to its server; for one thread at a time.

    Each process is an instance of its own to the server (``instance/pid``), because its counts are.
    """

    def __init__(
        self, settings: Settings, server: ClientSettings, hand_over: HandOver, *, clock: Clock, faults: Faults
    ) -> None:
        self._job = settings.service
        self._instance = f"{settings.instance}/{os.getpid()}"
        self._hand_over = hand_over
        self._clock = clock
        self._faults = faults
        self._metrics = httpx.URL(server.url + Signal.METRICS.path)
        self._paged = httpx.URL(f"{server.url}{PAGED_PATH}?job={quote(self._job, safe='')}")
        token = server.token
        self._headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        total = min(_LONGEST_SECONDS, max(1.0, settings.interval_seconds))
        self._exchange = BoundedClient(
            connect_seconds=total, total_seconds=total, clock=clock, verify=lambda: server.tls.context
        )
        self._interval_seconds = settings.interval_seconds
        self._first_try_seconds = max(_LEAST_TRY_SECONDS, _FIRST_TRY * settings.interval_seconds)
        self._longest_pause_seconds = min(_LONGEST_PAUSE_SECONDS, _PAUSE * settings.interval_seconds)

    def send(self, data: MetricsData | None) -> bool:
        """Send what was measured last, and hear what the server has paged; whether it has it. Never raises.

        Takes an interval at most, or some seconds where that is shorter.
        """
        at = self._clock.now()
        try:
            self._post(data, at, running=True)
            paged = _paged(self._ask("GET", self._paged, b"", self._headers))
        except Exception as error:  # noqa: BLE001 (this process pages for itself then)
            self._faults.add("client", f"the server cannot be sent what is measured here: {error}")
            self._hand_over.failed(at)
            return False
        self._faults.clear("client")
        self._hand_over.sent(paged)
        return True

    def say_farewell(self, data: MetricsData | None) -> None:
        """Send once more, and that this process stops by intent; where the server answers. Never raises."""
        try:
            if not self._hand_over.lost:
                self._post(data, self._clock.now(), running=False)
        except Exception as error:  # noqa: BLE001 (it stops all the same; the server sees that it is silent)
            self._faults.add("client", f"the server cannot be told that this process stops: {error}")
        finally:
            self._exchange.close()

    def _post(self, data: MetricsData | None, at: float, *, running: bool) -> None:
        body = gzip.compress(self._request(data, at, running=running).SerializeToString(), compresslevel=1)
        headers = {**self._headers, "Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        if self._hand_over.lost:
            self._ask("POST", self._metrics, body, headers)
            return
        try:
            self._ask("POST", self._metrics, body, headers, within_seconds=self._first_try_seconds)
        except PassingError:
            # What the server took, though its answer was lost, it knows when it comes again.
            self._pause(random.uniform(0.2, 1.0) * self._longest_pause_seconds)  # noqa: S311
            self._ask("POST", self._metrics, body, headers)

    def _pause(self, seconds: float) -> None:
        self._clock.wait(threading.Event(), seconds)

    def _ask(
        self,
        method: str,
        url: httpx.URL,
        body: bytes,
        headers: Mapping[str, str],
        *,
        within_seconds: float = math.inf,
    ) -> object:
        try:
            reply = self._exchange.exchange(method, url, body, headers, within_seconds=within_seconds)
        except ExchangeError as error:
            raise PassingError(str(error)) from None
        if reply.status != httpx.codes.OK:
            hint = _HINTS.get(reply.status, "")
            raise (PassingError if reply.status in _PASSING else StateError)(f"it answers HTTP {reply.status}{hint}")
        return reply.body

    def _request(self, data: MetricsData | None, at: float, *, running: bool) -> ExportMetricsServiceRequest:
        request = ExportMetricsServiceRequest() if data is None else encode_metrics(data)
        own = (
            _attribute("service.name", self._job),
            _attribute("service.instance.id", self._instance),
            KeyValue(key=INTERVAL, value=AnyValue(double_value=self._interval_seconds)),
        )
        if not request.resource_metrics:
            request.resource_metrics.add(resource=Resource())
        for each in request.resource_metrics:
            kept = [attribute for attribute in each.resource.attributes if attribute.key not in _IDENTITY]
            del each.resource.attributes[:]
            each.resource.attributes.extend([*own, *kept])
        stamp = int(at * 1e9)
        said = [_gauge(RUNNING, [(int(running), ())], stamp)]
        if claims := self._hand_over.claims():
            points = [(int(claimed), (_attribute(ALERT, name),)) for name, claimed in claims.items()]
            said.append(_gauge(CLAIM, points, stamp))
        request.resource_metrics[0].scope_metrics.add().metrics.extend(said)
        return request


def lookbacks(settings: Callable[[], Settings]) -> Callable[[], Mapping[str, float]]:
    """For how many seconds the rules of each name look back, as they are now."""
    from otelmon.runtime.evaluate import rule_lookback_seconds

    known: dict[int, Mapping[str, float]] = {}

    def found() -> Mapping[str, float]:
        groups = settings().groups
        if id(groups) not in known:
            rules = [(rule.name, rule_lookback_seconds(rule)) for group in groups for rule in group.rules]
            known.clear()
            known[id(groups)] = {name: max(s for other, s in rules if other == name) for name, _ in rules}
        return known[id(groups)]

    return found


def _paged(body: object) -> frozenset[str]:
    paged = body.get("paged") if isinstance(body, Mapping) else None
    if not isinstance(paged, list):
        raise StateError("it takes metrics and is no otelmon serve")
    return frozenset(map(str, paged))


def _attribute(key: str, text: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=text))


def _gauge(name: str, points: Sequence[tuple[int, tuple[KeyValue, ...]]], stamp: int) -> Metric:
    made = [NumberDataPoint(attributes=attributes, time_unix_nano=stamp, as_int=value) for value, attributes in points]
    return Metric(name=name, gauge=Gauge(data_points=made))
