"""A channel as the stand-in for Discord keeps it: messages, edits, who was pinged when."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from otelmon.testing.discord_rules import Ping, pings

CHANNEL_ID = "1180000000000000000"
_FIRST_MESSAGE_ID = 1_300_000_000_000_000_000
_KEPT = ("content", "embeds", "components", "allowed_mentions", "flags", "username")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file of a message; ``path`` is where the stand-in serves it."""

    id: str
    filename: str
    content: bytes = field(repr=False)
    kind: str = "application/octet-stream"
    description: str = ""

    @property
    def path(self) -> str:
        """Its path, as Discord's file server has it."""
        return f"attachments/{CHANNEL_ID}/{self.id}/{self.filename}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedMessage:
    """A message as the channel shows it now. Instants are unix seconds of the stand-in's clock.

    ``body`` is what was sent, merged with later edits; ``edits`` counts those. ``pings`` is whom it notified, once,
    when it was posted. ``thread_id`` is that of the thread it is in; a post in a forum has its first message's id.
    ``attachments`` are its files, whether an embed shows them or not.
    """

    id: str
    body: Mapping[str, Any]
    posted_at: float
    pings: tuple[Ping, ...] = ()
    thread_id: str = ""
    edited_at: float | None = None
    edits: int = 0
    attachments: tuple[Attachment, ...] = ()

    @property
    def content(self) -> str:
        """The text above the embeds."""
        return str(self.body.get("content") or "")

    @property
    def embeds(self) -> Sequence[Mapping[str, Any]]:
        """The embeds, possibly none."""
        return self.body.get("embeds") or ()

    @property
    def buttons(self) -> Mapping[str, str]:
        """The link buttons below it: label to address."""
        rows = self.body.get("components") or ()
        return {button["label"]: button["url"] for row in rows for button in row["components"]}

    @property
    def text(self) -> str:
        """All that can be read in it: content, titles, descriptions, fields, footers."""
        parts = [self.content]
        for embed in self.embeds:
            parts += [embed.get("title", ""), embed.get("description", "")]
            parts += [f"{field['name']}: {field['value']}" for field in embed.get("fields") or ()]
            parts.append((embed.get("footer") or {}).get("text", ""))
        return "\n".join(filter(None, parts))

    def image(self, embed: Mapping[str, Any]) -> Attachment | None:
        """The file that an embed of it shows as its image; None where it shows none."""
        name = str((embed.get("image") or {}).get("url", "")).removeprefix("attachment://")
        return next((each for each in self.attachments if each.filename == name), None)

    def json(self, base: str = "") -> dict[str, Any]:
        """As Discord answers with it. ``base`` is the stand-in's address: files are below it.

        A file that an embed shows is found there and not among the attachments.
        """
        images = [self.image(embed) for embed in self.embeds]
        embeds = [
            {"type": "rich", **embed, **({} if image is None else {"image": {"url": base + image.path}})}
            for embed, image in zip(self.embeds, images, strict=True)
        ]
        return {
            "attachments": [
                {"id": each.id, "filename": each.filename, "size": len(each.content), "url": base + each.path}
                for each in self.attachments
                if each not in images
            ],
            "id": self.id,
            "type": 0,
            "channel_id": self.thread_id or CHANNEL_ID,
            "content": self.content,
            "embeds": embeds,
            "components": self.body.get("components") or [],
            "timestamp": _iso(self.posted_at),
            "edited_timestamp": None if self.edited_at is None else _iso(self.edited_at),
            "flags": self.body.get("flags") or 0,
        }


class Channel:
    """The messages in order. Threads may post, edit, read and wait at once."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._messages: dict[str, PostedMessage] = {}
        self._pings: list[Ping] = []
        self._threads: dict[str, str] = {}
        self._posted = 0
        self._edits = 0

    @property
    def messages(self) -> tuple[PostedMessage, ...]:
        """What the channel shows, oldest first; deleted messages are gone."""
        with self.changed:
            return tuple(self._messages.values())

    @property
    def threads(self) -> Mapping[str, str]:
        """The names of the threads (in a forum: posts) by their ids, oldest first."""
        with self.changed:
            return dict(self._threads)

    def open_thread(self, name: str) -> str:
        """Open a thread, as somebody in the channel may; its id."""
        with self.changed:
            self._posted += 1
            thread_id = str(_FIRST_MESSAGE_ID + self._posted)
            self._threads[thread_id] = name
            return thread_id

    def delete_thread(self, thread_id: str) -> None:
        """Remove a thread with its messages."""
        with self.changed:
            self._threads.pop(thread_id, None)
            for message in [each for each in self._messages.values() if each.thread_id == thread_id]:
                del self._messages[message.id]
            self.changed.notify_all()

    @property
    def pings(self) -> tuple[Ping, ...]:
        """Whoever was notified so far, in order; a ping outlives its message."""
        with self.changed:
            return tuple(self._pings)

    @property
    def posted(self) -> int:
        """How many messages were posted, deleted ones included."""
        with self.changed:
            return self._posted

    @property
    def edits(self) -> int:
        """How many edits there were."""
        with self.changed:
            return self._edits

    def get(self, message_id: str) -> PostedMessage | None:
        """The message of that id."""
        with self.changed:
            return self._messages.get(message_id)

    def post(
        self, body: Mapping[str, Any], at: float, thread_id: str = "", attachments: Sequence[Attachment] = ()
    ) -> PostedMessage:
        """Add a message that was found to be right, and ping whom it pings; ``thread_name`` in it opens a thread."""
        with self.changed:
            self._posted += 1
            message_id = str(_FIRST_MESSAGE_ID + self._posted)
            pinged = tuple(replace(ping, message_id=message_id, at=at) for ping in pings(body))
            kept = {key: deepcopy(body[key]) for key in _KEPT if body.get(key) is not None}
            if (name := body.get("thread_name")) is not None:
                thread_id = message_id
                self._threads[thread_id] = str(name).strip()
            message = PostedMessage(
                id=message_id,
                body=kept,
                posted_at=at,
                pings=pinged,
                thread_id=thread_id,
                attachments=tuple(attachments),
            )
            self._messages[message_id] = message
            self._pings += pinged
            self.changed.notify_all()
            return message

    def edit(
        self, message_id: str, body: Mapping[str, Any], at: float, attachments: Sequence[Attachment] = ()
    ) -> PostedMessage:
        """Change a message; what the body does not name stays. Pings nobody."""
        with self.changed:
            message = self._messages[message_id]
            merged = {**message.body, **{key: deepcopy(body[key]) for key in _KEPT if key in body}}
            self._messages[message_id] = replace(
                message, body=merged, edited_at=at, edits=message.edits + 1, attachments=tuple(attachments)
            )
            self._edits += 1
            self.changed.notify_all()
            return self._messages[message_id]

    def delete(self, message_id: str) -> bool:
        """Remove a message; false if it is not there."""
        with self.changed:
            found = self._messages.pop(message_id, None) is not None
            self.changed.notify_all()
            return found

    def wait_for(self, predicate: Callable[[PostedMessage], bool], timeout: float) -> PostedMessage:
        """The first message, as it is now, of which the predicate is true; AssertionError after ``timeout`` seconds."""
        with self.changed:
            found = self.changed.wait_for(lambda: next(filter(predicate, self._messages.values()), None), timeout)
            if found is None:
                shown = "\n".join(f"  {message.content[:200]}" for message in self._messages.values()) or "  nothing"
                raise AssertionError(f"no such message within {timeout:g} s; the channel shows:\n{shown}")
            return found


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
