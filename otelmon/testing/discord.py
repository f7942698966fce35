"""A stand-in for Discord: a real local HTTP server that takes, refuses, limits and pings as Discord does."""

from __future__ import annotations

import argparse
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from otelmon.clock import Clock, SystemClock
from otelmon.testing.channel import Channel, PostedMessage
from otelmon.testing.discord_files import attached, read
from otelmon.testing.discord_limits import Buckets, RateLimits, limited_body, limited_headers
from otelmon.testing.discord_rules import (
    INVALID_TOKEN,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    UNKNOWN_WEBHOOK,
    Ping,
    Refusal,
    check,
    refusal,
)
from otelmon.testing.discord_server import Reply, Request, Server
from otelmon.testing.discord_view import channel_json, channel_page, channel_view
from otelmon.testing.faults import Answer, Drip, Drop, Fault, Hang, Limited

WEBHOOK_ID = "1180000000000000001"
WEBHOOK_TOKEN = "stand-in-token-that-must-not-show-anywhere-0123456789abcdefghijk"  # noqa: S105  # opens nothing
_FIRST_FILE_ID = 1_400_000_000_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """A request to the webhook, as it arrived, and the status it was answered with (0: none)."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    status: int = 0

    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class _Script:
    """Faults in the order in which they are to happen, then the one that stays."""

    once: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None

    def next(self) -> Fault | None:
        return self.once.popleft() if self.once else self.always


class DiscordStandIn:
    """A Discord webhook on 127.0.0.1, for the length of a ``with`` block.

    ``webhook_url`` is what pages are sent to; ``messages``, ``pings`` and ``requests`` say what happened; ``wait_for``
    waits for it. ``fail(fault, times=1)`` and ``fail_always(fault)`` make it go wrong (``faults``), ``refuse()`` and
    ``accept()`` close and reopen the port, ``forget_webhook()`` deletes the webhook. ``url`` shows the channel in
    a browser. ``names`` maps ids of people and roles to the names shown there. Rate limits and times go by
    ``clock``, so a FakeClock tests them without waiting. It validates what is posted as ``discord_rules`` says, and
    files as ``discord_files``. Link buttons are taken with ``with_components=true`` and dropped without it. With
    ``forum`` it is a forum channel, in which each message belongs to a post; in a text channel only people
    (``open_thread``) can open threads. ``threads`` has their names by their ids.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        limits: RateLimits | None = None,
        port: int = 0,
        names: Mapping[str, str] | None = None,
        token: str = WEBHOOK_TOKEN,
        forum: bool = False,
    ) -> None:
        self.forum = forum
        self.names = dict(names or {})
        self._clock = clock or SystemClock()
        self._buckets = Buckets(limits=limits or RateLimits())
        self._token = token
        self._exists = True
        self._channel = Channel()
        self._requests: list[RecordedRequest] = []
        self._script = _Script()
        self._lock = threading.Lock()
        self._server = Server(self._answer, port)

    def __enter__(self) -> Self:
        self._server.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        """Where a browser sees the channel."""
        return f"http://127.0.0.1:{self._server.port}/"

    @property
    def webhook_url(self) -> str:
        """What an application is given as DISCORD_WEBHOOK_URL."""
        return f"{self.url}api/webhooks/{WEBHOOK_ID}/{self._token}"

    @property
    def messages(self) -> tuple[PostedMessage, ...]:
        """What the channel shows, oldest first."""
        return self._channel.messages

    @property
    def threads(self) -> Mapping[str, str]:
        """The names of the threads (in a forum: posts) by their ids, oldest first."""
        return self._channel.threads

    @property
    def pings(self) -> tuple[Ping, ...]:
        """Whoever was notified, in order."""
        return self._channel.pings

    @property
    def edits(self) -> int:
        """How many edits were taken."""
        return self._channel.edits

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """Every request to the webhook that was read, in order, taken or refused."""
        with self._lock:
            return tuple(self._requests)

    def wait_for(self, predicate: Callable[[PostedMessage], bool], timeout: float = 5.0) -> PostedMessage:
        """The first message, as it is now, of which the predicate is true; AssertionError after ``timeout`` seconds."""
        return self._channel.wait_for(predicate, timeout)

    def wait_until(self, condition: Callable[[DiscordStandIn], bool], timeout: float = 5.0) -> None:
        """Return once the condition holds; it is looked at whenever the channel changes. AssertionError in the end."""
        with self._channel.changed:
            if not self._channel.changed.wait_for(lambda: condition(self), timeout):
                raise AssertionError(f"not so within {timeout:g} s; the channel shows {len(self.messages)} messages")

    def expect_silence_after(self, message: PostedMessage | None = None) -> None:
        """Fail if anything was posted after the message (or at all)."""
        later = [other for other in self.messages if message is None or int(other.id) > int(message.id)]
        if later:
            raise AssertionError("unexpected messages:\n" + "\n".join(f"  {other.content}" for other in later))

    def fail(self, fault: Fault, *, times: int = 1) -> None:
        """The next ``times`` requests meet the fault (after those that were told before)."""
        with self._lock:
            self._script.once.extend([fault] * times)

    def fail_always(self, fault: Fault | None) -> None:
        """Every request meets the fault, until this is called with None."""
        with self._lock:
            self._script.always = fault

    def refuse(self) -> None:
        """Close the port: connections are refused until ``accept``."""
        self._server.close()

    def accept(self) -> None:
        """Open the same port again."""
        self._server.open()

    def forget_webhook(self) -> None:
        """Delete the webhook, as somebody with the rights to the channel may."""
        self._exists = False

    def delete_message(self, message_id: str) -> None:
        """Delete a message, as somebody in the channel may."""
        self._channel.delete(message_id)

    def open_thread(self, name: str) -> str:
        """Open a thread, as somebody in the channel may; its id."""
        return self._channel.open_thread(name)

    def delete_thread(self, thread_id: str) -> None:
        """Delete a thread with its messages, as somebody in the channel may."""
        self._channel.delete_thread(thread_id)

    def _answer(self, request: Request) -> Reply:
        parts = [part for part in request.path.split("/") if part]
        if parts[:1] == ["api"]:
            parts = parts[1:]
        if parts and parts[0].startswith("v") and parts[0][1:].isdecimal():
            parts = parts[1:]
        if parts[:1] == ["webhooks"]:
            return self._webhook(request, parts[1:])
        pages: dict[str, Callable[[], Reply]] = {
            "/": lambda: Reply.html(channel_page()),
            "/channel": lambda: Reply.html(channel_view(self.messages, self.names, self._clock.now(), self.threads)),
            "/channel.json": lambda: Reply.json(200, channel_json(self.messages, self.pings, len(self.requests))),
        }
        if request.method == "GET" and request.path in pages:
            return pages[request.path]()
        if request.method == "GET" and parts[:1] == ["attachments"]:
            return self._file(request.path)
        return Reply.json(404, {"message": "404: Not Found", "code": 0})

    def _webhook(self, request: Request, parts: list[str]) -> Reply:
        with self._lock:
            fault = self._script.next()
            self._requests.append(
                RecordedRequest(
                    method=request.method,
                    path=request.target,
                    headers=request.headers,
                    body=request.body,
                    at=self._clock.now(),
                )
            )
            index = len(self._requests) - 1
        reply = self._under(fault, request, parts)
        with self._lock:
            recorded = self._requests[index]
            self._requests[index] = RecordedRequest(
                method=recorded.method,
                path=recorded.path,
                headers=recorded.headers,
                body=recorded.body,
                at=recorded.at,
                status=0 if reply.dropped else reply.status,
            )
        with self._channel.changed:
            self._channel.changed.notify_all()
        return reply

    def _under(self, fault: Fault | None, request: Request, parts: list[str]) -> Reply:
        match fault:
            case None:
                return self._limited(request, parts)
            case Answer():
                return Reply(status=fault.status, body=fault.body.encode(), headers=fault.headers)
            case Limited():
                headers = limited_headers(fault.retry_after, everywhere=fault.everywhere)
                return Reply.json(429, limited_body(fault.retry_after, everywhere=fault.everywhere), headers)
            case Hang():
                return Reply(status=0, dropped=True, hang=True)
            case Drop():
                if fault.accepted:
                    self._limited(request, parts)
                return Reply(status=0, dropped=True)
            case Drip():
                reply = self._limited(request, parts)
                return Reply(
                    status=reply.status,
                    body=reply.body,
                    headers=reply.headers,
                    drip_seconds=fault.seconds,
                    drip_headers=fault.headers,
                )

    def _limited(self, request: Request, parts: list[str]) -> Reply:
        if (unknown := self._unknown(parts)) is not None:
            return Reply.json(unknown.status, unknown.body)
        with self._lock:
            at, now = self._clock.monotonic(), self._clock.now()
            headers, refused = self._buckets.take(at, now, message=request.method == "POST")
        if refused is not None:
            return Reply.json(429, refused, headers)
        reply = self._handled(request, parts[2:])
        return Reply(status=reply.status, body=reply.body, headers={**reply.headers, **headers})

    def _unknown(self, parts: list[str]) -> Refusal | None:
        if len(parts) < 2 or parts[0] != WEBHOOK_ID or not self._exists:
            return refusal(404, UNKNOWN_WEBHOOK, "Unknown Webhook")
        if parts[1] != self._token:
            return refusal(401, INVALID_TOKEN, "Invalid Webhook Token")
        return None

    def _handled(self, request: Request, rest: list[str]) -> Reply:
        if not rest:
            if request.method == "POST":
                return self._post(request)
            if request.method == "GET":
                return Reply.json(200, {"id": WEBHOOK_ID, "type": 1, "name": "otelmon", "channel_id": "1"})
            return Reply.json(405, {"message": "405: Method Not Allowed", "code": 0})
        message = self._channel.get(rest[1]) if len(rest) == 2 and rest[0] == "messages" else None
        thread_id = request.query.get("thread_id", "")
        if thread_id and thread_id not in self.threads:
            return _refused(refusal(404, UNKNOWN_CHANNEL, "Unknown Channel"))
        if message is None or message.thread_id != thread_id:
            return _refused(refusal(404, UNKNOWN_MESSAGE, "Unknown Message"))
        if request.method == "PATCH":
            return self._patch(request, message)
        if request.method == "GET":
            return Reply.json(200, message.json(self.url))
        if request.method == "DELETE":
            self._channel.delete(message.id)
            return Reply(status=204)
        return Reply.json(405, {"message": "405: Method Not Allowed", "code": 0})

    def _post(self, request: Request) -> Reply:
        parsed = read(request.headers.get("content-type", ""), request.body)
        if isinstance(parsed, Refusal):
            return _refused(parsed)
        body, sent = parsed
        wait = request.query.get("wait", "false").lower()
        if wait not in {"true", "false", "1", "0"}:
            return _refused(refusal(400, 50035, "Invalid Form Body"))
        thread_id = request.query.get("thread_id", "")
        if thread_id and thread_id not in self.threads:
            return _refused(refusal(404, UNKNOWN_CHANNEL, "Unknown Channel"))
        body = _as_asked(request, body)
        if refused := check(body, forum=self.forum, thread_id=thread_id):
            return _refused(refused)
        files = attached(body, sent, (), first_id=self._file_id())
        if isinstance(files, Refusal):
            return _refused(files)
        message = self._channel.post(body, self._clock.now(), thread_id, files)
        return Reply.json(200, message.json(self.url)) if wait in {"true", "1"} else Reply(status=204)

    def _patch(self, request: Request, message: PostedMessage) -> Reply:
        parsed = read(request.headers.get("content-type", ""), request.body)
        if isinstance(parsed, Refusal):
            return _refused(parsed)
        body, sent = parsed
        body = _as_asked(request, body)
        if refused := check(body, earlier=message.body):
            return _refused(refused)
        merged = {"embeds": message.embeds, **body}
        files = attached(merged, sent, message.attachments, first_id=self._file_id())
        if isinstance(files, Refusal):
            return _refused(files)
        edited = self._channel.edit(message.id, body, self._clock.now(), files)
        return Reply.json(200, edited.json(self.url))

    def _file_id(self) -> int:
        """An id for the first file of a request; it takes ten at most."""
        return _FIRST_FILE_ID + 10 * len(self._requests)

    def _file(self, path: str) -> Reply:
        for message in self.messages:
            for each in message.attachments:
                if f"/{each.path}" == path:
                    return Reply(status=200, body=each.content, headers={"Content-Type": each.kind})
        return Reply.json(404, {"message": "404: Not Found", "code": 0})


def _as_asked(request: Request, body: Any) -> Any:
    """The body as Discord reads it: a webhook's components count only where the query says so."""
    if not isinstance(body, dict) or request.query.get("with_components", "").lower() in {"true", "1"}:
        return body
    return {key: value for key, value in body.items() if key != "components"}


def _refused(refused: Refusal) -> Reply:
    return Reply.json(refused.status, refused.body)


def main() -> None:
    """Run the stand-in until it is interrupted; prints the webhook's URL and the page's."""
    parser = argparse.ArgumentParser(prog="python -m otelmon.testing.discord", description=__doc__)
    parser.add_argument("--port", type=int, default=8999, help="0 for a free one")
    parser.add_argument("--forum", action="store_true", help="be a forum channel")
    parser.add_argument("--name", action="append", default=[], metavar="ID=NAME", help="show this name for an id")
    arguments = parser.parse_args()
    names = dict(item.partition("=")[::2] for item in arguments.name)
    with DiscordStandIn(port=arguments.port, names=names, forum=arguments.forum) as stand_in:
        print(f"DISCORD_WEBHOOK_URL={stand_in.webhook_url}\nThe channel: {stand_in.url}", flush=True)  # noqa: T201
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
