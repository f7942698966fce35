"""Attach: put the request middleware into an application, in the way of its framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from otelmon.errors import ConfigError, Problem
from otelmon.faults import Faults
from otelmon.instrument.frameworks import (
    Framework,
    chain,
    framework_of,
    watch_django,
    watch_litestar,
    watch_litestar_errors,
    watch_quart,
)
from otelmon.instrument.lifecycle import ASGIApp, Lifecycle
from otelmon.instrument.own_pages import OwnPages
from otelmon.instrument.recorder import RequestRecorder
from otelmon.instrument.requests import RequestMiddleware
from otelmon.instrument.routes import RouteOf, StarletteRoutes, any_route, litestar_route, stored_route


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What `attach` did: ``app`` is the application as given, ``framework`` its framework's name."""

    app: Any
    framework: str
    middleware: RequestMiddleware


def attach(
    app: Any,
    recorder: RequestRecorder,
    *,
    excluded: Iterable[str] = (),
    on_start: Callable[[], None],
    on_stop: Callable[[], None],
    faults: Faults | None = None,
    own_pages: OwnPages | None = None,
) -> Attachment:
    """Count the requests of a FastAPI, Starlette, Litestar or Quart application into the recorder.

    ``excluded`` are paths that are not counted: exact, or a prefix that ends in ``*``. ``on_start`` is called in a
    thread when the app's start-up is complete, or at the first request where the server has no lifespan (again in a
    forked child that serves); ``on_stop`` in a thread when the app has shut down, and the server waits for it.
    ``faults`` counts what goes wrong in between. ``own_pages`` are answered by otelmon, before the app, uncounted.

    In FastAPI and Starlette the middleware is the outermost of the application's own, also of those that are added
    later; the framework's handler of unhandled exceptions stays outside of it. An app that is attached already is
    not attached again: the existing Attachment is returned. Raises ConfigError for any other object, and for a
    FastAPI or Starlette app that has started.
    """
    framework = framework_of(app)
    if framework not in _ATTACHABLE:
        raise ConfigError([_cannot_attach(app, framework)])
    existing = _attached(app, framework)
    if existing is not None:
        return Attachment(app=app, framework=framework, middleware=existing)
    faults = faults or Faults()
    middleware = RequestMiddleware(
        app,
        recorder,
        root=app,
        route_of=_route_of(app, framework),
        lifecycle=Lifecycle(on_start, on_stop, faults),
        faults=faults,
        excluded=excluded,
        own_pages=own_pages,
    )
    if framework is Framework.LITESTAR:
        watch_litestar(app, middleware)
    elif framework is Framework.QUART:
        watch_quart(app)
        app.asgi_app = middleware.around(app.asgi_app)
    else:
        _add_outermost(app, middleware)
    return Attachment(app=app, framework=framework, middleware=middleware)


def wrap(
    app: Any,
    recorder: RequestRecorder,
    *,
    excluded: Iterable[str] = (),
    on_start: Callable[[], None],
    on_stop: Callable[[], None],
    faults: Faults | None = None,
    own_pages: OwnPages | None = None,
) -> RequestMiddleware:
    """Count the requests of any ASGI application from outside: returns the ASGI callable to serve instead.

    Arguments as for `attach`. An app that `attach` watches too is counted once, and one that is wrapped already is
    returned as it is. Route templates are known for the four frameworks of `attach` and for Django, also within other
    middleware, else where the app leaves them in the scope by their conventions. Raises ConfigError for what cannot
    be called.
    """
    if isinstance(app, RequestMiddleware):
        return app
    if not callable(app):
        message = f"otelmon.wrap was given {type(app).__name__}, which is no ASGI application"
        raise ConfigError([Problem(message=message, hint="pass the application object that the server is given")])
    inner = next((layer for layer in chain(app) if framework_of(layer) is not Framework.ASGI), app)
    framework = framework_of(inner)
    faults = faults or Faults()
    middleware = RequestMiddleware(
        app,
        recorder,
        root=app,
        route_of=_route_of(inner, framework),
        lifecycle=Lifecycle(on_start, on_stop, faults),
        faults=faults,
        excluded=excluded,
        outermost=True,
        answers_lifespan=framework is Framework.DJANGO,
        own_pages=own_pages,
    )
    if framework is Framework.DJANGO:
        watch_django(inner)
    elif framework is Framework.LITESTAR:
        watch_litestar_errors(inner)
    elif framework is Framework.QUART:
        watch_quart(inner)
    return middleware


def _route_of(app: Any, framework: Framework) -> RouteOf:
    if framework in {Framework.FASTAPI, Framework.STARLETTE}:
        return StarletteRoutes(app)
    if framework is Framework.LITESTAR:
        return litestar_route
    if framework in {Framework.QUART, Framework.DJANGO}:
        return stored_route
    return any_route


_ATTACHABLE = frozenset({Framework.FASTAPI, Framework.STARLETTE, Framework.LITESTAR, Framework.QUART})


def _attached(app: Any, framework: Framework) -> RequestMiddleware | None:
    """The middleware of an earlier `attach`."""
    if framework is Framework.LITESTAR:
        candidates = [app.asgi_handler]
    elif framework is Framework.QUART:
        candidates = [app.asgi_app]
    else:
        candidates = [getattr(entry.cls, "middleware", None) for entry in app.user_middleware]
    return next((found for found in candidates if isinstance(found, RequestMiddleware)), None)


class _Around:
    """What Starlette calls to put the middleware around an app.

    An object of its own that takes attributes: Sentry's SDK sets ``__call__`` on whatever is added, as if it were a
    class, and fails on a bound method.
    """

    def __init__(self, middleware: RequestMiddleware) -> None:
        self.middleware = middleware

    def __call__(self, app: ASGIApp) -> RequestMiddleware:
        return self.middleware.around(app)


def _add_outermost(app: Any, middleware: RequestMiddleware) -> None:
    """Add the middleware to a Starlette app, and keep it outermost of those that are added later."""
    if app.middleware_stack is not None:
        message = f"this {type(app).__name__} application has started: it takes no middleware any more"
        hint = "call otelmon.start(app) in the module that makes the app, before it is served"
        raise ConfigError([Problem(message=message, hint=hint)])
    app.add_middleware(_Around(middleware))
    ours = app.user_middleware[0]
    build: Callable[[], ASGIApp] = app.build_middleware_stack

    def build_with_ours_outermost() -> ASGIApp:
        app.user_middleware = [ours, *(entry for entry in app.user_middleware if entry is not ours)]
        return build()

    app.build_middleware_stack = build_with_ours_outermost


def _cannot_attach(app: Any, framework: Framework) -> Problem:
    kind = "a Django application" if framework is Framework.DJANGO else f"a {type(app).__name__}"
    if isinstance(app, RequestMiddleware):
        return Problem(message="otelmon.wrap watches this application already", hint="leave out otelmon.start(app)")
    if not callable(app):
        return Problem(
            message=f"otelmon.start was given {kind}, which is no ASGI application",
            hint="pass the FastAPI, Starlette, Litestar or Quart application, or nothing",
        )
    return Problem(message=f"otelmon.start cannot add itself to {kind}", hint="write app = otelmon.wrap(app)")
