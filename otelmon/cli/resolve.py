"""`otelmon resolve ID`: end an incident by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from otelmon.cli.options import (
    ByOption,
    ConfigOption,
    ServiceOption,
    errors_said,
    opened_state,
    settings_for,
    user_name,
)
from otelmon.errors import StateError
from otelmon.incidents.ids import typed_id
from otelmon.incidents.model import IncidentState, Resolve


def resolve(
    incident_id: Annotated[str, typer.Argument(help="The incident's id, as the page shows it.")],
    by: ByOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
) -> None:
    """End an incident by hand. If its alert still fires after the quiet period, the incident is reopened."""
    with errors_said():
        settings = settings_for(config)
        with opened_state(settings, service) as storage:
            incident = storage.incident(typed_id(incident_id))
            if incident is None:
                raise StateError(f"there is no incident {incident_id}; `otelmon incidents` lists them")
            if incident.state is IncidentState.RESOLVED:
                raise StateError(f"the incident {incident.id} is resolved already")
            name = by or user_name()
            storage.ask(Resolve(incident_id=incident.id, by=name), datetime.now(UTC))
    typer.echo(f"resolved {incident.id} ({incident.lead.name}) as {name}")
