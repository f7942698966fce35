"""The wall clock jumped: incidents and silences move along, so that durations stay true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from otelmon.alerts.restore import shift_alert
from otelmon.incidents.model import Incident
from otelmon.incidents.silence import Silence, shift_silence


def shift(incidents: Mapping[str, Incident], seconds: float) -> dict[str, Incident]:
    """The same incidents after the wall clock jumped by so many seconds: durations stay true."""
    by = timedelta(seconds=seconds)

    def later(instant: datetime | None) -> datetime | None:
        return None if instant is None else instant + by

    def moved(incident: Incident) -> Incident:
        return replace(
            incident,
            alerts=tuple(shift_alert(alert, by) for alert in incident.alerts),
            triggered_at=incident.triggered_at + by,
            acknowledged_at=later(incident.acknowledged_at),
            resolved_at=later(incident.resolved_at),
            first_paged_at=later(incident.first_paged_at),
            paged_at=later(incident.paged_at),
            silenced_at=later(incident.silenced_at),
            joined_at=later(incident.joined_at),
            timeline=tuple(replace(event, at=event.at + by) for event in incident.timeline),
        )

    return {id_: moved(incident) for id_, incident in incidents.items()}


def shift_silences(silences: Mapping[str, Silence], seconds: float) -> dict[str, Silence]:
    """The same silences after the wall clock jumped: what is left of them stays as long."""
    return {id_: shift_silence(silence, timedelta(seconds=seconds)) for id_, silence in silences.items()}
