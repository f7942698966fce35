"""`otelmon oncall report`: what being on call came to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from otelmon.cli.moments import typed_moment
from otelmon.cli.oncall_team import Known, ScheduleOption, chosen, existing_state, known_team
from otelmon.cli.options import ConfigOption, ServiceOption, errors_said
from otelmon.errors import OtelmonError
from otelmon.incidents.model import Incident
from otelmon.oncall.figures import Figure, figures, handled
from otelmon.oncall.model import MentionKind
from otelmon.oncall.report import Paged, Report
from otelmon.oncall.schedule import Schedule
from otelmon.oncall.wall import wall_time
from otelmon.paging.values import format_span
from otelmon.paging.visible import one_line

_MOST_INCIDENTS = 100_000
_KEPT = timedelta(days=30)
_HOUR = timedelta(hours=1)
_LAST_MONTH = timedelta(days=30)

Row = Sequence[str]


def report(
    start: Annotated[
        str | None, typer.Option("--from", help="From when on, such as 2026-11-01; default: 30 days before --to.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Until when; default: now.")] = None,
    schedule: ScheduleOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """Sum up who was on call: hours, nights, weekends, pages, coverage; and how soon incidents were answered."""
    now = datetime.now(UTC).replace(microsecond=0)
    with errors_said():
        known = known_team(config, service)
        schedules = chosen(known.team, schedule)
        pages, incidents = _kept(known, service, now)
        said = [line for each in schedules for line in _of_schedule(each, start, end, now, pages)]
        zone = schedules[0].zone
        begin, until = _span(start, end, now, zone_of=schedules[0])
    for line in said:
        typer.echo(line)
    for line in _answers(incidents, begin, until):
        typer.echo(line)
    if begin < now - _KEPT:
        day = wall_time(now - _KEPT, zone)
        typer.echo(f"\npages and incidents are kept for 30 days: those before {day:%Y-%m-%d} are not counted")


def _span(start: str | None, end: str | None, now: datetime, *, zone_of: Schedule) -> tuple[datetime, datetime]:
    zone = zone_of.zone
    until = now if end is None else typed_moment(end, zone, now=now, whole_days=True).at
    begin = until - _LAST_MONTH if start is None else typed_moment(start, zone, now=now, whole_days=True).at
    if until <= begin:
        raise OtelmonError("--to is not after --from")
    return begin, until


def _kept(known: Known, service: str | None, now: datetime) -> tuple[list[Paged], Sequence[Incident]]:
    """The pages that pinged somebody, and the incidents, as far as they are kept; none where no monitor ran."""
    by_id = {person.discord: name for name, person in known.team.people.items() if person.discord}
    state = existing_state(known.settings, service)
    if state is None:
        return [], ()
    with state as storage:
        pings = storage.pings(now - 2 * _KEPT, now + _HOUR)
        incidents = storage.incidents(_MOST_INCIDENTS)
    users = [ping for ping in pings if ping.mention.kind is MentionKind.USER]
    return [Paged(person=by_id[ping.mention.id], at=ping.at) for ping in users if ping.mention.id in by_id], incidents


def _of_schedule(
    schedule: Schedule, start: str | None, end: str | None, now: datetime, pages: Iterable[Paged]
) -> Iterator[str]:
    begin, until = _span(start, end, now, zone_of=schedule)
    named = schedule.people()
    found = schedule.report(begin, until, [page for page in pages if page.person in named])
    shown = " to ".join(f"{wall_time(at, schedule.zone):%Y-%m-%d %H:%M}" for at in (begin, until))
    yield f"{schedule.name}, {shown} ({schedule.zone.key})"
    yield ""
    yield from _table(("person", "hours", "nights", "weekends", "shifts", "pages"), _loads(found))
    yield ""
    yield _coverage(found)
    yield ""


def _loads(found: Report) -> list[Row]:
    return [
        (
            load.person,
            *(f"{part / _HOUR:.1f}" for part in (load.total, load.night, load.weekend)),
            str(load.shifts),
            str(load.pages),
        )
        for load in found.loads
    ]


def _coverage(found: Report) -> str:
    parts = [f"{100 * found.coverage:.1f} % covered"]
    gaps = found.uncovered - found.off_on_purpose
    parts.append(f"{gaps / _HOUR:.1f} h of gaps" if gaps else "no gaps")
    if found.off_on_purpose:
        parts.append(f"{found.off_on_purpose / _HOUR:.1f} h off on purpose")
    if found.shared:
        parts.append(f"{found.shared / _HOUR:.1f} h carried by more than one")
    parts.append(f"spread {100 * found.balance:.0f} % evenly")
    return ", ".join(parts)


def _answers(incidents: Iterable[Incident], start: datetime, end: datetime) -> Iterator[str]:
    """How soon the incidents of a time were acknowledged and resolved, by who took them and by rule."""
    records = [record for each in incidents for record in handled(each)]
    found = figures(records, start=start, end=end)
    if not found.overall.incidents:
        yield "no incidents"
        return
    for number, (heading, groups) in enumerate((("taken by", found.by_person), ("rule", found.by_rule))):
        if number:
            yield ""
        rows = [_answered(name, figure) for name, figure in (*groups.items(), ("all", found.overall))]
        yield from _table((heading, "incidents", "to acknowledge", "to resolve"), rows)


def _answered(name: str, figure: Figure) -> Row:
    """A group's mean times to acknowledge and to resolve, over those that were."""
    return name, str(figure.incidents), _mean(figure.mtta), _mean(figure.mttr)


def _mean(span: timedelta | None) -> str:
    return "-" if span is None else format_span(span.total_seconds())


def _table(headings: Row, rows: Sequence[Row]) -> Iterator[str]:
    """Columns: the first to the left, the others to the right."""
    cells = [headings, *([one_line(row[0]), *row[1:]] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        yield "  ".join(
            f"{cell:{width}}" if not column else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
