"""`otelmon oncall calendar`: the coming weeks as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated

import typer

from otelmon.cli.moments import Reader, ZoneOption, reader_for
from otelmon.cli.oncall_team import ScheduleOption, chosen, known_team
from otelmon.cli.options import ConfigOption, ServiceOption, errors_said
from otelmon.oncall.overrides import Override
from otelmon.oncall.schedule import Schedule
from otelmon.oncall.sweep import Piece
from otelmon.paging.visible import one_line

_WIDTH = 79
_HOUR = timedelta(hours=1)
_STEP = timedelta(minutes=15)


def calendar(
    weeks: Annotated[int, typer.Option(min=1, max=104, help="How many weeks, from today on.")] = 6,
    schedule: ScheduleOption = None,
    zone: ZoneOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """Print who is on call in the coming weeks, with gaps, overrides and changes of the clock."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    with errors_said():
        reader = reader_for(zone)
        schedules = chosen(known_team(config, service).team, schedule)
    for number, each in enumerate(schedules):
        if number:
            typer.echo("")
        for line in lines(each, now, now + timedelta(weeks=weeks), reader):
            typer.echo(line)


def lines(schedule: Schedule, start: datetime, end: datetime, reader: Reader) -> Iterator[str]:
    """The table of a schedule, within 79 columns but for names without a space in them that are longer."""
    notes = [one for one in schedule.overrides if one.start < end and start < one.end]
    yield f"{schedule.name}, {start.astimezone(reader.zone):%d %b %Y} to {end.astimezone(reader.zone):%d %b %Y}"
    yield f"times of {reader.name(start)}"
    yield ""
    width = max(len(reader.shown(at)) for piece in schedule.pieces(start, end) for at in (piece.start, piece.end))
    yield f"{'from':{width}}  {'to':{width}}  hours  on call"
    before: int | None = None
    for piece in schedule.pieces(start, end):
        year = piece.start.astimezone(reader.zone).year
        if before is not None and year != before:
            yield f"-- {year} --"
        before = year
        yield from _row(piece, notes, reader, width)
        yield from _clock_changes(piece.start, piece.end, reader)
    for number, note in enumerate(notes, start=1):
        yield from textwrap.wrap(_note(number, note, reader), _WIDTH, subsequent_indent="    ")


def _row(piece: Piece, notes: Sequence[Override], reader: Reader, width: int) -> Iterator[str]:
    marks = [f"[{n}]" for n, note in enumerate(notes, start=1) if note.start < piece.end and piece.start < note.end]
    nobody = "nobody, on purpose" if piece.on_purpose else "NOBODY: a gap"
    who = " ".join([one_line(", ".join(piece.people)) or nobody, *marks])
    hours = f"{(piece.end - piece.start) / _HOUR:.1f}".removesuffix(".0")
    head = f"{reader.shown(piece.start):{width}}  {reader.shown(piece.end):{width}}  {hours:>5}  "
    yield from textwrap.wrap(
        who, max(_WIDTH, len(head) + 20), initial_indent=head, subsequent_indent=" " * len(head), break_long_words=False
    )


def _clock_changes(start: datetime, end: datetime, reader: Reader) -> Iterator[str]:
    """A line for each change of the reader's clock in a time, which is why its hours are not what they seem."""
    at, offset = start, reader.offset(start)
    while at < end:
        following = min(at + timedelta(days=1), end)
        if reader.offset(following) != offset:
            moments = [at + n * _STEP for n in range((following - at) // _STEP + 1)] + [following]
            for one, other in pairwise(moments):
                if reader.offset(one) != reader.offset(other):
                    way = "forward" if reader.offset(other) > reader.offset(one) else "back"
                    by = timedelta(seconds=abs(reader.offset(other) - reader.offset(one)))
                    yield f"    the clock is put {way} by {str(by)[:-3]} h before {reader.shown(other)}"
            offset = reader.offset(following)
        at = following


def _note(number: int, note: Override, reader: Reader) -> str:
    if note.person and note.replaces:
        what = f"{note.person} for {note.replaces}"
    else:
        what = f"{note.person} too" if note.person else f"without {note.replaces}"
    why = ", ".join(one_line(part) for part in (note.reason, note.by and f"by {note.by}") if part)
    times = f"{reader.shown(note.start)} to {reader.shown(note.end)}"
    return f"[{number}] {times}: {one_line(what)}" + (f" ({why})" if why else "")
