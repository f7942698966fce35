"""The runbooks as pages: what they show, to anybody, and that nothing in them can do more than be read."""

from __future__ import annotations

import asyncio
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.config.load import load_settings
from otelmon.rules.runbooks import HEADINGS, heading_anchor, runbook_link, runbook_names
from otelmon.runtime.assemble import about
from otelmon.runtime.pages import served_runbook
from otelmon.server.runbook import RunbookPages, rendered

BASE = "https://shop.example.com/shop/otelmon/runbooks/"
HOSTILE = """# cart_failures: <script>alert(1)</script>

<img src=x onerror=alert(1)> <b>bold</b>

[one](javascript:alert(1)) [two](JAVASCRIPT:alert(1))
[three](data:text/html,x) [four](//evil.example/x) [five](../ack/x)
[six](https://wiki.example.com/x "a\\" onclick=\\"alert(1)") [seven](vbscript:x) ![seen](https://evil.example/pixel.png)

<https://evil.example/"onmouseover=alert(1)>

```sh" onclick="alert(1)
<iframe src=//evil.example>
```

<!-- --><style>*{display:none}</style><form action=/otelmon/ack/x method=post><button>Go</button></form>
"""


class Read(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    @property
    def links(self) -> list[str]:
        return [str(attributes["href"]) for tag, attributes in self.tags if tag == "a" and "href" in attributes]


def ask(name: str, folder: Path | None = None, method: str = "GET") -> httpx.Response:
    async def exchange() -> httpx.Response:
        transport = httpx.ASGITransport(app=RunbookPages(folder, service="shop"))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(method, BASE + name)

    return asyncio.run(exchange())


@pytest.mark.parametrize("name", runbook_names())
def test_each_runbook_that_ships_is_a_page_whose_links_lead_somewhere(name: str) -> None:
    answered = ask(name)
    assert answered.status_code == 200
    assert answered.headers["content-type"] == "text/html; charset=utf-8"
    page = Read(answered.text)
    assert [each[1]["id"] for each in page.tags if each[0] == "h2"] == list(map(heading_anchor, HEADINGS))
    for link in page.links:
        place, _, anchor = link.partition("#")
        assert place in {*runbook_names(), ""} or place.startswith("https://")
        assert not anchor or anchor in map(heading_anchor, HEADINGS)


def test_a_runbook_leads_to_the_one_that_it_names() -> None:
    first = ask("error_rate")
    assert "route_error_rate" in Read(first.text).links
    assert str(httpx.URL(BASE + "error_rate").join("route_error_rate")) == BASE + "route_error_rate"
    assert "<code>otelmon ack ID</code>" in first.text


def test_a_page_may_do_nothing_and_is_kept_nowhere() -> None:
    headers = ask("error_rate").headers
    assert "default-src 'none'; style-src 'sha256-" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["x-robots-tag"] == "noindex, nofollow, noarchive"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["", "nothing", "../../otelmon", "%2e%2e%2fREADME", "error_rate.md", "error_rate/", "a b", "é"]
)
def test_an_unknown_name_is_answered_in_words(name: str) -> None:
    answered = ask(name)
    assert answered.status_code == 404
    assert "There is no runbook of this name" in answered.text
    assert "default-src 'none'" in answered.headers["content-security-policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_is_only_read(method: str) -> None:
    answered = ask("error_rate", method=method)
    assert (answered.status_code, answered.headers["allow"]) == (405, "GET, HEAD")
    assert ask("error_rate", method="HEAD").status_code == 200


def test_a_teams_own_takes_the_place_of_a_built_in_one_and_is_read_anew(tmp_path: Path) -> None:
    own = tmp_path / "error_rate.md"
    own.write_text("# error_rate: ours\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", encoding="utf-8")
    assert "<h1 id=" in ask("error_rate", tmp_path).text
    assert "<td>1</td>" in ask("error_rate", tmp_path).text
    own.write_text("# error_rate: changed\n", encoding="utf-8")
    assert "changed" in ask("error_rate", tmp_path).text
    assert "disk is nearly full" in ask("disk_usage", tmp_path).text


def test_hostile_markdown_is_text(tmp_path: Path) -> None:
    (tmp_path / "cart_failures.md").write_text(HOSTILE, encoding="utf-8")
    page = Read(ask("cart_failures", tmp_path).text)
    for tag, attributes in page.tags:
        assert tag not in {"script", "img", "iframe", "form", "button", "b"}
        assert not [name for name in attributes if name.startswith("on")]
    assert [tag for tag, _ in page.tags].count("style") == 1
    assert all(link.startswith("https://") for link in page.links)
    assert all(
        attributes.get("rel") == "noreferrer noopener"
        for tag, attributes in page.tags
        if "href" in attributes and tag == "a"
    )


PIECES = (
    # What Markdown, HTML and links are made of.
    "<b>",
    "<img src=x onerror=a()>", "<!--", "-->", "[x](", "![x](", "/y", "javascript:a()", "https://a.b/", ")", "<", ">",
    '"', "'", "`", "```", "*", "_", "|", "-", "#", "&lt;", "&#60;", "\\", "\n", "\n\n", " ", "a",
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@settings(max_examples=150, deadline=None)
def test_no_text_makes_a_tag_of_its_own_or_a_link_that_acts(text: str) -> None:
    known = {*"h1 h2 h3 h4 h5 h6 p a code pre em strong ul ol li blockquote hr br table thead tbody tr th td".split()}  # noqa: SIM905
    page = Read(rendered(text))
    assert {tag for tag, _ in page.tags} <= known
    assert {name for _, attributes in page.tags for name in attributes} <= {
        "href",
        "title",
        "id",
        "rel",
        "start",
        "class",
        "style",
    }
    assert not [link for link in page.links if link.startswith(("/", "javascript:", "data:"))]


def test_what_is_longer_than_any_runbook_is_cut_off() -> None:
    assert len(rendered("word " * 1_000_000)) < 210_000


@pytest.fixture
def team(tmp_path: Path) -> Path:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "cart_failures.md").write_text("# cart_failures: carts fail\n", encoding="utf-8")
    (tmp_path / "otelmon.yaml").write_text(
        "service: shop\nrunbooks: books\npublic_url: https://shop.example.com/shop/\n", encoding="utf-8"
    )
    return tmp_path


def test_pages_link_to_a_runbook_where_there_is_one(team: Path) -> None:
    here = load_settings(team / "otelmon.yaml", environ={}, directory=team)
    served = served_runbook(here)
    assert runbook_link("error_rate", {}, None, served) == BASE + "error_rate"
    assert runbook_link("cart_failures", {}, None, served) == BASE + "cart_failures"
    assert runbook_link("carts", {"runbook": "cart_failures"}, None, served) == BASE + "cart_failures"
    assert runbook_link("error_rate", {"runbook": "Ask the checkout team."}, None, served) == BASE + "error_rate"
    assert runbook_link("carts", {"runbook": "Ask the checkout team."}, None, served) is None
    assert runbook_link("nothing", {}, None, served) is None
    assert runbook_link("error_rate", {"runbook_url": "https://a.example/x"}, None, served) == "https://a.example/x"
    assert runbook_link("error_rate", {}, "https://wiki.example.com", served) == "https://wiki.example.com/error_rate"
    assert about(here).served_runbook("error_rate") == BASE + "error_rate"


def test_without_a_public_address_no_runbook_is_linked(team: Path) -> None:
    (team / "otelmon.yaml").write_text("service: shop\nrunbooks: books\n", encoding="utf-8")
    here = load_settings(team / "otelmon.yaml", environ={}, directory=team)
    assert runbook_link("error_rate", {}, None, served_runbook(here)) is None
