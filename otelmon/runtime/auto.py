"""Auto: watching an application without a line in it, under `opentelemetry-instrument`, `otelmon run`, or as exporter.

Whatever the server has loaded is wrapped as `otelmon.wrap` would do it, in the process that serves it; a supervisor
loads no application and is left alone. Nothing is watched unless OTELMON_ENABLED=true, or OTEL_METRICS_EXPORTER or the
declarative configuration names otelmon. Whatever is wrong in the configuration is logged, and the application served.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from wrapt import register_post_import_hook

from otelmon.collect.reader import Reader, wants_exponential
from otelmon.errors import OtelmonError
from otelmon.faults import logger
from otelmon.instrument.frameworks import Framework, chain, framework_of
from otelmon.instrument.requests import RequestMiddleware
from otelmon.runtime.monitor import start_monitor
from otelmon.variables import Variables

_MARK = "_watched_by_otelmon"


def pre_instrument() -> None:
    """The entry point ``opentelemetry_pre_instrument``: watch what a server loads, where OTELMON_ENABLED says so."""
    if Variables(os.environ).boolean("OTELMON_ENABLED"):
        watch_servers()


class MetricsExporter(Reader):
    """The entry point of OTEL_METRICS_EXPORTER=otelmon, and of the declarative configuration's pull exporters.

    The SDK makes it and puts it on the provider that it configures; the monitor takes it up there instead of adding
    a reader of its own. Where OTELMON_ENABLED is false nothing is watched, and nobody reads it.
    """

    def __init__(self, **_: Any) -> None:
        super().__init__(exponential=wants_exponential(os.environ), exact_requests=True)
        if Variables(os.environ).disabled_by() is None:
            self.offer()
            watch_servers()


def watch_servers() -> None:
    """Wrap the application that uvicorn, gunicorn's ASGI worker or hypercorn loads in this process, once they do."""
    for name in _SERVERS:
        register_post_import_hook(watch_server, name)


def watch_server(module: ModuleType) -> None:
    """Wrap what a server loads from now on; ``module`` is the one of `watch_servers` that does so."""
    _SERVERS[module.__name__](module)


def watched(app: Any) -> Any:
    """The application to serve in the place of ``app``: watched, unless its own code does that; never raises."""
    layers = chain(app)
    if any(isinstance(layer, RequestMiddleware) for layer in layers):
        return app
    inner = next((layer for layer in layers if framework_of(layer) is not Framework.ASGI), app)
    try:
        return start_monitor(inner, lambda monitor: monitor.wrap(app), config=None, paging=None, beside=None)[1]
    except Exception as error:  # noqa: BLE001 (whatever is wrong with us, the application is served)
        cause = None if isinstance(error, OtelmonError) else error  # ours say in words what is wrong
        logger.error("otelmon: the application is served, and not watched: %s", error, exc_info=cause)
    return app


def _watch_uvicorn(module: ModuleType) -> None:
    _after(module.Config, "load", lambda config: setattr(config, "loaded_app", watched(config.loaded_app)))


def _watch_gunicorn(module: ModuleType) -> None:
    _after(module.ASGIWorker, "load_wsgi", lambda worker: setattr(worker, "asgi", watched(worker.asgi)))


def _watch_hypercorn(module: ModuleType) -> None:
    original = module.wrap_app
    if getattr(original, _MARK, False):
        return

    def wrap_app(app: Any, wsgi_max_body_size: int, mode: str | None) -> Any:
        is_asgi = mode == "asgi" or (mode is None and module.is_asgi(app))
        return original(watched(app) if is_asgi else app, wsgi_max_body_size, mode)

    setattr(wrap_app, _MARK, True)
    vars(module)["wrap_app"] = wrap_app


def _after(kind: type, name: str, act: Callable[[Any], None]) -> None:
    """Have ``act`` called with the object after each call of its method."""
    original = getattr(kind, name)
    if getattr(original, _MARK, False):
        return

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        act(self)
        return result

    setattr(method, _MARK, True)
    setattr(kind, name, method)


_SERVERS: dict[str, Callable[[ModuleType], None]] = {
    "uvicorn.config": _watch_uvicorn,
    "gunicorn.workers.gasgi": _watch_gunicorn,
    "hypercorn.utils": _watch_hypercorn,
}
