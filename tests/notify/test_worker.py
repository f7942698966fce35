"""What is due goes out once, whatever notifiers and storage do."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta

import pytest

from otelmon.notify.discord import DiscordNotifier
from otelmon.notify.exchange import BoundedClient
from otelmon.notify.log import line
from otelmon.notify.worker import LEASE_SECONDS, Worker
from otelmon.paging.model import Outcome, OutcomeKind
from otelmon.rules.model import Severity
from otelmon.testing import (
    NO_LIMITS,
    CapturedPages,
    DiscordStandIn,
    FakeClock,
    Hang,
    Limited,
    MemoryOutbox,
    RateLimits,
    assert_no_secret,
)
from otelmon.testing.faults import INTERNAL_ERROR
from tests.notify.pages import AT, later, page


@pytest.fixture
def clock():
    return FakeClock(AT.timestamp())


@pytest.fixture
def discord(clock):
    with DiscordStandIn(clock=clock, limits=NO_LIMITS) as stand_in:
        yield stand_in


@pytest.fixture
def notifier(discord, clock):
    return DiscordNotifier("discord", discord.webhook_url, BoundedClient(total_seconds=30, clock=clock), clock=clock)


def now(clock) -> datetime:
    return datetime.fromtimestamp(clock.now(), UTC)


def refuse(owed, at):
    return Outcome(kind=OutcomeKind.REJECTED, reason="not today")


def explode(owed, at):
    raise RuntimeError("https://discord.example/api/webhooks/1/the-secret-token")


def wait(owed, at):
    return Outcome(kind=OutcomeKind.RETRY, reason="later", retry_at=at + timedelta(seconds=30))


def test_what_is_due_is_sent_once_and_what_is_not_due_is_not(clock, discord, notifier):
    outbox = MemoryOutbox([page("a"), page("b")])
    worker = Worker(outbox, {"discord": notifier}, clock)
    assert worker.deliver_due(AT - timedelta(seconds=1)) == 0
    assert worker.deliver_due(AT) == 2
    assert worker.deliver_due(later(1000)) == 0
    assert (worker.delivered, worker.retried, worker.rejected, worker.failures) == (2, 0, 0, 0)
    assert (len(discord.messages), outbox.open) == (2, [])


def test_critical_goes_before_warning(clock):
    captured = CapturedPages("discord")
    pages = [page("w", severity=Severity.WARNING), page("c", severity=Severity.CRITICAL)]
    Worker(MemoryOutbox(pages), {"discord": captured}, clock).deliver_due(AT)
    assert [sent.id for sent in captured.pages] == ["c", "w"]


def test_an_edit_waits_for_its_message_and_changes_it(clock, discord, notifier):
    discord.fail(INTERNAL_ERROR)
    outbox = MemoryOutbox([page("a"), page("a.resolved", edits="a", resolved=True)])
    worker = Worker(outbox, {"discord": notifier}, clock)
    assert worker.deliver_due(AT) == 0
    assert worker.deliver_due(later(10)) == 2
    (message,) = discord.messages
    assert message.content.startswith("✅ **RESOLVED**")


def test_a_rate_limited_page_goes_out_when_discord_said(clock, discord, notifier):
    discord.fail(Limited(retry_after=5))
    worker = Worker(MemoryOutbox([page("a"), page("b")]), {"discord": notifier}, clock)
    assert worker.deliver_due(AT) == 0
    assert (len(discord.requests), worker.next_retry_at) == (1, later(5))
    assert worker.deliver_due(later(4.9)) == 0
    assert len(discord.requests) == 1
    assert worker.deliver_due(later(5)) == 2
    assert (worker.delivered, worker.rejected) == (2, 0)


def test_an_outage_of_ninety_seconds_loses_nothing_sends_nothing_twice_and_is_logged_once(
    clock, discord, notifier, caplog
):
    outbox = MemoryOutbox([page(f"p{number}") for number in range(5)])
    worker = Worker(outbox, {"discord": notifier}, clock)
    discord.fail_always(INTERNAL_ERROR)
    for second in range(90):
        worker.deliver_due(later(second))
    assert discord.messages == ()
    discord.fail_always(None)
    for second in range(90, 90 + 64):
        worker.deliver_due(later(second))
    assert (len(discord.messages), outbox.open) == (5, [])
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2
    assert "500" in warnings[0]
    assert warnings[1] == "notifier discord delivers again"
    assert_no_secret(discord.webhook_url, *caplog.records)


def test_a_notifier_that_raises_or_waits_does_not_stop_another(clock, caplog):
    good = CapturedPages("good")
    outbox = MemoryOutbox(page(f"{target}{n}", target=target) for n in range(3) for target in ("bad", "slow", "good"))
    notifiers = {
        "bad": CapturedPages("bad", explode),
        "slow": CapturedPages("slow", wait),
        "good": good,
    }
    worker = Worker(outbox, notifiers, clock)
    assert worker.deliver_due(AT) == 3
    assert [sent.id for sent in good.pages] == ["good0", "good1", "good2"]
    assert len(notifiers["bad"].pages) == len(notifiers["slow"].pages) == 1  # left alone for the rest of the pass
    assert len(outbox.open) == 6
    assert "RuntimeError" in outbox.outcomes("bad0")[0].reason
    assert_no_secret("the-secret-token", *caplog.records, *outbox.outcomes("bad0"))


def test_a_hanging_webhook_is_given_up_and_the_others_are_served(clock, discord):
    hanging = DiscordNotifier("hanging", discord.webhook_url, BoundedClient(total_seconds=0.15), clock=clock)
    discord.fail_always(Hang())
    good = CapturedPages("good")
    outbox = MemoryOutbox([page("h1", target="hanging"), page("h2", target="hanging"), page("g", target="good")])
    assert Worker(outbox, {"hanging": hanging, "good": good}, clock).deliver_due(AT) == 1
    assert len(discord.requests) == 1
    assert sorted(outbox.open) == ["h1", "h2"]


def test_a_rejected_page_is_read_in_the_log_and_not_sent_again(clock, caplog):
    captured = CapturedPages("discord", refuse)
    outbox = MemoryOutbox([page("a")])
    worker = Worker(outbox, {"discord": captured}, clock)
    worker.deliver_due(AT)
    worker.deliver_due(later(100))
    assert (worker.rejected, len(captured.pages), outbox.open) == (1, 1, [])
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "not today | PAGE CRITICAL: Error rate 31 %" in record.getMessage()


def test_every_page_to_a_webhook_that_is_gone_is_written_to_the_log_instead(clock, discord, notifier, caplog):
    discord.forget_webhook()
    pages = [page("a"), page("b", title="Slow", severity=Severity.WARNING)]
    Worker(MemoryOutbox(pages), {"discord": notifier}, clock).deliver_due(AT)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(discord.requests) == 1
    for lost in pages:
        assert len([text for text in told if text.endswith(f"| {line(lost.message)}")]) == 1


def test_a_rejected_edit_is_no_lost_page(clock, caplog):
    outbox = MemoryOutbox([page("e", edits="gone")])
    Worker(outbox, {"discord": CapturedPages("discord", refuse)}, clock).deliver_due(AT)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_page_to_a_notifier_that_is_no_longer_configured_is_rejected_aloud(clock, caplog):
    outbox = MemoryOutbox([page("a", target="gone")])
    worker = Worker(outbox, {"discord": CapturedPages("discord")}, clock)
    worker.deliver_due(AT)
    assert worker.rejected == 1
    assert "no notifier is named 'gone'" in caplog.text


class Breaking(MemoryOutbox):
    """An outbox on a disk that can be full."""

    def __init__(self, pages):
        self.full = False
        self.unreadable = False
        self.leases = []
        super().__init__(pages)

    def claim(self, at, *, lease_seconds, limit, targets=None):
        if self.unreadable:
            raise OSError("disk I/O error\n[parameters: 'secret']")
        self.leases.append((lease_seconds, limit))
        return super().claim(at, lease_seconds=lease_seconds, limit=limit, targets=targets)

    def record(self, page_id, outcome, at, *, fallback=()):
        if self.full:
            raise OSError("database or disk is full")
        super().record(page_id, outcome, at, fallback=fallback)


def test_a_page_whose_record_failed_is_not_sent_again(clock, caplog):
    captured = CapturedPages("discord")
    outbox = Breaking([page("a"), page("b")])
    worker = Worker(outbox, {"discord": captured}, clock)
    outbox.full = True
    assert worker.deliver_due(AT) == 2
    for minute in range(1, 5):
        worker.deliver_due(later(minute * 2 * LEASE_SECONDS))
    outbox.full = False
    worker.deliver_due(later(1000))
    assert ([sent.id for sent in captured.pages], outbox.open) == (["a", "b"], [])
    assert (worker.delivered, len(caplog.records)) == (2, 1)
    assert "disk is full" in caplog.text


def test_an_outbox_that_cannot_be_read_is_logged_once_and_asked_again(clock, caplog):
    outbox = Breaking([page("a")])
    worker = Worker(outbox, {"discord": CapturedPages("discord")}, clock)
    outbox.unreadable = True
    assert [worker.deliver_due(later(second)) for second in range(5)] == [0] * 5
    outbox.unreadable = False
    assert worker.deliver_due(later(6)) == 1
    assert (worker.failures, len(caplog.records)) == (5, 1)
    assert "secret" not in caplog.text


def test_a_page_is_claimed_alone_for_longer_than_a_send_can_take(clock):
    outbox = Breaking([page("a"), page("b")])
    Worker(outbox, {"discord": CapturedPages("discord")}, clock).deliver_due(AT)
    assert set(outbox.leases) == {(LEASE_SECONDS, 1)}
    assert 2 * BoundedClient().total_seconds < LEASE_SECONDS


def test_two_workers_send_each_page_once(clock):
    outbox = MemoryOutbox(page(f"p{number}") for number in range(40))
    captured = CapturedPages("discord")
    workers = [Worker(outbox, {"discord": captured}, clock) for _ in range(2)]
    threads = [threading.Thread(target=worker.deliver_due, args=(AT,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(sent.id for sent in captured.pages) == sorted(f"p{number}" for number in range(40))


def test_a_clean_stop_delivers_what_is_due_and_what_falls_due_within_its_bound(clock, discord, notifier):
    discord.fail(Limited(retry_after=2))
    outbox = MemoryOutbox([page("a"), page("b")])
    worker = Worker(outbox, {"discord": notifier}, clock)
    sent = []
    thread = threading.Thread(target=lambda: sent.append(worker.drain(clock.monotonic() + 5)))
    thread.start()
    clock.wait_for_waiters(1)
    clock.advance(2)
    thread.join(30)
    assert (sent, outbox.open) == ([2], [])


def test_a_clean_stop_does_not_wait_beyond_its_bound(clock, discord, notifier):
    discord.fail(Limited(retry_after=60))
    outbox = MemoryOutbox([page("a")])
    worker = Worker(outbox, {"discord": notifier}, clock)
    assert worker.drain(clock.monotonic() + 5) == 0
    assert outbox.open == ["a"]
    assert worker.drain(clock.monotonic()) == 0
    assert len(discord.requests) == 1


def test_no_page_is_begun_after_stop_or_the_deadline(clock):
    stop = threading.Event()

    def first_then_stop(owed, at):
        stop.set()
        clock.advance(10)
        return Outcome(kind=OutcomeKind.DELIVERED, reason="ok")

    outbox = MemoryOutbox([page("a"), page("b"), page("c")])
    worker = Worker(outbox, {"discord": CapturedPages("discord", first_then_stop)}, clock)
    assert worker.deliver_due(AT, stop=stop) == 1
    assert worker.deliver_due(AT, deadline=clock.monotonic() + 5) == 1
    assert outbox.open == ["c"]


def test_a_retry_is_counted_from_when_it_was_tried_not_from_the_start_of_the_pass(clock):
    def slow(owed, at):
        clock.advance(10)
        return wait(owed, at)

    outbox = MemoryOutbox([page("a", target="slow"), page("b", target="next")])
    Worker(outbox, {"slow": CapturedPages("slow", slow), "next": CapturedPages("next", wait)}, clock).deliver_due(AT)
    assert outbox.outcomes("b")[0].retry_at == later(40)


def test_a_storm_goes_out_within_discord_s_limits_without_a_single_429(clock):
    with DiscordStandIn(clock=clock, limits=RateLimits(channel_messages=None)) as discord:
        notifier = DiscordNotifier("discord", discord.webhook_url, clock=clock)
        outbox = MemoryOutbox(page(f"p{number}") for number in range(30))
        worker = Worker(outbox, {"discord": notifier}, clock)
        while outbox.open:
            worker.deliver_due(now(clock))
            clock.advance(1)
        assert {request.status for request in discord.requests} == {200}
        assert len(discord.messages) == 30
        assert clock.now() - AT.timestamp() <= 13
