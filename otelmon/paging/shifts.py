"""What people are told of their shifts, as pages. Each pings those only whom it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from otelmon.incidents.model import Incident
from otelmon.oncall.model import Mention, MentionKind
from otelmon.oncall.people import Team
from otelmon.oncall.schedule import Shift
from otelmon.oncall.shifts_told import Handover, Reminder, ShiftNotice, ShiftsChanged
from otelmon.oncall.spans import Span
from otelmon.oncall.wall import wall_time
from otelmon.paging.model import Field, Message, Page, PageAction, PageReason
from otelmon.paging.values import format_span
from otelmon.rules.model import Severity

_MOST_LISTED = 8
_FOOTER = "otelmon oncall"


def decide_shifts(
    notices: Iterable[ShiftNotice], *, team: Team, incidents: Sequence[Incident], targets: Sequence[str]
) -> tuple[Page, ...]:
    """The page that each notice owes to every target. ``incidents`` are those that are open, and those of late.

    A shift's start pings whoever it began for; its end, where nobody follows, pings nobody, because nothing is asked of
    anybody. A reminder and a change ping their person.
    """
    return tuple(_page(notice, team, incidents, target) for notice in notices for target in targets)


def _page(notice: ShiftNotice, team: Team, incidents: Sequence[Incident], target: str) -> Page:
    match notice:
        case Handover():
            reason, message = PageReason.HANDOVER, _handover(notice, team, incidents)
        case Reminder():
            reason, message = PageReason.SHIFT_NEAR, _reminder(notice, team)
        case ShiftsChanged():
            reason, message = PageReason.SHIFTS_CHANGED, _changed(notice, team)
    return Page(
        id=f"{notice.key}.{PageAction.POST.value}.{target}",
        incident_id=notice.key,
        reason=reason,
        target=target,
        message=message,
        due_at=notice.at,
    )


def _handover(handover: Handover, team: Team, incidents: Sequence[Incident]) -> Message:
    began, ended, schedule = handover.began, handover.ended, handover.schedule
    zone = _zone(team, [shift.person for shift in began], schedule)
    if len(began) == 1:
        title = f"{began[0].person}, you are on call for {schedule} {_until(began[0], zone)}"
    elif began:
        title = f"{_names(began)}: you are on call for {schedule}"
    else:
        title = f"{_names(ended)}: your shift on call for {schedule} is over"
    fields = [Field(name=shift.person, value=_until(shift, zone)) for shift in began if len(began) > 1]
    if handover.more:
        turns = "one turn" if handover.more == 1 else f"{handover.more} turns"
        fields.append(Field(name="Short turns", value=f"{turns} more within 12 hours; you are told once a day"))
    if began and ended:
        fields.append(Field(name="Before you", value="\n".join(_since(shift, zone) for shift in ended)))
    others = [person for person in handover.on_call if person not in {shift.person for shift in began}]
    if others:
        fields.append(Field(name="On call too" if began else "On call now", value=", ".join(others)))
    if not handover.on_call:
        following = handover.next
        until = "" if following is None else f" until {_moment(following.start, zone)}, then {following.person}"
        fields.append(Field(name="On call now", value=f"nobody{until}"))
    fields += _of_late(incidents, ended, handover.at)
    return _message(title, fields, mentions=_mentions(team, [shift.person for shift in began]))


def _of_late(incidents: Sequence[Incident], ended: Sequence[Shift], at: datetime) -> list[Field]:
    """What is open, and what happened since the earliest shift that ended began."""
    opened = [each for each in incidents if each.resolved_at is None and not each.storm]
    fields = [Field(name="Open now", value=_listed([_line(each) for each in opened]) or "nothing", inline=False)]
    if ended:
        since = min(shift.start for shift in ended)
        over = [each for each in incidents if each.resolved_at is not None and since <= each.triggered_at < at]
        shown = _listed([_line(each) for each in over if not each.storm])
        fields.append(Field(name="In the last shift, resolved", value=shown or "nothing", inline=False))
    return fields


def _line(incident: Incident) -> str:
    about = incident.lead.annotations.get("title", "") if incident.is_storm else incident.lead.name
    where = f" on {incident.service}" if incident.service else ""
    if incident.resolved_at is not None:
        state = f"lasted {format_span(incident.lasted_seconds or 0.0)}"
    else:
        by = f" by {incident.acknowledged_by}" if incident.acknowledged_by else ""
        state = f"{incident.state}{by}"
    return f"{incident.id} {about}{where}, {incident.severity}, {state}"


def _reminder(reminder: Reminder, team: Team) -> Message:
    zone = _zone(team, [reminder.person], reminder.shifts[0][0])
    name, shift = reminder.shifts[0]
    title = f"{reminder.person}, you are on call for {name} from {_moment(shift.start, zone)}"
    lines = [_span_line(schedule, (one.start, one.end), zone) for schedule, one in reminder.shifts]
    fields = [Field(name="Your shifts", value=_listed(lines), inline=False)] if len(lines) > 1 else []
    if len(lines) == 1:
        fields.append(Field(name="Ends", value=_until(shift, zone)))
    return _message(title, fields, mentions=_mentions(team, [reminder.person]))


def _changed(notice: ShiftsChanged, team: Team) -> Message:
    first = (*notice.added, *notice.removed)[0][0]
    zone = _zone(team, [notice.person], first)
    fields = [
        Field(name=name, value=_listed([_span_line(schedule, span, zone) for schedule, span in spans]), inline=False)
        for name, spans in (("You are on call now", notice.added), ("No longer on call", notice.removed))
        if spans
    ]
    if notice.because:
        fields.append(Field(name="Why", value=_listed(notice.because), inline=False))
    title = f"{notice.person}, your coming shifts changed"
    return _message(title, fields, mentions=_mentions(team, [notice.person]))


def _message(title: str, fields: Sequence[Field], mentions: tuple[Mention, ...]) -> Message:
    return Message(severity=Severity.INFO, title=title, fields=tuple(fields), mentions=mentions, footer=_FOOTER)


def _mentions(team: Team, people: Iterable[str]) -> tuple[Mention, ...]:
    known = (team.people[name] for name in people if name in team.people)
    return tuple(Mention(kind=MentionKind.USER, id=person.discord) for person in known if person.discord)


def _zone(team: Team, people: Sequence[str], schedule: str) -> ZoneInfo:
    """The zone in which it is read: the person's own where there is one person, else the schedule's."""
    person = team.people.get(people[0]) if len(people) == 1 else None
    if person is not None and person.time_zone is not None:
        return person.time_zone
    return team.schedules[schedule].zone if schedule in team.schedules else ZoneInfo("UTC")


def _names(shifts: Sequence[Shift]) -> str:
    return ", ".join(shift.person for shift in shifts)


def _moment(at: datetime, zone: ZoneInfo) -> str:
    return f"{wall_time(at, zone):%a %d %b %H:%M} ({zone.key})"


def _until(shift: Shift, zone: ZoneInfo) -> str:
    return "until further notice" if shift.truncated else f"until {_moment(shift.end, zone)}"


def _since(shift: Shift, zone: ZoneInfo) -> str:
    return f"{shift.person}, since {_moment(shift.start, zone)}"


def _span_line(schedule: str, span: Span, zone: ZoneInfo) -> str:
    return f"{schedule}: {_moment(span[0], zone)} to {_moment(span[1], zone)}"


def _listed(lines: Sequence[str]) -> str:
    shown = list(lines[:_MOST_LISTED])
    if len(lines) > _MOST_LISTED:
        shown.append(f"and {len(lines) - _MOST_LISTED} more")
    return "\n".join(shown)
