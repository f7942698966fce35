"""A chart in a page on Discord: sent along, kept by later edits, and never the reason that a page is late or lost."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from otelmon.incidents.chart import Chart
from otelmon.notify.discord import DiscordNotifier
from otelmon.notify.multipart import multipart
from otelmon.paging.discord import chart_field
from otelmon.paging.model import Field, OutcomeKind
from otelmon.rules.model import Severity, Unit
from otelmon.testing import NO_LIMITS, Answer, DiscordStandIn, Drop, FakeClock, Limited, assert_no_secret
from tests.notify.pages import AT, later, owed

CHART = Chart(points=((0.0, 1.0), (60.0, 2.0)), unit=Unit.NONE, severity=Severity.CRITICAL)
LATER = replace(CHART, bound=3.0)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8 + b"\r\n--x--\r\n"
REFUSAL = json.dumps({"message": "no", "code": 50035})


def shown(chart=CHART):
    return (
        Field(name="Service", value="shop"),
        Field(name="The last 11 min", value="▁▅█\n0 to 2", inline=False, chart=chart),
    )


@pytest.fixture
def clock():
    return FakeClock(AT.timestamp())


@pytest.fixture
def discord(clock):
    with DiscordStandIn(clock=clock, limits=NO_LIMITS) as stand_in:
        yield stand_in


@pytest.fixture
def drawn():
    """The pictures that are there."""
    return {CHART: PNG}


@pytest.fixture
def notifier(discord, clock, drawn):
    notifier = DiscordNotifier("discord", discord.webhook_url, clock=clock, pictures=drawn.get)
    yield notifier
    notifier.close()


@pytest.fixture(autouse=True)
def log(caplog, discord):
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert_no_secret(discord.webhook_url, *caplog.records)


def edit(message_id, page_id="e", **message):
    return owed(page_id, edited_message_id=message_id, **message)


def names(message):
    return [field["name"] for field in message.embeds[0].get("fields", ()) if field["name"] != "Since"]


def picture(message):
    """The picture that the message's embed shows."""
    attachment = message.image(message.embeds[0])
    return None if attachment is None else attachment.content


def test_an_edit_brings_the_picture_which_takes_the_place_of_the_row_of_blocks(discord, notifier, log):
    posted = notifier.send(owed(), AT)
    outcome = notifier.send(edit(posted.message_id, fields=shown()), later(2))
    (message,) = discord.messages
    assert outcome.kind is OutcomeKind.DELIVERED
    assert (picture(message), names(message)) == (PNG, ["Service"])
    (attachment,) = message.attachments
    assert (attachment.filename, attachment.description) == ("chart.png", "The last 11 min: ▁▅█ 0 to 2")
    assert [request.method for request in discord.requests] == ["POST", "PATCH"]
    assert (len(discord.pings), log.records) == (1, [])


def test_a_new_message_brings_it_too_and_pings(discord, notifier):
    notifier.send(owed(fields=shown()), AT)
    (message,) = discord.messages
    assert (picture(message), len(discord.pings)) == (PNG, 1)


@pytest.mark.parametrize("pictures", [None, {}.get])
def test_without_a_picture_there_is_the_row_of_blocks(discord, clock, pictures):
    notifier = DiscordNotifier("discord", discord.webhook_url, clock=clock, pictures=pictures)
    posted = notifier.send(owed(fields=shown()), AT)
    notifier.send(edit(posted.message_id, fields=shown()), later(2))
    (message,) = discord.messages
    assert (picture(message), message.attachments, names(message)) == (None, (), ["Service", "The last 11 min"])
    notifier.close()


def test_a_later_edit_brings_a_newer_picture_in_its_place(discord, notifier, drawn):
    posted = notifier.send(owed(fields=shown()), AT)
    drawn[LATER] = PNG + b"later"
    notifier.send(edit(posted.message_id, fields=shown(LATER), resolved=True), later(60))
    (message,) = discord.messages
    assert picture(message) == PNG + b"later"
    assert len(message.attachments) == 1


def test_an_edit_after_a_restart_keeps_the_picture_that_the_message_has(discord, notifier, drawn):
    posted = notifier.send(owed(fields=shown()), AT)
    drawn.clear()
    for number in range(2):
        notifier.send(edit(posted.message_id, f"e{number}", fields=shown(), acknowledged_by="ada"), later(60))
    (message,) = discord.messages
    assert (picture(message), names(message)) == (PNG, ["Service"])
    assert [request.method for request in discord.requests] == ["POST", "GET", "PATCH", "GET", "PATCH"]
    assert message.content.startswith("👀")


@pytest.mark.parametrize(
    "message",
    [
        {"attachments": [{"id": "1", "filename": "chart.png", "url": "https://cdn/attachments/9/{id}/chart.png?ex=1"}]},
        {"embeds": [{"image": {"url": "https://cdn/attachments/9/{id}/chart.png"}}]},
    ],
    ids=["listed", "in the embed"],
)
def test_it_is_found_where_discord_says_it_is(discord, notifier, drawn, message):
    posted = notifier.send(owed(fields=shown()), AT)
    drawn.clear()
    text = json.dumps(message).replace("{id}", discord.messages[0].attachments[0].id)
    discord.fail(Answer(status=200, body=text))
    notifier.send(edit(posted.message_id, fields=shown()), later(60))
    assert picture(discord.messages[0]) == PNG


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=500),
        Answer(status=200, body="[]"),
        Answer(status=200, body='{"attachments": [1, {"url": 2}], "embeds": [null, {"image": 3}]}'),
        Drop(),
        Limited(retry_after=2),
    ],
)
def test_where_that_is_not_told_the_edit_comes_without_a_picture(discord, notifier, drawn, answer):
    posted = notifier.send(owed(fields=shown()), AT)
    drawn.clear()
    discord.fail(answer)
    outcome = notifier.send(edit(posted.message_id, fields=shown(), acknowledged_by="ada"), later(60))
    (message,) = discord.messages
    assert outcome.kind is OutcomeKind.DELIVERED
    assert (picture(message), message.attachments, names(message)) == (None, (), ["Service", "The last 11 min"])


def test_an_edit_without_a_chart_takes_the_picture_away(discord, notifier):
    posted = notifier.send(owed(fields=shown()), AT)
    notifier.send(edit(posted.message_id), later(60))
    assert discord.messages[0].attachments == ()
    notifier.send(edit(posted.message_id, fields=shown(), short=True), later(60))
    assert discord.messages[0].attachments == ()


@pytest.mark.parametrize("status", [400, 413])
def test_a_picture_that_discord_refuses_costs_the_picture_only(discord, notifier, log, status):
    discord.fail(Answer(status=status, body=REFUSAL))
    outcome = notifier.send(owed(fields=shown()), AT)
    (message,) = discord.messages
    assert (picture(message), names(message)) == (None, ["Service", "The last 11 min"])
    assert (outcome.kind, len(discord.pings)) == (OutcomeKind.DELIVERED, 1)
    assert outcome.reason.startswith(f"delivered without its chart; HTTP {status}")
    assert [record.levelname for record in log.records] == ["WARNING"]


def test_what_is_refused_without_its_picture_too_comes_as_plain_text(discord, notifier):
    posted = notifier.send(owed(fields=shown()), AT)
    discord.fail(Answer(status=400, body=REFUSAL), times=2)
    outcome = notifier.send(edit(posted.message_id, fields=shown()), later(60))
    (message,) = discord.messages
    assert (outcome.kind, message.embeds, message.attachments) == (OutcomeKind.DELIVERED, (), ())


@pytest.mark.parametrize("fault", [Drop(), Answer(status=500), Answer(status=200, body="well")])
def test_after_any_other_failure_the_page_is_tried_again_without_it(discord, notifier, fault):
    discord.fail(fault)
    page = owed(fields=shown())
    assert notifier.send(page, AT).kind is OutcomeKind.RETRY
    assert notifier.send(replace(page, attempts=1), later(5)).kind is OutcomeKind.DELIVERED
    kinds = [request.headers["content-type"].partition(";")[0] for request in discord.requests]
    assert kinds == ["multipart/form-data", "application/json"]


def test_a_rate_limit_says_nothing_against_the_picture(discord, notifier):
    discord.fail(Limited(retry_after=1))
    page = owed(fields=shown())
    assert notifier.send(page, AT).kind is OutcomeKind.RETRY
    assert notifier.send(replace(page, attempts=1), later(5)).kind is OutcomeKind.DELIVERED
    assert picture(discord.messages[0]) == PNG


def test_it_comes_into_a_forum_too(clock, drawn):
    with DiscordStandIn(clock=clock, limits=NO_LIMITS, forum=True) as discord:
        notifier = DiscordNotifier("discord", discord.webhook_url, clock=clock, forum=True, pictures=drawn.get)
        posted = notifier.send(owed(), AT)
        page = replace(edit(posted.message_id, fields=shown()), thread_id=posted.thread_id)
        assert notifier.send(page, AT).kind is OutcomeKind.DELIVERED
        drawn.clear()
        assert notifier.send(page, AT).kind is OutcomeKind.DELIVERED
        assert picture(discord.messages[0]) == PNG
        notifier.close()


def test_a_short_message_has_no_chart():
    assert chart_field(owed(fields=shown(), short=True).page.message) is None


def test_the_parts_cannot_be_mistaken_for_the_border_between_them():
    first, second = (multipart({}, name="chart.png", content=PNG, kind="image/png")[1] for _ in range(2))
    assert first != second
