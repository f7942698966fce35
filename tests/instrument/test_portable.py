"""Who counts: never two at once, and the same requests give the same routes and statuses whoever does."""

import asyncio
import threading

import pytest
from fastapi import FastAPI, HTTPException
from opentelemetry import metrics
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.metrics import _internal as api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once
from starlette.applications import Starlette

from otelmon.instrument.instruments import InstrumentCounts
from otelmon.instrument.model import BOUNDS
from otelmon.instrument.portable import Mode, decide, is_set, settle
from tests.instrument.driver import counts, drive, get, http_scope, watched, websocket_scope

ROUTES = {("GET", "/items/{item_id}", 200): 2, ("GET", "/refused", 503): 1, ("GET", "/fail", 500): 1}
URLS = ("/items/1", "/items/2", "/refused", "/fail")


@pytest.fixture(autouse=True)
def providers(monkeypatch):
    """The API's global providers, as in a new process; and contrib's stable names."""
    from opentelemetry.instrumentation import _semconv

    monkeypatch.setattr(api, "_METER_PROVIDER", None)
    monkeypatch.setattr(api, "_METER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(api, "_PROXY_METER_PROVIDER", api._ProxyMeterProvider())
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    monkeypatch.setattr(_semconv._OpenTelemetrySemanticConventionStability, "_initialized", False)


class Pipeline:
    """An SDK provider, set as the global one, and what its reader has seen."""

    def __init__(self):
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)
        metrics.set_meter_provider(self.provider)

    def metrics(self):
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return [(scope.scope.name, metric) for scope in scopes for metric in scope.metrics]

    def requests(self):
        """(method, route, status) -> how many, over all that record the semconv histogram."""
        found = {}
        for _, metric in self.metrics():
            if metric.name == "http.server.request.duration":
                for point in metric.data.data_points:
                    names = ("http.request.method", "http.route", "http.response.status_code")
                    key = tuple(point.attributes.get(name) for name in names)
                    found[key] = found.get(key, 0) + point.count
        return found

    def scopes(self, name="http.server.request.duration"):
        return [scope for scope, metric in self.metrics() if metric.name == name]


def build(**how):
    app = FastAPI(**how)

    @app.get("/items/{item_id}")
    async def show_item(item_id: int) -> int:
        return item_id

    @app.get("/refused")
    async def refused():
        raise HTTPException(503)

    @app.get("/fail")
    async def fail():
        raise ValueError("broken")

    return app


def load(app, prefix=""):
    for url in URLS:
        get(app, prefix + url)


def ours(recorder):
    found = {}
    for (method, route, status, _), count in counts(recorder).items():
        found[method, route, status] = found.get((method, route, status), 0) + count
    return found


def test_without_a_provider_our_recorder_counts():
    app, recorder, middleware = watched(build())
    assert settle(middleware, metrics.get_meter_provider()) is Mode.OWN
    pipeline = Pipeline()
    load(app)
    assert ours(recorder) == ROUTES
    assert pipeline.requests() == {}


def test_fastapis_native_metrics_are_used_in_the_apps_own_pipeline():
    app, recorder, middleware = watched(build())
    pipeline = Pipeline()
    assert settle(middleware, metrics.get_meter_provider()) is Mode.FASTAPI_NATIVE
    load(app)
    assert pipeline.requests() == ROUTES
    assert pipeline.scopes() == ["fastapi"]
    assert counts(recorder) == {}


@pytest.mark.parametrize("before", [True, False])
def test_contribs_metrics_are_used_in_the_apps_own_pipeline(before):
    fastapi = build()
    if before:
        FastAPIInstrumentor.instrument_app(fastapi)
    app, recorder, middleware = watched(fastapi)
    if not before:
        FastAPIInstrumentor.instrument_app(fastapi)
    try:
        pipeline = Pipeline()
        get(app, "/not-counted-yet")
        pipeline.requests()
        assert settle(middleware, metrics.get_meter_provider()) is Mode.CONTRIB
        load(app)
        found = pipeline.requests()
        assert {key: count for key, count in found.items() if key[1] is not None} == ROUTES
        assert pipeline.scopes() == ["opentelemetry.instrumentation.fastapi"]
        assert counts(recorder) == {}
    finally:
        FastAPIInstrumentor.uninstrument_app(fastapi)


def test_our_middleware_records_into_instruments_where_nobody_else_does():
    app, recorder, middleware = watched(build(telemetry={"metrics": False}))
    pipeline = Pipeline()
    get(app, "/items/0")
    assert settle(middleware, metrics.get_meter_provider()) is Mode.INSTRUMENTS
    load(app)
    assert pipeline.requests() == ROUTES
    assert pipeline.scopes() == ["otelmon"]
    assert counts(recorder) == {}


def test_the_instruments_have_semconvs_boundaries_and_attributes():
    app, _, middleware = watched(build(telemetry={"metrics": False}))
    pipeline = Pipeline()
    settle(middleware, pipeline.provider)
    load(app)
    found = {metric.name: metric for _, metric in pipeline.metrics()}
    duration, active = found["http.server.request.duration"], found["http.server.active_requests"]
    assert duration.unit == "s"
    assert {tuple(point.explicit_bounds) for point in duration.data.data_points} == {BOUNDS}
    assert {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.route": "/fail",
        "http.response.status_code": 500,
        "error.type": "ValueError",
    } in [dict(point.attributes) for point in duration.data.data_points]
    assert [(dict(point.attributes), point.value) for point in active.data.data_points] == [
        ({"http.request.method": "GET", "url.scheme": "http"}, 0)
    ]


def test_event_streams_and_websockets_have_instruments_of_their_own():
    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data:\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    served, _, middleware = watched(app, wrapped=True)
    pipeline = Pipeline()
    assert settle(middleware, pipeline.provider) is Mode.INSTRUMENTS
    get(served)
    asyncio.run(drive(served, websocket_scope()))
    found = {metric.name: metric for _, metric in pipeline.metrics()}
    assert set(found) == {"otelmon.event_stream.duration", "otelmon.websocket.duration", "http.server.active_requests"}
    assert [point.value for point in found["http.server.active_requests"].data.data_points] == [0]


def test_instruments_are_bounded_in_their_attribute_sets():
    pipeline = Pipeline()

    async def app(scope, receive, send):
        scope["path_template"], scope["route_handler"] = scope["path"], None
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    served, _, middleware = watched(app, wrapped=True)
    middleware.count_into(InstrumentCounts(pipeline.provider))

    async def story():
        for number in range(2500):
            await drive(served, http_scope(f"/{number}"))

    asyncio.run(story())
    found = pipeline.requests()
    assert len(found) == 2001
    assert found[None, None, None] == 500


def test_in_our_own_pipeline_fastapis_and_contribs_metrics_are_silent_and_their_traces_stay():
    spans = InMemorySpanExporter()
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    native = build(telemetry={"tracer_provider": tracing})
    contrib = build()
    FastAPIInstrumentor.instrument_app(contrib, tracer_provider=tracing)
    try:
        apps = [watched(native), watched(contrib)]
        for app, _, _ in apps:
            get(app, "/items/0")
        spans.clear()
        for _, recorder, middleware in apps:
            assert settle(middleware, metrics.get_meter_provider()) is Mode.OWN
            recorder.forget()
        pipeline = Pipeline()
        for app, recorder, _ in apps:
            load(app)
            assert ours(recorder) == ROUTES
        assert pipeline.metrics() == []
        served = [span for span in spans.get_finished_spans() if span.parent is None]
        assert len(served) == 2 * len(URLS)
    finally:
        FastAPIInstrumentor.uninstrument_app(contrib)


@pytest.mark.parametrize("outer", [FastAPI, Starlette])
def test_the_native_metrics_of_a_mounted_fastapi_do_not_count_a_second_time(outer):
    app = outer()
    app.mount("/api", build())
    app, recorder, middleware = watched(app)
    settle(middleware, metrics.get_meter_provider())
    pipeline = Pipeline()
    load(app, "/api")
    assert ours(recorder) == {(method, f"/api{route}", status): n for (method, route, status), n in ROUTES.items()}
    assert pipeline.requests() == {}


def test_a_mounted_fastapi_is_no_reason_not_to_count_the_whole_app():
    app = Starlette()
    app.mount("/api", build())
    app, _, middleware = watched(app)
    pipeline = Pipeline()
    assert settle(middleware, pipeline.provider) is Mode.INSTRUMENTS
    load(app, "/api")
    get(app, "/nothing")
    assert pipeline.scopes() == ["otelmon"]
    assert sum(pipeline.requests().values()) == 5


def test_contrib_with_its_old_names_only_does_not_count_for_the_rules(monkeypatch):
    monkeypatch.delenv("OTEL_SEMCONV_STABILITY_OPT_IN")
    app = Starlette()
    app.add_middleware(OpenTelemetryMiddleware)
    app, _, middleware = watched(app)
    pipeline = Pipeline()
    get(app)
    assert settle(middleware, pipeline.provider) is Mode.INSTRUMENTS
    get(app)
    assert sum(pipeline.requests().values()) == 1
    assert pipeline.scopes("http.server.active_requests") == ["opentelemetry.instrumentation.asgi"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_contrib_middleware_is_found_wherever_it_stands(wrapped):
    app = build()
    if wrapped:
        served, _, middleware = watched(OpenTelemetryMiddleware(app), wrapped=True)
    else:
        app.add_middleware(OpenTelemetryMiddleware)
        served, _, middleware = watched(app)
    get(served, "/items/0")
    assert decide(middleware.root, Pipeline().provider) is Mode.CONTRIB


def test_native_metrics_that_go_to_another_provider_are_left_alone():
    elsewhere = InMemoryMetricReader()
    other = MeterProvider(metric_readers=[elsewhere], shutdown_on_exit=False)
    app, recorder, middleware = watched(build(telemetry={"meter_provider": other}))
    assert settle(middleware, metrics.get_meter_provider()) is Mode.OWN
    load(app)
    assert ours(recorder) == ROUTES
    assert elsewhere.get_metrics_data() is not None


def test_the_placeholder_and_the_no_op_are_no_providers():
    assert not is_set(None)
    assert not is_set(metrics.get_meter_provider())
    assert not is_set(NoOpMeterProvider())
    assert is_set(MeterProvider(shutdown_on_exit=False))


def test_deciding_changes_nothing():
    app, recorder, middleware = watched(build())
    assert decide(app, None) is Mode.OWN
    assert app._native_telemetry.config["metrics"] is True
    load(app)
    assert ours(recorder) == ROUTES
    assert middleware.root is app


def test_settling_while_requests_run_loses_no_flight():
    app, recorder, middleware = watched(build(telemetry={"metrics": False}))
    pipeline = Pipeline()
    settled = threading.Thread(target=settle, args=(middleware, pipeline.provider))

    async def story():
        for number in range(400):
            if number == 100:
                settled.start()
            await drive(app, http_scope("/items/1"))

    asyncio.run(story())
    settled.join()
    get(app, "/items/1")
    (active,) = [metric for _, metric in pipeline.metrics() if metric.name == "http.server.active_requests"]
    assert [point.value for point in active.data.data_points] == [0]
    assert counts(recorder) == {}
    assert not middleware.faults.counts
