"""Routes, statuses and error types as each framework gives them."""

import asyncio
import sys
import types

import django
import pytest
from django.conf import settings as django_settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import include, path
from fastapi import APIRouter, FastAPI, HTTPException, WebSocket
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from litestar.exceptions import ServiceUnavailableException
from quart import Quart
from quart import websocket as quart_websocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

import otelmon.errors
from otelmon.instrument.attach import attach, wrap
from otelmon.instrument.recorder import RequestRecorder
from otelmon.instrument.routes import any_route
from tests.instrument.driver import counts, drive, get, http_scope, in_flight, nothing, watched, websocket_scope

DISCONNECT = {"type": "websocket.disconnect", "code": 1000}
CONNECT = {"type": "websocket.connect"}


async def show(request):
    return PlainTextResponse("ok")


async def fail(request):
    raise ValueError("broken")


def build_fastapi(**how):
    app = FastAPI(**how)
    items = APIRouter()

    @items.get("/{item_id}")
    async def show_item(item_id: int) -> int:
        return item_id

    @app.get("/fail")
    async def fail_here():
        raise ValueError("broken")

    @app.get("/refused")
    async def refused():
        raise HTTPException(503)

    @app.websocket("/chat/{room}")
    async def chat(websocket: WebSocket, room: str):
        await websocket.accept()
        await websocket.close()

    nested = APIRouter()
    nested.include_router(items, prefix="/deep")
    app.include_router(items, prefix="/items")
    app.include_router(nested, prefix="/nested")
    return app


def build_starlette(*mounts, **how):
    async def chat(websocket):
        await websocket.accept()
        await websocket.close()

    routes = [Route("/items/{id:int}", show), Route("/fail", fail), WebSocketRoute("/chat/{room}", chat), *mounts]
    return Starlette(routes=routes, **how)


CASES = [
    (build_fastapi, "/items/7", 200, "/items/{item_id}", ""),
    (build_fastapi, "/nested/deep/7", 200, "/nested/deep/{item_id}", ""),
    (build_fastapi, "/items/x", 422, "/items/{item_id}", ""),
    (build_fastapi, "/fail", 500, "/fail", "ValueError"),
    (build_fastapi, "/refused", 503, "/refused", "503"),
    (build_fastapi, "/docs", 200, "/docs", ""),
    (build_fastapi, "/nothing/here", 404, "", ""),
    (build_starlette, "/items/7", 200, "/items/{id}", ""),
    (build_starlette, "/fail", 500, "/fail", "ValueError"),
    (build_starlette, "/nothing/here", 404, "", ""),
]


@pytest.mark.parametrize("wrapped", [False, True], ids=["attached", "wrapped"])
@pytest.mark.parametrize(("build", "url", "status", "route", "error_type"), CASES)
def test_fastapi_and_starlette(build, url, status, route, error_type, wrapped):
    app, recorder, middleware = watched(build(), wrapped=wrapped)
    assert get(app, url).status == status
    assert counts(recorder) == {("GET", route, status, error_type): 1}
    assert in_flight(recorder) == 0
    assert not middleware.faults.counts


@pytest.mark.parametrize("build", [build_fastapi, build_starlette])
def test_a_method_that_a_route_does_not_have_is_counted_at_the_route(build):
    app, recorder, _ = watched(build())
    assert get(app, "/fail", "DELETE").status == 405
    assert counts(recorder) == {("DELETE", "/fail", 405, ""): 1}


@pytest.mark.parametrize("build", [build_fastapi, build_starlette])
def test_the_root_path_is_part_of_the_route(build):
    app, recorder, _ = watched(build())
    get(app, "/prod/items/7", root_path="/prod")
    ((_, route, status, _),) = counts(recorder)
    assert (route, status) == (f"/prod{'/items/{item_id}' if build is build_fastapi else '/items/{id}'}", 200)


@pytest.mark.parametrize("build", [build_fastapi, build_starlette])
def test_a_websocket_has_its_route(build):
    app, recorder, _ = watched(build())
    asyncio.run(drive(app, websocket_scope("/chat/7"), incoming=(CONNECT, DISCONNECT)))
    assert counts(recorder, "websocket") == {("GET", "/chat/{room}", 101, ""): 1}


@pytest.mark.parametrize("outer", [build_fastapi, build_starlette])
@pytest.mark.parametrize(
    ("inner", "url", "route"),
    [
        (build_fastapi, "/items/7", "/items/{item_id}"),
        (build_fastapi, "/nested/deep/7", "/nested/deep/{item_id}"),
        (build_fastapi, "/docs", "/docs"),
        (build_starlette, "/items/7", "/items/{id}"),
        (build_starlette, "/nothing", "/{path}"),
    ],
)
@pytest.mark.parametrize(("mount", "prefix"), [("/api", "/api"), ("/of/acme", "/of/{tenant}"), ("/a/b", "/a/b")])
def test_a_mounted_app_has_the_route_of_the_whole_path(outer, inner, url, route, mount, prefix):
    app = outer()
    app.mount("/api", inner())
    app.mount("/of/{tenant}", inner())
    app.mount("/a", Router(routes=[Mount("/b", app=inner())]))
    app, recorder, middleware = watched(app)
    for _ in range(2):
        get(app, mount + url)
    assert [key[1] for key in counts(recorder)] == [prefix + route]
    assert not middleware.faults.counts


def test_a_mount_with_a_parameter_does_not_put_the_path_into_the_route():
    app, recorder, middleware = watched(build_starlette(Mount("/of/{tenant}", app=build_fastapi())))
    for number in range(1500):
        get(app, f"/of/t{number}/items/7")
    assert counts(recorder) == {("GET", "/of/{tenant}/items/{item_id}", 200, ""): 1500}
    assert len(middleware.route_of._prefixes) <= 1000


@pytest.mark.parametrize("build", [build_fastapi, build_starlette])
def test_static_files_are_one_route(build, tmp_path):
    (tmp_path / "a.css").write_text("a")
    app = build()
    app.mount("/static", StaticFiles(directory=tmp_path), name="static")
    app, recorder, _ = watched(app)
    for url in ("/static/a.css", "/static/b.css", "/static/a.css"):
        get(app, url)
    assert counts(recorder) == {("GET", "/static/{path}", 200, ""): 2, ("GET", "/static/{path}", 404, ""): 1}


def test_two_plain_routes_of_one_handler_in_fastapi_keep_their_own_templates():
    app = FastAPI()
    app.add_route("/one/{x}", show)
    app.add_route("/two/{x}", show)
    app, recorder, _ = watched(app)
    for url in ("/one/1", "/two/1", "/one/2"):
        get(app, url)
    assert counts(recorder) == {("GET", "/one/{x}", 200, ""): 2, ("GET", "/two/{x}", 200, ""): 1}


@pytest.mark.parametrize("build", [build_fastapi, build_starlette])
def test_a_middleware_that_is_added_later_stays_inside_of_ours(build):
    class Doorman:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await PlainTextResponse("no", status_code=403)(scope, receive, send)

    app, recorder, middleware = watched(build(middleware=[Middleware(GZipMiddleware)]))
    app.add_middleware(Doorman)
    assert get(app, "/items/7").status == 403
    assert counts(recorder) == {("GET", "", 403, ""): 1}
    assert isinstance(middleware.app, Doorman)


def test_an_app_that_is_attached_twice_is_counted_once():
    app, recorder, middleware = watched(build_fastapi())
    assert watched(app)[2] is middleware
    outside = wrap(app, recorder, on_start=nothing, on_stop=nothing)
    assert wrap(outside, recorder, on_start=nothing, on_stop=nothing) is outside
    get(outside, "/items/7")
    get(app, "/items/7")
    assert counts(recorder) == {("GET", "/items/{item_id}", 200, ""): 2}


def test_an_event_stream_of_starlette_is_counted_apart():
    async def stream(request):
        return StreamingResponse(iter(["data: 1\n\n", "data: 2\n\n"]), media_type="text/event-stream")

    app, recorder, _ = watched(Starlette(routes=[Route("/events", stream)]))
    assert len(get(app, "/events").sent) == 4
    assert counts(recorder) == {}
    assert counts(recorder, "event_stream") == {("GET", "/events", 200, ""): 1}


def build_litestar():
    @litestar_get("/items/{item_id:int}")
    async def show_item(request: LitestarRequest) -> str:
        return str(request.path_params["item_id"])

    @litestar_get("/")
    async def home() -> str:
        return "home"

    @litestar_get("/fail")
    async def fail_here() -> str:
        raise ValueError("broken")

    @litestar_get("/refused")
    async def refused() -> str:
        raise ServiceUnavailableException

    return Litestar([home, show_item, fail_here, refused], logging_config=None)


@pytest.mark.parametrize("wrapped", [False, True], ids=["attached", "wrapped"])
@pytest.mark.parametrize(
    ("url", "status", "route", "error_type"),
    [
        ("/", 200, "/", ""),
        ("/items/7", 200, "/items/{item_id}", ""),
        ("/fail", 500, "/fail", "ValueError"),
        ("/refused", 503, "/refused", "503"),
        ("/nothing/here", 404, "", ""),
    ],
)
def test_litestar(url, status, route, error_type, wrapped):
    app, recorder, middleware = watched(build_litestar(), wrapped=wrapped)
    assert get(app, url).status == status
    assert counts(recorder) == {("GET", route, status, error_type): 1}
    assert not middleware.faults.counts
    if not wrapped:
        assert watched(app)[2] is middleware


def build_quart():
    app = Quart(__name__)

    @app.get("/items/<int:item_id>")
    async def show_item(item_id):
        return str(item_id)

    @app.get("/fail")
    async def fail_here():
        raise ValueError("broken")

    @app.websocket("/chat/<room>")
    async def chat(room):
        await quart_websocket.accept()

    return app


@pytest.mark.parametrize("wrapped", [False, True], ids=["attached", "wrapped"])
@pytest.mark.parametrize(
    ("url", "status", "route", "error_type"),
    [
        ("/items/7", 200, "/items/<int:item_id>", ""),
        ("/fail", 500, "/fail", "ValueError"),
        ("/nothing/here", 404, "", ""),
    ],
)
def test_quart(url, status, route, error_type, wrapped):
    app, recorder, middleware = watched(build_quart(), wrapped=wrapped)
    assert get(app, url).status == status
    assert counts(recorder) == {("GET", route, status, error_type): 1}
    assert not middleware.faults.counts
    if not wrapped:
        assert watched(app)[2] is middleware


def test_a_websocket_of_quart_has_its_route():
    app, recorder, _ = watched(build_quart())
    asyncio.run(drive(app, websocket_scope("/chat/7"), incoming=(CONNECT,)))
    assert counts(recorder, "websocket") == {("GET", "/chat/<room>", 101, ""): 1}


@pytest.fixture(scope="module")
def django_app():
    urls = types.ModuleType("otelmon_test_urls")

    async def show_item(request, item_id):
        return HttpResponse(str(item_id))

    def fail_here(request):
        raise ValueError("broken")

    urls.urlpatterns = [
        path("items/<int:item_id>/", show_item),
        path("shop/", include([path("fail", fail_here)])),
    ]
    sys.modules[urls.__name__] = urls
    if not django_settings.configured:
        django_settings.configure(
            ROOT_URLCONF=urls.__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test", LOGGING_CONFIG=None, DEBUG=False
        )
        django.setup()
    yield get_asgi_application()
    del sys.modules[urls.__name__]


@pytest.mark.parametrize(
    ("url", "status", "route", "error_type"),
    [
        ("/items/7/", 200, "/items/<int:item_id>/", ""),
        ("/shop/fail", 500, "/shop/fail", "ValueError"),
        ("/nothing/here", 404, "", ""),
    ],
)
def test_django(django_app, url, status, route, error_type):
    app, recorder, middleware = watched(django_app, wrapped=True)
    assert get(app, url).status == status
    assert counts(recorder) == {("GET", route, status, error_type): 1}
    assert not middleware.faults.counts


async def bare(scope, receive, send):
    await PlainTextResponse("ok")(scope, receive, send)


def refusal(app):
    with pytest.raises(otelmon.errors.ConfigError) as caught:
        attach(app, RequestRecorder(start_at=0.0), on_start=nothing, on_stop=nothing)
    (problem,) = caught.value.problems
    return str(problem)


def test_a_bare_callable_is_refused_with_the_line_to_write():
    assert refusal(bare) == "otelmon.start cannot add itself to a function; write app = otelmon.wrap(app)"


def test_django_is_refused_with_the_line_to_write(django_app):
    assert refusal(django_app).endswith("a Django application; write app = otelmon.wrap(app)")


def test_what_is_no_application_is_refused():
    assert "is no ASGI application" in refusal("shop:app")
    with pytest.raises(otelmon.errors.ConfigError, match="is no ASGI application"):
        wrap("shop:app", RequestRecorder(start_at=0.0), on_start=nothing, on_stop=nothing)


def test_a_wrapped_application_is_not_attached_again():
    assert "otelmon.wrap watches this application already" in refusal(watched(bare, wrapped=True)[0])


@pytest.mark.parametrize("build", [build_fastapi, build_starlette])
def test_an_application_that_has_started_is_refused_with_what_to_do(build):
    app = build()
    get(app, "/items/7")
    assert "has started" in refusal(app)
    assert "call otelmon.start(app) in the module that makes the app" in refusal(app)


def test_a_bare_callable_may_leave_its_route_in_the_scope():
    assert any_route({}) == ""
    assert any_route({"path_template": "/a/{b}", "route_handler": None}) == "/a/{b}"
    assert any_route({"route": Route("/x/{y:int}", show)}) == "/x/{y}"
    assert any_route({"route": "/x/7"}) == ""


def test_in_flight_requests_are_seen_while_they_run():
    async def story():
        released, entered = asyncio.Event(), asyncio.Event()

        async def wait(request):
            entered.set()
            await released.wait()
            return PlainTextResponse("ok")

        app, recorder, _ = watched(Starlette(routes=[Route("/wait", wait)]))
        task = asyncio.create_task(drive(app, http_scope("/wait")))
        await entered.wait()
        assert in_flight(recorder) == 1
        released.set()
        await task
        assert in_flight(recorder) == 0

    asyncio.run(story())
