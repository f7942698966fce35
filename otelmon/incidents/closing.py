"""The end of one step: what all that happened in it comes to, by incident, by silence and by storm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from otelmon.alerts.model import Alert
from otelmon.incidents.books import Books
from otelmon.incidents.model import Cause, Event, EventKind, Incident
from otelmon.incidents.muting import ending, mutes
from otelmon.incidents.settle import Happening, Mute, News, settle
from otelmon.incidents.silence import SilenceNotice, ended
from otelmon.incidents.storm import OPENING, Gate, paged_lately, weather
from otelmon.labels import Labels


def close(books: Books) -> tuple[SilenceNotice, ...]:
    """Write what comes of all that happened; what people are told of silences."""
    for id_, draft in books.drafts.items():
        books.open[id_] = replace(books.open[id_], alerts=tuple(draft.members.values()))
    firing = books.firing()
    left, over = ended(books.silences, firing, books.at)
    for silence_id in over:
        books.end_silence(books.silences[silence_id], "")
    books.silences = left
    _settle(books, _mutes(books, firing))
    hidden = books.firing() if books.silences else ()
    notices = ending(books.silences.values(), hidden, books.policy.silence_notice, books.at)
    for notice in notices:
        books.keep(notice.silence)
    return notices


def _mutes(books: Books, firing: Sequence[Alert]) -> dict[Labels, Mute]:
    active = [silence for silence in books.silences.values() if silence.is_active(books.at)]
    told = partial(_is_told, books)
    return mutes(firing, active, books.policy.inhibitions, told=told, incident_of=books.by_alert.__getitem__)


def _is_told(books: Books, labels: Labels) -> bool:
    return labels in books.open[books.by_alert[labels]].told


def _settle(books: Books, mutes: Mapping[Labels, Mute]) -> None:
    settled: list[tuple[Incident, list[Happening]]] = []
    for id_, incident in list(books.open.items()):
        if incident.is_storm:
            continue
        draft = books.drafts.get(id_)
        news = News(
            opened=draft.opened if draft else None,
            why=draft.why if draft else "",
            joined=tuple(draft.joined.values()) if draft else (),
            ended=tuple(draft.ended.values()) if draft else (),
            mutes=mutes,
        )
        now, happened = settle(incident, news, books.timing(incident), books.at)
        books.open[id_] = now
        if happened:
            settled.append((now, happened))
    gate = Gate(
        policy=books.policy,
        at=books.at,
        taken=books.taken,
        storms={id_: incident for id_, incident in books.open.items() if incident.is_storm},
        pages=paged_lately([*books.open.values(), *books.recent.values()], books.policy, books.at),
    )
    # The worst first: they page for themselves.
    settled.sort(key=lambda each: -each[0].severity.rank)
    for incident, happened in settled:
        _admit(books, incident, happened, gate)
    _blow(books, gate)


def _admit(books: Books, incident: Incident, happened: list[Happening], gate: Gate) -> None:
    """Write what happened; a new incident pages for itself or joins a storm, which then speaks for it."""
    opening = any(happening.cause in OPENING for happening in happened)
    if opening:
        incident = replace(incident, storm=gate.storm_of(incident))
    for happening in happened:
        cause = happening.cause
        if incident.storm:
            books.touch(incident.storm, cause)
            if cause not in (Cause.ACKNOWLEDGED, Cause.RESOLVED, Cause.REFRESHED):
                cause = None
        books.write(incident, replace(happening, cause=cause))
        incident = books.open.get(incident.id, incident)
    if opening and incident.storm:
        text = f"the page of {incident.storm} stands for it"
        books.write(incident, Happening(event=Event(at=books.at, kind=EventKind.STORM, text=text)))


def _blow(books: Books, gate: Gate) -> None:
    """Bring the storms up to date."""
    if not gate.storms:
        return
    members: dict[str, list[Incident]] = {id_: [] for id_ in gate.storms}
    for incident in books.open.values():
        if incident.storm in members:
            members[incident.storm].append(incident)
    for id_, storm in gate.storms.items():
        current = books.open.get(id_, storm)
        # Nothing happened to its incidents at most instants: then only its own timers count.
        causes = None if members[id_] and id_ not in books.touched else books.touched.get(id_, set())
        now, happened = weather(current, members[id_], gate, causes, timing=books.timing(current))
        books.open[id_] = now
        for happening in happened:
            books.write(books.open.get(id_, now), happening)
