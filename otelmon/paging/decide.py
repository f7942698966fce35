"""Which message is owed to whom, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from otelmon.incidents.model import Change, EventKind, Incident
from otelmon.oncall.model import OnCall
from otelmon.paging.model import Message, Page, PageAction, PageReason
from otelmon.paging.text import Context, resolved_message, triggered_message

__all__ = ["Context", "decide", "page_id"]


def decide(changes: Iterable[Change], *, on_call: OnCall, targets: Sequence[str], about: Context) -> tuple[Page, ...]:
    """The pages that these changes owe to every target (a notifier's name).

    Triggered is a new message that mentions whoever is on call for the severity; acknowledged is an edit of it;
    resolved an edit of it and a short new message. An edit and the short message ping nobody. A page's id comes from
    the incident, the reason, the target and how often that has happened: deciding twice gives the same pages.
    """
    return tuple(
        page
        for change in changes
        for target in targets
        for page in _DECISIONS[change.event.kind](change, target, on_call, about)
    )


def page_id(incident_id: str, reason: PageReason, action: PageAction, target: str, number: int = 1) -> str:
    """The id of a page; ``number`` counts, from 1, the times this reason has occurred in the incident."""
    return f"{incident_id}.{reason.name.lower()}.{action.value}.{number}.{target}"


def _triggered(change: Change, target: str, on_call: OnCall, about: Context) -> Iterator[Page]:
    mentions = on_call.who(change.incident.severity, change.event.at)
    message = triggered_message(change.incident, about=about, mentions=mentions)
    yield _page(change, PageReason.TRIGGERED, target, message)


def _acknowledged(change: Change, target: str, on_call: OnCall, about: Context) -> Iterator[Page]:  # noqa: ARG001
    message = triggered_message(change.incident, about=about, mentions=())
    yield _page(change, PageReason.ACKNOWLEDGED, target, message, edits=_first_page(change.incident, target))


def _resolved(change: Change, target: str, on_call: OnCall, about: Context) -> Iterator[Page]:  # noqa: ARG001
    shown = triggered_message(change.incident, about=about, mentions=())
    yield _page(change, PageReason.RESOLVED, target, shown, edits=_first_page(change.incident, target))
    line = resolved_message(change.incident, about=about)
    yield _page(change, PageReason.RESOLVED, target, line, follows=_first_page(change.incident, target))


_DECISIONS: dict[EventKind, Callable[[Change, str, OnCall, Context], Iterator[Page]]] = {
    EventKind.TRIGGERED: _triggered,
    EventKind.ACKNOWLEDGED: _acknowledged,
    EventKind.RESOLVED: _resolved,
}


def _page(
    change: Change, reason: PageReason, target: str, message: Message, *, edits: str = "", follows: str = ""
) -> Page:
    action = PageAction.EDIT if edits else PageAction.POST
    number = sum(1 for event in change.incident.timeline if event.kind is change.event.kind)
    return Page(
        id=page_id(change.incident.id, reason, action, target, number),
        incident_id=change.incident.id,
        reason=reason,
        action=action,
        target=target,
        message=message,
        edits=edits,
        follows=follows,
        due_at=change.event.at,
    )


def _first_page(incident: Incident, target: str) -> str:
    return page_id(incident.id, PageReason.TRIGGERED, PageAction.POST, target)
