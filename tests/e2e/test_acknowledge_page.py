"""A person follows the page's button, presses, and the message shows by whom."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from otelmon.testing import DiscordStandIn, PostedMessage
from tests.e2e.served import APP, CONFIG, Served

pytestmark = pytest.mark.slow

BARE = """\
import otelmon


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/fail":
        raise RuntimeError("broken")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the app's own"})


app = otelmon.wrap(app)
"""
STARLETTE = """\
import otelmon
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def own(request):
    return PlainTextResponse("the app's own")


async def fail(request):
    raise RuntimeError("broken")


app = Starlette(routes=[Route("/fail", fail), Route("/{path:path}", own)])
otelmon.start(app)
"""
LITESTAR = """\
import otelmon
from litestar import Litestar, get


@get(["/", "/otelmon/other"])
async def own() -> str:
    return "the app's own"


@get("/fail")
async def fail() -> None:
    raise RuntimeError("broken")


app = Litestar([own, fail])
otelmon.start(app)
"""
QUART = """\
import otelmon
from quart import Quart

app = Quart("shop")


@app.get("/")
@app.get("/otelmon/other")
async def own():
    return "the app's own"


@app.get("/fail")
async def fail():
    raise RuntimeError("broken")


otelmon.start(app)
"""
PUBLIC = CONFIG + "public_url: ${PUBLIC_URL}\n"


def is_page(message: PostedMessage) -> bool:
    return "Error rate" in message.content and "Acknowledge" in message.buttons


def reached(app: Served, button: str) -> str:
    """The address that a browser asks once the proxy before the app has made its own of it."""
    return app.url + httpx.URL(button).raw_path.decode()


@pytest.mark.parametrize(
    "source", [APP, BARE, STARLETTE, LITESTAR, QUART], ids=["fastapi", "bare", "starlette", "litestar", "quart"]
)
def test_the_button_of_a_page_leads_to_where_it_is_acknowledged(tmp_path: Path, source: str) -> None:
    environ = {"PUBLIC_URL": "https://shop.example.com/"}
    with (
        DiscordStandIn() as discord,
        Served(tmp_path, app=source, config=PUBLIC, webhook_url=discord.webhook_url, environ=environ) as app,
        httpx.Client(follow_redirects=True, trust_env=False, timeout=30) as browser,
    ):
        app.until(lambda: any(map(is_page, discord.messages)), doing=lambda: app.get("/fail"))
        page = discord.wait_for(is_page)
        link = reached(app, page.buttons["Acknowledge"])
        assert page.buttons["Acknowledge"].startswith("https://shop.example.com/otelmon/ack/")

        shown = browser.get(link)
        assert shown.status_code == 200
        assert "Who are you?" in shown.text
        posted = browser.post(link, data={"name": "Ada"})
        assert [each.status_code for each in posted.history] == [303]
        assert "Acknowledged by Ada" in posted.text

        edited = discord.wait_for(lambda message: message.id == page.id and "ACKNOWLEDGED" in message.content, 20)
        assert "ACKNOWLEDGED** by Ada" in edited.content
        assert not edited.buttons
        again = browser.post(link, data={"name": "Eve"})
        assert again.status_code == 409
        assert "Acknowledged by Ada" in again.text
        if source is not APP:
            assert browser.get(f"{app.url}/otelmon/other").text == "the app's own"
        discord.expect_silence_after(page)
    assert 'Traceback (most recent call last):\n  File "/otelmon' not in app.log


def test_any_process_may_serve_it_behind_a_path_and_no_log_has_the_link(tmp_path: Path) -> None:
    """The proxy passes the path on; the link is asked for after a restart, of a process that made none of it."""
    environ = {"PUBLIC_URL": "https://example.com/shop"}
    config = PUBLIC.replace("window: 4s", "window: 60s")
    how = {"config": config, "environ": environ, "options": ("--access-log",)}
    with DiscordStandIn() as discord:
        with Served(tmp_path, webhook_url=discord.webhook_url, **how) as first:
            first.until(lambda: any(map(is_page, discord.messages)), doing=lambda: first.get("/fail"))
            button = discord.wait_for(is_page).buttons["Acknowledge"]
            first.until(lambda: first.open_pages() == 0, doing=lambda: None)
        with Served(tmp_path, webhook_url=discord.webhook_url, **how) as second:
            for link in (reached(second, button), reached(second, button).replace("/shop/", "/")):
                assert httpx.get(link, timeout=30).status_code == 200
            pressed = httpx.post(reached(second, button), data={"name": "Ada"}, timeout=30)
            assert pressed.status_code == 303
            discord.wait_for(lambda message: "ACKNOWLEDGED** by Ada" in message.content, 20)
            second.wait_for_log("/shop/otelmon/ack/...")
    token = button.rpartition("/")[2]
    assert token not in first.log + second.log


def test_without_a_public_url_there_is_no_button_and_no_page(tmp_path: Path) -> None:
    with (
        DiscordStandIn() as discord,
        Served(tmp_path, app=STARLETTE, webhook_url=discord.webhook_url) as app,
    ):
        app.until(lambda: bool(discord.messages), doing=lambda: app.get("/fail"))
        (page,) = discord.messages
        assert not page.buttons
        assert re.search(r"otelmon ack \w{4}", page.text)
        assert "First steps:" in page.text
        assert "with_components" not in discord.requests[0].path
        assert httpx.get(f"{app.url}/otelmon/ack/x", timeout=30).text == "the app's own"
