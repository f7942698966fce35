"""Pages to a program, over real sockets: Alertmanager's JSON, and what becomes of a page for each answer."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from otelmon.labels import Labels
from otelmon.notify.backoff import backoff_seconds
from otelmon.notify.exchange import BoundedClient
from otelmon.notify.webhook import WebhookNotifier
from otelmon.paging.model import OutcomeKind, PagedAlert, PageReason
from otelmon.testing import FakeClock, assert_no_secret
from tests.notify.pages import AT, later, owed
from tests.notify.receiver import Answer, Receiver

TOKEN = "a-bearer-token-that-must-not-show"
BACKOFF = timedelta(seconds=backoff_seconds("7KQ2.triggered", 0))
ALERT = PagedAlert(
    labels=Labels({"alertname": "error_rate", "job": "shop", "severity": "critical"}),
    annotations={"summary": "31 % fail"},
    starts_at=AT,
)


@pytest.fixture
def clock():
    return FakeClock(AT.timestamp())


@pytest.fixture
def receiver():
    with Receiver() as opened:
        yield opened


@pytest.fixture
def notifier(receiver, clock):
    notifier = WebhookNotifier("managers", receiver.url, BoundedClient(clock=clock), token=TOKEN, clock=clock)
    yield notifier
    notifier.close()


@pytest.fixture(autouse=True)
def log(caplog, receiver, notifier):
    caplog.set_level(logging.DEBUG)
    yield caplog
    for secret in (receiver.url, TOKEN):
        assert_no_secret(secret, notifier, repr(notifier), *caplog.records)


def edit(reason):
    page = owed("e", edited_message_id="1", alerts=(ALERT,))
    return replace(page, page=replace(page.page, reason=reason))


def test_a_page_is_posted_with_the_token_as_bearer(receiver, notifier, log):
    outcome = notifier.send(owed(alerts=(ALERT,), group=Labels({"job": "shop"})), AT)
    (told,) = receiver.told
    assert outcome.kind is OutcomeKind.DELIVERED
    assert told.headers["Authorization"] == f"Bearer {TOKEN}"
    assert told.headers["Content-Type"] == "application/json"
    assert (told.body["version"], told.body["status"], told.body["receiver"]) == ("4", "firing", "managers")
    assert told.body["alerts"][0]["labels"]["alertname"] == "error_rate"
    assert log.records == []


def test_without_a_token_no_authorization_is_sent(receiver):
    notifier = WebhookNotifier("managers", receiver.url)
    notifier.send(owed(), AT)
    assert "Authorization" not in receiver.told[0].headers
    notifier.close()


def test_that_somebody_acknowledged_is_not_sent_and_that_alerts_came_or_went_is(receiver, notifier):
    assert notifier.send(edit(PageReason.ACKNOWLEDGED), AT).kind is OutcomeKind.DELIVERED
    assert receiver.told == []
    assert notifier.send(edit(PageReason.REFRESHED), AT).kind is OutcomeKind.DELIVERED
    assert len(receiver.told) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_success_takes_the_page(receiver, notifier, status):
    receiver.answers = [Answer(status)]
    assert notifier.send(owed(), AT).kind is OutcomeKind.DELIVERED


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again_with_back_off(receiver, notifier, status):
    receiver.answers = [Answer(status)]
    outcome = notifier.send(owed(), AT)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.RETRY, f"HTTP {status}")
    assert outcome.retry_at - AT >= BACKOFF
    assert outcome.uncertain is (status in (502, 504))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
def test_what_says_no_rejects_the_page_and_only_that(receiver, notifier, status):
    receiver.answers = [Answer(status)]
    outcome = notifier.send(owed(), AT)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.REJECTED, f"HTTP {status}")
    assert notifier.send(owed("n"), AT).kind is OutcomeKind.DELIVERED


def test_a_redirect_is_not_followed_since_the_token_would_go_along(receiver, notifier):
    with Receiver() as elsewhere:
        receiver.answers = [Answer(307, {"Location": elsewhere.url})]
        outcome = notifier.send(owed(), AT)
        assert (outcome.kind, elsewhere.told) == (OutcomeKind.REJECTED, [])
        assert "redirects elsewhere" in outcome.reason
        assert_no_secret(elsewhere.url, outcome)


@pytest.mark.parametrize("asked", ["30", "Mon, 05 Jan 2026 12:00:30 GMT"])
def test_retry_after_is_obeyed_for_every_page_to_it(receiver, notifier, asked):
    receiver.answers = [Answer(503, {"Retry-After": asked})]
    outcome = notifier.send(owed(), AT)
    assert timedelta(seconds=29) < outcome.retry_at - AT <= timedelta(seconds=31)
    assert notifier.send(owed("n"), later(20)).retry_at == outcome.retry_at
    assert len(receiver.told) == 1
    assert notifier.send(owed("n"), later(32)).kind is OutcomeKind.DELIVERED


@pytest.mark.parametrize("asked", ["soon", "-5", "nan", ""])
def test_a_retry_after_that_means_nothing_is_back_off(receiver, notifier, asked):
    receiver.answers = [Answer(503, {"Retry-After": asked})]
    assert notifier.send(owed(), AT).retry_at - AT >= BACKOFF


def test_one_that_hangs_is_given_up_and_tried_again(receiver, clock):
    receiver.answers = [Answer(hang=True)]
    notifier = WebhookNotifier("managers", receiver.url, BoundedClient(total_seconds=1), token=TOKEN, clock=clock)
    outcome = notifier.send(owed(), AT)
    notifier.close()
    assert (outcome.kind, outcome.uncertain) == (OutcomeKind.RETRY, True)
    assert "within 1 s" in outcome.reason


def test_one_that_is_not_there_is_tried_again(clock):
    with Receiver() as gone:
        url = gone.url
    notifier = WebhookNotifier("managers", url, BoundedClient(total_seconds=1), token=TOKEN, clock=clock)
    outcome = notifier.send(owed(), AT)
    assert (outcome.kind, outcome.uncertain) == (OutcomeKind.RETRY, False)
    assert_no_secret(url, outcome, notifier)
    notifier.close()


@pytest.mark.parametrize("url", ["", "example.com/hook", "ftp://example.com", "http://", "https:///secret-path-012345"])
def test_what_is_no_address_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match="begins with https://") as caught:
        WebhookNotifier("managers", url)
    assert_no_secret("secret-path-012345", caught.value)


def test_a_token_that_no_header_takes_is_refused_without_repeating_it():
    with pytest.raises(ValueError, match="the token cannot be sent") as caught:
        WebhookNotifier("managers", "https://example.com", token="secret\r\nHost: elsewhere")
    assert_no_secret("secret\r\nHost: elsewhere", caught.value)
