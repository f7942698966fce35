"""Which message is owed to whom, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from otelmon.incidents.model import NEW_MESSAGE, Cause, Change, Telling
from otelmon.incidents.silence import SilenceNotice
from otelmon.oncall.call import Call
from otelmon.oncall.model import Mention, OnCall
from otelmon.paging.model import Message, Page, PageAction, PageReason
from otelmon.paging.text import Context, notice_message, resolved_message, triggered_message
from otelmon.rules.model import Severity

__all__ = ["Context", "decide", "decide_notices", "page_id"]


_NO_CALLS: Mapping[str, Call] = {}


def decide(
    changes: Iterable[Change],
    *,
    on_call: OnCall,
    targets: Sequence[str],
    about: Context,
    calls: Mapping[str, Call] = _NO_CALLS,
) -> tuple[Page, ...]:
    """The pages that these changes owe to every target (a notifier's name).

    Each cause for a new message (see ``otelmon.incidents.model.NEW_MESSAGE``) owes one, which mentions whoever is on
    call for the incident's severity; resolved owes a short one. Edits refresh the messages that show the incident: the
    first and the latest. An edit and the short message ping nobody. A page's id comes from the incident, the reason,
    the target and the number of the telling: deciding twice gives the same pages.

    ``calls`` are those of escalated incidents, by id: there the call says who is pinged, and by which new message. A
    notifier that an escalation calls by name gets that one message, and is told of the end.
    """
    return tuple(
        page
        for change in changes
        for call in (calls.get(change.incident.id),)
        for target in _targets(change, call, targets)
        for page in _pages(change, target, on_call, about, call, shown=target in targets)
    )


def decide_notices(notices: Iterable[SilenceNotice], *, targets: Sequence[str], about: Context) -> tuple[Page, ...]:
    """The messages that say of silences that they end soon while they hide something. They ping nobody."""
    return tuple(
        Page(
            id=page_id(notice.silence.id, PageReason.SILENCE_ENDING, PageAction.POST, target),
            incident_id=notice.silence.id,
            reason=PageReason.SILENCE_ENDING,
            target=target,
            message=notice_message(notice, about=about),
            due_at=notice.silence.noticed_at or notice.silence.created_at,
        )
        for notice in notices
        for target in targets
    )


def page_id(incident_id: str, reason: PageReason, action: PageAction, target: str, number: int = 1) -> str:
    """The id of a page; ``number`` counts, from 1, all that people are told of the incident."""
    return f"{incident_id}.{reason.name.lower()}.{action.value}.{number}.{target}"


def _targets(change: Change, call: Call | None, targets: Sequence[str]) -> tuple[str, ...]:
    """The usual targets, and those that the escalation calls now, or called before and tells of the end."""
    if call is None or not targets:
        return tuple(targets)
    more = call.involved if change.cause is Cause.RESOLVED else call.webhooks if call.number == change.number else ()
    return tuple(dict.fromkeys((*targets, *more)))


def _mentions(change: Change, severity: Severity, on_call: OnCall, call: Call | None) -> tuple[Mention, ...]:
    at = change.event.at
    if call is None:
        return on_call.who(severity, at)
    if call.number != change.number:
        return ()
    if call.reached_nobody:
        return on_call.who(severity, at) or on_call.who(Severity.CRITICAL, at)
    return call.mentions


def _pages(
    change: Change, target: str, on_call: OnCall, about: Context, call: Call | None, *, shown: bool
) -> Iterator[Page]:
    cause, incident = change.cause, change.incident
    if cause is None:
        return
    if cause in NEW_MESSAGE:
        lead = incident.lead
        if cause in (Cause.JOINED, Cause.WORSENED):
            lead = max(change.alerts or (lead,), key=lambda alert: alert.severity.rank)
        mentions = _mentions(change, lead.severity, on_call, call)
        message = triggered_message(
            incident, about=about, mentions=mentions, cause=cause, lead=lead, call=call, at=change.event.at
        )
        yield _page(change, target, message, follows=_before(change, target))
    if change.shown_in and shown:
        edited_to = triggered_message(incident, about=about, mentions=(), call=call, at=change.event.at)
        for telling in change.shown_in:
            # A message that never was the latest needs no second edit: at most the first and the latest are edited.
            edited = _telling_id(change, telling, target)
            yield _page(change, target, edited_to, edits=edited)
    if cause is Cause.RESOLVED:
        follows = _telling_id(change, change.shown_in[-1], target) if change.shown_in else ""
        yield _page(change, target, resolved_message(incident, about=about), follows=follows)


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
