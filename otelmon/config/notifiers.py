"""Reads what otelmon.yaml says of where pages go: ``notifiers:``, ``fallback:`` and ``routes:``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from pydantic import SecretStr

from otelmon.config.discord import DISCORD_KEYS, WEBHOOK_HINT, read_forum, read_mention, webhook_url_fault
from otelmon.config.sentry import SENTRY
from otelmon.config.settings import DISCORD, LOG, NotifierKind, NotifierSettings
from otelmon.document.fields import Fields, Problems, did_you_mean
from otelmon.document.model import Listing, Scalar, Section, Value, describe, is_empty
from otelmon.incidents.silence import parse_matchers
from otelmon.matching import Matcher
from otelmon.paging.routing import RouteRule

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_EXAMPLE = "write a name and {discord: URL} or {webhook: URL, token: TOKEN}"
_TAKEN = {DISCORD: "the one of `discord:`", LOG: "the application's log", SENTRY: "where SENTRY_DSN leads"}
_LIST = "write a list such as [checkout, managers]"


def read_notifiers(fields: Fields | None, problems: Problems) -> tuple[NotifierSettings, ...]:
    """``notifiers:``; problems are noted."""
    section = None if fields is None else fields.sub("notifiers")
    found: list[NotifierSettings] = []
    for name, entry in {} if section is None else section.entries.items():
        path = f"notifiers.{name}"
        if name in _TAKEN:
            problems.add(entry.key, f"{name!r} is {_TAKEN[name]}", key=path, hint="give this one another name")
        elif not _NAME.fullmatch(name):
            hint = "write up to 40 small letters, digits, - and _"
            problems.add(entry.key, "no name for a notifier", key=path, hint=hint)
        elif not isinstance(entry.value, Section):
            problems.add(entry.key, f"a section of keys expected, not {describe(entry.value)}", key=path, hint=_EXAMPLE)
        else:
            found += _notifier(name, entry.value, problems)
    return tuple(found)


def read_fallback(fields: Fields | None, notifiers: Iterable[str], problems: Problems) -> tuple[str, ...]:
    """``fallback:``, a list of the names of notifiers."""
    return () if fields is None else tuple(_names(fields, "fallback", (*notifiers, DISCORD, LOG), problems))


def read_routes(
    fields: Fields | None, notifiers: Iterable[str], policies: Iterable[str], problems: Problems
) -> tuple[RouteRule, ...]:
    """``routes:``, where each name of a notifier and of an escalation policy has to be known."""
    listing = None if fields is None else fields.listing("routes")
    known = (*notifiers, DISCORD, LOG)
    found: list[RouteRule] = []
    for number, item in enumerate(() if listing is None else listing.items, start=1):
        path = f"routes[{number}]"
        if not isinstance(item, Section):
            hint = "write - {match: 'team=\"checkout\"', notify: [checkout]}"
            problems.add(item, f"a section of keys expected, not {describe(item)}", key=path, hint=hint)
            continue
        if found and not found[-1].matchers:
            hint = "put the route without match last"
            problems.add(item, "never looked at: the route before has no match and takes all", key=path, hint=hint)
        if (rule := _route(item, path, known, tuple(policies), problems)) is not None:
            found.append(rule)
    return tuple(found)


def _notifier(name: str, section: Section, problems: Problems) -> Iterator[NotifierSettings]:
    path = f"notifiers.{name}"
    known = ("discord", "webhook", "token", *DISCORD_KEYS)
    fields = Fields(section, problems, known=known, path=path)
    kinds = [kind for kind in NotifierKind if fields.entry(kind.value) is not None]
    if not kinds and not section.entries.keys() <= set(known):
        return  # a key that was meant for one is said to be unknown
    if len(kinds) != 1:
        what = "discord and webhook are two notifiers" if kinds else "neither discord nor webhook"
        problems.add(section, what, key=path, hint=_EXAMPLE)
        return
    (kind,) = kinds
    value = fields.value(kind.value)
    url = value.text.strip() if isinstance(value, Scalar) else ""
    if not isinstance(value, Scalar) or (url == "" and not value.written):
        fields.fault(kind.value, f"an address expected, not {describe(value or section)}", _EXAMPLE)
    elif url and (fault := webhook_url_fault(url) if kind is NotifierKind.DISCORD else _address_fault(url)):
        fields.fault(kind.value, fault, WEBHOOK_HINT if kind is NotifierKind.DISCORD else "write https://...")
    for key in ("token",) if kind is NotifierKind.DISCORD else DISCORD_KEYS:
        if fields.entry(key) is not None:
            fields.fault(key, f"{key} is nothing that a notifier by {kind.value} has", "take it away")
    forum, tags = read_forum(fields, problems)
    token = _token(fields)
    yield NotifierSettings(
        name=name,
        kind=kind,
        url=SecretStr(url) if url else None,
        token=SecretStr(token) if token else None,
        forum=forum,
        tags=tags,
    )


def _token(fields: Fields) -> str:
    value = fields.value("token")
    if value is None:
        return ""
    text = value.text.strip() if isinstance(value, Scalar) else ""
    if not isinstance(value, Scalar) or not re.fullmatch(r"[\x21-\x7e]*", text):
        fields.fault("token", "is no token: text without spaces expected", "write token: ${NAME}")
        return ""
    return text


def _address_fault(url: str) -> str | None:
    """What is wrong with a webhook's address, without a word of it; None where nothing is."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not re.fullmatch(r"[\x21-\x7e]+", url):
        return "is no address that a webhook can have"
    return None


def _route(
    section: Section, path: str, known: tuple[str, ...], policies: tuple[str, ...], problems: Problems
) -> RouteRule | None:
    fields = Fields(section, problems, known=("match", "notify", "mention", "escalation"), path=path)
    matchers = _matchers(fields) if fields.entry("match") is not None else ()
    targets = None
    if fields.entry("notify") is not None:
        targets = tuple(_names(fields, "notify", known, problems))
        listing = fields.value("notify")
        if isinstance(listing, Listing) and not listing.items:
            hint = "name a notifier, or log; to page nobody, silence these alerts or take away their rule"
            fields.fault("notify", "a route that notifies nobody", hint)
    mentions = read_mention(fields, problems) if fields.entry("mention") is not None else None
    escalation = fields.text("escalation", what="the name of a policy") if fields.entry("escalation") else None
    if escalation is not None and escalation not in policies:
        hint = did_you_mean(escalation, policies) or _listed(policies, "write one under escalation:")
        fields.fault("escalation", f"there is no policy {escalation!r}", hint)
        return None
    return (
        None
        if matchers is None
        else RouteRule(matchers=matchers, targets=targets, mentions=mentions, escalation=escalation)
    )


def _matchers(fields: Fields) -> tuple[Matcher, ...] | None:
    value = fields.value("match")
    items = value.items if isinstance(value, Listing) else (value,)
    texts = [item.text for item in items if isinstance(item, Scalar) and not is_empty(item)]
    hint = 'write an alert\'s name, or matchers such as team="checkout"'
    if not texts or len(texts) != len(items):
        fields.fault("match", "matchers expected", hint)
        return None
    try:
        return parse_matchers(texts)
    except ValueError as error:
        # What a silence must not do a route may: take everything. Then it has no match.
        everything = "everything would be silent" in str(error)
        fields.fault(
            "match",
            "these matchers take everything" if everything else str(error),
            "leave match out to take the rest" if everything else None,
        )
        return None


def _names(fields: Fields, name: str, known: tuple[str, ...], problems: Problems) -> Iterator[str]:
    value: Value | None = fields.value(name)
    if value is None or (isinstance(value, Scalar) and is_empty(value)):
        return
    items = value.items if isinstance(value, Listing) else (value,)
    if isinstance(value, Section):
        fields.fault(name, "a list of notifiers expected, not a section of keys", _LIST)
        return
    seen: set[str] = set()
    for item in items:
        text = item.text.strip() if isinstance(item, Scalar) else ""
        if text not in known:
            message = f"there is no notifier {text!r}" if text else f"a notifier's name expected, not {describe(item)}"
            problems.add(item, message, key=fields.key(name), hint=did_you_mean(text, known) or _listed(known, _LIST))
        elif text in seen:
            problems.add(item, f"{text!r} is named twice", key=fields.key(name), hint="name it once")
        else:
            seen.add(text)
            yield text


def _listed(names: tuple[str, ...], otherwise: str) -> str:
    return f"there is {', '.join(names)}" if names else otherwise
