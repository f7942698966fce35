"""Each example of a framework under a real uvicorn: its requests are counted by route, and its rules page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn
from tests.e2e.served import CONFIG, LASTING, REPOSITORY, Served

pytestmark = pytest.mark.slow

FRAMEWORKS = REPOSITORY / "examples" / "frameworks"
RULES = """\
  seen:
    expr: group by (http_route, http_response_status_code) (http_server_request_duration_seconds_count) > 0
    severity: info
"""
APPS = {
    "fastapi_app:app": "/items/{item_id}",
    "starlette_app:app": "/items/{item_id}",
    "litestar_app:app": "/items/{item_id}",
    "quart_app:app": "/items/<int:item_id>",
    "bare_app:app": "",
    "django_shop.asgi:application": "/items/<int:item_id>",
}


@pytest.mark.parametrize("target", APPS)
def test_requests_are_counted_by_route_and_status_and_errors_page(tmp_path: Path, target: str) -> None:
    shutil.copytree(FRAMEWORKS, tmp_path, dirs_exist_ok=True)
    routes = {"200": APPS[target], "503": "/broken" if APPS[target] else ""}
    with DiscordStandIn() as discord:
        with Served(tmp_path, target=target, config=LASTING + RULES, webhook_url=discord.webhook_url) as app:
            assert app.get("/items/7", times=4) == 200
            assert app.get("/broken", times=8) == 503
            page = discord.wait_for(lambda message: "Error rate" in message.content, 45)
            for status, route in routes.items():
                seen = discord.wait_for(
                    lambda message, status=status: (
                        "Seen" in message.content and f"status_code: {status}" in message.text.replace("\\", "")
                    ),
                    45,
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
