"""`otelmon oncall`: who is on call now and next; what is wrong with the schedules; calendar feeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from otelmon.cli.moments import Reader, ZoneOption, reader_for
from otelmon.cli.oncall_calendar import calendar
from otelmon.cli.oncall_override import override, swap
from otelmon.cli.oncall_report import report
from otelmon.cli.oncall_team import ScheduleOption, chosen, known_team, person_named
from otelmon.cli.options import ConfigOption, ServiceOption, errors_said
from otelmon.errors import OtelmonError
from otelmon.oncall.calendar import person_feed, schedule_feed
from otelmon.oncall.check import LOOK_AHEAD, Finding, FindingKind, check
from otelmon.oncall.people import Team
from otelmon.oncall.schedule import Schedule, Shift
from otelmon.oncall.spans import merged
from otelmon.oncall.stored import unusable

oncall = typer.Typer(help="Who is on call: now and next, ahead and before; overrides and swaps.")
oncall.add_typer(override, name="override")
oncall.command()(swap)
oncall.command()(calendar)
oncall.command()(report)

# A shift that goes on for longer is said to have no end.
_AHEAD = timedelta(days=400)
# So many gaps of a schedule are listed; one that is off each night has sixty.
_MOST_GAPS = 5
_FEED_BEFORE = timedelta(weeks=4)
_FEED_AFTER = timedelta(weeks=26)


@oncall.callback(invoke_without_command=True)
def who_is_on_call(
    context: typer.Context,
    schedule: ScheduleOption = None,
    zone: ZoneOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """Say who is on call now and next, and until when, in your own time zone."""
    if context.invoked_subcommand is not None:
        return
    now = datetime.now(UTC)
    with errors_said():
        reader = reader_for(zone)
        known = known_team(config, service)
        schedules = chosen(known.team, schedule)
    typer.echo(f"{reader.shown(now)} ({reader.name(now)})")
    for each in schedules:
        typer.echo("")
        for line in _who(each, now, reader):
            typer.echo(line)


def _who(schedule: Schedule, now: datetime, reader: Reader) -> Iterator[str]:
    shifts = [shift for shift in schedule.shifts(now, now + _AHEAD) if shift.start <= now]
    yield schedule.name
    for shift in shifts:
        yield f"  now   {shift.person} {_until(shift, reader)}"
    following = schedule.next_on_call(now)
    if not shifts:
        until = "" if following is None else f" until {reader.shown(following.start)}"
        yield f"  now   nobody{until}"
    if following is None:
        yield "  next  nobody else"
        return
    for shift in schedule.shifts(following.start, following.start + _AHEAD):
        if shift.start == following.start and shift.person == following.person:
            yield f"  next  {shift.person} from {reader.shown(shift.start)} {_until(shift, reader)}"
    gaps = merged((gap.start, gap.end) for gap in schedule.gaps(now, following.start))
    for start, end in gaps if shifts else ():
        yield f"        nobody from {reader.shown(start)} to {reader.shown(end)}"


def _until(shift: Shift, reader: Reader) -> str:
    return "without an end" if shift.truncated else f"until {reader.shown(shift.end)}"


@oncall.command("check")
def check_schedules(service: ServiceOption = None, config: ConfigOption = None) -> None:
    """Look for gaps in the next 60 days, people with no way to be reached, and overrides of nobody; exit 1 for any.

    An unknown time zone is an error of the configuration, said with its file and line.
    """
    with errors_said():
        known = known_team(config, service)
    findings = check(known.team, datetime.now(UTC))
    found = list(_findings([each for each in findings if each.kind is not FindingKind.NO_FALLBACK]))
    found += [
        f"{each.stored.schedule}: the override {each.stored.id} changes nothing: {each.reason}"
        for each in unusable(known.settings.team, known.stored)
    ]
    found += [f"a step pages {name!r}, and no notifier has this name" for name in known.settings.unknown_webhooks()]
    for line in found:
        typer.echo(line)
    for each in findings:
        if each.kind is FindingKind.NO_FALLBACK:  # worth knowing, and no fault: there may be other ways to be heard
            typer.echo(f"note: {each.where}: {each.kind}; {each.text}")
    if found:
        raise typer.Exit(1)
    names = ", ".join(known.team.schedules)
    typer.echo(f"{names}: somebody is on call in each of the next {LOOK_AHEAD.days} days, and all can be reached")


def _findings(found: Sequence[Finding]) -> Iterator[str]:
    """What was found in words; of many gaps in one schedule the first ones, and how many there are."""
    gaps = Counter(each.where for each in found if each.kind is FindingKind.GAP)
    shown: Counter[str] = Counter()
    for each in found:
        if each.kind is FindingKind.GAP:
            shown[each.where] += 1
            if shown[each.where] > _MOST_GAPS:
                continue
        yield f"{each.where}: {each.kind}: {each.text}"
        more = gaps[each.where] - _MOST_GAPS
        if each.kind is FindingKind.GAP and shown[each.where] == _MOST_GAPS and more > 0:
            yield f"{each.where}: {each.kind}: {more} times more; see `otelmon oncall calendar`"


@oncall.command()
def ical(
    schedule: Annotated[str | None, typer.Option(help="The calendar of a schedule.")] = None,
    person: Annotated[str | None, typer.Option(help="The calendar of a person, over all schedules.")] = None,
    output: Annotated[Path | None, typer.Option(help="The file to write; default: print it.")] = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """Write the calendar (iCalendar) of a schedule or a person: the last 4 weeks and the next 26."""
    now = datetime.now(UTC)
    with errors_said():
        known = known_team(config, service)
        feed = _feed(known.team, schedule, person, now)
        if output is None:
            typer.echo(feed.decode("utf-8"), nl=False)
            return
        try:
            output.write_bytes(feed)
        except OSError as error:
            raise OtelmonError(f"{output} cannot be written: {error.strerror}") from error
    typer.echo(f"wrote {output}")


def _feed(team: Team, schedule: str | None, person: str | None, now: datetime) -> bytes:
    if schedule is not None and person is not None:
        raise OtelmonError("--schedule or --person, not both: a person's calendar is over all schedules")
    start, end = now - _FEED_BEFORE, now + _FEED_AFTER
    if person is not None:
        return person_feed(person_named(team, person), team.schedules.values(), start, end, at=now)
    found = chosen(team, schedule)
    if len(found) > 1:
        raise OtelmonError(f"say whose calendar: --person NAME, or --schedule {' or '.join(sorted(team.schedules))}")
    return schedule_feed(found[0], start, end, at=now)
