"""What an open incident's alerts, mutes and timers make of it at one instant, and for which of it people are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from otelmon.alerts.model import Alert, AlertState
from otelmon.duration import format_duration
from otelmon.incidents.model import NEW_MESSAGE, Cause, Change, Event, EventKind, Incident, IncidentState, Telling
from otelmon.incidents.model import lengthened as _lengthened
from otelmon.incidents.policy import Policy
from otelmon.labels import Labels
from otelmon.rules.model import Severity

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """Why an alert pages nobody. ``silenced`` tells a silence, after which it pages again, from an inhibitor."""

    reason: str
    silenced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What this instant brought to one incident.

    ``opened`` is TRIGGERED or REOPENED where it is new, with the reason in ``why``; ``joined`` are alerts that fire
    now and did not, ``ended`` those that resolved. ``mutes`` are the alerts that page nobody.
    """

    opened: EventKind | None = None
    why: str = ""
    joined: Sequence[Alert] = ()
    ended: Sequence[Alert] = ()
    mutes: Mapping[Labels, Mute]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An event that is not yet on the timeline, and why people are to be told of it."""

    event: Event
    cause: Cause | None = None
    alerts: Sequence[Alert] = ()


def settle(incident: Incident, news: News, policy: Policy, at: datetime) -> tuple[Incident, list[Happening]]:
    """The incident as it stands at ``at``, and what happened to it."""
    if not incident.firing:
        return _resolved(incident, news, at)
    happened: list[Happening] = []
    cause = None
    if not _is_quiet(incident, news):
        incident, happened, cause = _brought(incident, news, policy, at)
    timers = _timers(incident, policy, at, told_now=cause in NEW_MESSAGE)
    if timers is not None:
        incident, happening = timers
        happened.append(happening)
    return incident, happened


def _is_quiet(incident: Incident, news: News) -> bool:
    """Whether all of it fires on as before, so that only its timers count: most incidents at most instants."""
    if news.opened is not None or news.joined or news.ended or incident.muted:
        return False
    return all(
        alert.state is AlertState.FIRING and alert.labels in incident.told and alert.labels not in news.mutes
        for alert in incident.alerts
    )


def _brought(
    incident: Incident, news: News, policy: Policy, at: datetime
) -> tuple[Incident, list[Happening], Cause | None]:
    """What this instant's news, mutes and forgotten alerts make of it."""
    before = incident.muted
    muted = {alert.labels: news.mutes[alert.labels] for alert in incident.firing if alert.labels in news.mutes}
    told = incident.told - _hidden(incident, muted)
    kept = _kept(incident.alerts, policy.reopen_within, at)
    reasons = before
    if before or muted:
        reasons = {labels: mute.reason for labels, mute in muted.items()}
    incident = replace(incident, alerts=kept, muted=reasons, told=told)
    happened = _facts(incident, news, before, at)
    cause = _cause(incident, news, before)
    if cause is not None:
        happened = _with_cause(happened, cause, incident, at)
    visible = {alert.labels for alert in incident.visible}
    if not visible <= incident.told or len(kept) != len(told):
        incident = replace(incident, told=(told | visible) & {alert.labels for alert in kept})
    if happened and all(alert.labels in muted and muted[alert.labels].silenced for alert in incident.firing):
        # What is still owed about it is not sent: nothing of it counts as told, so it is owed anew after the silence.
        incident = replace(incident, silenced_at=at)
    return incident, happened, cause


def _hidden(incident: Incident, muted: Mapping[Labels, Mute]) -> set[Labels]:
    """The alerts that count as untold: whoever silences says "not until then", so after it they are new to people.

    Not those that somebody took who saw them.
    """
    taken_at = incident.acknowledged_at if incident.state is IncidentState.ACKNOWLEDGED else None
    return {
        alert.labels
        for alert in incident.firing
        if alert.labels in muted
        and muted[alert.labels].silenced
        and (taken_at is None or (alert.fired_at or taken_at) > taken_at)
    }


def written(incident: Incident, happening: Happening) -> tuple[Incident, Change]:
    """The incident with an event on its timeline, and the telling that it is for, if it is for one."""
    cause, event = happening.cause, happening.event
    if cause in (Cause.REFRESHED, Cause.EVIDENCE, Cause.ACKNOWLEDGED, Cause.RESOLVED) and not incident.shown_in:
        cause = None  # nobody was told of it
    shown_in = incident.shown_in
    timeline = _lengthened(incident.timeline, event)
    if cause is None:
        incident = replace(incident, timeline=timeline)
    else:
        number = incident.tellings + 1
        incident = replace(incident, timeline=timeline, tellings=number)
        if cause in NEW_MESSAGE:
            telling = Telling(cause=cause, number=number)
            # A reopened incident begins anew: what was said before shows how it ended.
            incident = replace(
                incident,
                shown_in=(*shown_in[:1], telling),
                first_paged_at=incident.first_paged_at or event.at,
                paged_at=event.at,
            )
    alerts = tuple(happening.alerts)
    change = Change(
        incident=incident, event=event, cause=cause, number=incident.tellings, shown_in=shown_in, alerts=alerts
    )
    return incident, change


def after(seconds: float) -> str:
    """A time span on a timeline."""
    return format_duration(round(seconds))


def named(alerts: Iterable[Alert]) -> str:
    """Some alerts in a few words."""
    listed = list(alerts)
    shown = "; ".join(_in_words(alert) for alert in listed[:_MOST_NAMED])
    return shown if len(listed) <= _MOST_NAMED else f"{shown} and {len(listed) - _MOST_NAMED} more"


def _in_words(alert: Alert) -> str:
    own = alert.labels.without(("alertname", "severity", "job"))
    return f"{alert.name} ({alert.severity})" + (f" {own}" if own else "")


def _kept(alerts: tuple[Alert, ...], reopen_within: timedelta, at: datetime) -> tuple[Alert, ...]:
    def stays(alert: Alert) -> bool:
        over = alert.state is not AlertState.FIRING and at - (alert.resolved_at or at) >= reopen_within
        return not over

    return alerts if all(map(stays, alerts)) else tuple(filter(stays, alerts))


def _resolved(incident: Incident, news: News, at: datetime) -> tuple[Incident, list[Happening]]:
    happened: list[Happening] = []
    if news.opened is not None:
        happened.append(Happening(event=Event(at=at, kind=news.opened, text=news.why), alerts=news.joined))
    lasted = after((at - incident.triggered_at).total_seconds())
    text = f"after {lasted}" + (f": {news.why}" if news.why and news.opened is None else "")
    if incident.acknowledged_by:
        text += f"; acknowledged by {incident.acknowledged_by}"
    incident = replace(incident, state=IncidentState.RESOLVED, resolved_at=at, muted={})
    event = Event(at=at, kind=EventKind.RESOLVED, by=incident.resolved_by, text=text)
    happened.append(Happening(event=event, cause=Cause.RESOLVED, alerts=news.ended))
    return incident, happened


def _facts(incident: Incident, news: News, before: Mapping[Labels, str], at: datetime) -> list[Happening]:
    """What happened, whether or not people are told."""
    facts: list[Happening] = []

    def note(kind: EventKind, text: str, alerts: Sequence[Alert] = ()) -> None:
        facts.append(Happening(event=Event(at=at, kind=kind, text=text), alerts=alerts))

    if news.opened is not None:
        note(news.opened, news.why, news.joined)
    elif news.joined:
        note(EventKind.JOINED, named(news.joined), news.joined)
    if news.ended:
        note(EventKind.ENDED, named(news.ended), news.ended)
    now = incident.muted
    muted = [alert for alert in incident.firing if alert.labels in now and alert.labels not in before]
    if muted:
        reasons = "; ".join(dict.fromkeys(now[alert.labels] for alert in muted))
        note(EventKind.MUTED, f"{named(muted)}: {reasons}")
    unmuted = [alert for alert in incident.visible if alert.labels in before]
    if unmuted:
        note(EventKind.UNMUTED, named(unmuted))
    return facts


def _cause(incident: Incident, news: News, before: Mapping[Labels, str]) -> Cause | None:
    """Why people are to be told at this instant, timers aside."""
    untold = [alert for alert in incident.visible if alert.labels not in incident.told]
    if not untold:
        return Cause.REFRESHED if news.ended or incident.muted != before else None
    if news.opened is not None:
        return Cause.REOPENED if news.opened is EventKind.REOPENED else Cause.TRIGGERED
    acknowledged = incident.state is IncidentState.ACKNOWLEDGED
    was_muted = any(alert.labels in before for alert in untold)
    if not acknowledged:
        if not incident.shown_in and not incident.storm:
            return Cause.UNMUTED if was_muted else Cause.TRIGGERED
        if was_muted and not any(alert.labels in incident.told for alert in incident.visible):
            return Cause.UNMUTED
    if not any(alert.severity is Severity.CRITICAL for alert in untold):
        return Cause.REFRESHED
    known = (alert.severity for alert in incident.alerts if alert.labels in incident.told)
    return Cause.JOINED if Severity.CRITICAL in known else Cause.WORSENED


def _with_cause(happened: list[Happening], cause: Cause, incident: Incident, at: datetime) -> list[Happening]:
    """The happenings with the cause at the last one: all of them are on the timeline when people are told."""
    untold = tuple(alert for alert in incident.visible if alert.labels not in incident.told)
    if not happened:
        return [Happening(event=Event(at=at, kind=EventKind.JOINED, text=named(untold)), cause=cause, alerts=untold)]
    last = happened[-1]
    if cause is Cause.WORSENED:
        happened = [*happened, Happening(event=Event(at=at, kind=EventKind.WORSENED, text=named(untold)))]
        last = happened[-1]
    happened[-1] = replace(last, cause=cause, alerts=(*last.alerts, *untold))
    return happened


def _timers(incident: Incident, policy: Policy, at: datetime, *, told_now: bool) -> tuple[Incident, Happening] | None:
    """An acknowledgement that ran out, or a reminder that is due."""
    if not incident.visible:
        return None
    since = incident.acknowledged_at
    if incident.state is IncidentState.ACKNOWLEDGED and since is not None and policy.ack_timeout is not None:
        if at - since < policy.ack_timeout:
            return None
        text = f"it still fires {after((at - since).total_seconds())} after {incident.acknowledged_by} took it"
        again = replace(
            incident,
            state=IncidentState.TRIGGERED,
            acknowledged_at=None,
            acknowledged_by="",
            rounds=incident.rounds + 1,
        )
        return again, Happening(event=Event(at=at, kind=EventKind.EXPIRED, text=text), cause=Cause.EXPIRED)
    every = policy.repeat_every.get(incident.severity)
    if incident.state is not IncidentState.TRIGGERED or told_now or incident.storm:
        return None
    if every is None or incident.paged_at is None or at - incident.paged_at < every:
        return None
    text = f"it fires for {after((at - incident.triggered_at).total_seconds())} and nobody has acknowledged"
    return incident, Happening(event=Event(at=at, kind=EventKind.REMINDED, text=text), cause=Cause.REMINDER)
