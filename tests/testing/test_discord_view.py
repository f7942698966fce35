"""The channel in a browser: as Discord shows it, and nothing in it can act."""

from __future__ import annotations

import shutil
import subprocess

import httpx
import pytest

from otelmon.testing import NO_LIMITS, DiscordStandIn, FakeClock
from otelmon.testing.discord_markdown import html, moment, relative

NOW = 1_767_614_400.0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**b** *i* _i_ __u__ ~~s~~", "<strong>b</strong> <em>i</em> <em>i</em> <u>u</u> <s>s</s>"),
        ("**a *b* c**", "<strong>a <em>b</em> c</strong>"),
        ("`**x**` ``a`b``", "<code>**x**</code> <code>a`b</code>"),
        ("```py\n<b>\n```", "<pre><code>&lt;b&gt;</code></pre>"),
        ("||x||", '<span class="spoiler">x</span>'),
        (r"\*\*x\*\* \_ \` \<@1> \\", "**x** _ ` &lt;@1&gt; \\"),
        ("snake_case_name", "snake_case_name"),
        ('<script>alert(1)</script> & "', "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;"),
        ("<@7> <@&7> <@!9> @everyone", ('<span class="mention">@on-call</span> <span class="mention">@on-call</span> '
         '<span class="mention">@9</span> <span class="mention">@everyone</span>')),
        ("[a](https://x.example/p)", '<a href="https://x.example/p" rel="noreferrer noopener" target="_blank">a</a>'),
        ("[a](javascript:alert)", "[a](javascript:alert)"),
        ("see https://x.example/p.", ('see <a href="https://x.example/p" rel="noreferrer noopener" target="_blank">'
         "https://x.example/p</a>.")),
        (f"<t:{NOW - 180:.0f}:R>", '<time title="Monday, 5 January 2026 11:57">3 minutes ago</time>'),
        ("<t:0:q>", "&lt;t:0:q&gt;"),
        ("# h\nx\ny\n> q\n- l\n-# s", "<h1>h</h1>x<br>y<blockquote>q</blockquote><li>l</li><small>s</small>"),
        ("# ```\nx\n```", "<h1></h1><pre><code>x</code></pre>"),
    ],
)  # fmt: skip
def test_markdown_is_rendered_as_discord_does_and_safely(text, shown):
    assert html(text, names={"7": "on-call"}, now=NOW) == shown


def test_a_title_has_no_headings():
    assert html("# x", names={}, now=NOW, block=False) == "# x"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 seconds ago"), (-1, "1 second ago"), (-59, "59 seconds ago"), (-3600, "1 hour ago"), (7200, "in 2 hours")],
)
def test_relative_times(seconds, words):
    assert relative(NOW + seconds, NOW) == words


def test_the_styles_of_time():
    assert [moment(NOW, style, NOW) for style in "tTdDfF"] == [
        "12:00", "12:00:00", "05/01/2026", "5 January 2026", "5 January 2026 12:00", "Monday, 5 January 2026 12:00",
    ]  # fmt: skip
    assert moment(1e13, "f", NOW) == "Invalid Date"


@pytest.fixture
def discord():
    with DiscordStandIn(clock=FakeClock(NOW), limits=NO_LIMITS, names={"7": "on-call"}) as stand_in:
        yield stand_in


BODY = {
    "content": "🔴 **CRITICAL** Error rate <@&7>",
    "allowed_mentions": {"roles": ["7"]},
    "embeds": [
        {
            "title": "Error rate",
            "url": "https://runbooks.example/x",
            "color": 0xED4245,
            "description": "Requests <b>fail</b>.",
            "fields": [{"name": "Service", "value": "shop", "inline": True}, {"name": "Long", "value": "line"}],
            "footer": {"text": "**incident** <7KQ2>"},
            "timestamp": "2026-01-05T12:00:00+00:00",
        },
        {"description": "second"},
    ],
}


def test_the_channel_shows_what_was_posted(discord):
    assert "Nothing was posted yet." in httpx.get(f"{discord.url}channel").text
    httpx.post(discord.webhook_url, json=BODY)
    view = httpx.get(f"{discord.url}channel").text
    for part in (
        "<strong>CRITICAL</strong>",
        '<span class="mention">@on-call</span>',
        "border-color:#ed4245",
        '<a href="https://runbooks.example/x"',
        "Requests &lt;b&gt;fail&lt;/b&gt;.",
        'class="field inline"',
        "**incident** &lt;7KQ2&gt; • 05/01/2026, 12:00:00 UTC",
        "pinged on-call",
    ):
        assert part in view
    assert "(edited)" not in view
    httpx.patch(f"{discord.webhook_url}/messages/{discord.messages[0].id}", json={"content": "over"})
    assert "(edited)" in httpx.get(f"{discord.url}channel").text


def test_the_page_may_load_nothing_from_elsewhere(discord):
    page = httpx.get(discord.url)
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "https://" not in page.text


@pytest.mark.slow
def test_a_browser_shows_the_channel(discord, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on this machine: the page was not opened in a browser")
    httpx.post(discord.webhook_url, json=BODY)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path}", "--window-size=400,800"]
    command = [chromium, *flags, "--virtual-time-budget=3000", "--dump-dom", discord.url]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "<strong>CRITICAL</strong>" in shown
    assert 'class="embed"' in shown
