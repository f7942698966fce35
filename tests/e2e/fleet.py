"""A real `otelmon serve` in a process of its own, and replicas of a service that send to it when the test says so."""

from __future__ import annotations

import re
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from otelmon.errors import StateError
from otelmon.runtime.control import ask
from tests.e2e.served import Served

# At an interval of a second a busy machine is late by more than a quarter: hence the threshold.
CONFIG = """\
interval: 1s
paging: on
serve: {http: 0, grpc: off, public: "127.0.0.1:0"}
alerts:
  error_rate: {threshold: 20%, window: 10s, keep_firing_for: 0s}
  service_silent: {threshold: 4, keep_firing_for: 0s}
  route_error_rate: off
  response_time: off
  disk_usage: off
  memory_usage: off
"""
_SECONDS = 60.0


class Server(Served):
    """``otelmon serve`` for the length of a ``with`` block; a second one on the same folder is the server restarted."""

    def __init__(self, folder: Path, *, config: str = CONFIG, webhook_url: str | None = None, **environ: str) -> None:
        super().__init__(
            folder,
            config=config,
            webhook_url=webhook_url,
            environ=environ,
            before=(sys.executable, "-m", "otelmon", "serve"),
            server=(),
            options=("--config",),
            target="otelmon.yaml",
        )
        self._pages = httpx.Client(timeout=_SECONDS, trust_env=False, headers={"Connection": "close"})

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            line = self.wait_for_log("taking OTLP", timeout=_SECONDS)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        (self.otlp_port,) = map(int, re.findall(r"http on port (\d+)", line))
        self.public = re.findall(r"http://\S+", self.wait_for_log("health, metrics and pages"))[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pages.close()
        super().__exit__(kind, error, trace)

    @property
    def endpoint(self) -> str:
        """Where OTLP is taken over HTTP."""
        return f"http://127.0.0.1:{self.otlp_port}"

    def page(self, path: str) -> httpx.Response:
        """What the public listener answers."""
        return self._pages.get(f"{self.public}{path}")

    def query(self, expr: str) -> dict[str, float]:
        """The values of an expression by instance ("" for none); empty where nobody answers."""
        try:
            found = ask(self.state_dir / "otelmon", {"verb": "query", "expr": expr}, timeout_seconds=20)
        except StateError:
            return {}
        return {each["labels"].get("instance", ""): float(each["value"]) for each in found.get("vector", ())}


class Link:
    """A way to a server that can be cut: what is under way ends, and nobody can connect until it is mended."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._whole = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self) -> None:
        with self._lock:
            self._whole = False
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        with self._lock:
            self._whole = True

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                with self._lock:
                    whole = self._whole
                if not whole:
                    near.close()
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    near.close()
                    continue
                with self._lock:
                    self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            if one in self._open:
                self._open.remove(one)
        one.close()


class Replica:
    """One instance of a service, with the OpenTelemetry SDK as any user has it; it sends only by `send`."""

    def __init__(
        self, endpoint: str, instance: str, *, job: str = "shop", headers: dict[str, str] | None = None
    ) -> None:
        exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics", headers=headers, timeout=10)
        self._reader = PeriodicExportingMetricReader(exporter, export_interval_millis=1e9)
        resource = Resource({"service.name": job, "service.instance.id": instance})
        self._provider = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False)
        meter = self._provider.get_meter("test")
        self._durations = meter.create_histogram(
            "http.server.request.duration", "s", explicit_bucket_boundaries_advisory=[0.01, 0.1, 1.0]
        )
        self._running = meter.create_gauge("otelmon.running")
        self._running.set(1)

    def serve(self, *, good: int = 0, bad: int = 0, seconds: float = 0.05) -> None:
        """Requests that were answered."""
        for count, status in ((good, 200), (bad, 500)):
            for _ in range(count):
                self._durations.record(seconds, {"http.route": "/pay", "http.response.status_code": status})

    def send(self) -> None:
        """Export now."""
        assert self._provider.force_flush(30_000)

    def say_farewell(self) -> None:
        """Stop as otelmon's client does by intent."""
        self._running.set(0)
        self._provider.shutdown()

    def die(self) -> None:
        """End without a word: the exporter is gone before the reader could send."""
        self._reader._exporter.shutdown()
        self._provider.shutdown()
