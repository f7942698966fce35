"""Frameworks: what each framework needs so that its routes and unhandled exceptions can be read.

Nothing here imports a framework that the application has not imported.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Any

from otelmon.instrument.lifecycle import Scope
from otelmon.instrument.requests import RequestMiddleware, error_type
from otelmon.instrument.routes import ERROR_KEY, ROUTE_KEY


class Framework(StrEnum):
    """The framework of an application object; ASGI is any other callable."""

    FASTAPI = "fastapi"
    STARLETTE = "starlette"
    LITESTAR = "litestar"
    QUART = "quart"
    DJANGO = "django"
    ASGI = "asgi"


_MOST_LAYERS = 50
_CLASSES = {
    "fastapi.applications.FastAPI": Framework.FASTAPI,
    "starlette.applications.Starlette": Framework.STARLETTE,
    "litestar.app.Litestar": Framework.LITESTAR,
    "quart.app.Quart": Framework.QUART,
    "django.core.handlers.asgi.ASGIHandler": Framework.DJANGO,
}


def framework_of(app: Any) -> Framework:
    """The framework that an application object belongs to, by the names of its classes."""
    for kind in type(app).__mro__:
        found = _CLASSES.get(f"{kind.__module__}.{kind.__qualname__}")
        if found is not None:
            return found
    return Framework.ASGI


def chain(app: Any) -> tuple[Any, ...]:
    """An application and those that it wraps, outer before inner, by the convention that a middleware has ``.app``."""
    layers = [app]
    while framework_of(layers[-1]) is Framework.ASGI and len(layers) < _MOST_LAYERS:
        inner = getattr(layers[-1], "app", None)
        if inner is None or not callable(inner) or inner in layers:
            break
        layers.append(inner)
    return tuple(layers)


def watch_litestar(app: Any, middleware: RequestMiddleware) -> None:
    """Put the middleware around Litestar's handler; the lifespan does not pass there, so use its hooks."""

    async def start() -> None:
        await middleware.lifecycle.start()

    async def stop() -> None:
        await middleware.lifecycle.stop()

    app.asgi_handler = middleware.around(app.asgi_handler)
    app.on_startup.append(start)
    app.on_shutdown.append(stop)
    watch_litestar_errors(app)


def watch_litestar_errors(app: Any) -> None:
    """Leave the class of an unhandled exception in the scope; one with a status code is an answer."""
    if _note_litestar_exception not in app.after_exception:
        app.after_exception.append(_note_litestar_exception)


async def _note_litestar_exception(error: Exception, scope: Scope) -> None:
    if not hasattr(error, "status_code"):
        scope[ERROR_KEY] = error_type(error)


def watch_quart(app: Any) -> None:
    """Leave the URL rule and the class of an unhandled exception in the scope."""
    if _note_quart_request in app.before_request_funcs[None]:
        return
    from quart.signals import got_request_exception

    app.before_request_funcs[None].insert(0, _note_quart_request)
    app.before_websocket_funcs[None].insert(0, _note_quart_websocket)
    got_request_exception.connect(_note_quart_exception, sender=app)


async def _note_quart_request() -> None:
    from quart import request

    if request.url_rule is not None:
        scope: Any = request.scope
        scope[ROUTE_KEY] = request.url_rule.rule


async def _note_quart_websocket() -> None:
    from quart import websocket

    if websocket.url_rule is not None:
        scope: Any = websocket.scope
        scope[ROUTE_KEY] = websocket.url_rule.rule


async def _note_quart_exception(_app: Any, exception: Exception, **_: Any) -> None:
    from quart import has_request_context, request

    if has_request_context():
        scope: Any = request.scope
        scope[ERROR_KEY] = error_type(exception)


def watch_django(handler: Any) -> None:
    """Leave the URL pattern and the class of an unhandled exception in the scope."""
    from django.core.signals import got_request_exception

    resolve = handler.resolve_request

    def resolve_and_note(request: Any) -> Any:
        match = resolve(request)
        request.scope[ROUTE_KEY] = "/" + match.route
        return match

    handler.resolve_request = resolve_and_note
    got_request_exception.connect(_note_django_exception, dispatch_uid="otelmon")


def _note_django_exception(request: Any = None, **_: Any) -> None:
    error = sys.exc_info()[1]
    scope = getattr(request, "scope", None)
    if error is not None and scope is not None:
        scope[ERROR_KEY] = error_type(error)
