"""An incident as its page shows it: texts, unescaped but cleaned, for the template to escape."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from otelmon.duration import format_duration
from otelmon.incidents.model import Event, Incident
from otelmon.paging.text import Context, steps_of, triggered_message
from otelmon.paging.visible import clean, clip, one_line

NAME_LIMIT = 80
"""UTF-16 units of the name of whoever acknowledges."""

_TITLE_LIMIT = 300  # so that the form below it is in sight on a phone
_TEXT_LIMIT = 1000
_MOST_FACTS = 25
_MOST_EVENTS = 30
_WEB = re.compile(r"https?://\S+", re.IGNORECASE)
_CODE = re.compile(r"(`[^`]+`)")
# Said at the head of the page, or what the page itself is for.
_SAID_ELSEWHERE = frozenset({"Acknowledge", "Acknowledged by"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the timeline; ``when`` is for people, ``at`` for machines, both UTC."""

    when: str
    at: str
    what: str
    by: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the page shows of an incident.

    ``steps`` are the runbook's first ones, each as pieces of text and whether the piece is code. ``runbook`` is an http
    address or empty. ``omitted`` counts earlier events that the timeline leaves out.
    """

    id: str
    title: str
    severity: str
    state: str
    since: str
    since_at: str
    ago: str
    acknowledged_by: str
    acknowledged: str
    text: str
    facts: tuple[tuple[str, str], ...]
    steps: tuple[tuple[tuple[str, bool], ...], ...]
    runbook: str
    timeline: tuple[Line, ...]
    omitted: int


def view_of(incident: Incident, *, about: Context, at: datetime) -> View:
    """The incident as it stands at ``at``; ``about`` is what its pages say of where they come from."""
    here = Context(
        service=about.service,
        environment=about.environment,
        instance=about.instance,
        runbooks=about.runbooks,
        served_runbook=about.served_runbook,
        tenants=about.tenants,
    )
    message = triggered_message(incident, about=here, mentions=(), at=at)
    facts = [(field.name, field.value) for field in message.fields if field.name not in _SAID_ELSEWHERE]
    shown = incident.timeline[-_MOST_EVENTS:]
    return View(
        id=incident.id,
        title=_line(message.title, _TITLE_LIMIT),
        severity=str(incident.severity),
        state=str(incident.state),
        since=_moment(incident.triggered_at),
        since_at=_iso(incident.triggered_at),
        ago=format_duration(max(0, round(((incident.resolved_at or at) - incident.triggered_at).total_seconds()))),
        acknowledged_by=_line(incident.acknowledged_by),
        acknowledged="" if incident.acknowledged_at is None else _moment(incident.acknowledged_at),
        text=_text(message.description),
        facts=tuple((_line(name), _text(value)) for name, value in facts[:_MOST_FACTS]),
        steps=tuple(_pieces(step) for step in steps_of(incident.lead, about)),
        runbook=message.link if _WEB.fullmatch(message.link) else "",
        timeline=tuple(_timeline_line(event) for event in shown),
        omitted=len(incident.timeline) - len(shown),
    )


def person(name: str) -> str:
    """A person's name as it is kept: one line, nothing invisible, at most ``NAME_LIMIT`` long; "" when blank."""
    return clip(list(one_line(name[: 4 * NAME_LIMIT])), NAME_LIMIT)


def _timeline_line(event: Event) -> Line:
    return Line(
        when=f"{event.at:%d %b %H:%M:%S}",
        at=_iso(event.at),
        what=str(event.kind),
        by=_line(event.by),
        text=_text(event.text),
    )


def _pieces(step: str) -> tuple[tuple[str, bool], ...]:
    pieces = (piece for piece in _CODE.split(step) if piece)
    return tuple((piece.strip("`"), True) if _CODE.fullmatch(piece) else (piece, False) for piece in pieces)


def _line(text: str, limit: int = _TEXT_LIMIT) -> str:
    return clip(list(one_line(text[: 2 * limit])), limit)


def _text(text: str) -> str:
    return clip(list(clean(text[: 2 * _TEXT_LIMIT])), _TEXT_LIMIT)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
