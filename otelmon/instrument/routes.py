"""Routes: which route template an exchange took, read from what the framework left behind. Never the raw path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from otelmon.instrument.lifecycle import Scope

RouteOf = Callable[[Scope], str]
"""From the scope of a finished exchange to the template of its route, empty where none matched."""

ROUTE_KEY = "otelmon.route"
"""Where the hooks in Quart and Django leave the route's template in the scope."""
ERROR_KEY = "otelmon.error"
"""Where the hooks in frameworks that answer an unhandled exception themselves leave its error type."""

_MOST_CACHED = 1000


def stored_route(scope: Scope) -> str:
    """The template that our hook in the framework (Quart, Django) left."""
    return str(scope.get(ROUTE_KEY, ""))


def litestar_route(scope: Scope) -> str:
    """Litestar's path template."""
    if "route_handler" not in scope:
        return ""
    return str(scope.get("path_template") or "/")


def any_route(scope: Scope) -> str:
    """The template of an app that is not known: whatever of the conventions above it follows."""
    if ROUTE_KEY in scope:
        return stored_route(scope)
    if "path_template" in scope:
        return litestar_route(scope)
    template = getattr(scope.get("route"), "path_format", None)
    return template if isinstance(template, str) else ""


class StarletteRoutes:
    """The route templates of a Starlette or FastAPI app, mounted apps included: "/api/items/{id}".

    As the semantic conventions want it, the template begins with the application's root path. Usually the matched
    route is in the scope; the tree of routes is searched (and the answer kept) for mounts and for the routes that
    FastAPI matches without saying so.
    """

    def __init__(self, app: Any) -> None:
        from starlette.routing import Mount

        self._app = app
        self._mount_class: type[Any] = Mount
        self._prefixes: dict[tuple[str, str], str] = {}
        self._endpoints: dict[tuple[str, int], tuple[Any, str]] = {}

    def __call__(self, scope: Scope) -> str:
        """The template of the route that an exchange took, empty where none matched."""
        route = scope.get("route")
        if route is None or isinstance(route, self._mount_class):
            return self._by_endpoint(scope) if "endpoint" in scope else ""
        included = scope.get("fastapi")
        if included is not None:
            # FastAPI keeps an included router's routes as they were written; the context knows the prefix.
            context = included.get("effective_route_context")
            if context is not None and context.original_route is route:
                route = context
        template: str = route.path_format
        root_path = scope.get("root_path")
        return self._prefix(scope, root_path) + template if root_path else template

    def _prefix(self, scope: Scope, root_path: str) -> str:
        """The template of what stands before the route: the root path, then the mounts on the way."""
        base = scope.get("app_root_path", root_path)
        found = self._prefixes.get((base, root_path))
        if found is None:
            mounts = _mounts_to(self._app.routes, root_path[len(base) :]) if root_path.startswith(base) else None
            found = base.rstrip("/") + (mounts or "")
            _keep(self._prefixes, (base, root_path), found)
        return found

    def _by_endpoint(self, scope: Scope) -> str:
        """The template of a match that left only its endpoint."""
        endpoint = scope["endpoint"]
        key = (scope.get("root_path", ""), id(endpoint))
        found = self._endpoints.get(key)
        if found is not None and found[0] is endpoint:
            return found[1]
        base = scope.get("app_root_path", scope.get("root_path", ""))
        path = scope["path"]
        path = path[len(base) :] if base and path.startswith(base) else path
        matches = list(_matches(self._app.routes, path, endpoint))
        template = base.rstrip("/") + matches[0] if matches else ""
        if len(set(_templates(self._app.routes, endpoint))) <= 1:
            _keep(self._endpoints, key, (endpoint, template))
        return template


def _keep(cache: dict[Any, Any], key: Any, value: Any) -> None:
    # Clients can make many different root paths where a mount has parameters: the cache starts anew then.
    if len(cache) >= _MOST_CACHED:
        cache.clear()
    cache[key] = value


def open_routes(routes: Iterable[Any]) -> Iterator[Any]:
    """The routes with FastAPI's included routers opened."""
    for route in routes:
        if hasattr(route, "effective_route_contexts"):
            for context in route.effective_route_contexts():
                yield getattr(context, "starlette_route", None) or context
        else:
            yield route


def _mount_template(mount: Any) -> str:
    return str(mount.path_format).removesuffix("/{path}")


def _is_mount(route: Any) -> bool:
    return hasattr(route, "routes") and hasattr(route, "path_regex")


def _mounts_to(routes: Iterable[Any], path: str) -> str | None:
    """The templates of the mounts whose paths make up ``path``, joined; None where no chain of mounts does."""
    if not path:
        return ""
    for route in open_routes(routes):
        match = route.path_regex.match(path + "/") if _is_mount(route) else None
        if match is None:
            continue
        rest = match["path"].rstrip("/")
        inner = _mounts_to(route.routes, "/" + rest if rest else "")
        if inner is not None:
            return _mount_template(route) + inner
    return None


def _matches(routes: Iterable[Any], path: str, endpoint: Any) -> Iterator[str]:
    """Templates of the routes and mounts that lead from this path to this endpoint."""
    for route in open_routes(routes):
        regex = getattr(route, "path_regex", None)
        match = regex.match(path) if regex is not None else None
        if match is None:
            continue
        if _is_mount(route):
            yield from (
                _mount_template(route) + inner for inner in _matches(route.routes, "/" + match["path"], endpoint)
            )
            if route.app is endpoint:
                yield str(route.path_format)
        elif getattr(route, "endpoint", None) is endpoint:
            yield str(route.path_format)


def _templates(routes: Iterable[Any], endpoint: Any) -> Iterator[str]:
    """Templates of all routes with this endpoint, wherever they are mounted."""
    for route in open_routes(routes):
        if _is_mount(route):
            yield from (_mount_template(route) + inner for inner in _templates(route.routes, endpoint))
            if route.app is endpoint:
                yield str(route.path_format)
        elif getattr(route, "endpoint", None) is endpoint:
            yield str(route.path_format)
