"""The acknowledge page: what it shows, and that only a person's POST acts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.faults import Faults
from otelmon.incidents.model import Acknowledge, Incident, IncidentState, Resolve
from otelmon.labels import Labels
from otelmon.paging.text import Context
from otelmon.rules.runbooks import first_steps
from otelmon.server.acknowledge import AcknowledgePage
from otelmon.server.links import LIFETIME, Links
from otelmon.server.view import view_of
from otelmon.testing import assert_no_secret
from tests.alerts.build import minute
from tests.incidents.test_step import alert, fires
from tests.server.monitor import Monitored

URL = "https://shop.example.com/shop"
FORM = {"content-type": "application/x-www-form-urlencoded"}
ABOUT = Context(service="shop", environment="production", first_steps=first_steps)


class Visitor:
    """A person's browser, or whoever else comes."""

    def __init__(self, monitored: Monitored) -> None:
        self.monitored = monitored
        self.faults = Faults()
        self.page = AcknowledgePage(
            monitored.opened, about=ABOUT, public_url=URL, clock=monitored.clock, faults=self.faults
        )
        with monitored.opened() as storage:
            self.secret = storage.link_secret()
        self.links = Links(self.secret, URL)

    def incident(self, name: str = "error_rate", **labels: str) -> Incident:
        fired = alert(name, at=self.monitored.now)
        fired = replace(fired, labels=fired.labels.with_labels(labels), series=Labels(labels))
        return self.monitored.turn([fires(fired)]).changes[0].incident

    def link(self, incident: Incident) -> str:
        return self.links.address(incident, self.monitored.now)

    def request(self, method: str, url: str, **more: Any) -> httpx.Response:
        async def exchange() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.page)
            async with httpx.AsyncClient(transport=transport) as client:
                return await client.request(method, url, **more)

        return asyncio.run(exchange())

    def get(self, url: str, **more: Any) -> httpx.Response:
        return self.request("GET", url, **more)

    def post(self, url: str, name: str = "Ada", **more: Any) -> httpx.Response:
        return self.request("POST", url, data={"name": name}, **more)

    def now(self, incident: Incident) -> Incident:
        with self.monitored.opened() as storage:
            found = storage.incident(incident.id)
        assert found is not None
        return found

    def asked(self) -> list[Any]:
        with self.monitored.opened() as storage:
            return [request.body for request in storage.requests()]


@pytest.fixture
def visitor(tmp_path: Path) -> Visitor:
    return Visitor(Monitored(tmp_path))


def test_a_get_shows_the_incident_and_does_nothing(visitor: Visitor) -> None:
    incident = visitor.incident(http_route="/checkout")
    for _ in range(3):
        shown = visitor.get(visitor.link(incident))
        assert shown.status_code == 200
    for words in (incident.id, "for /checkout on shop, production", "critical", "UTC", "First steps", "triggered"):
        assert words in shown.text
    assert '<form method="post">' in shown.text
    assert visitor.asked() == []
    assert visitor.now(incident).state is IncidentState.TRIGGERED


def test_a_prefetcher_acknowledges_nothing(visitor: Visitor) -> None:
    incident = visitor.incident()
    link = visitor.link(incident)
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "PROPFIND"):
        for headers in ({}, {"Sec-Purpose": "prefetch"}, {"User-Agent": "Discordbot/2.0"}):
            answered = visitor.request(method, link, headers=headers)
            assert answered.status_code == (200 if method in {"GET", "HEAD"} else 405)
    visitor.get(f"{link}?name=Eve")
    assert visitor.asked() == []
    visitor.monitored.turn()
    assert visitor.now(incident).state is IncidentState.TRIGGERED


def test_a_post_acknowledges_and_the_page_says_by_whom(visitor: Visitor) -> None:
    incident = visitor.incident()
    link = visitor.link(incident)
    posted = visitor.post(link, "Ada Lovelace")
    assert posted.status_code == 303
    assert httpx.URL(link).join(posted.headers["location"]) == link
    taken = visitor.now(incident)
    assert (taken.state, taken.acknowledged_by) == (IncidentState.ACKNOWLEDGED, "Ada Lovelace")
    shown = visitor.get(link)
    assert "Acknowledged by Ada Lovelace" in shown.text
    assert "<form" not in shown.text


def test_the_name_is_kept_in_a_cookie_that_only_this_page_gets(visitor: Visitor) -> None:
    posted = visitor.post(visitor.link(visitor.incident()), "Zoë; the 2nd")
    cookie = posted.headers["set-cookie"]
    for words in ("HttpOnly", "SameSite=lax", "Secure", "Path=/shop/otelmon/ack/", "Max-Age="):
        assert words in cookie
    sent = {"Cookie": cookie.partition(";")[0]}
    other = visitor.incident("disk_usage")
    assert 'value="Zoë; the 2nd"' in visitor.get(visitor.link(other), headers=sent).text
    hostile = {"Cookie": "otelmon_name=%22%3E%3Cscript%3Ealert(1)%3C/script%3E" + 5000 * "a"}
    assert "<script" not in visitor.get(visitor.link(other), headers=hostile).text


def test_a_replayed_post_changes_nothing_and_says_who_was_first(visitor: Visitor) -> None:
    incident = visitor.incident()
    link = visitor.link(incident)
    visitor.post(link, "Ada")
    before = visitor.now(incident)
    again = visitor.post(link, "Eve")
    assert again.status_code == 409
    assert "Acknowledged by Ada" in again.text
    assert visitor.asked() == []
    assert visitor.now(incident) == before


def test_a_link_of_one_incident_never_acknowledges_another(visitor: Visitor) -> None:
    first, second = visitor.incident(), visitor.incident("disk_usage")
    visitor.post(visitor.link(first))
    crossed = visitor.link(first).replace(first.id, second.id)
    assert visitor.post(crossed).status_code == 403
    assert visitor.now(first).state is IncidentState.ACKNOWLEDGED
    assert visitor.now(second).state is IncidentState.TRIGGERED


def test_a_forged_link_shows_nothing_and_opens_no_state(visitor: Visitor) -> None:
    incident = visitor.incident()
    visitor.get(visitor.link(incident))
    visitor.monitored.path.rename(visitor.monitored.path.with_name("away.db"))
    for link in (visitor.link(incident)[:-1], f"{URL}/otelmon/ack/", f"{URL}/otelmon/ack/{incident.id}"):
        for answered in (visitor.get(link), visitor.post(link)):
            assert answered.status_code == 403
            assert "Otelmon did not make this link" in answered.text
            assert f"{incident.id}:" not in answered.text
    assert not visitor.faults.counts


def test_an_expired_link_acts_no_more_and_says_what_to_do(visitor: Visitor) -> None:
    incident = visitor.incident()
    link = visitor.link(incident)
    visitor.monitored.clock.advance(LIFETIME.total_seconds() + 1)
    for answered in (visitor.get(link), visitor.post(link)):
        assert answered.status_code == 410
        assert "too old" in answered.text
        assert "otelmon ack ID" in answered.text
    assert visitor.asked() == []


def test_a_link_of_an_earlier_triggering_acts_no_more(visitor: Visitor) -> None:
    incident = visitor.incident()
    link = visitor.link(incident)
    with visitor.monitored.opened() as storage:
        storage.ask(Resolve(incident_id=incident.id, by="Ada"), visitor.monitored.now)
    visitor.monitored.turn()
    resolved = visitor.get(link)
    assert resolved.status_code == 200
    assert "Resolved" in resolved.text
    visitor.monitored.clock.advance(60)
    visitor.incident()
    assert visitor.now(incident).rounds == 2
    assert visitor.post(link).status_code == 410
    assert visitor.now(incident).state is IncidentState.TRIGGERED
    assert visitor.post(visitor.link(visitor.now(incident))).status_code == 303


def test_a_link_of_an_incident_that_is_not_kept_any_more(visitor: Visitor) -> None:
    incident = visitor.incident()
    gone = replace(incident, id="GGGG")
    assert visitor.post(visitor.link(gone)).status_code == 404


def test_where_the_monitor_takes_its_time_the_page_says_that_it_is_on_its_way(visitor: Visitor) -> None:
    incident = visitor.incident()
    link = visitor.link(incident)
    visitor.monitored.away = True
    began = visitor.monitored.clock.monotonic()
    assert visitor.post(link, "Ada").status_code == 303
    assert 3 <= visitor.monitored.clock.monotonic() - began < 3.2
    assert "Taken by Ada" in visitor.get(link).text
    again = visitor.post(link, "Eve")
    assert again.status_code == 409
    assert "Taken by Ada" in again.text
    assert visitor.asked() == [Acknowledge(incident_id=incident.id, by="Ada")]


@pytest.mark.parametrize("name", ["", "   ", "\u200b\u202e", "\x00\x07"])
def test_nobody_acknowledges_without_a_name(visitor: Visitor, name: str) -> None:
    answered = visitor.post(visitor.link(visitor.incident()), name)
    assert answered.status_code == 422
    assert "Say who you are" in answered.text
    assert visitor.asked() == []


def test_a_name_is_bound_in_length_and_one_line(visitor: Visitor) -> None:
    incident = visitor.incident()
    visitor.post(visitor.link(incident), "a\r\nSet-Cookie: b=c\n" + 70 * "\U0001f469\u200d")
    by = visitor.now(incident).acknowledged_by
    assert by.startswith("a Set-Cookie: b=c ")
    assert by.endswith("…")
    assert len(by.encode("utf-16-le")) // 2 <= 80


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": {"name": "Ada"}}, 415),
        ({"data": {"name": 5000 * "a"}}, 413),
        (
            {"content": b"&".join(10 * [b"name=a"]), "headers": FORM},
            400,
        ),
        ({"content": b"\xff\xfe", "headers": FORM}, 422),
        ({"files": {"name": b"Ada"}}, 415),
    ],
)
def test_what_is_no_form_of_the_page_is_refused(visitor: Visitor, sent: dict[str, Any], status: int) -> None:
    assert visitor.request("POST", visitor.link(visitor.incident()), **sent).status_code == status
    assert visitor.asked() == []


def test_every_answer_keeps_to_itself(visitor: Visitor) -> None:
    link = visitor.link(visitor.incident())
    for answered in (visitor.get(link), visitor.get(link + "x"), visitor.request("PUT", link), visitor.post(link)):
        policy = answered.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert answered.headers["cache-control"] == "no-store"
        assert answered.headers["x-frame-options"] == "DENY"
        assert "noindex" in answered.headers["x-robots-tag"]
        assert answered.headers["referrer-policy"] == "no-referrer"
    assert not re.findall(r"(?:src|href)=\"(?!data:,|https://)", visitor.get(link).text)
    assert "<script" not in visitor.get(link).text


def test_a_state_that_cannot_be_read_is_said_and_counted(visitor: Visitor) -> None:
    incident = visitor.incident()
    link = visitor.link(incident)
    visitor.monitored.path.write_bytes(b"no database at all" * 100)
    for suffix in ("-wal", "-shm"):
        Path(f"{visitor.monitored.path}{suffix}").unlink(missing_ok=True)
    answered = visitor.get(link)
    assert answered.status_code == 503
    assert "otelmon ack ID" in answered.text
    assert visitor.faults.counts["own_pages"] == 1


def test_a_crowd_is_told_to_wait_and_starts_no_threads_without_bound(visitor: Visitor) -> None:
    link = visitor.link(visitor.incident())

    async def crowd() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=visitor.page)) as client:
            return [answer.status_code for answer in await asyncio.gather(*(client.get(link) for _ in range(40)))]

    visitor.get(link)
    statuses = asyncio.run(crowd())
    assert set(statuses) == {200, 503}
    assert visitor.get(link).status_code == 200


def test_the_secret_is_in_no_page_header_or_repr(visitor: Visitor) -> None:
    link = visitor.link(visitor.incident())
    answers = [visitor.get(link), visitor.post(link), visitor.get(link)]
    texts = [answer.text + str(answer.headers) for answer in answers]
    assert_no_secret(visitor.secret.get_secret_value(), *texts, visitor.links, visitor.page, visitor.secret)


def test_processes_that_begin_at_once_share_one_secret(tmp_path: Path) -> None:
    monitored = Monitored(tmp_path)

    def secret(_: int) -> str:
        with monitored.opened() as storage:
            return storage.link_secret().get_secret_value()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(secret, range(8)))) == 1


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


HOSTILE = st.text(max_size=60) | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "javascript:alert(1)", 10_000 * "a"]
)


@given(HOSTILE, HOSTILE, HOSTILE)
@settings(max_examples=60, deadline=None)
def test_any_text_is_shown_as_text(label: str, summary: str, by: str) -> None:
    render = _renderer()
    fired = alert(at=minute(0))
    fired = replace(
        fired,
        labels=fired.labels.with_label("http_route", label),
        series=Labels({"http_route": label}),
        annotations={"summary": summary, "title": label, "runbook_url": summary},
        context={summary: label},
    )
    incident = Incident(
        id="GGGG", state=IncidentState.ACKNOWLEDGED, alerts=(fired,), triggered_at=minute(0), acknowledged_by=by
    )
    text = render(incident)
    seen = _Seen()
    seen.feed(text)
    assert seen.tags <= {
        "html", "head", "meta", "link", "title", "style", "body", "main", "section", "span", "h1", "h2", "p", "time",
        "strong", "ol", "li", "code", "dl", "dt", "dd", "br", "a",
    }  # fmt: skip
    assert seen.attributes <= {
        "lang", "charset", "name", "content", "rel", "href", "class", "datetime",
    }  # fmt: skip
    assert not re.search(r'href="(?!data:,|https?://)', text)
    assert len(text) < 40_000


def _renderer() -> Callable[[Incident], str]:
    page = AcknowledgePage(_no_state, about=ABOUT, public_url=URL, clock=None, faults=Faults())

    def render(incident: Incident) -> str:
        view = view_of(incident, about=ABOUT, at=minute(5))
        values = {"words": "", "pending": "", "name": "", "problem": ""}
        return bytes(page._rendered(200, verdict="ACKNOWLEDGED", view=view, **values).body).decode("utf-8")

    return render


def _no_state() -> Any:
    raise AssertionError("the state is not opened")
