"""Critical incidents to Sentry, as events of one issue each; needs no SDK."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import httpx

from otelmon.clock import Clock, SystemClock
from otelmon.notify.backoff import asked_seconds
from otelmon.notify.exchange import BoundedClient, ExchangeError
from otelmon.notify.pause import Pause
from otelmon.notify.sentry_dsn import Dsn
from otelmon.paging.model import Outcome, OutcomeKind, OwedPage, Page
from otelmon.rules.model import Severity

# Pages to people leave by the same thread: Sentry may take at most so much of its time, and after a failure none for
# so long.
TOTAL_SECONDS = 3.0
REST_SECONDS = 30.0
_PASSING = frozenset({408, 425, 429})
_LEVELS = {Severity.CRITICAL: "fatal", Severity.WARNING: "warning", Severity.INFO: "info"}
_MOST_TAG = 200  # characters that Sentry keeps of a tag's value


class SentryNotifier:
    """Sends incidents as Sentry events, in the envelopes that its SDKs send; the DSN is a secret that shows nowhere.

    An incident is an issue, by its fingerprint. With a DSN one may send, not change: the issue's state cannot be set.
    That the incident is over is therefore an event of the same issue, with the level "info" and the tag
    ``otelmon.state: resolved``, which an alert rule or a search in Sentry can go by. (Check-ins of a monitor would
    resolve for themselves, but are billed by the monitor and miss what has no schedule.) An event's id follows from the
    page: one that is sent again is dropped by Sentry as a duplicate.
    """

    def __init__(
        self,
        name: str,
        dsn: Dsn,
        client: BoundedClient | None = None,
        *,
        environment: str = "",
        instance: str = "",
        clock: Clock | None = None,
    ) -> None:
        self._name = name
        self._dsn = dsn
        self._environment = environment
        self._instance = instance
        self._client = client or BoundedClient(total_seconds=TOTAL_SECONDS, clock=clock or SystemClock())
        self._pause = Pause()

    def __repr__(self) -> str:
        return f"SentryNotifier(name={self._name!r})"

    @property
    def name(self) -> str:
        """The target's name, as pages name it."""
        return self._name

    def close(self) -> None:
        """Let connections go."""
        self._client.close()

    def send(self, owed: OwedPage, at: datetime) -> Outcome:
        """Try once to deliver the page."""
        if not self._pause.over(at):
            return Outcome(kind=OutcomeKind.RETRY, reason="left alone for a while", retry_at=self._pause.until)
        event = incident_event(owed.page, environment=self._environment, instance=self._instance)
        headers = {"Content-Type": "application/x-sentry-envelope", "X-Sentry-Auth": self._dsn.auth}
        try:
            reply = self._client.exchange("POST", httpx.URL(self._dsn.envelope_url), _envelope(event, at), headers)
        except ExchangeError as error:
            return self._later(f"no answer: {error}", at + timedelta(seconds=REST_SECONDS), uncertain=error.uncertain)
        said = f"HTTP {reply.status}"
        if 200 <= reply.status < 300:
            return Outcome(kind=OutcomeKind.DELIVERED, reason=said, message_id=event["event_id"])
        if reply.status < 500 and reply.status not in _PASSING:
            return Outcome(kind=OutcomeKind.REJECTED, reason=said)
        asked = asked_seconds(reply.headers.get("retry-after"), at)
        return self._later(said, at + timedelta(seconds=REST_SECONDS if asked is None else max(1.0, asked)))

    def _later(self, reason: str, retry_at: datetime, *, uncertain: bool = False) -> Outcome:
        self._pause.extend(retry_at)
        return Outcome(kind=OutcomeKind.RETRY, reason=reason, retry_at=retry_at, uncertain=uncertain)


def incident_event(page: Page, *, environment: str, instance: str) -> dict[str, Any]:
    """A page as a Sentry event (https://develop.sentry.dev/sdk/data-model/event-payloads/)."""
    message = page.message
    labels = message.alerts[0].labels if message.alerts else message.group
    tags = {
        "otelmon.incident": page.incident_id,
        "otelmon.state": "resolved" if message.resolved else "firing",
        "otelmon.alert": labels.get("alertname", ""),
        "service": labels.get("job", ""),
        **{name: value for name, value in message.group.items() if name not in ("alertname", "job")},
    }
    return {
        "event_id": hashlib.sha256(page.id.encode("utf-8", "surrogatepass")).hexdigest()[:32],
        "timestamp": page.due_at.timestamp(),
        "platform": "other",
        "logger": "otelmon",
        "level": "info" if message.resolved else _LEVELS[message.severity],
        "message": {"formatted": f"Resolved: {message.title}" if message.resolved else message.title},
        "fingerprint": ["otelmon", page.incident_id],
        "environment": environment or None,
        "server_name": instance or None,
        "tags": {name: str(value)[:_MOST_TAG] for name, value in tags.items() if value},
        "contexts": {"incident": {field.name: field.link or field.value for field in message.fields}},
        "extra": {"description": message.description, "runbook": message.link},
    }


def _envelope(event: dict[str, Any], at: datetime) -> bytes:
    """An envelope with one event: three lines of JSON (https://develop.sentry.dev/sdk/data-model/envelopes/)."""
    body = json.dumps(event).encode()
    head = {"event_id": event["event_id"], "sent_at": at.isoformat().replace("+00:00", "Z")}
    item = {"type": "event", "content_type": "application/json", "length": len(body)}
    return b"\n".join((json.dumps(head).encode(), json.dumps(item).encode(), body, b""))
