"""Reads what otelmon.yaml and the environment say of Discord: the webhook, who is mentioned, forum posts."""

from __future__ import annotations

import re

from pydantic import SecretStr

from otelmon.config.settings import DiscordSettings
from otelmon.document.fields import Fields, Problems, did_you_mean, set_fields
from otelmon.document.model import Scalar, Section, Value, describe, is_empty
from otelmon.oncall.model import Mention, MentionKind
from otelmon.rules.model import Severity
from otelmon.variables import Variables

_MOST_TAGS = 5
_SNOWFLAKE = re.compile(r"[0-9]{17,20}")
_WEBHOOK_URL = re.compile(
    r"(?:https://(?:ptb\.|canary\.)?discord(?:app)?\.com/api(?:/v[0-9]+)?/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{20,}"
    r"|http://(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]+)?/api(?:/v[0-9]+)?/webhooks/[0-9]+/[A-Za-z0-9_-]+)"
    r"(?:\?thread_id=[0-9]+)?"
)
DISCORD_KEYS = ("forum", "tags")
"""What can be said of a Discord channel beside its webhook."""
WEBHOOK_HINT = "copy it from the channel's settings in Discord: https://discord.com/api/webhooks/ID/TOKEN"


def read_discord(fields: Fields | None, variables: Variables, problems: Problems) -> DiscordSettings:
    """``discord:``, with DISCORD_WEBHOOK_URL and DISCORD_ROLE_ID."""
    return _Reader(fields, variables, problems).discord()


class _Reader:
    def __init__(self, fields: Fields | None, variables: Variables, problems: Problems) -> None:
        self.fields = fields
        self.variables = variables
        self.problems = problems

    def discord(self) -> DiscordSettings:
        """``discord:``, with DISCORD_WEBHOOK_URL and DISCORD_ROLE_ID."""
        section = None if self.fields is None else self.fields.sub("discord")
        fields = None
        if section is not None:
            fields = set_fields(section, self.problems, known=("webhook_url", "mention", *DISCORD_KEYS), path="discord")
        url = self._webhook_url(fields)
        mention = {} if fields is None else read_mention(fields, self.problems)
        forum, tags = (False, ()) if fields is None else read_forum(fields, self.problems)
        role = self.variables.text("DISCORD_ROLE_ID")
        if role is not None:
            if _SNOWFLAKE.fullmatch(role):
                # Beside those of the file, not in their place: one more person pinged is better than one less.
                critical = (*mention.get(Severity.CRITICAL, ()), Mention(kind=MentionKind.ROLE, id=role))
                mention[Severity.CRITICAL] = tuple(dict.fromkeys(critical))
            else:
                self.variables.fault("DISCORD_ROLE_ID", "is no id of a role", "set it to its 17 to 20 digits")
        secret = None if url is None else SecretStr(url)
        return DiscordSettings(webhook_url=secret, mention=mention, forum=forum, tags=tags)

    def _webhook_url(self, fields: Fields | None) -> str | None:
        name = "DISCORD_WEBHOOK_URL"
        url = self.variables.text(name)
        if url is not None:
            fault = webhook_url_fault(url)
            if fault is not None:
                self.variables.fault(name, fault, WEBHOOK_HINT)
            return url
        value = None if fields is None else fields.value("webhook_url")
        if fields is None or value is None:
            return None
        url = value.text.strip() if isinstance(value, Scalar) else ""
        fault = webhook_url_fault(url)
        if fault is not None:
            fields.fault("webhook_url", fault, WEBHOOK_HINT)
        return url


def read_mention(fields: Fields, problems: Problems) -> dict[Severity, tuple[Mention, ...]]:
    """``mention:`` of a section: the roles and users to ping, by severity."""
    section = fields.sub("mention")
    if section is None:
        return {}
    severities = [severity.value for severity in reversed(Severity)]
    by_severity = set_fields(section, problems, known=severities, path=fields.key("mention"))
    found: dict[Severity, tuple[Mention, ...]] = {}
    for severity in severities:
        listing = by_severity.listing(severity)
        items = () if listing is None else listing.items
        read = (_one_mention(item, by_severity.key(severity), problems) for item in items)
        mentions = tuple(dict.fromkeys(mention for mention in read if mention is not None))
        if mentions:
            found[Severity(severity)] = mentions
    return found


def read_forum(fields: Fields, problems: Problems) -> tuple[bool, tuple[str, ...]]:
    """``forum:`` and ``tags:`` of a section: whether the channel is a forum, and the ids of its posts' tags."""
    forum = bool(fields.boolean("forum"))
    listing = fields.listing("tags")
    tags: list[str] = []
    for item in () if listing is None else listing.items:
        text = item.text.strip() if isinstance(item, Scalar) else ""
        if _SNOWFLAKE.fullmatch(text):
            tags.append(text)
        else:
            hint = "write its 17 to 20 digits (in Discord: developer mode, Copy ID)"
            problems.add(item, f"{describe(item)} is no id of a tag", key=fields.key("tags"), hint=hint)
    if tags and not forum:
        fields.fault("tags", "only posts in a forum have tags", "write forum: true beside it")
    if len(tags) > _MOST_TAGS:
        fields.fault("tags", f"a post has at most {_MOST_TAGS} tags")
    return forum, tuple(dict.fromkeys(tags))


def _one_mention(value: Value, key: str, problems: Problems) -> Mention | None:
    if not isinstance(value, Section) or len(value.entries) != 1:
        hint = "write - role: ID or - user: ID, with the id's 17 to 20 digits"
        problems.add(value, f"a role or a user expected, not {describe(value)}", key=key, hint=hint)
        return None
    ((kind, entry),) = value.entries.items()
    if kind not in set(MentionKind):
        hint = did_you_mean(kind, MentionKind) or "write role: or user:"
        problems.add(entry.key, "neither a role nor a user", key=f"{key}.{kind}", hint=hint)
        return None
    if isinstance(entry.value, Scalar) and entry.value.written and is_empty(entry.value):
        return None  # ${NAME:-} with nothing set: nobody
    text = entry.value.text.strip() if isinstance(entry.value, Scalar) else ""
    if not _SNOWFLAKE.fullmatch(text):
        hint = "write its 17 to 20 digits (in Discord: developer mode, Copy ID)"
        message = f"{describe(entry.value)} is no id of Discord"
        problems.add(entry.value, message, key=f"{key}.{kind}", hint=hint)
        return None
    return Mention(kind=MentionKind(kind), id=text)


def webhook_url_fault(url: str) -> str | None:
    """What is wrong with a Discord webhook URL, without a word of it; None where nothing is."""
    if _WEBHOOK_URL.fullmatch(url):
        return None
    if url[:1] in "'\"" and url[:1] == url[-1:]:
        return "has quotes around it that are part of the value"
    if url.startswith("http://") and "discord" in url:
        return "is a webhook URL without TLS; it has to begin with https://"
    if "/channels/" in url:
        return "is the address of a channel, not of a webhook"
    if "/api/webhooks/" in url and "discord" in url:
        return "is not a whole webhook URL: the id has 17 to 20 digits, the token more than 20 characters"
    return "is not the URL of a Discord webhook"
