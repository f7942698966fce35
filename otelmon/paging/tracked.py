"""Tracked: what a critical incident owes to where the application's errors are kept (Sentry)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from otelmon.incidents.model import Cause, Change
from otelmon.paging.model import Message, Page, PageAction, PageReason
from otelmon.paging.text import Context, resolved_message, triggered_message, with_alerts
from otelmon.rules.model import Severity

# What is news for a place that nobody is woken by: not that somebody was reminded or escalated to.
_NEWS = frozenset({Cause.TRIGGERED, Cause.REOPENED, Cause.UNMUTED, Cause.JOINED, Cause.WORSENED})


def tracked(change: Change, *, target: str, about: Context) -> Iterator[Page]:
    """The page that this change owes to ``target``, if any: its critical incidents, and that they are over.

    It pings nobody and has no link to acknowledge by: more people read there than may do that. An incident that nobody
    was paged for (silenced, part of a storm) is not told there either.
    """
    incident = change.incident
    if incident.severity is not Severity.CRITICAL:
        return
    message: Message
    if change.cause in _NEWS:
        shown = triggered_message(incident, about=about, mentions=(), cause=change.cause, at=change.event.at)
        message = replace(shown, acknowledge="")
    elif change.cause is Cause.RESOLVED:
        message = resolved_message(incident, about=about)
    else:
        return
    yield Page(
        id=f"{incident.id}.{PageReason.TRACKED.name.lower()}.{PageAction.POST.value}.{change.number}.{target}",
        incident_id=incident.id,
        reason=PageReason.TRACKED,
        target=target,
        message=with_alerts(message, incident),
        due_at=change.event.at,
    )
