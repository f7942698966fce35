"""`otelmon ack ID`: take an incident."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from otelmon.cli.options import ConfigOption, ServiceOption, errors_said, opened_state, settings_for, user_name
from otelmon.errors import StateError
from otelmon.incidents.model import Acknowledge, IncidentState


def ack(
    incident_id: Annotated[str, typer.Argument(help="The incident's id, as the page shows it.")],
    by: Annotated[str | None, typer.Option(help="Who takes it; default: your user name.")] = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """Take an incident: the page shows by whom, within a second or two."""
    with errors_said():
        settings = settings_for(config)
        with opened_state(settings, service) as storage:
            incident = storage.incident(incident_id.upper())
            if incident is None:
                raise StateError(f"there is no incident {incident_id}; `otelmon incidents` lists them")
            if incident.state is IncidentState.RESOLVED:
                raise StateError(f"the incident {incident.id} is resolved already")
            if incident.state is IncidentState.ACKNOWLEDGED:
                raise StateError(f"the incident {incident.id} was acknowledged by {incident.acknowledged_by}")
            name = by or user_name()
            storage.ask(Acknowledge(incident_id=incident.id, by=name), datetime.now(UTC))
    typer.echo(f"acknowledged {incident.id} ({incident.lead.name}) as {name}")
