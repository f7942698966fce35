"""The stand-in's channel as a web page that looks like Discord, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from otelmon.testing.channel import Attachment, PostedMessage
from otelmon.testing.discord_markdown import html
from otelmon.testing.discord_rules import Ping

_NO_COLOUR = 0x4E5058


def channel_page() -> str:
    """The page; it fetches ``/channel`` every second and shows it."""
    return files("otelmon.testing").joinpath("channel.html").read_text(encoding="utf-8")


def channel_view(
    messages: Sequence[PostedMessage], names: Mapping[str, str], now: float, threads: Mapping[str, str] | None = None
) -> str:
    """The messages as HTML, oldest first: those of the channel itself, then thread by thread under its name."""
    if not messages:
        return '<p class="empty">Nothing was posted yet.</p>'
    parts: list[str] = []
    for thread_id, name in {"": "", **(threads or {})}.items():
        parts += [f'<h2 class="thread">{escape(name)}</h2>'] if name else []
        parts += [_message(message, names, now) for message in messages if message.thread_id == thread_id]
    return "\n".join(parts)


def channel_json(messages: Sequence[PostedMessage], pings: Sequence[Ping], requests: int) -> dict[str, Any]:
    """Messages, pings and the number of requests, for a program in another process."""
    return {
        "messages": [{**message.json(), "edits": message.edits} for message in messages],
        "pings": [{"kind": ping.kind, "id": ping.id, "message_id": ping.message_id, "at": ping.at} for ping in pings],
        "requests": requests,
    }


def _message(message: PostedMessage, names: Mapping[str, str], now: float) -> str:
    pinged = ", ".join(names.get(ping.id, ping.id) for ping in message.pings)
    edited = '<span class="edited">(edited)</span>' if message.edited_at is not None else ""
    content = f'<div class="content">{html(message.content, names=names, now=now)} {edited}</div>'
    embeds = "".join(_embed(embed, names, now, message.image(embed)) for embed in message.embeds)
    images = [message.image(embed) for embed in message.embeds]
    embeds += "".join(_picture(each) for each in message.attachments if each not in images)
    links = "".join(_button(label, url) for label, url in message.buttons.items())
    buttons = f'<div class="buttons">{links}</div>' if links else ""
    note = f'<div class="pinged">pinged {escape(pinged)}</div>' if pinged else ""
    author = escape(str(message.body.get("username") or "otelmon"))
    return (
        f'<article class="message{" pings" if pinged else ""}" id="m{message.id}">'
        f'<div class="avatar" aria-hidden="true">{author[:1]}</div><div class="body">'
        f'<header><span class="author">{author}</span><span class="tag">APP</span>'
        f'<time class="when">{_when(message.posted_at)}</time></header>{content}{embeds}{buttons}{note}</div></article>'
    )


def _embed(embed: Mapping[str, Any], names: Mapping[str, str], now: float, image: Attachment | None = None) -> str:
    parts: list[str] = []
    if title := embed.get("title"):
        shown = html(title, names=names, now=now, block=False)
        url = _safe(embed.get("url"))
        parts.append(f'<div class="title">{_link(url, shown) if url else shown}</div>')
    if description := embed.get("description"):
        parts.append(f'<div class="description">{html(description, names=names, now=now)}</div>')
    if fields := embed.get("fields"):
        parts.append(f'<div class="fields">{"".join(_field(field, names, now) for field in fields)}</div>')
    parts += [] if image is None else [_picture(image)]
    foot = [escape((embed.get("footer") or {}).get("text", ""))]
    if sent_at := embed.get("timestamp"):
        foot.append(_when(datetime.fromisoformat(sent_at).timestamp()))
    if any(foot):
        parts.append(f"<footer>{' • '.join(filter(None, foot))}</footer>")
    colour = embed.get("color", _NO_COLOUR)
    return f'<section class="embed" style="border-color:#{colour:06x}">{"".join(parts)}</section>'


def _field(field: Mapping[str, Any], names: Mapping[str, str], now: float) -> str:
    name = html(field["name"], names=names, now=now, block=False)
    value = html(field["value"], names=names, now=now)
    inline = " inline" if field.get("inline") else ""
    return f'<div class="field{inline}"><div class="name">{name}</div><div class="value">{value}</div></div>'


def _picture(file: Attachment) -> str:
    if not file.kind.startswith("image/"):
        return f'<div class="file">{_link(file.path, escape(file.filename))}</div>'
    return f'<img class="picture" src="{escape(file.path)}" alt="{escape(file.description)}">'


def _button(label: str, url: str) -> str:
    return (
        f'<a class="button" href="{escape(_safe(url))}" rel="noreferrer noopener" target="_blank">{escape(label)} ↗</a>'
    )


def _safe(url: Any) -> str:
    return url if isinstance(url, str) and urlsplit(url).scheme.lower() in {"http", "https"} else ""


def _link(url: str, shown: str) -> str:
    return f'<a href="{escape(url)}" rel="noreferrer noopener" target="_blank">{shown}</a>'


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%d/%m/%Y, %H:%M:%S} UTC"
