"""Which message is owed to whom, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from otelmon.alerts.model import Alert
from otelmon.incidents.model import NEW_MESSAGE, Cause, Change, Incident, Telling
from otelmon.incidents.silence import SilenceNotice
from otelmon.oncall.call import Call
from otelmon.oncall.model import Mention
from otelmon.paging.model import Message, Page, PageAction, PageReason
from otelmon.paging.routing import Mentions, Routing, shown_at
from otelmon.paging.text import (
    Context,
    notice_message,
    resolved_message,
    shown_opening,
    triggered_message,
    with_alerts,
)
from otelmon.paging.tracked import tracked
from otelmon.rules.model import Severity

__all__ = ["Context", "decide", "decide_notices", "page_id"]

_NO_CALLS: Mapping[str, Call] = {}


def decide(
    changes: Iterable[Change], *, routing: Routing, about: Context, calls: Mapping[str, Call] = _NO_CALLS
) -> tuple[Page, ...]:
    """The pages that these changes owe to the notifiers of their incidents' routes.

    Each cause for a new message (see ``otelmon.incidents.model.NEW_MESSAGE``) owes one, which mentions whom the route
    mentions for the severity; resolved owes a short one. Edits refresh the messages that show the incident, where they
    are: the first and the latest. An edit and the short message ping nobody. A page's id comes from the incident, the
    reason, the target and the number of the telling: deciding twice gives the same pages.

    ``calls`` are those of escalated incidents, by id: there the call says who is pinged, and by which new message. A
    notifier that an escalation calls by name gets that one message, and is told of the end.

    What programs read is not edited. They are owed the alerts as they stand when some end while others go on, or their
    last word would have been "firing"; that somebody acknowledged is nothing that Alertmanager's format can say.
    """
    return tuple(page for change in changes for page in _pages(change, routing, about, calls.get(change.incident.id)))


def decide_notices(notices: Iterable[SilenceNotice], *, routing: Routing, about: Context) -> tuple[Page, ...]:
    """The messages that say of silences that they end soon while they hide something.

    They ping nobody, and only people read them: for a program nothing fires, and nothing would ever resolve.
    """
    return tuple(
        Page(
            id=page_id(notice.silence.id, PageReason.SILENCE_ENDING, PageAction.POST, target),
            incident_id=notice.silence.id,
            reason=PageReason.SILENCE_ENDING,
            target=target,
            message=notice_message(replace(notice, hidden=hidden), about=about),
            due_at=notice.silence.noticed_at or notice.silence.created_at,
        )
        for notice in notices
        for target, hidden in _by_reader(notice.hidden, routing).items()
    )


def _by_reader(alerts: Iterable[Alert], routing: Routing) -> Mapping[str, tuple[Alert, ...]]:
    """What each notifier is told of: nobody hears of others' alerts by a silence that happens to hide both."""
    found: dict[str, tuple[Alert, ...]] = {}
    for alert in alerts:
        for target in routing.readers(alert.labels):
            found[target] = (*found.get(target, ()), alert)
    return found


def page_id(incident_id: str, reason: PageReason, action: PageAction, target: str, number: int = 1) -> str:
    """The id of a page; ``number`` counts, from 1, all that people are told of the incident."""
    return f"{incident_id}.{reason.name.lower()}.{action.value}.{number}.{target}"


def _pages(change: Change, routing: Routing, about: Context, call: Call | None) -> Iterator[Page]:
    cause, incident, at = change.cause, change.incident, change.event.at
    if cause is None or not routing.pages:
        return
    if cause in NEW_MESSAGE:
        lead = incident.lead
        if cause in (Cause.JOINED, Cause.WORSENED):
            lead = max(change.alerts or (lead,), key=lambda alert: alert.severity.rank)
        route = routing.route(incident)
        mentions = _mentions(change, lead.severity, route.mentions, call)
        message = triggered_message(incident, about=about, mentions=mentions, cause=cause, lead=lead, call=call, at=at)
        called = () if call is None or call.number != change.number else call.webhooks
        for target in dict.fromkeys((*route.targets, *called)):
            yield _page(change, target, _for(message, incident, routing), follows=_before(change, target))
    if change.shown_in:
        shown = triggered_message(incident, about=about, mentions=(), call=call, at=at)
        for target in shown_at(incident, routing):
            yield from _updates(change, target, shown, routing)
    if cause is Cause.RESOLVED:
        message = _for(resolved_message(incident, about=about), incident, routing)
        called = () if call is None else call.involved
        for target in dict.fromkeys((*shown_at(incident, routing), *called)):
            follows = _telling_id(change, change.shown_in[-1], target) if change.shown_in else ""
            yield _page(change, target, message, follows=follows)
    if routing.tracker:
        yield from tracked(change, target=routing.tracker, about=about)


def _mentions(change: Change, severity: Severity, usual: Mentions, call: Call | None) -> tuple[Mention, ...]:
    if call is None:
        return usual.get(severity, ())
    if call.number != change.number:
        return ()
    if call.reached_nobody:
        return usual.get(severity, ()) or usual.get(Severity.CRITICAL, ())
    return call.mentions


def _updates(change: Change, target: str, shown: Message, routing: Routing) -> Iterator[Page]:
    """What keeps the earlier messages at a notifier true."""
    if target not in routing.machines:
        for telling in change.shown_in:
            # A message that never was the latest needs no second edit: at most the first and the latest are edited.
            title = f"{shown_opening(telling.cause, change.incident)}{shown.title}"
            yield _page(change, target, replace(shown, title=title), edits=_telling_id(change, telling, target))
    elif change.cause is Cause.REFRESHED:
        message = with_alerts(shown, change.incident)
        if message.alerts:
            yield _page(change, target, message, edits=_telling_id(change, change.shown_in[-1], target))


def _for(message: Message, incident: Incident, routing: Routing) -> Message:
    """The message, with the alerts in it where a program may get to read it, at once or as the fallback."""
    return with_alerts(message, incident) if routing.machines else message


def _before(change: Change, target: str) -> str:
    """The page that a new message comes after: where the incident was resolved before, the one that says so."""
    if change.shown_in or change.number == 1:
        return ""
    return page_id(change.incident.id, PageReason.RESOLVED, PageAction.POST, target, change.number - 1)


def _telling_id(change: Change, telling: Telling, target: str) -> str:
    return page_id(change.incident.id, PageReason[telling.cause.name], PageAction.POST, target, telling.number)


def _page(change: Change, target: str, message: Message, *, edits: str = "", follows: str = "") -> Page:
    assert change.cause is not None  # noqa: S101 (asked before)
    reason = PageReason[change.cause.name]
    action = PageAction.EDIT if edits else PageAction.POST
    number = change.number
    id_ = page_id(change.incident.id, reason, action, target, number)
    if edits and edits != _telling_id(change, change.shown_in[-1], target):
        id_ += ".first"
    return Page(
        id=id_,
        incident_id=change.incident.id,
        reason=reason,
        action=action,
        target=target,
        message=message,
        edits=edits,
        follows=follows,
        due_at=change.event.at,
    )
