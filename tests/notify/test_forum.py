"""A post for each incident in a forum channel, as Discord's rules for threads have it."""

from __future__ import annotations

import logging
from dataclasses import replace

import httpx
import pytest

from otelmon.notify.discord import DiscordNotifier
from otelmon.paging.model import OutcomeKind
from otelmon.testing import NO_LIMITS, DiscordStandIn, FakeClock, assert_no_secret
from tests.notify.pages import AT, later, owed

TAG = "345678901234567890"


@pytest.fixture
def clock():
    return FakeClock(AT.timestamp())


@pytest.fixture
def forum(clock):
    with DiscordStandIn(clock=clock, limits=NO_LIMITS, forum=True) as stand_in:
        yield stand_in


@pytest.fixture
def notifier(forum, clock):
    notifier = DiscordNotifier("discord", forum.webhook_url, clock=clock, forum=True, tags=[TAG])
    yield notifier
    notifier.close()


@pytest.fixture(autouse=True)
def log(caplog, forum):
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert_no_secret(forum.webhook_url, *caplog.records)


def test_the_first_page_opens_a_post_that_is_called_like_it(forum, notifier):
    outcome = notifier.send(owed(), AT)
    assert dict(forum.threads) == {outcome.thread_id: "Error rate 31 %"}
    assert outcome.thread_id == outcome.message_id == forum.messages[0].thread_id
    assert forum.requests[0].json()["applied_tags"] == [TAG]
    assert len(forum.pings) == 1


def test_what_follows_goes_into_the_post_and_edits_find_their_message_there(forum, notifier):
    opened = notifier.send(owed(), AT)
    follow = notifier.send(replace(owed("n"), thread_id=opened.thread_id), later(1))
    edit = owed("e", edited_message_id=opened.message_id, resolved=True)
    edited = notifier.send(replace(edit, thread_id=opened.thread_id), later(2))
    assert [each.kind for each in (follow, edited)] == [OutcomeKind.DELIVERED] * 2
    assert follow.thread_id == opened.thread_id
    first, second = forum.messages
    assert (first.thread_id, second.thread_id, len(forum.threads)) == (opened.thread_id, opened.thread_id, 1)
    assert first.content.startswith("✅")


def test_a_post_that_was_deleted_is_opened_anew_and_the_webhook_lives_on(forum, notifier):
    opened = notifier.send(owed(), AT)
    forum.delete_thread(opened.thread_id)
    again = notifier.send(replace(owed("n"), thread_id=opened.thread_id), later(1))
    assert (again.kind, notifier.stopped) == (OutcomeKind.DELIVERED, "")
    assert list(forum.threads) == [again.thread_id]
    assert again.thread_id != opened.thread_id


def test_an_edit_in_a_post_that_was_deleted_is_rejected_and_the_webhook_lives_on(forum, notifier):
    opened = notifier.send(owed(), AT)
    forum.delete_thread(opened.thread_id)
    edit = replace(owed("e", edited_message_id=opened.message_id), thread_id=opened.thread_id)
    outcome = notifier.send(edit, later(1))
    assert (outcome.kind, notifier.stopped) == (OutcomeKind.REJECTED, "")
    assert "10003" in outcome.reason


def test_a_channel_that_turns_out_to_be_a_forum_gets_its_posts_all_the_same(forum, clock, caplog):
    notifier = DiscordNotifier("discord", forum.webhook_url, clock=clock)
    assert notifier.send(owed(), AT).kind is OutcomeKind.DELIVERED
    assert notifier.send(owed("b"), AT).kind is OutcomeKind.DELIVERED
    assert (len(forum.threads), len(forum.requests)) == (2, 3)  # asked once, then known
    assert "Discord says that the channel is a forum" in caplog.text
    notifier.close()


def test_a_text_channel_that_was_taken_for_a_forum_gets_plain_messages(clock):
    with DiscordStandIn(clock=clock, limits=NO_LIMITS) as text_channel:
        notifier = DiscordNotifier("discord", text_channel.webhook_url, clock=clock, forum=True)
        outcome = notifier.send(owed(), AT)
        assert (outcome.kind, outcome.thread_id, len(text_channel.messages)) == (OutcomeKind.DELIVERED, "", 1)
        notifier.close()


def test_a_thread_that_people_opened_in_a_text_channel_takes_pages_by_its_id_in_the_url(clock):
    with DiscordStandIn(clock=clock, limits=NO_LIMITS) as text_channel:
        thread_id = text_channel.open_thread("pages")
        notifier = DiscordNotifier("d", f"{text_channel.webhook_url}?thread_id={thread_id}", clock=clock, forum=True)
        posted = notifier.send(owed(), AT)
        edited = notifier.send(owed("e", edited_message_id=posted.message_id), AT)
        assert (posted.kind, edited.kind) == (OutcomeKind.DELIVERED, OutcomeKind.DELIVERED)
        assert [message.thread_id for message in text_channel.messages] == [thread_id]
        notifier.close()


@pytest.mark.parametrize("title", ["", "x" * 10_000, "𝕏" * 200, "\u202e\u200b", "# @everyone <@&1>", "\n\n", "\ud800"])
def test_any_title_names_a_post(forum, notifier, title):
    assert notifier.send(owed(title=title), AT).kind is OutcomeKind.DELIVERED
    (name,) = forum.threads.values()
    assert 1 <= len(name.encode("utf-16-le")) // 2 <= 100


@pytest.mark.parametrize(
    ("forum_channel", "query", "name", "status", "code"),
    [
        (True, "", None, 400, 220001),
        (True, "&thread_id=THREAD", "a post", 400, 220002),
        (False, "", "a post", 400, 220003),
        (True, "&thread_id=1", None, 404, 10003),
        (True, "", "x" * 101, 400, 50035),
        (True, "", " ", 400, 50035),
        (True, "", "a post", 200, None),
        (True, "&thread_id=THREAD", None, 200, None),
        (False, "&thread_id=THREAD", None, 200, None),
    ],
)
def test_the_stand_in_has_discords_rules_for_threads(clock, forum_channel, query, name, status, code):
    with DiscordStandIn(clock=clock, limits=NO_LIMITS, forum=forum_channel) as stand_in:
        thread_id = stand_in.open_thread("there already")
        body = {"content": "x"} | ({} if name is None else {"thread_name": name})
        url = f"{stand_in.webhook_url}?wait=true{query.replace('THREAD', thread_id)}"
        reply = httpx.post(url, json=body, trust_env=False)
        assert (reply.status_code, reply.json().get("code")) == (status, code)


def test_a_message_in_a_thread_is_found_only_with_the_thread(forum, notifier):
    opened = notifier.send(owed(), AT)
    address = f"{forum.webhook_url}/messages/{opened.message_id}"
    without = httpx.get(address, trust_env=False)
    assert (without.status_code, without.json()["code"]) == (404, 10008)
    assert httpx.get(f"{address}?thread_id={opened.thread_id}", trust_env=False).status_code == 200


def test_the_channels_page_shows_posts_by_name(forum, notifier):
    notifier.send(owed(title="<b>Disk</b>"), AT)
    shown = httpx.get(f"{forum.url}channel", trust_env=False).text
    assert '<h2 class="thread">&lt;b&gt;Disk&lt;/b&gt;</h2>' in shown
