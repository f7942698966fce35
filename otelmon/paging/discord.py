"""A message as Discord's JSON: within its limits for any input, pinging nobody but the configured.

Limits, mentions and their rules: Discord's documentation of webhooks, messages and allowed mentions. Lengths are
counted in UTF-16 code units, as Discord's clients do: never more lenient than its servers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from otelmon.oncall.model import Mention, MentionKind
from otelmon.paging.model import Field, Message
from otelmon.paging.visible import BLANK, clean, clip, one_line, units
from otelmon.rules.model import Severity

CONTENT_LIMIT = 2000
TITLE_LIMIT = 256
DESCRIPTION_LIMIT = 4096
FIELDS_LIMIT = 25
FIELD_NAME_LIMIT = 256
FIELD_VALUE_LIMIT = 1024
FOOTER_LIMIT = 2048
EMBED_LIMIT = 6000
URL_LIMIT = 2048
BUTTON_URL_LIMIT = 512
POST_NAME_LIMIT = 100
PICTURE_TEXT_LIMIT = 1024
MENTIONS_LIMIT = 50
"""How many people and roles one page can ping: as many as fit into its content beside a title."""
PICTURE_NAME = "chart.png"
NEW_PICTURE = "0"
"""The id, within a request, of the picture that it brings along (``files[0]``)."""

COLOURS: Mapping[Severity, int] = {Severity.CRITICAL: 0xED4245, Severity.WARNING: 0xF0A020, Severity.INFO: 0x5865F2}
ACKNOWLEDGED_COLOUR = 0x9B59B6
RESOLVED_COLOUR = 0x23A55A

_MARKS: Mapping[Severity, str] = {Severity.CRITICAL: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🔵"}
_NAME_LIMIT = 80  # of who acknowledged
_DESCRIPTION_KEPT = 2048  # what a description keeps when the fields want the whole embed
_FOOTER_KEPT = 512
_MASKED_LINK_LIMIT = 1024
_FIELD_LINK_LIMIT = 700
_ACTION_ROW, _BUTTON, _LINK_STYLE = 1, 2, 5  # Discord's numbers: component types and a button's style
_SNOWFLAKE = re.compile("[0-9]{1,20}")
_URL = re.compile("https?://[\\x21-\\x7e]+", re.IGNORECASE)
_SPECIAL = frozenset("\\*_~`|[]<")
_BLOCK_MARK = re.compile("[-+#>]|[0-9]+(?=[.)])")  # begins a list, a heading, small print or a quote at a line's start
_ZERO_WIDTH_SPACE = "\u200b"


def payload(message: Message, picture: str = "") -> dict[str, Any]:
    """The body of the POST that sends a message.

    ``content`` carries severity, title and mentions (Discord pings from there only, and a phone's preview shows only
    that); the embed carries the details. Everything in the message but its mentions is data: markdown in it is
    escaped, mentions in it are broken, invisible characters are dropped, what is too long ends in an ellipsis.
    Mentions whose id is no snowflake are left out, and so are those beyond ``MENTIONS_LIMIT``. The page where the
    incident is acknowledged is a link button, which every webhook takes with ``with_components=true``; an address that
    is too long for a button is a link in the embed.

    ``picture`` is the id of the attachment that shows ``chart_field``: NEW_PICTURE for a file that comes along, else
    one that the message has. Without it that field is text.
    """
    body = plain_payload(message)
    if not message.short:
        shown = chart_field(message) if picture else None
        body["embeds"] = [_embed(message, shown)]
        if shown is not None:
            body["attachments"] = [_attachment(picture, shown)]
        if button := _button(message):
            body["components"] = [{"type": _ACTION_ROW, "components": [button]}]
    return body


def plain_payload(message: Message) -> dict[str, Any]:
    """The same message with its content only: the least that can be said."""
    mentions = _mentionable(message.mentions)
    return {"content": _content(message, mentions), "allowed_mentions": _allowed(mentions)}


def edit_payload(message: Message, picture: str = "") -> dict[str, Any]:
    """The body of the PATCH that makes an earlier message say this.

    An edit pings nobody, yet it is parsed with the default allowances unless they are passed again: so none are given.
    A short message takes the details of the earlier one away, and what nobody has to press any more its button. An
    attachment that is not listed goes, so that none is left without its place.
    """
    body = payload(message, picture)
    body["allowed_mentions"] = {"parse": []}
    body.setdefault("embeds", [])
    body.setdefault("components", [])
    body.setdefault("attachments", [])
    return body


def chart_field(message: Message) -> Field | None:
    """What a picture can say instead of text; None where there is no such thing."""
    if message.short:
        return None
    return next((field for field in message.fields if field.chart is not None), None)


def post_name(message: Message) -> str:
    """What the post of an incident in a forum is called: plain text, in which nothing is rendered."""
    title = one_line(message.title)
    return clip(list(title[: POST_NAME_LIMIT + 1]), POST_NAME_LIMIT) or BLANK


def _content(message: Message, mentions: Sequence[Mention]) -> str:
    if message.resolved:
        head = f"✅ **RESOLVED** ({message.severity})"
    elif message.acknowledged_by:
        head = f"👀 **ACKNOWLEDGED** by {_text(message.acknowledged_by, _NAME_LIMIT)} ({message.severity})"
    else:
        head = f"{_MARKS[message.severity]} **{message.severity.upper()}**"
    tail = "".join(" " + _markup(mention) for mention in mentions)
    room = CONTENT_LIMIT - units(head) - units(tail) - 1
    title = f"{message.title} ({message.note})" if message.short and message.note else message.title
    return f"{head} {_text(title, room)}{tail}"


def _mentionable(mentions: Sequence[Mention]) -> tuple[Mention, ...]:
    valid = (mention for mention in mentions if _SNOWFLAKE.fullmatch(mention.id) and int(mention.id) < 2**64)
    return tuple(dict.fromkeys(valid))[:MENTIONS_LIMIT]


def _markup(mention: Mention) -> str:
    return f"<@&{mention.id}>" if mention.kind is MentionKind.ROLE else f"<@{mention.id}>"


def _allowed(mentions: Sequence[Mention]) -> dict[str, Any]:
    allowed: dict[str, Any] = {"parse": []}
    for key, kind in (("users", MentionKind.USER), ("roles", MentionKind.ROLE)):
        if ids := [mention.id for mention in mentions if mention.kind is kind]:
            allowed[key] = ids
    return allowed


def _attachment(picture: str, shown: Field) -> dict[str, Any]:
    if picture != NEW_PICTURE:
        return {"id": picture}
    said = one_line(f"{shown.name}: {shown.value}")  # for whoever cannot see it
    return {
        "id": picture,
        "filename": PICTURE_NAME,
        "description": clip(list(said[: PICTURE_TEXT_LIMIT + 1]), PICTURE_TEXT_LIMIT),
    }


def _embed(message: Message, pictured: Field | None = None) -> dict[str, Any]:
    link = _link(message.link)
    embed: dict[str, Any] = {"title": _text(message.title, TITLE_LIMIT), "color": _colour(message)}
    room = EMBED_LIMIT - units(embed["title"])
    if footer := one_line(message.footer):  # a footer's markdown is not rendered: an escape would show
        embed["footer"] = {"text": clip(list(footer[: _FOOTER_KEPT + 1]), _FOOTER_KEPT)}
        room -= units(embed["footer"]["text"])
    if link:
        embed["url"] = link
    if pictured is not None:
        embed["image"] = {"url": f"attachment://{PICTURE_NAME}"}
    fields = _fields(message, link, pictured)
    wanted = sum(units(field["name"]) + units(field["value"]) for field in fields)
    if description := _description(message, link, max(_DESCRIPTION_KEPT, room - wanted)):
        embed["description"] = description
        room -= units(description)
    if fields := _fitting(fields, room):
        embed["fields"] = fields
    if message.since_at is not None:
        embed["timestamp"] = message.since_at.replace(microsecond=0).isoformat()
    return embed


def _colour(message: Message) -> int:
    if message.resolved:
        return RESOLVED_COLOUR
    return ACKNOWLEDGED_COLOUR if message.acknowledged_by else COLOURS[message.severity]


def _description(message: Message, link: str, limit: int) -> str:
    limit = min(limit, DESCRIPTION_LIMIT)
    masked = f"[Open the runbook]({link})" if link and len(link) <= _MASKED_LINK_LIMIT else ""
    room = limit - units(masked) - 2
    said = "\n\n".join(part for part in (clean(message.note), clean(message.description)) if part)
    text = _text(said, room, lines=True) if said else ""
    return "\n\n".join(part for part in (text, masked) if part)


def _fields(message: Message, link: str, pictured: Field | None) -> list[dict[str, Any]]:
    fields = [_field(field) for field in message.fields if field is not pictured]
    if message.since_at is not None:
        seconds = int(message.since_at.timestamp())
        name = "Began" if message.resolved else "Since"
        fields.insert(0, {"name": name, "value": f"<t:{seconds}:f>, <t:{seconds}:R>", "inline": False})
    if clean(message.link) and not link:  # a path, or an address that Discord would refuse: shown, not linked
        fields.append(_field(Field(name="Runbook", value=message.link, inline=False)))
    address = _link(message.acknowledge)
    if address and len(address) <= _MASKED_LINK_LIMIT - 32 and _button(message) is None:
        masked = f"[Open the acknowledge page]({address})"
        fields.insert(0, {"name": "Acknowledge here", "value": masked, "inline": False})
    return fields


def _field(field: Field) -> dict[str, Any]:
    return {
        "name": _text(one_line(field.name), FIELD_NAME_LIMIT),
        "value": _value(field),
        "inline": field.inline,
    }


def _value(field: Field) -> str:
    link = _link(field.link)
    if not link or len(link) > _FIELD_LINK_LIMIT:
        return _text(field.value, FIELD_VALUE_LIMIT, lines=True)
    return f"[{_text(one_line(field.value), FIELD_VALUE_LIMIT - _FIELD_LINK_LIMIT - 4)}]({link})"


def _fitting(fields: list[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    """As many fields as there is room for; a last one says how many are not shown."""
    sizes = [units(field["name"]) + units(field["value"]) for field in fields]
    if len(fields) <= FIELDS_LIMIT and sum(sizes) <= room:
        return fields
    room -= units(f"Not shown{len(fields)} more")
    shown: list[dict[str, Any]] = []
    for field, size in zip(fields, sizes, strict=True):
        if size > room or len(shown) == FIELDS_LIMIT - 1:
            break
        shown.append(field)
        room -= size
    return [*shown, {"name": "Not shown", "value": f"{len(fields) - len(shown)} more", "inline": False}]


def _button(message: Message) -> dict[str, Any] | None:
    """The button that leads to the page where the incident is acknowledged; None where there is none to show."""
    url = _link(message.acknowledge)
    if not url or units(url) > BUTTON_URL_LIMIT:
        return None
    return {"type": _BUTTON, "style": _LINK_STYLE, "label": "Acknowledge", "url": url}


def _link(link: str) -> str:
    """The link, if it is an address that Discord takes and a reader may be sent to; else nothing."""
    link = link.strip()
    if len(link) > URL_LIMIT or not _URL.fullmatch(link):
        return ""
    try:
        parts = urlsplit(link)
        usable = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc and parts.netloc.isprintable()
    except ValueError:
        return ""
    if not usable or not re.fullmatch("[A-Za-z0-9.:\\[\\]-]+", parts.netloc):
        return ""
    for character in "()<>[]\\`\"'|*":
        start = len(parts.scheme) + 3 + len(parts.netloc)
        link = link[:start] + link[start:].replace(character, f"%{ord(character):02X}")
    return link if len(link) <= URL_LIMIT else ""


def _text(text: str, limit: int, *, lines: bool = False) -> str:
    """Data as markdown that shows it as it is, within ``limit``; a dash when there is nothing to see."""
    text = clean(text) if lines else one_line(text)
    if not text:
        return BLANK
    return clip(_escaped(text[: limit + 1]), limit)


def _escaped(text: str) -> list[str]:
    """The text as tokens, each a character with what makes it harmless.

    A backslash keeps markdown, links and emoji names from being rendered, but mentions are looked for without heeding
    it: an ``@`` is parted from its name by a zero-width space, which is what breaks those.
    """
    tokens: list[str] = []
    escaped_at = -1
    line_start = True
    for index, character in enumerate(text):
        if line_start and not character.isspace():
            line_start = False
            if mark := _BLOCK_MARK.match(text, index):
                escaped_at = mark.end() if character.isdecimal() else index
        if character == "@":
            tokens.append("@" + _ZERO_WIDTH_SPACE)
        elif character in _SPECIAL or index == escaped_at or (character == ":" and text[index + 1 : index + 2].strip()):
            tokens.append("\\" + character)
        else:
            tokens.append(character)
        line_start = line_start or character == "\n"
    return tokens
