"""A person at a phone: the message's button, the page behind it, a name, a press."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn
from tests.e2e.served import CONFIG, Served
from tests.server.browser import Browser

pytestmark = pytest.mark.slow

PUBLIC = CONFIG.replace("window: 4s", "window: 60s") + "public_url: ${SERVED_URL}\nenvironment: production\n"


def test_the_page_is_opened_from_the_message_and_pressed_in_chromium(tmp_path: Path) -> None:
    """OTELMON_SCREENSHOTS names a folder in which to leave what was seen, for somebody to look at."""
    folder = Path(os.environ.get("OTELMON_SCREENSHOTS") or tmp_path)
    with (
        Browser() as browser,
        DiscordStandIn() as discord,
        Served(tmp_path / "app", config=PUBLIC, webhook_url=discord.webhook_url) as app,
    ):
        app.until(lambda: bool(discord.messages), doing=lambda: app.get("/fail"))
        browser.open(discord.url)
        browser.wait_for("document.querySelector('a.button') !== null")
        browser.screenshot(folder / "message.png")
        browser.look("(a => { a.target = ''; a.click(); })(document.querySelector('a.button'))")

        browser.wait_for("document.querySelector('button')?.innerText === 'Acknowledge'")
        assert browser.look("document.documentElement.scrollWidth <= 400")
        browser.screenshot(folder / "page.png")
        browser.look("document.querySelector('button').click()")  # no name yet: the browser asks for it
        assert browser.look("document.querySelector('input:invalid') !== null")
        browser.look("document.querySelector('input').focus()")
        browser.type("Ada Lovelace")
        browser.look("document.querySelector('button').click()")
        browser.wait_for("document.body.innerText.includes('Acknowledged by Ada Lovelace')")
        browser.screenshot(folder / "acknowledged.png")

        discord.wait_for(lambda message: "ACKNOWLEDGED** by Ada Lovelace" in message.content, 20)
        browser.open(discord.url)
        browser.wait_for("document.body.innerText.includes('by Ada Lovelace')")
        assert browser.look("document.querySelector('a.button') === null")
        browser.screenshot(folder / "edited.png")
