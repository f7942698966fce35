"""Each kind of app under a real uvicorn: its requests are counted by route, and its rules page."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn
from tests.e2e.served import CONFIG, Served

pytestmark = pytest.mark.slow

STARLETTE = """\
import otelmon
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def show_item(request):
    return JSONResponse(request.path_params["item_id"], status_code=int(request.path_params["item_id"]))


app = Starlette(routes=[Route("/items/{item_id}", show_item)])
otelmon.start(app)
"""
LITESTAR = """\
import otelmon
from litestar import Litestar, Response, get


@get("/items/{item_id:int}")
async def show_item(item_id: int) -> Response:
    return Response(item_id, status_code=item_id)


app = Litestar([show_item])
otelmon.start(app)
"""
QUART = """\
import otelmon
from quart import Quart

app = Quart(__name__)
otelmon.start(app)


@app.get("/items/<int:item_id>")
async def show_item(item_id):
    return str(item_id), item_id
"""
BARE = """\
import otelmon


async def bare(scope, receive, send):
    assert scope["type"] == "http"
    status = int(scope["path"].rpartition("/")[2])
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


app = otelmon.wrap(bare)
"""
DJANGO = """\
import django
import otelmon
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test")


def show_item(request, item_id):
    return HttpResponse(status=item_id)


urlpatterns = [path("items/<int:item_id>", show_item)]
app = otelmon.wrap(get_asgi_application())
"""
RULES = """\
  seen:
    expr: group by (http_route, http_response_status_code) (http_server_request_duration_seconds_count) > 0
    severity: info
"""
APPS = {
    "starlette": (STARLETTE, "/items/{item_id}"),
    "litestar": (LITESTAR, "/items/{item_id}"),
    "quart": (QUART, "/items/<int:item_id>"),
    "bare": (BARE, ""),
    "django": (DJANGO, "/items/<int:item_id>"),
}


@pytest.mark.parametrize("name", APPS)
def test_requests_are_counted_by_route_and_status_and_errors_page(tmp_path: Path, name: str) -> None:
    source, route = APPS[name]
    with DiscordStandIn() as discord:
        with Served(tmp_path, app=source, config=CONFIG + RULES, webhook_url=discord.webhook_url) as app:
            assert app.get("/items/200", times=4) == 200
            assert app.get("/items/503", times=8) == 503
            page = discord.wait_for(lambda message: "Error rate" in message.content, 45)
            for status in ("200", "503"):
                seen = discord.wait_for(
                    lambda message, status=status: (
                        "Seen" in message.content and f"status_code: {status}" in message.text.replace("\\", "")
                    ),
                    10,
                )
                assert (f"http_route: {route}" in seen.text.replace("\\", "")) is bool(route)
            assert "CRITICAL" in page.content
            assert app.stop() < 16
        assert "Traceback" not in app.log


def test_a_server_that_reloads_is_a_developers_and_pages_nobody(tmp_path: Path) -> None:
    config = CONFIG.replace("paging: on\n", "")
    with DiscordStandIn() as discord:
        with Served(tmp_path, config=config, webhook_url=discord.webhook_url, options=("--reload",)) as app:
            assert "paging off (the server runs with --reload)" in app.wait_for_log("watching shop")
        discord.expect_silence_after()


def test_a_server_with_a_webhook_and_no_declared_environment_pages(tmp_path: Path) -> None:
    config = CONFIG.replace("paging: on\n", "")
    with DiscordStandIn() as discord, Served(tmp_path, config=config, webhook_url=discord.webhook_url) as app:
        assert "paging on (a webhook is set and no environment" in app.wait_for_log("watching shop")
        app.until(lambda: bool(discord.messages), doing=lambda: app.get("/fail"))
