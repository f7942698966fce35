"""Pages on Discord, by webhook.

The rules are Discord's: webhooks (execute, edit), rate limits and error codes in its public documentation.
"""

from __future__ import annotations

import logging
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import httpx

from otelmon.clock import Clock, SystemClock
from otelmon.incidents.chart import Chart
from otelmon.notify.backoff import LONGEST_SECONDS, asked_seconds, backoff_seconds
from otelmon.notify.exchange import BoundedClient, ExchangeError, Reply
from otelmon.notify.multipart import multipart
from otelmon.notify.pause import Pause
from otelmon.paging.discord import (
    NEW_PICTURE,
    PICTURE_NAME,
    chart_field,
    edit_payload,
    payload,
    plain_payload,
    post_name,
)
from otelmon.paging.model import Outcome, OutcomeKind, OwedPage, PageAction
from otelmon.paging.visible import one_line

_LOG = logging.getLogger(__name__)

_STOP_ADVICE = (
    "No page reaches Discord until this is put right: create a new webhook in the channel's settings "
    "(Integrations, Webhooks), set DISCORD_WEBHOOK_URL to its URL, and restart."
)
# Discord's codes that speak of one message, not of the webhook: unknown message, another author's, an archived thread.
_ABOUT_ONE_MESSAGE = frozenset({10008, 50005, 50083})
# Of the thread that has an incident's messages: it was deleted, or is archived and locked.
_ABOUT_ONE_THREAD = frozenset({10003, 50083})
# A forum asks for a thread; any other channel takes none that is named.
_WANTS_THREAD, _TAKES_NO_THREAD = 220001, 220003
_GONE = frozenset({401, 404, 410})
_REFUSED = frozenset({400, 413, 422})
_TOO_LARGE = 413  # holds of the body, whoever on the way says it
_UNCLEAR_TRIES = 3
_GATEWAY = frozenset({502, 504})  # says that it does not know what became of the request behind it
_TEXT_LIMIT = 300
_REMEMBERED = 1000
_PICTURE_PATH = re.compile(rf"/attachments/[0-9]+/([0-9]+)/{re.escape(PICTURE_NAME)}(?:[?]|$)")


class _Verdict(Enum):
    """What an answer means for the page."""

    ACCEPTED = "accepted"
    LIMITED = "rate limited"
    GONE = "the webhook is gone"
    NO_MESSAGE = "the message is gone"
    NO_THREAD = "the thread is gone"
    OTHER_KIND = "a forum, or none, otherwise than thought"
    REFUSED = "refused as it stands"
    UNCLEAR = "said to be well by somebody who may not be Discord"
    FAILED = "failed, may succeed later"


class DiscordNotifier:
    """Sends pages to one Discord webhook; the webhook's URL is a secret that shows nowhere.

    Rate limits are obeyed as Discord announces them; failures of the network or of Discord are tried again with
    back-off; a page that Discord refuses is sent once more as plain text. When the webhook is gone (401, 404, 410, or
    403 in Discord's own words) the notifier says so once, as an error, and rejects every later page without asking:
    Discord bans addresses that go on. A web page as an answer is a proxy's and stops nothing. ``webhook_url`` may carry
    a query (``thread_id``).

    With ``forum`` the webhook is of a forum channel: an incident's first message opens a post (with the ids of
    ``tags``), later ones and edits go there, and where the post was deleted a new one is opened. Where Discord says
    that the channel is of the other kind, it is believed: a page is not lost for a wrong configuration.

    ``pictures`` has the picture of a chart, if it is there already: it goes along as a file. A page whose request with
    a picture failed in any way but a rate limit goes without it, at once where Discord refused it. An edit for which
    there is no picture (after a restart) keeps the one that the message has.
    """

    def __init__(
        self,
        name: str,
        webhook_url: str,
        client: BoundedClient | None = None,
        *,
        clock: Clock | None = None,
        global_pause: Pause | None = None,
        forum: bool = False,
        tags: Sequence[str] = (),
        pictures: Callable[[Chart], bytes | None] | None = None,
    ) -> None:
        self._name = name
        try:
            url = httpx.URL(webhook_url.strip())
        except (httpx.InvalidURL, TypeError, ValueError):
            url = httpx.URL()
        if url.scheme not in {"http", "https"} or not url.host or url.path.strip("/") == "":
            raise ValueError("the webhook URL is not one: it begins with https:// and ends in the webhook's token")
        self._url = url
        self._client = client or BoundedClient(clock=clock or SystemClock())
        self._forum = forum and "thread_id" not in url.params  # that names the post already
        self._tags = list(tags)
        self._pictures = pictures
        self._unpictured: deque[str] = deque(maxlen=_REMEMBERED)  # pages that go without a picture
        self._pause = Pause()
        self._global_pause = global_pause or Pause()
        self._stopped = ""
        self._unclear: Counter[str] = Counter()  # of each page that is still owed, how many answers told nothing

    def __repr__(self) -> str:
        return f"DiscordNotifier(name={self._name!r})"

    @property
    def name(self) -> str:
        """The target's name, as pages name it."""
        return self._name

    @property
    def stopped(self) -> str:
        """Why nothing is sent any more; empty while the webhook is there."""
        return self._stopped

    def close(self) -> None:
        """Let connections go."""
        self._client.close()

    def send(self, owed: OwedPage, at: datetime) -> Outcome:
        """Try once to deliver the page (a second time, plainly, when Discord refuses how it looks)."""
        if self._stopped:
            return _rejected(self._stopped)
        for pause in (self._pause, self._global_pause):
            if not pause.over(at):
                return Outcome(kind=OutcomeKind.RETRY, reason="waiting as Discord asked", retry_at=pause.until)
        editing = owed.page.action is PageAction.EDIT
        if editing and not owed.edited_message_id:
            return Outcome(kind=OutcomeKind.DELIVERED, reason="nothing edited: Discord did not say the message's id")
        if editing and not owed.edited_message_id.isdecimal():
            return _rejected("there is no message to edit: the page it edits was not delivered")
        picture = self._picture_of(owed)
        shown = NEW_PICTURE if picture else self._kept_picture(owed, at) if editing else ""
        body = _body(owed, shown)
        outcome, verdict = self._attempt(owed, body, at, picture)
        if shown and verdict not in (_Verdict.ACCEPTED, _Verdict.LIMITED):
            self._unpictured.append(owed.page.id)
            body = _body(owed)
            if verdict is _Verdict.REFUSED:
                _LOG.warning("%s: %s; sending page %s without its chart", self._name, outcome.reason, owed.page.id)
                refused = outcome.reason
                outcome, verdict = self._attempt(owed, body, at)
                if outcome.kind is OutcomeKind.DELIVERED:
                    return replace(outcome, reason=f"delivered without its chart; {refused}")
        if verdict is _Verdict.OTHER_KIND:
            self._forum = not self._forum
            kind = "a forum" if self._forum else "no forum"
            _LOG.warning("%s: Discord says that the channel is %s; put forum: right in otelmon.yaml", self._name, kind)
            outcome, verdict = self._attempt(owed, body, at)
        elif verdict is _Verdict.NO_THREAD:
            owed = replace(owed, thread_id="")
            outcome, verdict = self._attempt(owed, body, at)
        if verdict is not _Verdict.REFUSED or not body.get("embeds"):
            return outcome
        plain = plain_payload(owed.page.message)
        if editing:
            plain |= {"allowed_mentions": {"parse": []}, "embeds": [], "components": [], "attachments": []}
        _LOG.warning("%s: %s; sending page %s as plain text", self._name, outcome.reason, owed.page.id)
        again, _ = self._attempt(owed, plain, at)
        if again.kind is OutcomeKind.DELIVERED:
            return replace(again, reason=f"delivered as plain text; {outcome.reason}")
        return again

    def _picture_of(self, owed: OwedPage) -> bytes | None:
        """The picture to send along; None where there is none, or it did not go through before."""
        shown = chart_field(owed.page.message)
        if self._pictures is None or shown is None or shown.chart is None or owed.page.id in self._unpictured:
            return None
        return self._pictures(shown.chart)

    def _kept_picture(self, owed: OwedPage, at: datetime) -> str:
        """The id of the chart that the message to edit shows already; empty where it has none, or is not told."""
        if chart_field(owed.page.message) is None:
            return ""
        try:
            reply = self._client.exchange("GET", self._message_url(owed), b"")
        except ExchangeError:
            return ""
        self._heed(reply, at)
        return _shown_picture(reply.body)

    def _message_url(self, owed: OwedPage) -> httpx.URL:
        path = self._url.path.rstrip("/") + f"/messages/{owed.edited_message_id}"
        thread = {"thread_id": owed.thread_id} if owed.thread_id else {}
        return self._url.copy_with(path=path).copy_merge_params(thread)

    def _attempt(
        self, owed: OwedPage, body: Mapping[str, Any], at: datetime, picture: bytes | None = None
    ) -> tuple[Outcome, _Verdict]:
        """One request: what became of it, and what the answer means."""
        editing = owed.page.action is PageAction.EDIT
        thread = {"thread_id": owed.thread_id} if owed.thread_id else {}
        # Without the parameter Discord drops the button and says nothing.
        parameters = {**thread, **({"with_components": "true"} if "components" in body else {})}
        try:
            if editing:
                url = self._message_url(owed).copy_merge_params(parameters)
                reply = self._exchange("PATCH", url, body, picture)
            else:
                url = self._url.copy_merge_params({"wait": "true", **parameters})
                opening = self._post_of(owed, plain="embeds" not in body) if self._forum and not thread else {}
                reply = self._exchange("POST", url, {**body, **opening}, picture)
        except ExchangeError as error:
            later = self._later(owed, f"no answer from Discord: {error}", at, uncertain=error.uncertain)
            return later, _Verdict.FAILED
        at += timedelta(seconds=reply.seconds)
        self._heed(reply, at)
        verdict = _verdict(reply, editing=editing, threaded=bool(thread))
        said = self._said(reply)
        if verdict is _Verdict.ACCEPTED:
            self._unclear.pop(owed.page.id, None)
            opened = _identity(reply, "channel_id") if self._forum else ""
            outcome = Outcome(
                kind=OutcomeKind.DELIVERED, reason=said, message_id=_identity(reply), thread_id=owed.thread_id or opened
            )
        elif verdict is _Verdict.UNCLEAR:
            outcome = self._doubted(owed, said, at)
        elif verdict is _Verdict.LIMITED:
            outcome = self._limited(owed, reply, said, at)
        elif verdict is _Verdict.GONE:
            outcome = self._stop(said)
        elif verdict is _Verdict.FAILED:
            asked = asked_seconds(reply.headers.get("retry-after"))
            outcome = self._later(owed, said, at, at_least=asked, uncertain=reply.status in _GATEWAY)
        else:
            outcome = _rejected(said)
        return outcome, verdict

    def _exchange(self, method: str, url: httpx.URL, body: Mapping[str, Any], picture: bytes | None) -> Reply:
        if not picture:
            return self._client.exchange(method, url, body)
        content, kind = multipart(body, name=PICTURE_NAME, content=picture, kind="image/png")
        return self._client.exchange(method, url, content, {"Content-Type": kind})

    def _post_of(self, owed: OwedPage, *, plain: bool) -> dict[str, Any]:
        """What opens the incident's post in a forum."""
        opening: dict[str, Any] = {"thread_name": post_name(owed.page.message)}
        if self._tags and not plain:  # a tag that was deleted must not keep the page back
            opening["applied_tags"] = self._tags
        return opening

    def _heed(self, reply: Reply, at: datetime) -> None:
        """Nothing left in the bucket: the next send waits until Discord fills it again."""
        reset_after = asked_seconds(reply.headers.get("x-ratelimit-reset-after"))
        if reply.headers.get("x-ratelimit-remaining", "").strip() == "0" and reset_after is not None:
            self._pause.extend(at + timedelta(seconds=reset_after))

    def _limited(self, owed: OwedPage, reply: Reply, said: str, at: datetime) -> Outcome:
        body = reply.body if isinstance(reply.body, dict) else {}
        asked = asked_seconds(body.get("retry_after"))
        for header in ("retry-after", "x-ratelimit-reset-after"):
            if asked is None:
                asked = asked_seconds(reply.headers.get(header))
        everywhere = body.get("global") is True or reply.headers.get("x-ratelimit-global", "").lower() == "true"
        wait = backoff_seconds(owed.page.id, owed.attempts) if asked is None else asked
        until = at + timedelta(seconds=wait)
        (self._global_pause if everywhere else self._pause).extend(until)
        scope = "globally" if everywhere else "on this webhook"
        reason = f"{said}: rate limited {scope}, to be tried again after {wait:g} s"
        return Outcome(kind=OutcomeKind.RETRY, reason=reason, retry_at=until)

    def _doubted(self, owed: OwedPage, said: str, at: datetime) -> Outcome:
        """A success without Discord's message in it: try again, but not for ever.

        Something on the way may have lost Discord's answer, and then the page is in the channel; or it answered itself,
        and then it is not. A page twice is a lesser evil than none, so it is tried again; but each try may ping, so
        after a few the page is rejected, which writes its text to the log.
        """
        self._unclear[owed.page.id] += 1
        if self._unclear[owed.page.id] >= _UNCLEAR_TRIES:
            del self._unclear[owed.page.id]
            return _rejected(f"{said}, {_UNCLEAR_TRIES} times without the message that Discord answers with")
        return self._later(owed, f"{said}, but not Discord's message: it may not have come", at, uncertain=True)

    def _stop(self, said: str) -> Outcome:
        self._stopped = f"the webhook does not take pages any more ({said})"
        _LOG.error("Discord notifier %s is stopped: %s. %s", self._name, self._stopped, _STOP_ADVICE)
        return _rejected(self._stopped)

    def _later(
        self, owed: OwedPage, reason: str, at: datetime, *, at_least: float | None = None, uncertain: bool
    ) -> Outcome:
        wait = max(backoff_seconds(owed.page.id, owed.attempts), min(at_least or 0.0, LONGEST_SECONDS))
        retry_at = at + timedelta(seconds=wait)
        return Outcome(kind=OutcomeKind.RETRY, reason=reason, retry_at=retry_at, uncertain=uncertain)

    def _said(self, reply: Reply) -> str:
        """The answer in one line. What Discord says may quote what it was sent, so the secret is looked for."""
        text = f"HTTP {reply.status}"
        if isinstance(reply.body, dict) and reply.status >= 400:
            code, message = reply.body.get("code"), reply.body.get("message")
            text += f" {one_line(str(message))[:_TEXT_LIMIT]}" if message else ""
            text += f" (code {code})" if isinstance(code, int) and code else ""
            if details := _details(reply.body.get("errors")):
                text += f": {details}"
        for secret in (str(self._url), self._url.raw_path.decode(), *self._url.path.split("/")):
            if len(secret) > len("webhooks"):
                text = text.replace(secret, "[secret]")
        return text


def _body(owed: OwedPage, picture: str = "") -> dict[str, Any]:
    message = owed.page.message
    return edit_payload(message, picture) if owed.page.action is PageAction.EDIT else payload(message, picture)


def _verdict(reply: Reply, *, editing: bool, threaded: bool) -> _Verdict:
    code = reply.body.get("code") if isinstance(reply.body, dict) else None
    if reply.status == 429:
        return _Verdict.LIMITED
    if reply.html and reply.status != _TOO_LARGE:
        return _Verdict.FAILED
    if 200 <= reply.status < 300:
        # With wait=true Discord answers with the message it saved; without (who drops the query?) it answers 204.
        discords = reply.status == 204 or isinstance(reply.body, dict)
        return _Verdict.ACCEPTED if discords else _Verdict.UNCLEAR
    if editing and (code in _ABOUT_ONE_MESSAGE or (threaded and code in _ABOUT_ONE_THREAD)):
        return _Verdict.NO_MESSAGE
    if threaded and code in _ABOUT_ONE_THREAD:
        return _Verdict.NO_THREAD
    if not editing and code in (_WANTS_THREAD, _TAKES_NO_THREAD):
        return _Verdict.OTHER_KIND
    if reply.status in _GONE or (reply.status == 403 and code is not None):
        return _Verdict.GONE
    if reply.status in _REFUSED:
        return _Verdict.REFUSED
    return _Verdict.FAILED


def _identity(reply: Reply, key: str = "id") -> str:
    """An id in the message that Discord saved (its own by default); empty where the answer does not tell."""
    identity = reply.body.get(key) if isinstance(reply.body, dict) else None
    return identity if isinstance(identity, str) and identity.isdecimal() else ""


def _shown_picture(message: Any) -> str:
    """The id of the chart in a message; empty where there is none.

    An attachment that an embed shows need not be listed beside it: the address of the embed's image has its id too.
    """
    message = message if isinstance(message, dict) else {}
    embeds, attachments = message.get("embeds"), message.get("attachments")
    shown = [each.get("image") for each in embeds if isinstance(each, dict)] if isinstance(embeds, list) else []
    for each in (*shown, *(attachments if isinstance(attachments, list) else ())):
        url = each.get("url") if isinstance(each, dict) else None
        if isinstance(url, str) and (found := _PICTURE_PATH.search(url)):
            return found[1]
    return ""


def _rejected(reason: str) -> Outcome:
    return Outcome(kind=OutcomeKind.REJECTED, reason=reason)


def _details(errors: Any, path: str = "") -> str:
    """The first leaf of Discord's tree of errors: ``embeds.0.title: Must be 256 or fewer in length.``"""
    for _ in range(16):
        if not isinstance(errors, dict) or not errors:
            return ""
        leaves = errors.get("_errors")
        if isinstance(leaves, list) and leaves and isinstance(leaves[0], dict):
            return f"{path}: {one_line(str(leaves[0].get('message', '')))[:_TEXT_LIMIT]}".removeprefix(": ")
        key, errors = next(iter(errors.items()))
        path = f"{path}.{key}".removeprefix(".")
    return ""
