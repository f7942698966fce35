"""A person at a phone: the message's button, the page behind it, a name, a press."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otelmon.testing import DiscordStandIn
from tests.e2e.served import LASTING, Served
from tests.server.browser import Browser

pytestmark = pytest.mark.slow

PUBLIC = LASTING + "public_url: ${SERVED_URL}\nenvironment: production\n"
BOOK = """# cart_failures: <b onclick=alert(1)>carts</b> fail

## What it means

Orders are lost. See [errors](error_rate.md#mitigation), [this](javascript:document.title='hacked') and <script>document.title='hacked'</script>

- A list: `otelmon query 'sum by (a_label_that_is_rather_long) (rate(http_server_request_duration_seconds_count[5m]))'`

      a block of code that is much wider than a phone is, since nobody wraps those by hand and it goes on and on

| Column | Another column |
|---|---|
| 1 | 2 |
"""  # noqa: E501


def test_a_page_leads_to_its_runbook_and_from_there_to_others_in_chromium(tmp_path: Path) -> None:
    folder = Path(os.environ.get("OTELMON_SCREENSHOTS") or tmp_path)
    (tmp_path / "app" / "books").mkdir(parents=True)
    (tmp_path / "app" / "books" / "cart_failures.md").write_text(BOOK, encoding="utf-8")
    with (
        Browser() as browser,
        DiscordStandIn() as discord,
        Served(tmp_path / "app", config=PUBLIC + "runbooks: books\n", webhook_url=discord.webhook_url) as app,
    ):
        app.until(lambda: bool(discord.messages), doing=lambda: app.get("/fail"))
        page = discord.messages[0]
        runbook = f"{app.url}/otelmon/runbooks/error_rate"
        (embed,) = page.body["embeds"]
        assert embed["description"].endswith(f"[Open the runbook]({runbook})")
        assert "First steps" not in embed["description"]
        browser.open(page.buttons["Acknowledge"])
        browser.wait_for("document.querySelector('button')?.innerText === 'Acknowledge'")
        browser.look("[...document.querySelectorAll('a')].find(a => a.innerText === 'Open the runbook').click()")
        browser.wait_for(f"location.href === '{runbook}' && document.querySelector('#first-five-minutes') !== null")
        assert browser.look("document.documentElement.scrollWidth <= 400")
        browser.screenshot(folder / "runbook.png")
        browser.look("[...document.querySelectorAll('a')].find(a => a.innerText === 'its runbook').click()")
        browser.wait_for("document.querySelector('h1')?.innerText.startsWith('route_error_rate: ')")

        browser.open(f"{app.url}/otelmon/runbooks/cart_failures")
        browser.wait_for("document.querySelector('td') !== null")
        assert browser.look("document.title") == "cart_failures: runbook"
        assert browser.look("document.querySelectorAll('script, main b, [onclick]').length === 0")
        assert browser.look("document.documentElement.scrollWidth <= 400")
        browser.screenshot(folder / "hostile.png")
        browser.look("[...document.querySelectorAll('a')].find(a => a.innerText === 'errors').click()")
        browser.wait_for("location.hash === '#mitigation' && document.querySelector('#mitigation') !== null")

        assert app.get("/otelmon/runbooks/nothing") == 404
        assert app.get("/items/7") == 200


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

        discord.wait_for(lambda message: "ACKNOWLEDGED** by Ada Lovelace" in message.content, 45)
        browser.open(discord.url)
        browser.wait_for("document.body.innerText.includes('by Ada Lovelace')")
        assert browser.look("document.querySelector('a.button') === null")
        browser.screenshot(folder / "edited.png")
