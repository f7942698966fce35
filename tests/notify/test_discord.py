"""Pages to Discord, over real sockets: what becomes of a page for each way in which Discord can answer."""

from __future__ import annotations

import json
import logging
import socket
import threading
from datetime import timedelta

import httpx
import pytest
from opentelemetry import context
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled

from otelmon.notify.backoff import backoff_seconds
from otelmon.notify.discord import DiscordNotifier
from otelmon.notify.exchange import BoundedClient
from otelmon.notify.pause import Pause
from otelmon.paging.model import OutcomeKind, OwedPage
from otelmon.testing import (
    NO_LIMITS,
    Answer,
    DiscordStandIn,
    Drip,
    Drop,
    FakeClock,
    Hang,
    Limited,
    RateLimits,
    assert_no_secret,
)
from otelmon.testing.faults import INTERNAL_ERROR
from tests.notify.pages import AT, ROLE, later, owed, page

BACKOFF = timedelta(seconds=backoff_seconds("7KQ2.triggered", 0))


@pytest.fixture
def clock():
    return FakeClock(AT.timestamp())


@pytest.fixture
def discord(clock):
    with DiscordStandIn(clock=clock, limits=NO_LIMITS) as stand_in:
        yield stand_in


@pytest.fixture
def notifier(discord, clock):
    notifier = DiscordNotifier("discord", discord.webhook_url, clock=clock)
    yield notifier
    notifier.close()


@pytest.fixture(autouse=True)
def log(caplog, discord):
    """Everything that is logged in a test, at every level; the webhook's token must show in none of it."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert_no_secret(discord.webhook_url, *caplog.records)


def error(code, message="no", **extra):
    return json.dumps({"message": message, "code": code, **extra})


def test_a_page_is_posted_and_pings_the_person_on_call(discord, notifier, log):
    outcome = notifier.send(owed(), AT)
    (message,) = discord.messages
    assert (outcome.kind, outcome.message_id) == (OutcomeKind.DELIVERED, message.id)
    assert [(ping.kind, ping.id) for ping in discord.pings] == [("role", ROLE.id)]
    assert "wait=true" in discord.requests[0].path
    assert log.records == []


def test_a_button_is_asked_for_with_the_parameter_and_taken_away_by_the_edit(discord, notifier):
    posted = notifier.send(owed(acknowledge="https://shop.example.com/otelmon/ack/x"), AT)
    assert discord.messages[0].buttons == {"Acknowledge": "https://shop.example.com/otelmon/ack/x"}
    assert "with_components=true" in discord.requests[0].path
    assert "wait=true" in discord.requests[0].path
    notifier.send(owed("e", edited_message_id=posted.message_id, acknowledged_by="ada"), later(60))
    assert not discord.messages[0].buttons


def test_a_page_without_a_button_asks_for_none(discord, notifier):
    notifier.send(owed(), AT)
    assert "with_components" not in discord.requests[0].path


def test_an_edit_changes_the_message_and_pings_nobody(discord, notifier):
    posted = notifier.send(owed(), AT)
    outcome = notifier.send(owed("e", edited_message_id=posted.message_id, resolved=True), later(60))
    (message,) = discord.messages
    assert outcome.kind is OutcomeKind.DELIVERED
    assert outcome.message_id == posted.message_id
    assert message.content.startswith("✅ **RESOLVED**")
    assert (message.edits, len(discord.pings)) == (1, 1)


def test_an_edit_of_a_page_that_was_never_delivered_is_rejected_without_a_request(discord, notifier):
    page = owed("e", edited_message_id="x")
    assert notifier.send(page, AT).kind is OutcomeKind.REJECTED
    assert discord.requests == ()


def test_an_edit_of_a_deleted_message_is_rejected_and_the_webhook_lives_on(discord, notifier, log):
    posted = notifier.send(owed(), AT)
    discord.delete_message(posted.message_id)
    outcome = notifier.send(owed("e", edited_message_id=posted.message_id), AT)
    assert (outcome.kind, notifier.stopped) == (OutcomeKind.REJECTED, "")
    assert "10008" in outcome.reason
    assert log.records == []
    assert notifier.send(owed("n"), AT).kind is OutcomeKind.DELIVERED


# fault, kind, seconds until the retry (None: the back-off), whether the page may have been taken
OUTCOMES = {
    "429 with retry_after": (Limited(retry_after=5.25), "retry", 5.25, False),
    "429 everywhere": (Limited(retry_after=7, everywhere=True), "retry", 7, False),
    "429 with a header only": (Answer(status=429, headers={"Retry-After": "9"}), "retry", 9, False),
    "429 from a proxy, a page": (Answer(status=429, body="<html>", headers={"Retry-After": "60"}), "retry", 60, False),
    "429 with the bucket's header": (
        Answer(status=429, headers={"X-RateLimit-Reset-After": "2.5"}),
        "retry",
        2.5,
        False,
    ),
    "429 that says nothing": (Answer(status=429), "retry", None, False),
    "429 with nonsense": (Answer(status=429, body='{"retry_after": "soon"}'), "retry", None, False),
    "429 with less than nothing": (Answer(status=429, body='{"retry_after": -1}'), "retry", None, False),
    "429 with no number": (Answer(status=429, body='{"retry_after": NaN}'), "retry", None, False),
    "429 for ever": (Answer(status=429, body='{"retry_after": 1e300}'), "retry", 86_400, False),
    "500": (Answer(status=500, body=error(0)), "retry", None, False),
    "502 of a gateway": (Answer(status=502, body="<html>"), "retry", None, True),
    "503 that says when": (Answer(status=503, headers={"Retry-After": "20"}), "retry", 20, False),
    "504 of a gateway": (Answer(status=504), "retry", None, True),
    "408": (Answer(status=408), "retry", None, False),
    "a redirect": (Answer(status=302, headers={"Location": "https://elsewhere.example"}), "retry", None, False),
    "a page of a captive portal": (Answer(status=200, body="<html>Log in"), "retry", None, False),
    "JSON of somebody else": (Answer(status=200, body="[]"), "retry", None, True),
    "a success that says nothing": (Answer(status=200), "retry", None, True),
    "a message without an id": (Answer(status=200, body="{}"), "delivered", None, False),
    "accepted, nothing said": (Answer(status=204), "delivered", None, False),
    "a connection dropped": (Drop(), "retry", None, True),
    "an answer that drips a little": (Drip(seconds=0.0001), "delivered", None, False),
    "401": (Answer(status=401, body=error(50027)), "rejected", None, False),
    "403": (Answer(status=403, body=error(50013)), "rejected", None, False),
    "404": (Answer(status=404, body=error(10015)), "rejected", None, False),
    "404 of nobody": (Answer(status=404), "rejected", None, False),
    "410": (Answer(status=410), "rejected", None, False),
    "403 of nobody": (Answer(status=403), "retry", None, False),
    **{
        f"{status} of a proxy, a page": (Answer(status=status, body=" <html>"), "retry", None, False)
        for status in (400, 401, 403, 404, 410, 422)
    },
    "403 of a proxy, said to be a page": (
        Answer(status=403, body="Forbidden", headers={"Content-Type": "text/html; charset=utf-8"}),
        "retry",
        None,
        False,
    ),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_what_becomes_of_a_page(case, discord, notifier):
    fault, kind, seconds, uncertain = OUTCOMES[case]
    discord.fail(fault)
    outcome = notifier.send(owed(), AT)
    assert outcome.kind == kind
    assert outcome.reason
    assert outcome.uncertain is uncertain
    if kind == "retry":
        assert outcome.retry_at == AT + (BACKOFF if seconds is None else timedelta(seconds=seconds))
    else:
        assert outcome.retry_at is None
    assert len(discord.requests) == 1
    assert_no_secret(discord.webhook_url, outcome, notifier)


@pytest.mark.parametrize("status", [401, 403, 404, 407, 410])
def test_a_proxy_that_answers_in_discord_s_place_stops_nothing(status, discord, notifier, log):
    discord.fail(Answer(status=status, body="<!DOCTYPE html><title>Access denied</title>"))
    assert notifier.send(owed(), AT).kind is OutcomeKind.RETRY
    assert notifier.send(owed(attempts=1), later(60)).kind is OutcomeKind.DELIVERED
    assert (notifier.stopped, log.records, len(discord.messages)) == ("", [], 1)


@pytest.mark.parametrize("body", ['{"id": null}', "{}", '{"id": 7}', '{"id": "None"}'])
def test_a_message_whose_id_is_not_told_is_delivered_and_its_edits_are_skipped(body, discord, notifier, log):
    discord.fail(Answer(status=200, body=body))
    outcome = notifier.send(owed(), AT)
    assert (outcome.kind, outcome.message_id) == (OutcomeKind.DELIVERED, "")
    edit = OwedPage(page=page("e", edits="7KQ2.triggered"), edited_message_id=outcome.message_id)
    assert notifier.send(edit, later(60)).kind is OutcomeKind.DELIVERED
    assert (len(discord.requests), log.records) == (1, [])


def test_a_success_that_is_not_discord_s_is_tried_three_times_and_then_rejected(discord, notifier):
    discord.fail(INTERNAL_ERROR, times=4)
    discord.fail(Answer(status=200, body="ok"), times=3)
    outcomes = [notifier.send(owed(attempts=number), later(400 * number)) for number in range(7)]
    assert [(outcome.kind, outcome.uncertain) for outcome in outcomes] == [
        *[(OutcomeKind.RETRY, False)] * 4,
        *[(OutcomeKind.RETRY, True)] * 2,
        (OutcomeKind.REJECTED, False),
    ]
    assert notifier.stopped == ""
    assert notifier.send(owed("n"), later(4000)).kind is OutcomeKind.DELIVERED


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_webhook_that_is_gone_stops_the_notifier_aloud_and_once(status, discord, notifier, log):
    discord.fail_always(Answer(status=status, body=error(10015, "Unknown Webhook")))
    for number in range(5):
        assert notifier.send(owed(f"p{number}"), AT).kind is OutcomeKind.REJECTED
    assert len(discord.requests) == 1
    (record,) = log.records
    assert record.levelno == logging.ERROR
    assert "Unknown Webhook" in record.getMessage()
    assert "create a new webhook" in record.getMessage()
    assert notifier.stopped


def test_a_deleted_webhook_is_noticed_by_an_edit_too(discord, notifier):
    posted = notifier.send(owed(), AT)
    discord.forget_webhook()
    assert notifier.send(owed("e", edited_message_id=posted.message_id), AT).kind is OutcomeKind.REJECTED
    assert "10015" in notifier.stopped


def test_a_page_refused_for_its_looks_goes_out_plainly_at_once(discord, notifier, log):
    tree = {"embeds": {"0": {"title": {"_errors": [{"code": "X", "message": "Must be shorter."}]}}}}
    discord.fail(Answer(status=400, body=error(50035, "Invalid Form Body", errors=tree)))
    outcome = notifier.send(owed(), AT)
    (message,) = discord.messages
    assert (outcome.kind, outcome.message_id) == (OutcomeKind.DELIVERED, message.id)
    assert message.embeds == ()
    assert "Error rate 31 %" in message.content
    assert "embeds.0.title: Must be shorter." in outcome.reason
    assert [ping.id for ping in discord.pings] == [ROLE.id]
    assert [record.levelno for record in log.records] == [logging.WARNING]


def test_a_page_refused_twice_is_rejected_with_the_reason(discord, notifier):
    discord.fail(Answer(status=400, body=error(50035, "Invalid Form Body")), times=2)
    outcome = notifier.send(owed(), AT)
    assert outcome.kind is OutcomeKind.REJECTED
    assert "Invalid Form Body (code 50035)" in outcome.reason
    assert (len(discord.requests), notifier.stopped) == (2, "")


def test_a_short_page_that_is_refused_is_not_sent_the_same_way_again(discord, notifier):
    discord.fail(Answer(status=400, body=error(50035)))
    assert notifier.send(owed(short=True), AT).kind is OutcomeKind.REJECTED
    assert len(discord.requests) == 1


def test_a_plain_page_that_meets_a_rate_limit_waits_for_it(discord, notifier):
    discord.fail(Answer(status=400))
    discord.fail(Limited(retry_after=2))
    outcome = notifier.send(owed(), AT)
    assert (outcome.kind, outcome.retry_at) == (OutcomeKind.RETRY, later(2))


def test_an_edit_refused_for_its_looks_is_made_plainly(discord, notifier):
    posted = notifier.send(owed(), AT)
    discord.fail(Answer(status=400))
    assert notifier.send(owed("e", edited_message_id=posted.message_id), AT).kind is OutcomeKind.DELIVERED
    assert discord.messages[0].embeds == ()
    assert len(discord.pings) == 1


def test_nothing_is_sent_while_discord_asked_to_wait(discord, notifier):
    discord.fail(Limited(retry_after=5))
    notifier.send(owed(), AT)
    early = notifier.send(owed("other"), later(4.9))
    assert (early.kind, early.retry_at) == (OutcomeKind.RETRY, later(5))
    assert len(discord.requests) == 1
    assert notifier.send(owed(), later(5)).kind is OutcomeKind.DELIVERED


def test_a_global_limit_holds_for_every_webhook_that_shares_it(discord, clock):
    pause = Pause()
    first, second = (DiscordNotifier(name, discord.webhook_url, clock=clock, global_pause=pause) for name in ("a", "b"))
    discord.fail(Limited(retry_after=3, everywhere=True))
    first.send(owed(), AT)
    assert second.send(owed("other"), later(1)).retry_at == later(3)
    discord.fail(Limited(retry_after=9))
    second.send(owed(), later(4))
    assert first.send(owed(), later(5)).kind is OutcomeKind.DELIVERED


def test_an_emptied_bucket_is_waited_for_so_that_no_429_ever_comes(clock):
    limits = RateLimits(requests=5, seconds=2.0, channel_messages=None)
    with DiscordStandIn(clock=clock, limits=limits) as discord:
        notifier = DiscordNotifier("discord", discord.webhook_url, clock=clock)
        waited = 0
        for number in range(23):
            while (outcome := notifier.send(owed(f"p{number}"), later(clock.now() - AT.timestamp()))).retry_at:
                clock.advance((outcome.retry_at - AT).total_seconds() - (clock.now() - AT.timestamp()))
                waited += 1
        assert [request.status for request in discord.requests] == [200] * 23
        assert (len(discord.messages), waited) == (23, 4)


def test_a_server_that_hangs_is_given_up_within_the_bound(discord, clock):
    notifier = DiscordNotifier("discord", discord.webhook_url, BoundedClient(total_seconds=0.2), clock=clock)
    discord.fail(Hang())
    outcome = notifier.send(owed(), AT)
    assert (outcome.kind, outcome.uncertain) == (OutcomeKind.RETRY, True)
    assert "within 0.2 s" in outcome.reason
    assert notifier.send(owed(), later(30)).kind is OutcomeKind.DELIVERED
    assert_no_secret(discord.webhook_url, outcome)


@pytest.mark.parametrize("headers", [True, False])
def test_a_server_that_drips_is_given_up_within_the_bound(headers, discord, clock):
    client = BoundedClient(total_seconds=1.0)  # time enough for the exchange that follows
    notifier = DiscordNotifier("discord", discord.webhook_url, client, clock=clock)
    discord.fail(Drip(seconds=0.02, headers=headers))
    assert notifier.send(owed(), AT).kind is OutcomeKind.RETRY
    assert notifier.send(owed("next"), AT).kind is OutcomeKind.DELIVERED


@pytest.mark.parametrize("fault", [Hang(), Drip(seconds=0.02, headers=True), Drip(seconds=0.02)])
def test_no_thread_is_left_behind_by_a_server_that_hangs_or_drips(fault, discord, clock):
    notifier = DiscordNotifier("discord", discord.webhook_url, BoundedClient(total_seconds=0.2), clock=clock)
    discord.fail(fault)
    notifier.send(owed(), AT)
    for thread in threading.enumerate():
        if thread.name == "otelmon-exchange":
            thread.join(30)
            assert not thread.is_alive()


def test_a_refused_connection_is_tried_again_and_was_certainly_not_taken(discord, notifier):
    discord.refuse()
    outcome = notifier.send(owed(), AT)
    assert (outcome.kind, outcome.uncertain) == (OutcomeKind.RETRY, False)
    assert "Connection refused" in outcome.reason
    discord.accept()
    assert notifier.send(owed(), later(5)).kind is OutcomeKind.DELIVERED
    assert len(discord.messages) == 1


def test_an_answer_lost_after_the_message_was_taken_is_said_to_be_uncertain(discord, notifier):
    discord.fail(Drop(accepted=True))
    outcome = notifier.send(owed(), AT)
    assert (outcome.kind, outcome.uncertain) == (OutcomeKind.RETRY, True)
    assert len(discord.messages) == 1


def test_a_name_that_does_not_resolve_is_a_failure_like_others(clock):
    with socket.socket() as probe:  # a port on which nobody listens
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/api/webhooks/1/secret-token-0123456789"
    assert DiscordNotifier("discord", url, clock=clock).send(owed(), AT).kind is OutcomeKind.RETRY
    unknown = DiscordNotifier("discord", "http://nowhere.invalid/api/webhooks/1/secret-token-0123456789", clock=clock)
    outcome = unknown.send(owed(), AT)
    assert (outcome.kind, outcome.uncertain) == (OutcomeKind.RETRY, False)
    assert_no_secret("secret-token-0123456789", outcome)


def test_the_wait_is_counted_from_the_answer_not_from_the_question(discord, clock):
    class Slow(BoundedClient):
        def exchange(self, method, url, body):
            reply = super().exchange(method, url, body)
            return type(reply)(status=reply.status, headers=reply.headers, body=reply.body, seconds=4.0)

    notifier = DiscordNotifier("discord", discord.webhook_url, Slow(clock=clock), clock=clock)
    discord.fail(Limited(retry_after=5))
    assert notifier.send(owed(), AT).retry_at == later(9)


def test_a_thread_named_in_the_url_is_kept(discord, clock):
    thread = discord.open_thread("on call")
    notifier = DiscordNotifier("discord", f"{discord.webhook_url}?thread_id={thread}", clock=clock)
    posted = notifier.send(owed(), AT)
    notifier.send(owed("e", edited_message_id=posted.message_id), AT)
    assert [f"thread_id={thread}" in request.path for request in discord.requests] == [True, True]
    assert discord.requests[1].path.startswith("/api/webhooks/")
    assert f"/messages/{posted.message_id}?" in discord.requests[1].path


def test_what_discord_quotes_back_does_not_carry_the_url(discord, notifier):
    discord.fail(Answer(status=400, body=error(50035, f"cannot POST {discord.webhook_url}")), times=2)
    outcome = notifier.send(owed(), AT)
    assert "[secret]" in outcome.reason
    assert_no_secret(discord.webhook_url, outcome)


def test_the_app_s_own_use_of_httpx_is_logged_as_before(discord, notifier, log):
    notifier.send(owed(), AT)
    assert [record for record in log.records if record.name.startswith("http")] == []
    httpx.get(f"{discord.url}channel.json")
    assert any(record.name == "httpx" for record in log.records)


def test_no_span_is_made_of_a_send(discord, clock, monkeypatch):
    allowed = []

    class Watched(httpx.Client):
        def send(self, *arguments, **options):
            allowed.append(is_http_instrumentation_enabled())
            return super().send(*arguments, **options)

    monkeypatch.setattr(httpx, "Client", Watched)
    DiscordNotifier("discord", discord.webhook_url, clock=clock).send(owed(), AT)
    assert allowed == [False]
    assert is_http_instrumentation_enabled()
    assert context.get_current() == {}


@pytest.mark.parametrize(
    "url", ["", "discord.com/api/webhooks/1/x", "ftp://discord.com/x/y", "https://", "https://[x", "https://h/"]
)
def test_a_webhook_url_that_is_not_one_is_refused_without_being_quoted(url):
    with pytest.raises(ValueError, match="begins with https://"):
        DiscordNotifier("discord", url)


def test_proxy_settings_that_cannot_be_meant_are_a_failure_to_send(discord, clock, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "nonsense://[")
    outcome = DiscordNotifier("discord", discord.webhook_url, clock=clock).send(owed(), AT)
    assert (outcome.kind, outcome.uncertain) == (OutcomeKind.RETRY, False)
    assert "proxy" in outcome.reason
