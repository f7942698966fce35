"""`otelmon incidents`: what is open, and what was lately; one incident's timeline, printed or as Markdown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otelmon.cli.history import Record, as_lines, as_markdown
from otelmon.cli.options import ConfigOption, ServiceOption, errors_said, opened_state, settings_for
from otelmon.duration import format_duration
from otelmon.errors import StateError
from otelmon.incidents.model import Incident
from otelmon.paging.visible import one_line

incidents = typer.Typer(help="Incidents: list them, show one, export one for the post-mortem.")

_HEADINGS = ("id", "state", "severity", "alert", "since", "lasted", "acknowledged by")

IdArgument = Annotated[str, typer.Argument(help="The incident's id, as the page shows it.")]


@incidents.callback(invoke_without_command=True)
def list_incidents(
    context: typer.Context,
    service: ServiceOption = None,
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(help="How many to list, newest first.")] = 20,
) -> None:
    """List incidents: their id, state, what they are about and since when."""
    if context.invoked_subcommand is not None:
        return
    with errors_said():
        settings = settings_for(config)
        with opened_state(settings, service) as storage:
            found = storage.incidents(limit)
    if not found:
        typer.echo("no incidents")
        return
    now = datetime.now(UTC)
    tenants = settings.serve.tenants
    headings: tuple[str, ...] = _HEADINGS
    rows = [_row(incident, now) for incident in found]
    if tenants.several and any(tenants.of(incident.lead.labels) for incident in found):
        headings = (*headings, "tenant")
        rows = [(*row, tenants.of(each.lead.labels)) for row, each in zip(rows, found, strict=True)]
    if not Console().is_terminal:
        _print_lines([headings, *rows])
        return
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


@incidents.command()
def show(incident_id: IdArgument, service: ServiceOption = None, config: ConfigOption = None) -> None:
    """Print an incident with its timeline: what happened, who did it and what was sent."""
    for line in as_lines(_record(incident_id, service, config)):
        typer.echo(line)


@incidents.command()
def export(
    incident_id: IdArgument,
    output: Annotated[Path | None, typer.Option(help="The file to write; default: standard output.")] = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """Write an incident as Markdown, for the post-mortem."""
    text = as_markdown(_record(incident_id, service, config))
    if output is None:
        typer.echo(text, nl=False)
        return
    with errors_said():
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StateError(f"{output}: {error.strerror or error}") from error
    typer.echo(f"wrote {output}")


def _print_lines(rows: list[tuple[str, ...]]) -> None:
    """Into a pipe: one line an incident, however long, so that grep and awk can read it. Cells are apart by two blanks
    at least, and an empty one is a dash.
    """
    lines = [tuple(cell or "-" for cell in row) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def _record(incident_id: str, service: str | None, config: Path | None) -> Record:
    with errors_said():
        settings = settings_for(config)
        with opened_state(settings, service) as storage:
            incident = storage.incident(incident_id)
            if incident is None:
                raise StateError(f"there is no incident {incident_id}; `otelmon incidents` lists them")
            members = storage.members(incident.id) if incident.is_storm else ()
            return Record(incident=incident, deliveries=storage.deliveries(incident.id), members=members)


def _row(incident: Incident, now: datetime) -> tuple[str, ...]:
    lasted = (incident.resolved_at or now) - incident.triggered_at
    muted = bool(incident.firing) and not incident.visible
    name = incident.lead.annotations.get("title", "") if incident.is_storm else incident.lead.name
    firing = len(incident.firing)
    return (
        incident.id,
        f"{incident.state}, muted" if muted else str(incident.state),
        str(incident.severity),
        one_line(name) + (f" ({firing} alerts)" if firing > 1 else ""),
        f"{incident.triggered_at.astimezone():%Y-%m-%d %H:%M:%S}",
        format_duration(float(round(lasted.total_seconds()))),
        one_line(incident.acknowledged_by),
    )
