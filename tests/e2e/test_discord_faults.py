"""Discord in trouble while an alert fires: the app answers, ticks go on, the page is kept or its loss is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn, Hang, Limited, PostedMessage, assert_no_secret
from tests.e2e.served import Served

pytestmark = pytest.mark.slow

# Far more than the app needs, on a busy machine too; half of what Discord is waited for (10 s).
PROMPT_SECONDS = 5.0


def is_page(message: PostedMessage) -> bool:
    return "Error rate" in message.content


def slowest(app: Served, times: int) -> float:
    """The longest that one of so many requests took, in seconds."""
    taken = 0.0
    for _ in range(times):
        began = time.monotonic()
        assert app.get("/items/1") == 200
        taken = max(taken, time.monotonic() - began)
    return taken


def fail_until(app: Served, condition: Callable[[], bool]) -> None:
    app.until(condition, doing=lambda: app.get("/fail"))


def test_while_discord_hangs_requests_are_answered_and_ticks_go_on_and_the_page_comes_in_the_end(
    tmp_path: Path,
) -> None:
    with DiscordStandIn() as discord:
        discord.fail(Hang())
        with Served(tmp_path, webhook_url=discord.webhook_url) as app:
            fail_until(app, lambda: len(discord.requests) == 1)
            ticks = app.ticks()
            assert slowest(app, 50) < PROMPT_SECONDS
            app.until(lambda: app.ticks() >= ticks + 3, doing=lambda: app.get("/fail"))
            assert app.vitals()["request_rate"] > 0
            assert not discord.messages  # it hangs still
            discord.wait_for(is_page, 45)
            app.until(lambda: app.open_pages() == 0, doing=lambda: app.get("/fail"))
            assert len([message for message in discord.messages if is_page(message)]) == 1
            app.stop()
        assert "will be tried again" in app.log
        assert "delivers again" in app.log
        assert_no_secret(discord.webhook_url, app.log)


def test_a_429_is_waited_for_as_long_as_discord_says(tmp_path: Path) -> None:
    with DiscordStandIn() as discord:
        discord.fail(Limited(retry_after=3.0))
        with Served(tmp_path, webhook_url=discord.webhook_url) as app:
            fail_until(app, lambda: bool(discord.requests))
            assert slowest(app, 5) < 2.5  # less than what Discord asked for
            fail_until(app, lambda: bool(discord.messages))
        refused, taken = discord.requests[:2]
        assert refused.status == 429
        assert taken.status == 200
        assert 3.0 <= taken.at - refused.at < 10.0  # when it is due, or not much later on a busy machine
        assert_no_secret(discord.webhook_url, app.log)


def test_a_webhook_that_is_gone_is_said_loudly_once_and_the_app_serves_on(tmp_path: Path) -> None:
    with DiscordStandIn() as discord:
        discord.forget_webhook()
        with Served(tmp_path, webhook_url=discord.webhook_url) as app:
            fail_until(app, lambda: "the webhook does not take pages any more" in app.log)
            # The alert resolves and fires again: Discord bans an address that goes on asking.
            app.until(lambda: "is resolved" in app.log, doing=lambda: app.get("/items/1", times=5))
            fail_until(app, lambda: app.log.count("is firing") == 2)
            app.pass_ticks(2)
            assert slowest(app, 5) < PROMPT_SECONDS
        assert len(discord.requests) == 1
        said = [line for line in app.log.splitlines() if "create a new webhook" in line]
        assert len(said) == 1
        assert said[0].startswith("ERROR")
        assert "Error rate" in app.log  # the text of a page that is lost is kept
        assert_no_secret(discord.webhook_url, app.log)


def test_a_discord_that_refuses_connections_gets_the_page_when_it_is_back(tmp_path: Path) -> None:
    with DiscordStandIn() as discord:
        discord.refuse()
        with Served(tmp_path, webhook_url=discord.webhook_url) as app:
            fail_until(app, lambda: "will be tried again" in app.log)
            assert slowest(app, 5) < PROMPT_SECONDS
            discord.accept()
            discord.wait_for(is_page, 45)
        assert_no_secret(discord.webhook_url, app.log)
