"""`otelmon oncall override` and `otelmon oncall swap`: changes to who is on call, while the app runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from otelmon.cli.moments import Reader, Typed, ZoneOption, reader_for, typed_moment
from otelmon.cli.oncall_team import (
    ScheduleOption,
    existing_state,
    known_team,
    person_named,
    schedule_named,
    state_to_write,
)
from otelmon.cli.options import ByOption, ConfigOption, ServiceOption, errors_said, user_name
from otelmon.errors import OtelmonError, StateError
from otelmon.oncall import swap as swaps
from otelmon.oncall.overrides import Override
from otelmon.oncall.people import Team
from otelmon.oncall.schedule import Schedule
from otelmon.oncall.stored import StoredOverride, stored_override, unusable
from otelmon.paging.visible import one_line

override = typer.Typer(help="Overrides: somebody else is on call for a while.", no_args_is_help=True)

ReasonOption = Annotated[str, typer.Option(help="Why.")]
_TIMES = '"2026-12-24 09:00" (time of the schedule), 2026-12-24T09:00+01:00, now or +2h'


@override.command()
def add(  # noqa: PLR0917 (options of a command)
    start: Annotated[str, typer.Option("--from", help=f"From when on: {_TIMES}.")],
    end: Annotated[str, typer.Option("--to", help="Until when; +2h counts from --from.")],
    person: Annotated[str | None, typer.Option(help="Who is on call then.")] = None,
    replaces: Annotated[str | None, typer.Option(help="In whose place; without --person they are taken off.")] = None,
    schedule: ScheduleOption = None,
    reason: ReasonOption = "",
    by: ByOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """Put somebody on call for a while: in another's place, or beside whoever is."""
    now = _minute()
    with errors_said():
        known = known_team(config, service)
        found = schedule_named(known.team, schedule)
        begins = typed_moment(start, found.zone, now=now)
        ends = typed_moment(end, found.zone, now=now, since=begins.at)
        made = _made(
            known.team, found, begins.at, ends.at, person or "", replaces or "", reason, by or user_name(), now
        )
        with state_to_write(known.settings, service) as storage:
            storage.add_overrides([made])
    _say_notes(begins, ends)
    typer.echo(f"added {made.id}: {_in_words(made, Reader(found.zone))} ({found.zone.key})")


@override.command("list")
def list_overrides(
    schedule: ScheduleOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over or were removed too.")] = False,
    zone: ZoneOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """List overrides that were added by command; those of otelmon.yaml are in the calendar too."""
    now = datetime.now(UTC)
    with errors_said():
        reader = reader_for(zone)
        known = known_team(config, service)
        faults = {each.stored.id: each.reason for each in unusable(known.settings.team, known.stored)}
        listed = [
            each
            for each in known.stored
            if (everything or (each.override.end > now and each.removed_at is None))
            and schedule in (None, each.schedule)
        ]
    if not listed:
        typer.echo("no overrides")
        return
    typer.echo(f"times of {reader.name(now)}")
    for each in sorted(listed, key=lambda one: (one.override.start, one.id)):
        fault = f"; it changes nothing: {faults[each.id]}" if each.id in faults else ""
        removed = f"; removed by {one_line(each.removed_by)}" if each.removed_at is not None else ""
        typer.echo(f"{each.id}  {_in_words(each, reader)}{removed}{fault}")


@override.command()
def remove(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The override's id.")],
    by: ByOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """Take an override back: the schedule counts again from the monitor's next tick on."""
    with errors_said():
        known = known_team(config, service)
        removed = False
        state = existing_state(known.settings, service)
        if state is not None:
            with state as storage:
                removed = storage.remove_override(id_, by or user_name(), datetime.now(UTC))
        if not removed:
            raise StateError(f"there is no override {id_} in force; `otelmon oncall override list` lists them")
    typer.echo(f"removed {id_.strip().upper()}")


def swap(  # noqa: PLR0917 (options of a command)
    one: Annotated[str, typer.Argument(help="Who gives a shift away.")],
    other: Annotated[str, typer.Argument(help="Who takes it, and gives one in return.")],
    schedule: ScheduleOption = None,
    shift: Annotated[
        str | None,
        typer.Option("--shift", "--from", help=f"A time in the first one's shift: {_TIMES}; default: the next."),
    ] = None,
    in_return: Annotated[
        str | None, typer.Option("--for", help="A time in the other's shift; default: their first after that.")
    ] = None,
    reason: ReasonOption = "",
    by: ByOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """Let two people exchange a shift each; of a shift that has begun, what is left of it."""
    now = _minute()
    with errors_said():
        known = known_team(config, service)
        found = schedule_named(known.team, schedule)
        names = [person_named(known.team, name) for name in (one, other)]
        typed = [None if text is None else typed_moment(text, found.zone, now=now) for text in (shift, in_return)]
        ats = [None if each is None else each.at for each in typed]
        try:
            made = swaps.swap(
                found, *names, now=now, shift_at=ats[0], for_at=ats[1], reason=reason or "swap", by=by or user_name()
            )
        except swaps.SwapError as error:
            raise OtelmonError(f"{found.name}: {error}; {_coming(found, names, now)}") from error
        stored = [stored_override(found.name, each, datetime.now(UTC)) for each in made.overrides]
        with state_to_write(known.settings, service) as storage:
            storage.add_overrides(stored)
    _say_notes(*(each for each in typed if each is not None))
    for each in stored:
        typer.echo(f"added {each.id}: {_in_words(each, Reader(found.zone))} ({found.zone.key})")


def _made(  # noqa: PLR0917 (what an override has)
    team: Team,
    schedule: Schedule,
    start: datetime,
    end: datetime,
    person: str,
    replaces: str,
    reason: str,
    by: str,
    now: datetime,
) -> StoredOverride:
    """The override, if it changes anything; OtelmonError with why it does not."""
    if not person and not replaces:
        raise OtelmonError("say who: --person NAME, --replaces NAME, or both")
    for name in (person, replaces):
        if name:
            person_named(team, name)
    if person == replaces:
        raise OtelmonError(f"{person} cannot replace themselves")
    if end <= start:
        raise OtelmonError("it would end before it begins; give a later --to")
    if end <= now:
        raise OtelmonError("it is over already; give a later --to")
    if replaces and all(shift.person != replaces for shift in schedule.shifts(start, end)):
        raise OtelmonError(f"{replaces} is not on call for {schedule.name} then; {_coming(schedule, [replaces], now)}")
    made = Override(start=start, end=end, person=person, replaces=replaces, reason=reason, by=by)
    return stored_override(schedule.name, made, datetime.now(UTC))


def _minute() -> datetime:
    """Now, by whole minutes, as times are typed and shown."""
    return datetime.now(UTC).replace(second=0, microsecond=0)


def _coming(schedule: Schedule, people: Sequence[str], now: datetime) -> str:
    """When people are on call next, to choose from."""
    reader = Reader(schedule.zone)
    shifts = schedule.shifts(now, now + swaps.LONGEST_SHIFT)
    said = []
    for person in people:
        theirs = [shift for shift in shifts if shift.person == person and not shift.truncated][:3]
        times = ", ".join(f"{reader.shown(each.start)} to {reader.shown(each.end)}" for each in theirs)
        said.append(f"{person} is on call {times or 'not at all in the next weeks'}")
    return "; ".join(said)


def _say_notes(*typed: Typed) -> None:
    for each in typed:
        if each.note:
            typer.echo(each.note, err=True)


def _in_words(stored: StoredOverride, reader: Reader) -> str:
    change = stored.override
    if change.person and change.replaces:
        what = f"{change.person} for {change.replaces}"
    else:
        what = f"{change.person} too" if change.person else f"without {change.replaces}"
    times = f"{reader.shown(change.start)} to {reader.shown(change.end)}"
    why = "".join(f", {one_line(part)}" for part in (change.reason, change.by and f"by {change.by}") if part)
    return f"{stored.schedule}, {times}: {one_line(what)}{why}"
