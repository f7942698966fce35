"""Pages as Discord's JSON: what is said, in which place, and what can never happen whatever the labels hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from otelmon.oncall.model import Mention, MentionKind
from otelmon.paging.discord import (
    ACKNOWLEDGED_COLOUR,
    COLOURS,
    MENTIONS_LIMIT,
    RESOLVED_COLOUR,
    edit_payload,
    payload,
    plain_payload,
)
from otelmon.paging.model import Field, Message
from otelmon.rules.model import Severity
from otelmon.testing.discord_rules import check, pings

ROLE = Mention(kind=MentionKind.ROLE, id="123456789012345678")
ADA = Mention(kind=MentionKind.USER, id="223456789012345678")
AT = datetime(2026, 1, 5, 12, tzinfo=UTC)

PAGE = Message(
    severity=Severity.CRITICAL,
    title="Error rate 31 % (limit 5 %) on shop",
    description="Requests fail.",
    mentions=(ROLE, ADA),
    fields=(Field(name="Service", value="shop"), Field(name="Instance", value="web-1", inline=False)),
    link="https://runbooks.example/error_rate",
    since_at=AT,
    footer="incident 7KQ2",
)


def test_content_says_severity_and_title_and_pings_exactly_the_configured():
    body = payload(PAGE)
    assert body["content"] == (
        "🔴 **CRITICAL** Error rate 31 % (limit 5 %) on shop <@&123456789012345678> <@223456789012345678>"
    )
    assert body["allowed_mentions"] == {"parse": [], "users": [ADA.id], "roles": [ROLE.id]}
    assert [(ping.kind, ping.id) for ping in pings(body)] == [("role", ROLE.id), ("user", ADA.id)]


def test_the_embed_carries_the_details():
    (embed,) = payload(PAGE)["embeds"]
    assert embed == {
        "title": "Error rate 31 % (limit 5 %) on shop",
        "color": COLOURS[Severity.CRITICAL],
        "footer": {"text": "incident 7KQ2"},
        "url": "https://runbooks.example/error_rate",
        "description": "Requests fail.\n\n[Open the runbook](https://runbooks.example/error_rate)",
        "fields": [
            {"name": "Since", "value": "<t:1767614400:f>, <t:1767614400:R>", "inline": False},
            {"name": "Service", "value": "shop", "inline": True},
            {"name": "Instance", "value": "web-1", "inline": False},
        ],
        "timestamp": "2026-01-05T12:00:00+00:00",
    }


def test_without_mentions_nobody_is_pinged():
    body = payload(replace(PAGE, mentions=()))
    assert body["allowed_mentions"] == {"parse": []}
    assert pings(body) == ()


@pytest.mark.parametrize(
    ("change", "colour", "head"),
    [
        ({}, COLOURS[Severity.CRITICAL], "🔴 **CRITICAL** Error"),
        ({"severity": Severity.WARNING}, COLOURS[Severity.WARNING], "🟠 **WARNING** Error"),
        ({"severity": Severity.INFO}, COLOURS[Severity.INFO], "🔵 **INFO** Error"),
        ({"acknowledged_by": "Ada"}, ACKNOWLEDGED_COLOUR, "👀 **ACKNOWLEDGED** by Ada (critical) Error"),
        ({"resolved": True}, RESOLVED_COLOUR, "✅ **RESOLVED** (critical) Error"),
        ({"resolved": True, "acknowledged_by": "Ada"}, RESOLVED_COLOUR, "✅ **RESOLVED** (critical) Error"),
    ],
)
def test_state_and_severity_have_their_colour_and_words(change, colour, head):
    body = payload(replace(PAGE, **change))
    assert body["embeds"][0]["color"] == colour
    assert body["content"].startswith(head)


def test_every_state_has_a_colour_of_its_own():
    assert len({*COLOURS.values(), ACKNOWLEDGED_COLOUR, RESOLVED_COLOUR}) == 5


def test_a_short_message_is_content_only():
    body = payload(replace(PAGE, short=True, resolved=True, mentions=()))
    assert set(body) == {"content", "allowed_mentions"}
    assert plain_payload(PAGE) == payload(replace(PAGE, short=True))


def test_an_edit_passes_empty_allowances_and_clears_what_a_short_one_no_longer_shows():
    assert edit_payload(PAGE)["allowed_mentions"] == {"parse": []}
    assert edit_payload(PAGE)["embeds"] == payload(PAGE)["embeds"]
    assert edit_payload(replace(PAGE, short=True))["embeds"] == []


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("@everyone", "@\u200beveryone"),
        ("@here", "@\u200bhere"),
        ("<@&1> <@1> <@!1>", "\\<@\u200b&1> \\<@\u200b1> \\<@\u200b!1>"),
        ("<#1> </a:1> <:x:1> <t:0:R>", "\\<#1> \\</a\\:1> \\<\\:x\\:1> \\<t\\:0\\:R>"),
        ("**b** _i_ ~~s~~ ||x|| `c`", "\\*\\*b\\*\\* \\_i\\_ \\~\\~s\\~\\~ \\|\\|x\\|\\| \\`c\\`"),
        ("[a](https://x.example)", "\\[a\\](https\\://x.example)"),
        ("C:\\temp", "C\\:\\\\temp"),
        ("Error: no", "Error: no"),
        (":fire:", "\\:fire:"),
        ("a\u200bb\u202ec\u2066d\ufeffe\u00adf\x07g\U000e0041h", "abcdefgh"),
        ("one\r\ntwo\u2028three", "one\ntwo\nthree"),
        ("# h\n> q\n- l\n+ l\n1. n\n12) m\n-# s", "\\# h\n\\> q\n\\- l\n\\+ l\n1\\. n\n12\\) m\n\\-# s"),
        ("a # b > c - d 1. e", "a # b > c - d 1. e"),
        ("\ud800", "\ufffd"),
        ("", "—"),
        (" \t\n\u200b\u3164", "—"),
        ("مرحبا", "مرحبا"),
        ("👩🏽‍🚒", "👩🏽🚒"),
    ],
)
def test_data_is_shown_as_it_is_and_does_nothing(data, shown):
    body = payload(replace(PAGE, fields=(Field(name="label", value=data),), since_at=None))
    assert body["embeds"][0]["fields"] == [{"name": "label", "value": shown, "inline": True}]
    assert check(body) is None


def test_a_title_is_one_line_and_never_empty():
    assert payload(replace(PAGE, title="a\nb"))["embeds"][0]["title"] == "a b"
    body = payload(replace(PAGE, title="\u200b", mentions=(ROLE,)))
    assert body["content"] == "🔴 **CRITICAL** — <@&123456789012345678>"
    assert check(body) is None


def test_what_is_too_long_ends_in_an_ellipsis_and_loses_neither_severity_nor_mention():
    body = payload(replace(PAGE, title="x" * 10_000, description="y" * 10_000, footer="z" * 10_000))
    assert body["content"].startswith("🔴 **CRITICAL** xxxx")
    assert body["content"].endswith("x… <@&123456789012345678> <@223456789012345678>")
    assert len(body["content"].encode("utf-16-le")) == 2 * 2000 + 0
    assert body["embeds"][0]["title"] == "x" * 255 + "…"
    assert body["embeds"][0]["description"].endswith("y…\n\n[Open the runbook](https://runbooks.example/error_rate)")
    assert check(body) is None


def test_length_is_counted_in_utf_16_units_and_no_character_or_escape_is_cut_in_two():
    body = payload(replace(PAGE, title="😀" * 300))
    assert body["embeds"][0]["title"] == "😀" * 127 + "…"
    body = payload(replace(PAGE, title="x" * 254 + "**"))
    assert body["embeds"][0]["title"] == "x" * 254 + "…"
    body = payload(replace(PAGE, title="x" * 254 + "e\u0301" + "yy"))
    assert body["embeds"][0]["title"] == "x" * 254 + "…"


def test_fields_that_do_not_fit_are_counted_in_the_last_one():
    fields = tuple(Field(name=f"label{n}", value="v") for n in range(40))
    shown = payload(replace(PAGE, fields=fields, since_at=None))["embeds"][0]["fields"]
    assert len(shown) == 25
    assert shown[-1] == {"name": "Not shown", "value": "16 more", "inline": False}
    fields = tuple(Field(name="n" * 300, value="v" * 2000) for _ in range(10))
    body = payload(replace(PAGE, fields=fields, description="d" * 5000))
    assert body["embeds"][0]["fields"][-1]["name"] == "Not shown"
    assert check(body) is None


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "ftp://runbooks.example/x",
        "runbooks/error_rate.md",
        "https://",
        "https://user:password@runbooks.example/",
        "https://runbooks.example\\@evil.example",
        "https://runbooks.example:99999/",
        "https://runbooks.example/a b",
        "https://runbooks.example/\u202egpj",
        "https://runbooks.example/" + "x" * 2048,
        "http://[::1",
    ],
)
def test_a_link_that_is_not_one_is_shown_and_not_linked(link):
    body = payload(replace(PAGE, link=link))
    (embed,) = body["embeds"]
    assert "url" not in embed
    assert "](" not in embed["description"]
    assert embed["fields"][-1]["name"] == "Runbook"
    assert check(body) is None


def test_a_link_cannot_end_its_own_markup():
    body = payload(replace(PAGE, link="https://runbooks.example/a)[x](https://evil.example"))
    assert body["embeds"][0]["url"] == "https://runbooks.example/a%29%5Bx%5D%28https://evil.example"


def test_mentions_that_cannot_be_are_left_out_and_doubles_are_one():
    strange = [Mention(kind=MentionKind.USER, id=text) for text in ("everyone", "", "1> @everyone", "٣", str(2**64))]
    body = payload(replace(PAGE, mentions=(*strange, ROLE, ROLE)))
    assert body["allowed_mentions"] == {"parse": [], "roles": [ROLE.id]}
    assert check(body) is None


def test_more_mentions_than_fit_still_leave_a_title():
    crowd = tuple(Mention(kind=MentionKind.ROLE, id=str(10**19 + n)) for n in range(300))
    body = payload(replace(PAGE, mentions=crowd, title="t" * 3000))
    assert len(pings(body)) == MENTIONS_LIMIT
    assert "t" * 400 in body["content"]
    assert check(body) is None


@pytest.mark.parametrize("size", range(60, 75))
def test_all_together_stay_within_what_one_message_may_hold(size):
    fields = tuple(Field(name="n" * size, value="v" * size) for _ in range(24))
    body = payload(replace(PAGE, title="t" * 300, description="d" * 5000, footer="f" * 600, fields=fields))
    assert check(body) is None


ACKNOWLEDGE = "https://shop.example.com/otelmon/ack/7KQ2-1-1790000000.signature"


def test_a_link_button_leads_to_where_the_incident_is_acknowledged():
    body = payload(replace(PAGE, acknowledge=ACKNOWLEDGE))
    button = {"type": 2, "style": 5, "label": "Acknowledge", "url": ACKNOWLEDGE}
    assert body["components"] == [{"type": 1, "components": [button]}]
    assert check(body) is None
    assert ACKNOWLEDGE not in str(body["embeds"]) + body["content"]
    assert "components" not in payload(PAGE)
    assert "components" not in payload(replace(PAGE, acknowledge=ACKNOWLEDGE, short=True))


def test_an_address_too_long_for_a_button_is_a_link_in_the_embed():
    longer = ACKNOWLEDGE + 500 * "a"
    body = payload(replace(PAGE, acknowledge=longer))
    assert "components" not in body
    first = body["embeds"][0]["fields"][0]
    assert first["value"] == f"[Open the acknowledge page]({longer})"
    assert check(body) is None


@pytest.mark.parametrize("address", ["javascript:alert(1)", "https://", "shop/otelmon/ack/x", "https://a b/", " "])
def test_what_is_no_address_makes_no_button(address):
    body = payload(replace(PAGE, acknowledge=address))
    assert "components" not in body
    assert body["embeds"] == payload(PAGE)["embeds"]


def test_an_edit_takes_the_button_away_once_nobody_has_to_press_it():
    assert edit_payload(replace(PAGE, acknowledged_by="ada"))["components"] == []
    assert len(edit_payload(replace(PAGE, acknowledge=ACKNOWLEDGE))["components"]) == 1


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("https://tempo.example.com/t/4bf9", "[GET /pay: 500, 4bf9](https://tempo.example.com/t/4bf9)"),
        ("https://tempo.example.com/?q=(a)", "[GET /pay: 500, 4bf9](https://tempo.example.com/?q=%28a%29)"),
        ("javascript:alert(1)", "GET /pay: 500, 4bf9"),
        ("https://tempo.example.com/" + "x" * 800, "GET /pay: 500, 4bf9"),
    ],
)
def test_a_field_leads_where_its_link_says_if_that_is_an_address(link, shown):
    page = replace(PAGE, fields=(Field(name="Trace", value="GET /pay: 500, 4bf9", inline=False, link=link),))
    check(payload(page))
    (field,) = [field for field in payload(page)["embeds"][0]["fields"] if field["name"] == "Trace"]
    assert field["value"] == shown
