"""Pages to a program, as Alertmanager's webhooks: what reads those reads ours."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import httpx

from otelmon.clock import Clock, SystemClock
from otelmon.notify.backoff import asked_seconds, backoff_seconds
from otelmon.notify.exchange import BoundedClient, ExchangeError, Reply
from otelmon.notify.pause import Pause
from otelmon.paging.alertmanager import webhook_payload
from otelmon.paging.model import Outcome, OutcomeKind, OwedPage, PageAction, PageReason

# Of the client's errors those that say nothing against the page: timed out, too early, too many.
_PASSING = frozenset({408, 425, 429})
_GATEWAY = frozenset({502, 504})  # says that it does not know what became of the request behind it


class WebhookNotifier:
    """Sends pages to one HTTP address in Alertmanager's JSON; the address and the token are secrets that show nowhere.

    As with Alertmanager, a 2xx takes the page, a 5xx (and 408, 425, 429) is tried again, and whatever else is said
    rejects it. Retry-After is obeyed, for all pages to this address. Redirects are not followed, since the token would
    go along. Nothing of an answer's body is repeated: it may quote what it was sent.
    """

    def __init__(
        self,
        name: str,
        url: str,
        client: BoundedClient | None = None,
        *,
        token: str = "",
        clock: Clock | None = None,
    ) -> None:
        self._name = name
        try:
            self._url = httpx.URL(url.strip())
        except (httpx.InvalidURL, TypeError, ValueError):
            self._url = httpx.URL()
        if self._url.scheme not in {"http", "https"} or not self._url.host:
            raise ValueError("the webhook's address is not one: it begins with https://")
        if not re.fullmatch(r"[\x21-\x7e]*", token):
            raise ValueError("the token cannot be sent: it has spaces or other characters that no header takes")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = client or BoundedClient(clock=clock or SystemClock())
        self._pause = Pause()

    def __repr__(self) -> str:
        return f"WebhookNotifier(name={self._name!r})"

    @property
    def name(self) -> str:
        """The target's name, as pages name it."""
        return self._name

    def close(self) -> None:
        """Let connections go."""
        self._client.close()

    def send(self, owed: OwedPage, at: datetime) -> Outcome:
        """Try once to deliver the page. Of edits only what says that alerts came or went is sent."""
        page = owed.page
        if page.action is PageAction.EDIT and page.reason is not PageReason.REFRESHED:
            return Outcome(kind=OutcomeKind.DELIVERED, reason="nothing sent: the format has no edits")
        if not self._pause.over(at):
            return Outcome(kind=OutcomeKind.RETRY, reason="waiting as it asked", retry_at=self._pause.until)
        body = webhook_payload(page.message, receiver=self._name, at=at)
        try:
            reply = self._client.exchange("POST", self._url, body, self._headers)
        except ExchangeError as error:
            return self._later(owed, f"no answer: {error}", at, uncertain=error.uncertain)
        return self._outcome(owed, reply, at + timedelta(seconds=reply.seconds))

    def _outcome(self, owed: OwedPage, reply: Reply, at: datetime) -> Outcome:
        said = f"HTTP {reply.status}"
        if 200 <= reply.status < 300:
            return Outcome(kind=OutcomeKind.DELIVERED, reason=said)
        if reply.status < 500 and reply.status not in _PASSING:
            moved = ": it redirects elsewhere, which is not followed" if 300 <= reply.status < 400 else ""
            return Outcome(kind=OutcomeKind.REJECTED, reason=said + moved)
        asked = asked_seconds(reply.headers.get("retry-after"), at)
        if asked is not None:
            until = at + timedelta(seconds=asked)
            self._pause.extend(until)
            reason = f"{said}, to be tried again after {asked:g} s"
            return Outcome(kind=OutcomeKind.RETRY, reason=reason, retry_at=until)
        return self._later(owed, said, at, uncertain=reply.status in _GATEWAY)

    def _later(self, owed: OwedPage, reason: str, at: datetime, *, uncertain: bool) -> Outcome:
        retry_at = at + timedelta(seconds=backoff_seconds(owed.page.id, owed.attempts))
        return Outcome(kind=OutcomeKind.RETRY, reason=reason, retry_at=retry_at, uncertain=uncertain)
