"""`otelmon silence`: alerts that page nobody for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otelmon.cli.options import (
    ByOption,
    ConfigOption,
    ServiceOption,
    errors_said,
    opened_state,
    settings_for,
    user_name,
)
from otelmon.duration import read_duration
from otelmon.errors import OtelmonError, StateError
from otelmon.incidents.ids import typed_id
from otelmon.incidents.silence import AddSilence, ExpireSilence, Silence, parse_matchers, silence_id
from otelmon.matching import Matcher
from otelmon.paging.visible import one_line

silence = typer.Typer(help="Silences: alerts that match page nobody for a while.", no_args_is_help=True)

MatchersArgument = Annotated[
    list[str], typer.Argument(help='An alert\'s name, or matchers: job=shop, http_route=~"/pay.*", severity!=critical.')
]


@silence.command()
def add(  # noqa: PLR0917 (options of a command)
    matchers: MatchersArgument,
    lasts: Annotated[str | None, typer.Option("--for", help="How long, such as 2h.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when, such as 2026-11-23T18:00; local time.")] = None,
    until_resolved: Annotated[bool, typer.Option("--until-resolved", help="Until nothing that matches fires.")] = False,
    start: Annotated[str | None, typer.Option(help="From when on, such as 2026-11-23T16:00; default: now.")] = None,
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    by: ByOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """Silence alerts that meet all matchers. They are evaluated and recorded, and page if they still fire after it."""
    now = datetime.now(UTC)
    with errors_said():
        settings = settings_for(config)
        starts_at, ends_at = _times(lasts, until, start, now)
        if ends_at is None and not until_resolved:
            raise OtelmonError("say when it ends: --for 2h, --until 2026-11-23T18:00 or --until-resolved")
        found, author = _parsed(matchers), by or user_name()
        made = Silence(
            id=silence_id(found, author, now),
            matchers=found,
            starts_at=starts_at,
            ends_at=ends_at,
            until_resolved=until_resolved,
            author=author,
            comment=comment,
            created_at=now,
        )
        with opened_state(settings, service) as storage:
            storage.ask(AddSilence(silence=made), now)
    typer.echo(f"silenced {made.shown} {_until(made)}: {made.id}")


@silence.command("list")
def list_silences(
    service: ServiceOption = None,
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(help="How many to list, newest first.")] = 20,
) -> None:
    """List silences: those that are not over first."""
    with errors_said():
        settings = settings_for(config)
        with opened_state(settings, service) as storage:
            found = {each.id: each for each in storage.silences(limit)}
            # What was asked a moment ago, or while no monitor runs.
            asked = [request.body.silence for request in storage.requests() if isinstance(request.body, AddSilence)]
    listed = [each for each in asked if each.id not in found] + list(found.values())
    if not listed:
        typer.echo("no silences")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "state", "matchers", "until", "author", "comment"):
        table.add_column(heading)
    now = datetime.now(UTC)
    for each in listed:
        row = (each.id, _state(each, now), each.shown, _until(each), each.author, each.comment)
        table.add_row(*(Text(one_line(cell)) for cell in row))
    Console().print(table)


@silence.command()
def expire(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The silence's id.")],
    by: ByOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """End a silence now: what it hides and still fires pages."""
    with errors_said():
        settings = settings_for(config)
        wanted = typed_id(id_)
        with opened_state(settings, service) as storage:
            waiting = [each.body.silence.id for each in storage.requests() if isinstance(each.body, AddSilence)]
            active = [each.id for each in storage.silences(10_000) if each.ended_at is None]
            if wanted not in (*waiting, *active):
                raise StateError(f"there is no silence {id_} that is not over; `otelmon silence list` lists them")
            storage.ask(ExpireSilence(silence_id=wanted, by=by or user_name()), datetime.now(UTC))
    typer.echo(f"expired {wanted}")


def _times(lasts: str | None, until: str | None, start: str | None, now: datetime) -> tuple[datetime, datetime | None]:
    """From when on, and until when (None: not said)."""
    if lasts and until:
        raise OtelmonError("--for and --until both say when it ends; give one of them")
    try:
        starts_at = now if start is None else _instant(start)
        ends_at = None if until is None else _instant(until)
        if lasts:
            ends_at = starts_at + timedelta(seconds=read_duration(lasts))
    except (ValueError, OverflowError) as error:
        raise OtelmonError(str(error)) from error
    if ends_at is not None and ends_at <= max(starts_at, now):
        raise OtelmonError("it would end before it begins; give a later end")
    return starts_at, ends_at


def _parsed(matchers: list[str]) -> tuple[Matcher, ...]:
    try:
        return parse_matchers(matchers)
    except ValueError as error:
        raise OtelmonError(str(error)) from error


def _instant(text: str) -> datetime:
    """An instant as written, in local time where it names no zone."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _until(silence_: Silence) -> str:
    ends = "" if silence_.ends_at is None else f"until {silence_.ends_at.astimezone():%Y-%m-%d %H:%M:%S}"
    if not silence_.until_resolved:
        return ends
    return f"until resolved, {ends} at the latest" if ends else "until resolved"


def _state(silence_: Silence, now: datetime) -> str:
    if silence_.ended_at is not None:
        return f"expired by {silence_.ended_by}" if silence_.ended_by else "over"
    if silence_.ends_at is not None and silence_.ends_at <= now:
        return "over"
    return "active" if silence_.starts_at <= now else "to come"
