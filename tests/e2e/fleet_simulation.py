"""A server and its clients on a clock that the test moves: what is sent is real OTLP, without the sockets."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics.export import MetricsData

from otelmon.collect.collector import Collector
from otelmon.collect.ingest import Ingest
from otelmon.collect.presences import Presences
from otelmon.collect.senders import INTERVAL
from otelmon.config.client import ClientSettings
from otelmon.config.load import load_settings
from otelmon.faults import Faults
from otelmon.instrument.model import Traffic
from otelmon.instrument.recorder import RequestRecorder
from otelmon.runtime.client import Client, PassingError, lookbacks
from otelmon.runtime.fleet import Fleet
from otelmon.runtime.hand_over import Claims, HandOver
from otelmon.runtime.lookout import Lookout
from otelmon.server.paged import PAGED_PATH, told
from otelmon.storage.store import Storage
from otelmon.testing.clock import FakeClock
from tests.e2e.simulation import Simulation

_ENVIRON = {"OTEL_SERVICE_NAME": "otelmon"}


class ServerSimulation(Simulation):
    """`otelmon serve` without its sockets; a second one on the same folder and storage is the server restarted."""

    def __init__(self, config: Path, *, clock: FakeClock, disk: Storage | None = None) -> None:
        super().__init__(config, clock=clock, disk=disk, environ=_ENVIRON, serves=True)
        self.presence = Presences(interval_seconds=self.settings.interval_seconds, tenants=self.settings.serve.tenants)
        self.ingest = Ingest(faults=self.faults, attendance=self.presence)
        own = Collector(None, recorder=None, job="otelmon", instance="server", faults=self.faults)
        fleet = Fleet(own, self.ingest, self.presence, state_dir=config.parent, faults=self.faults)
        self.engine.collector = fleet
        self.engine.lookout = Lookout(self.presence, fleet.senders, interval_seconds=self.settings.interval_seconds)
        self.engine.mutes = Claims(self.presence, self.settings.serve.tenants)
        self.down = False

    def turn(self) -> None:
        """What the engine's loop does between ticks."""
        if self.engine.take_requests(self.clock.now()):
            self.deliver()

    def pages_text(self) -> list[str]:
        """All that people could read in each page."""
        return [f"{page.message.title}\n{page.message.description}" for page in self.pages.pages]


class Wire(Client):
    """A client's connection, which a test can cut."""

    def __init__(
        self,
        server: ServerSimulation,
        app: Path,
        instance: str,
        hand_over: HandOver | None = None,
        *,
        tenant: str = "",
    ) -> None:
        settings = load_settings(app, environ={"OTEL_SERVICE_NAME": "shop", "HOME": "/"}, directory=app.parent)
        self.hand_over = hand_over or HandOver(server="server", interval_seconds=15.0, lookbacks=dict)
        super().__init__(
            settings,
            ClientSettings(url="http://server:4318"),
            self.hand_over,
            clock=server.clock,
            faults=Faults(),
        )
        self._instance = instance
        self.server = server
        self.cut = False
        self.says_interval = True
        # So many of the next requests are lost on the way.
        self.lose = 0
        self._tenant = tenant

    def _pause(self, seconds: float) -> None:
        """No time passes here but by the clock that the test moves."""

    def _ask(
        self,
        method: str,
        url: httpx.URL,
        body: bytes,
        headers: Mapping[str, str],
        *,
        within_seconds: float = math.inf,
    ) -> object:
        del headers, within_seconds
        if self.cut or self.server.down or self.lose:
            self.lose = max(0, self.lose - 1)
            raise PassingError("the network is cut")
        if method == "POST":
            self.server.ingest.take(gzip.decompress(body), at=self.server.clock.now(), tenant=self._tenant)
            return None
        assert url.path == PAGED_PATH
        status, answer = told(self.server.engine.incidents.values, lambda: "")(url.query.decode(), self._tenant)
        assert status == 200
        return json.loads(answer)

    def _request(self, data: MetricsData | None, at: float, *, running: bool) -> ExportMetricsServiceRequest:
        request = super()._request(data, at, running=running)
        if not self.says_interval:  # as an OpenTelemetry SDK
            for each in request.resource_metrics:
                kept = [attribute for attribute in each.resource.attributes if attribute.key != INTERVAL]
                del each.resource.attributes[:]
                each.resource.attributes.extend(kept)
        return request


class ReplicaSimulation:
    """An instance that only measures and sends."""

    def __init__(self, server: ServerSimulation, app: Path, instance: str, *, tenant: str = "") -> None:
        self.recorder = RequestRecorder(start_at=server.clock.now())
        self._collector = Collector(None, recorder=self.recorder, job="shop", instance=instance, faults=Faults())
        self.wire = Wire(server, app, instance, tenant=tenant)
        self._clock = server.clock

    def request(self, route: str = "/items", status: int = 200, *, seconds: float = 0.02, times: int = 1) -> None:
        """Count requests that just ended."""
        lane = self.recorder.lane(Traffic.REQUEST, "GET", "http")
        for _ in range(times):
            lane.begin()
            lane.end(route, status, str(status) if status >= 500 else "", seconds)

    def send(self) -> None:
        """Send what was counted until now."""
        self._collector.count(self._clock.now())
        assert self.wire.send(self._collector.finest)

    def say_farewell(self) -> None:
        """Stop as by SIGTERM."""
        self._collector.count(self._clock.now())
        self.wire.say_farewell(self._collector.finest)


class AppSimulation(Simulation):
    """An app with `endpoint:` set: it evaluates along, sends after each tick, and pages while the server is lost."""

    def __init__(
        self, config: Path, server: ServerSimulation, *, disk: Storage | None = None, tenant: str = ""
    ) -> None:
        super().__init__(config, clock=server.clock, disk=disk)
        hand_over = HandOver(
            server="server",
            interval_seconds=self.settings.interval_seconds,
            lookbacks=lookbacks(lambda: self.settings),
        )
        self.engine.mutes = hand_over
        self.wire = Wire(server, config, "web-1/7", hand_over, tenant=tenant)

    def tick(self, *, deliver: bool = True) -> None:
        """A tick, and what follows it."""
        super().tick(deliver=deliver)
        collector = self.engine.collector
        assert isinstance(collector, Collector)
        self.wire.send(collector.finest)


def run(seconds: float, clock: FakeClock, parts: Sequence[Simulation], second: object) -> None:
    """Let time pass for all: traffic each second, a tick of each at each interval, one after the other."""
    interval = parts[0].settings.interval_seconds
    end = clock.monotonic() + seconds
    next_tick = clock.monotonic() + interval
    while clock.monotonic() < end:
        clock.advance(1.0)
        if callable(second):
            second()
        if clock.monotonic() >= next_tick:
            next_tick += interval
            for part in parts:
                part.tick()
