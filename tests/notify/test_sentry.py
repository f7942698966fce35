"""Critical incidents to Sentry, over real sockets: envelopes, and what becomes of a page for each answer."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from otelmon.labels import Labels
from otelmon.notify.exchange import BoundedClient
from otelmon.notify.sentry import REST_SECONDS, SentryNotifier
from otelmon.notify.sentry_dsn import Dsn
from otelmon.paging.model import Field, OutcomeKind, PageReason
from otelmon.testing import FakeClock, assert_no_secret
from tests.notify.pages import AT, later, owed
from tests.notify.sentry_stand_in import PUBLIC_KEY, Answer, SentryStandIn

GROUP = Labels({"job": "shop", "alertname": "error_rate", "http_route": "/pay"})
LINK = "https://acme.sentry.io/issues/?query=1"


@pytest.fixture
def sentry():
    with SentryStandIn() as opened:
        yield opened


@pytest.fixture
def notifier(sentry, caplog):
    caplog.set_level(logging.DEBUG)
    clock = FakeClock(AT.timestamp())
    client = BoundedClient(total_seconds=3, clock=clock)
    made = SentryNotifier(
        "sentry", Dsn.parse(sentry.dsn), client, environment="production", instance="web-1", clock=clock
    )
    yield made
    made.close()
    assert_no_secret(PUBLIC_KEY, made, repr(made), *caplog.records)


def tracked(page_id="7KQ2.tracked.post.1.sentry", **message):
    one = owed(page_id, group=GROUP, **message)
    return replace(one, page=replace(one.page, target="sentry", reason=PageReason.TRACKED))


def test_a_critical_incident_is_an_event_with_its_level_tags_and_fingerprint(notifier, sentry) -> None:
    page = tracked(fields=(Field(name="Service", value="shop"), Field(name="Newest error", value="Open", link=LINK)))
    outcome = notifier.send(page, AT)
    (event,) = sentry.events
    assert (outcome.kind, outcome.message_id) == (OutcomeKind.DELIVERED, event["event_id"])
    assert event["level"] == "fatal"
    assert event["message"] == {"formatted": "Error rate 31 %"}
    assert event["fingerprint"] == ["otelmon", "7KQ2"]
    assert (event["environment"], event["server_name"]) == ("production", "web-1")
    assert event["timestamp"] == AT.timestamp()
    assert event["tags"] == {
        "otelmon.incident": "7KQ2",
        "otelmon.state": "firing",
        "otelmon.alert": "error_rate",
        "service": "shop",
        "http_route": "/pay",
    }
    assert event["contexts"]["incident"] == {"Service": "shop", "Newest error": LINK}


def test_its_end_is_an_event_of_the_same_issue_that_says_resolved(notifier, sentry) -> None:
    notifier.send(tracked(), AT)
    notifier.send(tracked("7KQ2.tracked.post.2.sentry", resolved=True), later(60))
    first, last = sentry.events
    assert first["fingerprint"] == last["fingerprint"]
    assert first["event_id"] != last["event_id"]
    assert (last["level"], last["tags"]["otelmon.state"]) == ("info", "resolved")
    assert last["message"]["formatted"].startswith("Resolved: ")


def test_a_page_that_is_sent_again_is_the_same_event(notifier, sentry) -> None:
    notifier.send(tracked(), AT)
    notifier.send(tracked(), later(40))
    assert len({event["event_id"] for event in sentry.events}) == 1


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(500), REST_SECONDS),
        (Answer(429, {"Retry-After": "60"}), 60.0),
        (Answer(hang=True), REST_SECONDS),
    ],
    ids=["500", "429", "hangs"],
)
def test_where_sentry_fails_it_is_left_alone_for_a_while(notifier, sentry, answer, seconds) -> None:
    sentry.answers.append(answer)
    failed = notifier.send(tracked(), AT)
    assert (failed.kind, failed.retry_at) == (OutcomeKind.RETRY, AT + timedelta(seconds=seconds))
    # The next one does not even try: whoever waits for a page by the same thread loses no time.
    waiting = notifier.send(tracked("7KQ2.tracked.post.2.sentry"), later(1))
    assert (waiting.kind, waiting.retry_at) == (OutcomeKind.RETRY, failed.retry_at)
    assert sentry.events == []
    assert notifier.send(tracked(), later(seconds)).kind is OutcomeKind.DELIVERED


def test_a_dsn_that_is_not_known_there_is_rejected(sentry) -> None:
    wrong = SentryNotifier("sentry", Dsn.parse(sentry.dsn.replace(PUBLIC_KEY, "0" * 32)))
    outcome = wrong.send(tracked(), AT)
    wrong.close()
    assert (outcome.kind, outcome.reason) == (OutcomeKind.REJECTED, "HTTP 403")


@pytest.mark.parametrize(
    ("dsn", "envelope", "link"),
    [
        (
            "https://key@o447951.ingest.us.sentry.io/5429219",
            "https://o447951.ingest.us.sentry.io/api/5429219/envelope/",
            "https://sentry.io/issues/?project=5429219&query=abc",
        ),
        (
            "https://key:secret@errors.example.com:8443/below/7/",
            "https://errors.example.com:8443/below/api/7/envelope/",
            "https://errors.example.com:8443/below/organizations/sentry/issues/?project=7&query=abc",
        ),
    ],
    ids=["sentry.io", "self-hosted"],
)
def test_a_dsn_says_where_to_send_and_where_to_look(dsn: str, envelope: str, link: str) -> None:
    parsed = Dsn.parse(dsn)
    assert parsed.envelope_url == envelope
    assert parsed.link("abc") == link
    assert parsed.link("abc", "https://acme.sentry.io/").startswith("https://acme.sentry.io/issues/?project=")
    assert "key" not in repr(parsed)
    assert "secret" not in repr(parsed)


@pytest.mark.parametrize(
    "text",
    ["", "x", "https://sentry.io/1", "https://key@sentry.io/", "ftp://k@host/1", "https://k@host:x/1", "https://k@/1"],
)
def test_what_is_no_dsn_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ValueError, match="is no DSN of Sentry") as raised:
        Dsn.parse(text)
    assert raised.value.__cause__ is None
