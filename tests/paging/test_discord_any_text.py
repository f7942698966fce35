"""Any text whatsoever: Discord takes the page, and it pings nobody but whom it may."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from otelmon.oncall.model import Mention, MentionKind
from otelmon.paging.discord import MENTIONS_LIMIT, edit_payload, payload, plain_payload, post_name
from otelmon.paging.model import Field, Message
from otelmon.rules.model import Severity
from otelmon.testing.discord_markdown import html
from otelmon.testing.discord_rules import check, pings

NASTY = (
    *("@everyone", "@here", "<@1>", "<@&1>", "<@!1>", "\\", "`", "```", "**", "__", "||", "[x](https://x.example)"),
    *("\u200b", "\u202e", "\ud83d", "\ude00", "😀", "e\u0301", "\x00", "\n", "\r", "\t", " ", "\u2028", "\ufe0f"),
    *("# ", "> ", "-# ", "<t:1:R>", "https://x.example", ":smile:", "\u3164"),
    *("x" * 3000, "😀" * 1500, "\u0301" * 300, "*" * 1100),
)
any_text = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.lists(st.sampled_from(NASTY), max_size=12).map("".join),
)
mention = st.builds(
    Mention, kind=st.sampled_from(MentionKind), id=st.one_of(any_text, st.integers(0, 2**64 - 1).map(str))
)
message = st.builds(
    Message,
    severity=st.sampled_from(Severity),
    resolved=st.booleans(),
    acknowledged_by=any_text,
    title=any_text,
    description=any_text,
    mentions=st.lists(mention, max_size=4).map(tuple),
    fields=st.lists(st.builds(Field, name=any_text, value=any_text, inline=st.booleans()), max_size=30).map(tuple),
    link=st.one_of(any_text, any_text.map("https://runbooks.example/".__add__), any_text.map("http://".__add__)),
    acknowledge=st.one_of(any_text, any_text.map("https://shop.example/otelmon/ack/".__add__)),
    since_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    footer=any_text,
    short=st.booleans(),
    note=any_text,
)
WORST = Message(
    severity=Severity.CRITICAL,
    title="*" * 10_000,
    description="😀" * 10_000,
    fields=tuple(Field(name="😀" * 500, value="@" * 5000) for _ in range(60)),
    link="https://runbooks.example/" + "(" * 600,
    acknowledge="https://shop.example/" + "a" * 900,
    since_at=datetime(9999, 12, 31, 23, 59, tzinfo=UTC),
    footer="z" * 10_000,
    note="@everyone " * 1000,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(message)
@example(WORST)
def test_any_message_is_taken_and_pings_nobody_but_its_mentions(message: Message) -> None:
    mentioned = {(mention.kind.value, mention.id) for mention in message.mentions}
    post = {**payload(message), "thread_name": post_name(message)}
    assert check(post, forum=True) is None
    for body in (payload(message), plain_payload(message)):
        assert check(body) is None
        assert {(ping.kind, ping.id) for ping in pings(body)} <= mentioned
        assert message.severity.value in body["content"].lower()
    valid = [m for m in dict.fromkeys(message.mentions) if m.id.isascii() and m.id.isdecimal() and int(m.id) < 2**64]
    expected = [(m.kind.value, m.id) for m in valid if len(m.id) <= 20][:MENTIONS_LIMIT]
    assert [(ping.kind, ping.id) for ping in pings(payload(message))] == expected
    edit = edit_payload(message)
    assert check(edit, earlier=payload(message)) is None
    assert pings(edit) == ()
    # Even with Discord's own default allowances, and all allowances there are, only the mentions could ping.
    for generous in ({"parse": ["users"]}, {"parse": ["users", "roles", "everyone"]}):
        assert {(p.kind, p.id) for p in pings({**payload(message), "allowed_mentions": generous})} <= mentioned


@settings(max_examples=100, deadline=None)
@given(any_text)
def test_no_text_is_rendered_as_anything_but_text(text: str) -> None:
    (embed,) = payload(Message(severity=Severity.INFO, title=text, fields=(Field(name=text, value=text),)))["embeds"]
    for shown in (embed["title"], embed["fields"][0]["name"], embed["fields"][0]["value"]):
        assert "<" not in html(shown, names={}, now=0.0).replace("<br>", "")
