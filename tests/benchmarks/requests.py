"""Microseconds that each way of measuring adds to a request: `python -m tests.benchmarks.requests`.

Thread CPU time, in-process, one application for each way. A slice of a way stands between two slices of the bare
application, and the difference to their mean is taken; the median of the differences is quoted, with the quartiles.
"""

import asyncio
import os
import statistics
import sys
from collections.abc import Callable
from time import thread_time

# Before the instrumentation is imported: the stable names, which is what is compared.
os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"

from fastapi import FastAPI
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from rich.console import Console
from rich.table import Table
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette_exporter import PrometheusMiddleware

from otelmon.faults import Faults
from otelmon.instrument.attach import attach
from otelmon.instrument.instruments import InstrumentCounts
from otelmon.instrument.recorder import RequestRecorder
from otelmon.server.mount import mounted

ROUNDS = 60
REQUESTS = 100
WARM_UP = 300
MOST_MICROSECONDS = 8.0
LEAST_RATIO = {"prometheus-fastapi-instrumentator": 4.0, "contrib ASGI, no spans": 12.0, "contrib ASGI": 12.0}

OURS = "otelmon"
BARE = "bare"
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/items/7",
    "raw_path": b"/items/7",
    "root_path": "",
    "query_string": b"",
    "headers": [(b"host", b"bench"), (b"accept", b"*/*"), (b"user-agent", b"bench")],
    "client": ("127.0.0.1", 40000),
    "server": ("127.0.0.1", 8000),
}


def provider() -> MeterProvider:
    """One reader, as a portable set-up has; it is never read here."""
    return MeterProvider(metric_readers=[InMemoryMetricReader()])


def nothing() -> None:
    """The runtime does not take part."""


def build_fastapi(**settings):
    app = FastAPI(**settings)

    @app.get("/items/{item_id}")
    async def show_item(item_id: int) -> dict[str, int]:
        return {"item_id": item_id}

    return app


def build_starlette():
    async def show_item(request: Request) -> JSONResponse:
        return JSONResponse({"item_id": int(request.path_params["item_id"])})

    return Starlette(routes=[Route("/items/{item_id}", show_item)])


def with_otelmon(app):
    attach(app, RequestRecorder(start_at=0.0), on_start=nothing, on_stop=nothing)
    return app


def with_own_pages(app):
    pages = mounted("https://shop.example.com", lambda: app, Faults())
    attach(app, RequestRecorder(start_at=0.0), on_start=nothing, on_stop=nothing, own_pages=pages)
    return app


def with_portable(app):
    attached = attach(app, RequestRecorder(start_at=0.0), on_start=nothing, on_stop=nothing)
    attached.middleware.count_into(InstrumentCounts(provider()))
    return app


def with_instrumentator(app):
    Instrumentator(registry=CollectorRegistry()).instrument(app)
    return app


def with_exporter(app):
    app.add_middleware(PrometheusMiddleware, prefix=type(app).__name__.lower())
    return app


def with_contrib(app, **settings):
    return OpenTelemetryMiddleware(app, meter_provider=provider(), **settings)


def variants(build: Callable) -> dict[str, Callable]:
    """The applications of one framework, by the name of what measures them."""
    apps = {
        OURS: with_otelmon(build()),
        "otelmon, portable (OTel instruments)": with_portable(build()),
        "otelmon, with its acknowledge page": with_own_pages(build()),
        "prometheus-fastapi-instrumentator": with_instrumentator(build()),
        "starlette_exporter": with_exporter(build()),
        "contrib ASGI, no spans": with_contrib(build(), exclude_spans=["receive", "send"]),
        "contrib ASGI": with_contrib(build()),
    }
    if build is build_fastapi:
        apps["FastAPI native"] = build(telemetry={"meter_provider": provider(), "tracing": False, "logs": False})
    return apps


async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message) -> None:
    if message["type"] == "http.response.start" and message["status"] != 200:
        raise RuntimeError(f"status {message['status']}")


async def run_slice(app: Callable, requests: int) -> float:
    """Microseconds of thread CPU a request."""
    started = thread_time()
    for _ in range(requests):
        await app(dict(SCOPE), receive, send)
    return (thread_time() - started) / requests * 1e6


async def measure(build: Callable) -> tuple[float, dict[str, list[float]]]:
    """The bare application's microseconds, and what each way added, slice by slice."""
    bare = build()
    apps = variants(build)
    for app in (bare, *apps.values()):
        await run_slice(app, WARM_UP)
    bare_slices = [await run_slice(bare, REQUESTS)]
    added: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(ROUNDS):
        for name, app in apps.items():
            taken = await run_slice(app, REQUESTS)
            bare_slices.append(await run_slice(bare, REQUESTS))
            added[name].append(taken - (bare_slices[-2] + bare_slices[-1]) / 2)
    return statistics.median(bare_slices), added


def show(console: Console, framework: str, bare: float, added: dict[str, list[float]]) -> list[str]:
    """Print one framework's table; returns the targets that were missed."""
    table = Table(title=f"Added to a request over {framework} (bare: {bare:.1f} us)", title_justify="left")
    table.add_column("measured by")
    for heading in ("added, us", "quartiles", "of bare", "times ours"):
        table.add_column(heading, justify="right")
    medians = {name: statistics.median(differences) for name, differences in added.items()}
    for name in sorted(medians, key=medians.__getitem__):
        low, _, high = statistics.quantiles(added[name], n=4)
        times = medians[name] / medians[OURS]
        share = f"{(bare + medians[name]) / bare:.2f}"
        table.add_row(name, f"{medians[name]:.1f}", f"{low:.1f} - {high:.1f}", share, f"{times:.1f}")
    console.print(table)
    missed = []
    if medians[OURS] > MOST_MICROSECONDS:
        missed.append(f"{framework}: otelmon adds {medians[OURS]:.1f} us, more than {MOST_MICROSECONDS:g}")
    missed.extend(
        f"{framework}: {name} costs {medians[name] / medians[OURS]:.1f} times ours, less than {least:g}"
        for name, least in LEAST_RATIO.items()
        if medians[name] < least * medians[OURS]
    )
    return missed


def main() -> int:
    console = Console(width=100)
    missed = []
    for framework, build in (("FastAPI", build_fastapi), ("Starlette", build_starlette)):
        missed += show(console, framework, *asyncio.run(measure(build)))
    for line in missed:
        console.print(f"MISSED {line}")
    if not missed:
        console.print(f"met: at most {MOST_MICROSECONDS:g} us; 4 times the instrumentator; 12 times contrib")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
