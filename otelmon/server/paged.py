"""What a server tells its clients: which alerts of their job it has paged, so that they do not page them again.

``GET /otelmon/paged?job=NAME`` beside OTLP over HTTP, with the same token, answers ``{"paged": ["error_rate"]}``; 503
where the server cannot page, so that its clients do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs

from otelmon.incidents.model import Incident
from otelmon.labels import Labels
from otelmon.tenants import TENANT

PAGED_PATH = "/otelmon/paged"

Told = Callable[[str, str], tuple[int, bytes]]
"""Status and JSON body of the answer for a query string, to the tenant whose token came with it ("" without tokens)."""


def paged_names(incidents: Iterable[Incident], job: str, *, tenant: str = "") -> list[str]:
    """The names of the alerts of this job, or of none, that open incidents were paged for; those of a tenant only."""
    paged = (labels for incident in incidents for labels in paged_labels(incident))
    return sorted(
        {
            str(labels.get("alertname", ""))
            for labels in paged
            if labels.get("job", "") in {"", job} and (not tenant or labels.get(TENANT) == tenant)
        }
    )


def paged_labels(incident: Incident) -> Iterable[Labels]:
    """The alerts that people were told of by this incident, or by the storm that it is a part of."""
    if incident.is_storm:
        return ()
    return (alert.labels for alert in incident.visible) if incident.storm else incident.told


def told(incidents: Callable[[], Iterable[Incident]], unable: Callable[[], str]) -> Told:
    """The answer; ``unable`` gives the reason where the server cannot page, else ""."""

    def answer(query: str, tenant: str) -> tuple[int, bytes]:
        if reason := unable():
            return 503, json.dumps({"error": reason}).encode()
        job = parse_qs(query).get("job", [""])[0]
        return 200, json.dumps({"paged": paged_names(incidents(), job, tenant=tenant)}).encode()

    return answer
