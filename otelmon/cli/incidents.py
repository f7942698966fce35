"""`otelmon incidents`: what is open, and what was lately."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from otelmon.cli.options import ConfigOption, ServiceOption, errors_said, opened_state, settings_for
from otelmon.duration import format_duration
from otelmon.incidents.model import Incident


def incidents(
    service: ServiceOption = None,
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(help="How many to list, newest first.")] = 20,
) -> None:
    """List incidents: their id, state, what they are about and since when."""
    with errors_said():
        settings = settings_for(config)
        with opened_state(settings, service) as storage:
            found = storage.incidents(limit)
    if not found:
        typer.echo("no incidents")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "state", "severity", "alert", "since", "lasted", "acknowledged by"):
        table.add_column(heading)
    now = datetime.now(UTC)
    for incident in found:
        table.add_row(*_row(incident, now))
    Console().print(table)


def _row(incident: Incident, now: datetime) -> tuple[str, ...]:
    alert = incident.alerts[0]
    lasted = (incident.resolved_at or now) - incident.triggered_at
    return (
        incident.id,
        str(incident.state),
        str(alert.severity),
        alert.name,
        f"{incident.triggered_at.astimezone():%Y-%m-%d %H:%M:%S}",
        format_duration(float(round(lasted.total_seconds()))),
        incident.acknowledged_by,
    )
