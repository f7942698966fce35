"""The app dies, restarts and stops while an alert fires: nobody is paged twice, nobody is left without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn, Drip, Hang, Limited, PostedMessage
from tests.e2e.served import CONFIG, Served

pytestmark = pytest.mark.slow


def is_page(message: PostedMessage) -> bool:
    return "Error rate" in message.content and "resolved" not in message.content.lower()


def test_an_app_killed_while_an_alert_fires_pages_no_second_time_and_resolves_after_recovery(tmp_path: Path) -> None:
    config = CONFIG.replace("window: 4s", "window: 8s")  # longer than the restart takes
    with DiscordStandIn() as discord:
        with Served(tmp_path, config=config, webhook_url=discord.webhook_url) as first:
            assert first.get("/fail", times=8) == 500
            page = discord.wait_for(is_page, 45)
            first.until(lambda: first.open_pages() == 0, doing=lambda: None)
            first.kill()
        with Served(tmp_path, config=config, webhook_url=discord.webhook_url) as second:
            second.pass_ticks(4, doing=lambda: second.get("/fail"))  # it still fails, and nothing new is said
            discord.expect_silence_after(page)
            second.until(lambda: len(discord.messages) > 1, doing=lambda: second.get("/items/1", times=5))
        edited, resolved = discord.messages
        assert edited.id == page.id
        assert edited.edits >= 1  # what explains it, and that it is over
        assert "resolved" in resolved.content.lower()


def test_an_app_killed_while_discord_answers_pages_once_more_since_nobody_knows_what_arrived(tmp_path: Path) -> None:
    config = CONFIG.replace(
        "window: 4s", "window: 60s"
    )  # it fires on over the restart and the lease of the dead sender
    with DiscordStandIn() as discord:
        discord.fail(Drip(seconds=0.5, headers=True))  # taken, and the answer is on its way for a long time
        with Served(tmp_path, config=config, webhook_url=discord.webhook_url) as first:
            first.until(lambda: bool(discord.messages), doing=lambda: first.get("/fail"))
            first.kill()
        assert first.open_pages() >= 1  # the page, and perhaps its evidence
        with Served(tmp_path, config=config, webhook_url=discord.webhook_url) as second:
            second.until(lambda: second.open_pages() == 0, timeout=60, doing=lambda: second.get("/fail"))
            second.pass_ticks(3, doing=lambda: second.get("/fail"))
        assert [is_page(message) for message in discord.messages] == [True, True]


def test_a_clean_stop_delivers_what_is_due_and_ends_within_its_bound(tmp_path: Path) -> None:
    """Discord asked for two seconds of patience; the app is stopped within them."""
    with DiscordStandIn() as discord:
        discord.fail(Limited(retry_after=2.0))
        with Served(tmp_path, webhook_url=discord.webhook_url) as app:
            app.until(lambda: bool(discord.requests), doing=lambda: app.get("/fail"))
            discord.expect_silence_after()
            assert app.stop() < 16
        assert [message for message in discord.messages if is_page(message)]
    assert app.open_pages() == 0


def test_what_was_measured_since_the_last_tick_is_not_lost_by_a_stop(tmp_path: Path) -> None:
    """At an interval of a minute the app fails and is stopped before its next tick; the one that follows pages."""
    config = CONFIG.replace("interval: 1s", "interval: 60s").replace("window: 4s", "window: 5m")
    with DiscordStandIn() as discord:
        with Served(tmp_path, config=config, webhook_url=discord.webhook_url) as app:
            app.until(lambda: app.ticks() == 1, doing=lambda: app.get("/items/1"))
            assert app.get("/fail", times=8) == 500
            app.stop()
            discord.expect_silence_after()
        with Served(tmp_path, config=config, webhook_url=discord.webhook_url):
            discord.wait_for(is_page, 45)


def test_a_stop_while_discord_hangs_ends_within_its_bound_however_many_pages_are_owed(tmp_path: Path) -> None:
    config = CONFIG.replace("route_error_rate: off", "route_error_rate: {window: 4s, at_least: 4}")
    with DiscordStandIn() as discord:
        discord.fail_always(Hang())
        with Served(tmp_path, config=config, webhook_url=discord.webhook_url) as app:
            # Two pages, and what explains them.
            app.until(lambda: bool(discord.requests) and app.open_pages() == 4, doing=lambda: app.get("/fail"))
            assert app.stop() < 16
        discord.expect_silence_after()
    assert "Finished server process" in app.log
    assert "Traceback" not in app.log
    assert app.open_pages() == 4
