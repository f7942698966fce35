"""A real server in a real pipeline: an application before it, an agent of other people's before or behind it."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from otelmon.collect.otlp import GRPC, HTTP, Signal
from otelmon.labels import Labels
from otelmon.runtime.control import ask
from tests.conformance import prometheus
from tests.e2e.fleet import Server
from tests.e2e.pipeline import Feeder, forwarding, items, place, tap
from tests.e2e.served import Served
from tests.rotel import rotel
from tests.server.forward.backend import BACKENDS, http_backend
from tests.server.forward.test_between_agents import COLLECTIONS, send
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

REQUESTS = 20
SCRAPES = 8
SCRAPE = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - {{job_name: otelmon, honor_labels: true, static_configs: [{{targets: ["{}"]}}]}}
"""
# Metrics by otelmon, traces and logs by the SDK, as any application has them.
APP = """\
import os
from contextlib import asynccontextmanager

import otelmon
from fastapi import FastAPI, HTTPException
from opentelemetry import metrics
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if os.environ["APP_PROTOCOL"] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

resource = Resource({"service.name": "shop", "service.instance.id": "web-1", "shop.tags": ["a", "b"]})
spans, records = TracerProvider(resource=resource), LoggerProvider(resource=resource)
spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
records.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
tracer, logger = spans.get_tracer("shop", "1.0"), records.get_logger("shop", "1.0")


@asynccontextmanager
async def lifespan(app: FastAPI):
    yield
    spans.shutdown()
    records.shutdown()


app = FastAPI(lifespan=lifespan)
otelmon.start(app)
orders = metrics.get_meter("shop").create_counter("shop.orders", "{order}")


@app.get("/pay/{number}")
def pay(number: int) -> int:
    with tracer.start_as_current_span("pay", attributes={"order": number, "sizes": [0.5, 1.5]}) as span:
        span.add_event("charged", {"cents": 100 * number})
        with tracer.start_as_current_span("ship"):
            text = f"order {number} is paid"
            logger.emit(body=text, severity_number=SeverityNumber.WARN, attributes={"order": number, "paid": True})
        orders.add(1, {"even": number % 2 == 0})
        if number % 7 == 3:
            span.record_exception(ValueError("declined"))
            raise HTTPException(402)
    return number
"""


def app_before(folder: Path, url: str, protocol: str, **endpoint: str) -> Served:
    """The application; ``endpoint`` says where its metrics go, the URL where traces and logs do."""
    traces, logs = (url if protocol == GRPC else url + signal.path for signal in (Signal.TRACES, Signal.LOGS))
    return Served(
        folder,
        app=APP,
        config="interval: 1s\nservice: shop\npaging: off\n",
        environ={
            "APP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": traces,
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": logs,
            **endpoint,
        },
    )


@pytest.mark.parametrize(
    ("agent", "protocol"),
    [
        ("behind", HTTP),
        pytest.param("behind", GRPC, marks=pytest.mark.soak),
        pytest.param("before", HTTP, marks=pytest.mark.soak),
        pytest.param("before", GRPC, marks=pytest.mark.soak),
    ],
)
def test_every_point_span_and_record_that_an_application_sends_comes_out_once(
    agent: str, protocol: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        backend = stack.enter_context(BACKENDS[protocol]())
        target = backend.url
        if agent == "behind":
            theirs = stack.enter_context(rotel(backend.url, protocol, tmp_path))
            target = theirs.grpc if protocol == GRPC else theirs.http
        server = stack.enter_context(Server(tmp_path / "server", config=forwarding(target, protocol)))
        entry = place(server, protocol)
        if agent == "before":
            theirs = stack.enter_context(rotel(entry, protocol, tmp_path))
            entry = theirs.grpc if protocol == GRPC else theirs.http
        tapped = stack.enter_context(tap(entry, protocol))
        endpoint, taps = {"OTEL_EXPORTER_OTLP_ENDPOINT": tapped.url}, [tapped]
        if agent == "behind":  # its client is ours, which speaks HTTP
            taps.append(stack.enter_context(tap(server.endpoint, HTTP)))
            endpoint = {"OTELMON_ENDPOINT": taps[1].url}
        with app_before(tmp_path / "app", tapped.url, protocol, **endpoint) as app:
            for number in range(REQUESTS):
                app.get(f"/pay/{number}")
            mine = send(tapped.url, protocol)
            app.stop()
        sent = items(taken for each in taps for taken in each.taken)
        wait_until(lambda: items(backend.taken).total() >= sent.total(), f"all arrive\n{server.log}")
        server.stop()
        assert server.process.returncode == 0
        arrived = items(backend.taken)
    assert arrived == sent
    assert mine.total() == COLLECTIONS * (4 * 50 + 2)
    assert mine <= sent
    kinds = [signal for signal, body in backend.taken if items([(signal, body)])]
    assert set(kinds) == set(Signal)
    spans = sum(count for each, count in sent.items() if each.startswith(Signal.TRACES.encode()))
    records = sum(count for each, count in sent.items() if each.startswith(Signal.LOGS.encode()))
    assert (spans, records) == (2 * REQUESTS, REQUESTS)
    assert "are lost" not in server.log
    print(f"{arrived.total()} points, spans and records: {spans} spans, {records} records")


def measured(server: Server, at: float) -> dict[Labels, float]:
    """What the server itself says that everything was at an instant."""
    request = {"verb": "query", "expr": '{__name__=~".+"}', "at": at}
    vector = ask(server.state_dir / "otelmon", request, timeout_seconds=20)["vector"]
    return {Labels(each["labels"]): float(each["value"]) for each in vector if not isinstance(each["value"], dict)}


@pytest.mark.soak
def test_a_prometheus_that_scrapes_the_server_has_the_values_that_the_server_says(tmp_path: Path) -> None:
    if not prometheus.installed():
        pytest.skip(prometheus.MISSING)
    with http_backend() as backend, ExitStack() as stack:
        server = stack.enter_context(Server(tmp_path / "server", config=forwarding(backend.url, HTTP)))
        stack.enter_context(Feeder("web-1", HTTP, server.endpoint))
        target = server.public.removeprefix("http://")
        theirs = stack.enter_context(prometheus.started(tmp_path / "data", tmp_path, config=SCRAPE.format(target)))

        def asked(expr: str, at: float | None = None) -> dict[Labels, float]:
            found = theirs.query(expr, time.time() if at is None else at)
            assert isinstance(found, dict), found
            return found

        instants: set[float] = set()

        def scraped() -> bool:
            instants.update(asked("timestamp(up)").values())
            return len(instants) >= SCRAPES

        wait_until(scraped, server.log)
        assert asked("min_over_time(up[5m])") == {Labels({"job": "otelmon", "instance": target}): 1.0}
        compared = 0
        for at in sorted(instants)[2:]:
            found = {labels: value for labels, value in asked('{job=~".+"}', at).items() if not is_of_scrapes(labels)}
            # A scrape that comes while a tick collects has what the tick before it had.
            ours, before = ({as_scraped(labels, target): value for labels, value in measured(server, then).items()}
                            for then in (at, at - 1.0))  # fmt: skip
            for labels, value in found.items():
                assert value in {ours[labels], before.get(labels)}, labels
            compared += len(found)
        lines = [line for line in server.page("/metrics").text.splitlines() if not line.startswith("#")]
        assert len(lines) == len(found)
        shop = Labels({"__name__": "otelmon_instance_up", "job": "shop", "instance": "web-1"})
        assert found[shop] == 1.0
        complaints = re.findall(r".*level=(?:warn|error).*", (tmp_path / "prometheus.log").read_text())
        assert complaints == []
    print(f"{compared} values of {len(found)} series in {len(instants) - 2} scrapes are those of the server")


def is_of_scrapes(labels: Labels) -> bool:
    """Prometheus's own series of a target."""
    return labels.metric_name == "up" or labels.metric_name.startswith("scrape_")


def as_scraped(labels: Labels, target: str) -> Labels:
    """The server's own series have the target's address as their instance."""
    return Labels({**labels, "instance": target}) if labels.get("job") == "otelmon" else labels
