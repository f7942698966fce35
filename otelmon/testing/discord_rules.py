"""What Discord takes and refuses, and whom a message pings.

From Discord's documentation of webhooks, messages, embeds, allowed mentions and error codes. Where a limit counts
characters, UTF-16 code units are counted: never more lenient than Discord.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from otelmon.testing.discord_components import component_faults

INVALID_FORM_BODY = 50035
EMPTY_MESSAGE = 50006
INVALID_JSON = 50109
UNKNOWN_WEBHOOK = 10015
UNKNOWN_MESSAGE = 10008
INVALID_TOKEN = 50027
UNKNOWN_CHANNEL = 10003
FORUM_WANTS_THREAD = 220001
NAMES_TWO_THREADS = 220002
NO_FORUM = 220003
_IN_A_FORUM = "Webhooks posted to forum channels"
_MOST_TAGS = 5

_FLAGS = 1 << 2 | 1 << 12 | 1 << 15  # suppress embeds, suppress notifications, components v2
SUPPRESS_NOTIFICATIONS = 1 << 12
_EMBED_TYPES = ("rich", "image", "video", "gifv", "article", "link")
_SNOWFLAKE = re.compile("[0-9]{1,20}")
_BLANK = re.compile(r"\s*")
_CODE = re.compile(r"(?<!\\)(`+)(?!`).*?(?<![`\\])\1(?!`)", re.DOTALL)
_MENTION = re.compile(r"<@!?(?P<user>[0-9]{1,20})>|<@&(?P<role>[0-9]{1,20})>|(?P<everyone>@everyone|@here)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Discord's answer to a body that it does not take: HTTP status and JSON."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Somebody was notified. ``kind`` is user, role or everyone; ``id`` is theirs (or the word, for everyone).

    ``at`` is the stand-in's clock in unix seconds.
    """

    kind: str
    id: str
    message_id: str = ""
    at: float = 0.0


def refusal(status: int, code: int, message: str) -> Refusal:
    """A refusal with Discord's code and words."""
    return Refusal(status=status, body={"message": message, "code": code})


def length(text: str) -> int:
    """UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def check(
    body: Any, *, earlier: Mapping[str, Any] | None = None, forum: bool = False, thread_id: str = ""
) -> Refusal | None:
    """Why Discord refuses this body; None if it takes it. ``earlier`` is the message that an edit changes.

    ``forum`` says that the channel is one, where a message goes into a thread (``thread_id``) or opens one by name.
    """
    if not isinstance(body, dict):
        return form_refusal({"": [("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")]})
    faults: dict[str, list[tuple[str, str]]] = {}
    _text(faults, "content", body.get("content"), 2000)
    _embeds(faults, body.get("embeds"))
    _allowed_mentions(faults, body.get("allowed_mentions"))
    _sender(faults, body)
    faults |= component_faults(body.get("components"))
    _thread_name(faults, body)
    if faults:
        return form_refusal(faults)
    if earlier is None and (refused := _thread(body, forum=forum, thread_id=thread_id)):
        return refused
    merged = {**(earlier or {}), **body}
    if _blank(merged.get("content")) and not merged.get("embeds"):
        return refusal(400, EMPTY_MESSAGE, "Cannot send an empty message")
    return None


def _thread(body: Mapping[str, Any], *, forum: bool, thread_id: str) -> Refusal | None:
    name = body.get("thread_name")
    if name is not None and not forum:
        return refusal(400, NO_FORUM, "Webhooks can only create threads in forum channels")
    if name is not None and thread_id:
        return refusal(400, NAMES_TWO_THREADS, f"{_IN_A_FORUM} cannot have both a thread_name and thread_id")
    if forum and name is None and not thread_id:
        return refusal(400, FORUM_WANTS_THREAD, f"{_IN_A_FORUM} must have a thread_name or thread_id")
    return None


def _thread_name(faults: dict[str, list[tuple[str, str]]], body: Mapping[str, Any]) -> None:
    name, tags = body.get("thread_name"), body.get("applied_tags")
    if name is not None and not (isinstance(name, str) and not _blank(name) and length(name.strip()) <= 100):
        faults["thread_name"] = [("BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")]
    if tags is None:
        return
    if not isinstance(tags, list) or len(tags) > _MOST_TAGS:
        faults["applied_tags"] = [("BASE_TYPE_MAX_LENGTH", f"Must be {_MOST_TAGS} or fewer in length.")]
        return
    for index, tag in enumerate(tags):
        if not _SNOWFLAKE.fullmatch(str(tag)):
            faults[f"applied_tags.{index}"] = [("NUMBER_TYPE_COERCE", f'Value "{tag}" is not snowflake.')]


def pings(body: Mapping[str, Any]) -> tuple[Ping, ...]:
    """Whom a new message pings: from ``content`` only, outside code, and only whom ``allowed_mentions`` lets.

    Without ``allowed_mentions`` a webhook's message may ping users, but no roles and not everyone.
    """
    if (body.get("flags") or 0) & SUPPRESS_NOTIFICATIONS:
        return ()
    allowed = body.get("allowed_mentions")
    allowed = {"parse": ["users"]} if allowed is None else allowed
    parse = set(allowed.get("parse") or ())
    users, roles = (set(map(str, allowed.get(key) or ())) for key in ("users", "roles"))
    found: dict[Ping, None] = {}
    for mention in _MENTION.finditer(_CODE.sub("", body.get("content") or "")):
        user, role, everyone = mention.group("user", "role", "everyone")
        if user and ("users" in parse or user in users):
            found[Ping(kind="user", id=user)] = None
        elif role and ("roles" in parse or role in roles):
            found[Ping(kind="role", id=role)] = None
        elif everyone and "everyone" in parse:
            found[Ping(kind="everyone", id=everyone)] = None
    return tuple(found)


def form_refusal(faults: Mapping[str, Sequence[tuple[str, str]]]) -> Refusal:
    """A refusal for faults of the body, each under its path."""
    errors: dict[str, Any] = {}
    for path, leaves in faults.items():
        node = errors
        for part in filter(None, path.split(".")):
            node = node.setdefault(part, {})
        node["_errors"] = [{"code": code, "message": message} for code, message in leaves]
    return Refusal(status=400, body={"message": "Invalid Form Body", "code": INVALID_FORM_BODY, "errors": errors})


def _blank(text: Any) -> bool:
    return not isinstance(text, str) or _BLANK.fullmatch(text) is not None


def _text(
    faults: dict[str, list[tuple[str, str]]], path: str, value: Any, limit: int, *, required: bool = False
) -> None:
    if value is None and not required:
        return
    if required and (value is None or (isinstance(value, str) and _blank(value))):
        faults[path] = [("BASE_TYPE_REQUIRED", "This field is required")]
    elif not isinstance(value, str):
        faults[path] = [("STRING_TYPE_CONVERT", "Could not interpret value as string.")]
    elif length(value.strip()) > limit:
        faults[path] = [("BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")]
    elif any("\ud800" <= character <= "\udfff" for character in value):
        faults[path] = [("STRING_TYPE_CONVERT", "Could not interpret value as string.")]


def _embeds(faults: dict[str, list[tuple[str, str]]], embeds: Any) -> None:
    if embeds is None:
        return
    if not isinstance(embeds, list):
        faults["embeds"] = [("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")]
        return
    if len(embeds) > 10:
        faults["embeds"] = [("BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")]
        return
    before = len(faults)
    for index, embed in enumerate(embeds):
        if isinstance(embed, dict):
            _embed(faults, f"embeds.{index}", embed)
        else:
            faults[f"embeds.{index}"] = [("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")]
    if len(faults) == before and sum(map(_size, embeds)) > 6000:
        faults["embeds"] = [("MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")]


def _embed(faults: dict[str, list[tuple[str, str]]], path: str, embed: Mapping[str, Any]) -> None:
    _text(faults, f"{path}.title", embed.get("title"), 256)
    _text(faults, f"{path}.description", embed.get("description"), 4096)
    _url(faults, f"{path}.url", embed.get("url"), ("http", "https"))
    kind, colour, sent_at = embed.get("type"), embed.get("color"), embed.get("timestamp")
    if kind is not None and kind not in _EMBED_TYPES:
        faults[f"{path}.type"] = [("BASE_TYPE_CHOICES", f"Value must be one of {_EMBED_TYPES}.")]
    if colour is not None and (not isinstance(colour, int) or isinstance(colour, bool)):
        faults[f"{path}.color"] = [("NUMBER_TYPE_COERCE", f'Value "{colour}" is not int.')]
    elif colour is not None and not 0 <= colour <= 0xFFFFFF:
        faults[f"{path}.color"] = [("NUMBER_TYPE_MAX", "int value should be between 0 and 16777215.")]
    if sent_at is not None and not _is_timestamp(sent_at):
        faults[f"{path}.timestamp"] = [("DATE_TIME_TYPE_PARSE", f"Could not parse {sent_at}. Should be ISO8601.")]
    for part, key, limit in (("footer", "text", 2048), ("author", "name", 256)):
        if (value := embed.get(part)) is not None:
            inner = value.get(key) if isinstance(value, dict) else None
            _text(faults, f"{path}.{part}.{key}", inner, limit, required=True)
    for part in ("image", "thumbnail"):
        if (value := embed.get(part)) is not None:
            address = value.get("url") if isinstance(value, dict) else value
            _url(faults, f"{path}.{part}.url", address, ("http", "https", "attachment"))
    _embed_fields(faults, f"{path}.fields", embed.get("fields"))
    shown = ("title", "description", "fields", "image", "thumbnail", "footer", "author")
    if not any(embed.get(key) and not (isinstance(embed[key], str) and _blank(embed[key])) for key in shown):
        faults.setdefault(f"{path}.description", [("BASE_TYPE_REQUIRED", "This field is required")])


def _embed_fields(faults: dict[str, list[tuple[str, str]]], path: str, fields: Any) -> None:
    if fields is None:
        return
    if not isinstance(fields, list):
        faults[path] = [("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")]
        return
    if len(fields) > 25:
        faults[path] = [("BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")]
        return
    for index, field in enumerate(fields):
        if not isinstance(field, dict):
            faults[f"{path}.{index}"] = [("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")]
            continue
        _text(faults, f"{path}.{index}.name", field.get("name"), 256, required=True)
        _text(faults, f"{path}.{index}.value", field.get("value"), 1024, required=True)
        if not isinstance(field.get("inline", False), bool):
            faults[f"{path}.{index}.inline"] = [("BOOLEAN_TYPE_CONVERT", "Must be either true or false.")]


def _size(embed: Mapping[str, Any]) -> int:
    texts = [embed.get("title"), embed.get("description")]
    texts += [(embed.get("footer") or {}).get("text"), (embed.get("author") or {}).get("name")]
    texts += [field[key] for field in embed.get("fields") or () for key in ("name", "value")]
    return sum(length(text.strip()) for text in texts if text)


def _url(faults: dict[str, list[tuple[str, str]]], path: str, url: Any, schemes: Sequence[str]) -> None:
    if url is None:
        return
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        parts = None
    if parts is None or not parts.scheme or not parts.netloc or re.search(r"[\s<>\"]", url):
        faults[path] = [("URL_TYPE_INVALID_URL", "Not a well formed URL.")]
    elif parts.scheme.lower() not in schemes:
        message = f'Scheme "{parts.scheme}" is not supported. Scheme must be one of {tuple(schemes)}.'
        faults[path] = [("URL_TYPE_INVALID_SCHEME", message)]
    elif length(url) > 2048:
        faults[path] = [("BASE_TYPE_MAX_LENGTH", "Must be 2048 or fewer in length.")]


def _is_timestamp(value: Any) -> bool:
    try:
        return bool(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return False


def _allowed_mentions(faults: dict[str, list[tuple[str, str]]], allowed: Any) -> None:
    path = "allowed_mentions"
    if allowed is None:
        return
    if not isinstance(allowed, dict):
        faults[path] = [("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")]
        return
    parse = allowed.get("parse") or []
    for index, word in enumerate(parse if isinstance(parse, list) else [parse]):
        if word not in ("roles", "users", "everyone"):
            message = "Value must be one of ('users', 'roles', 'everyone')."
            faults[f"{path}.parse.{index}"] = [("BASE_TYPE_CHOICES", message)]
    for key in ("users", "roles"):
        ids = allowed.get(key) or []
        if not isinstance(ids, list):
            faults[f"{path}.{key}"] = [("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")]
            continue
        if len(ids) > 100:
            faults[f"{path}.{key}"] = [("BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length.")]
        elif len(set(map(str, ids))) != len(ids):
            faults[f"{path}.{key}"] = [("SET_TYPE_ALREADY_CONTAINS_VALUE", "The set already contains this value")]
        for index, identity in enumerate(ids):
            if not _SNOWFLAKE.fullmatch(str(identity)) or int(identity) >= 2**64:
                fault = ("NUMBER_TYPE_COERCE", f'Value "{identity}" is not snowflake.')
                faults[f"{path}.{key}.{index}"] = [fault]
        if ids and isinstance(parse, list) and key in parse:
            message = f'parse:["{key}"] and {key}: [ids...] are mutually exclusive.'
            faults[path] = [("MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message)]


def _sender(faults: dict[str, list[tuple[str, str]]], body: Mapping[str, Any]) -> None:
    name = body.get("username")
    if name is not None:
        _text(faults, "username", name, 80, required=True)
        if isinstance(name, str) and any(word in name.lower() for word in ("discord", "clyde")):
            faults["username"] = [("USERNAME_INVALID_CONTAINS", 'Username cannot contain "discord"')]
    _url(faults, "avatar_url", body.get("avatar_url"), ("http", "https"))
    if not isinstance(body.get("tts") or False, bool):
        faults["tts"] = [("BOOLEAN_TYPE_CONVERT", "Must be either true or false.")]
    flags = body.get("flags")
    if flags is not None and (not isinstance(flags, int) or isinstance(flags, bool) or flags & ~_FLAGS):
        faults["flags"] = [("BITFIELD_TYPE_INVALID", "Only suppress embeds, notifications, components v2 may be set.")]
