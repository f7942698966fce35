"""Portable: who counts the requests of an app, decided when otelmon starts. Never two at once.

Where otelmon owns the metrics pipeline its recorder counts, and what else would count into the same pipeline is
silenced (its traces stay). Where the application has a MeterProvider of its own, what counts there already is used:
FastAPI's native metrics, else contrib's middleware, else our middleware records into OTel instruments.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from opentelemetry.metrics import MeterProvider, NoOpMeterProvider, NoOpUpDownCounter

from otelmon.instrument.instruments import InstrumentCounts
from otelmon.instrument.requests import RequestMiddleware
from otelmon.instrument.routes import open_routes


class Mode(StrEnum):
    """Who counts the requests."""

    OWN = "own"
    """Our recorder; collect it beside the SDK's metrics."""
    FASTAPI_NATIVE = "fastapi"
    """FastAPI's native metrics, on the application's provider."""
    CONTRIB = "contrib"
    """opentelemetry-instrumentation-asgi (or -fastapi, -starlette), on the application's provider."""
    INSTRUMENTS = "instruments"
    """Our middleware, through OTel instruments on the application's provider."""


def is_set(provider: MeterProvider | None) -> bool:
    """Whether this is a provider that somebody set and that measures: not the API's placeholder, not the no-op."""
    if provider is None or isinstance(provider, NoOpMeterProvider):
        return False
    return type(provider).__name__ != "_ProxyMeterProvider"


def decide(app: Any, provider: MeterProvider | None) -> Mode:
    """Who is to count the requests of ``app``; changes nothing.

    ``app`` is the application as it was given to attach or wrap. ``provider`` is the global MeterProvider as the
    application left it, so before otelmon sets one; None or the API's placeholder means that there is none. Call it
    when the app has started: it may set its provider after ``otelmon.start(app)``.
    """
    return _decide(_survey(app), provider)


def settle(middleware: RequestMiddleware, provider: MeterProvider | None) -> Mode:
    """Decide as `decide` does for the app of this middleware, and make it so; returns the mode.

    Call it from ``on_start`` before a provider of otelmon's own is set; requests may run meanwhile. What the recorder
    counted before is dropped unless the mode is OWN, and it stays empty then, so it may be collected in any mode.
    FastAPI applications that are mounted later than this call are not silenced.
    """
    found = _survey(middleware.root)
    mode = _decide(found, provider)
    for native in found.natives:
        if (native.nested or mode in {Mode.OWN, Mode.INSTRUMENTS}) and _records_to(native.app, provider):
            native.app._native_telemetry.config["metrics"] = False  # noqa: SLF001 (no public switch after construction)
    for contrib in found.contribs:
        if (mode is Mode.OWN and _is_global(contrib.app)) or (contrib.nested and mode is not Mode.OWN):
            _silence(contrib.app)
    if mode is Mode.INSTRUMENTS and provider is not None:
        outer = any(not contrib.nested for contrib in found.contribs)
        middleware.count_into(InstrumentCounts(provider, active=not outer))
    elif mode is not Mode.OWN:
        middleware.count_into(None)
    return mode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instrumented:
    """A FastAPI app with native telemetry, or a contrib middleware; ``nested`` where it sees a mount's traffic only."""

    app: Any
    nested: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Survey:
    natives: tuple[_Instrumented, ...]
    contribs: tuple[_Instrumented, ...]


def _decide(found: _Survey, provider: MeterProvider | None) -> Mode:
    outer = [contrib.app for contrib in found.contribs if not contrib.nested]
    if not is_set(provider):
        return Mode.OWN
    # FastAPI's native metrics step back by themselves where contrib's middleware is in its stack.
    if not outer and any(not native.nested and _records_to(native.app, provider) for native in found.natives):
        return Mode.FASTAPI_NATIVE
    # Without OTEL_SEMCONV_STABILITY_OPT_IN=http contrib records http.server.duration only, in milliseconds.
    if any(getattr(contrib, "duration_histogram_new", None) is not None for contrib in outer):
        return Mode.CONTRIB
    return Mode.INSTRUMENTS


def _survey(app: Any) -> _Survey:
    natives, contribs = [], []
    for layer, nested in _layers(app):
        if isinstance(getattr(getattr(layer, "_native_telemetry", None), "config", None), dict):
            natives.append(_Instrumented(app=layer, nested=nested))
        kind = type(layer)
        if kind.__name__ == "OpenTelemetryMiddleware" and kind.__module__ == "opentelemetry.instrumentation.asgi":
            contribs.append(_Instrumented(app=layer, nested=nested))
    return _Survey(natives=tuple(natives), contribs=tuple(contribs))


# Where frameworks and middleware keep the next ASGI callable.
_NEXT = ("app", "middleware_stack", "asgi_handler", "asgi_app", "application", "open_telemetry_middleware")


def _layers(root: Any) -> Iterator[tuple[Any, bool]]:
    """Every ASGI object under this one, each once, and whether it lies within a mount."""
    seen: set[int] = set()
    outer: list[Any] = [root]
    mounted: list[Any] = []
    while outer or mounted:
        nested = not outer
        layer = mounted.pop() if nested else outer.pop()
        if layer is None or id(layer) in seen or inspect.isroutine(layer):
            continue
        seen.add(id(layer))
        yield layer, nested
        (mounted if nested else outer).extend(getattr(layer, name, None) for name in _NEXT)
        routes = getattr(layer, "routes", None)
        if isinstance(routes, list):
            mounted.extend(route.app for route in open_routes(routes) if hasattr(route, "routes"))


def _records_to(app: Any, provider: MeterProvider | None) -> bool:
    """Whether a FastAPI app's native metrics are on and go to this provider (the global one by default)."""
    config = app._native_telemetry.config  # noqa: SLF001
    chosen = config.get("meter_provider")
    return bool(config.get("metrics")) and (chosen is None or chosen is provider)


def _is_global(contrib: Any) -> bool:
    """Whether a contrib middleware made its instruments before any provider was set: they follow the global one."""
    return type(getattr(contrib, "meter", None)).__name__ == "_ProxyMeter"


def _silence(contrib: Any) -> None:
    """Let a contrib middleware trace on without recording metrics."""
    for name in vars(contrib):
        if "_histogram" in name:
            setattr(contrib, name, None)
    if hasattr(contrib, "active_requests_counter"):
        contrib.active_requests_counter = NoOpUpDownCounter("http.server.active_requests")
