"""How long incidents take people, as metrics: recorded when it happens, so that any backend shows MTTA and MTTR."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from otelmon.collect.meter import OwnMeter
from otelmon.faults import Faults
from otelmon.incidents.model import Change, EventKind
from otelmon.oncall.figures import Handled, handled

TIME_TO_ACKNOWLEDGE = "otelmon.incident.time_to_acknowledge"
TIME_TO_RESOLVE = "otelmon.incident.time_to_resolve"
# From half a minute to a day.
_BOUNDS = (30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)


class IncidentMetrics:
    """Two histograms, in seconds: from trigger to the first acknowledgement, and from trigger to the end.

    Their attributes are the rule (``alertname``), the ``severity``, and the ``person`` who acknowledged where
    ``people`` knows the name: what anybody writes after ``--by`` would make a series each.
    """

    def __init__(self, meter: OwnMeter, people: Callable[[], Collection[str]], *, faults: Faults) -> None:
        self._people = people
        self._faults = faults
        self._acknowledged = meter.create_histogram(
            TIME_TO_ACKNOWLEDGE,
            "s",
            "From trigger to the first acknowledgement",
            explicit_bucket_boundaries_advisory=_BOUNDS,
        )
        self._resolved = meter.create_histogram(
            TIME_TO_RESOLVE, "s", "From trigger to the end", explicit_bucket_boundaries_advisory=_BOUNDS
        )

    def record(self, changes: Sequence[Change]) -> None:
        """Record what these changes ended; a failure is counted and stops nothing."""
        try:
            for change in changes:
                self._record(change)
        except Exception as error:  # noqa: BLE001 (a figure that is missing must not stop a tick)
            self._faults.add("figures", "the times of an incident cannot be recorded", error)

    def _record(self, change: Change) -> None:
        if change.event.kind not in (EventKind.ACKNOWLEDGED, EventKind.RESOLVED):
            return
        spells = handled(change.incident)
        if not spells:
            return
        last = spells[-1]
        taken, over = last.time_to_acknowledge, last.time_to_resolve
        if change.event.kind is EventKind.RESOLVED and over is not None:
            self._resolved.record(max(0.0, over.total_seconds()), self._attributes(last))
        elif taken is not None and last.acknowledged_at == change.event.at:
            self._acknowledged.record(max(0.0, taken.total_seconds()), self._attributes(last))

    def _attributes(self, spell: Handled) -> dict[str, str]:
        attributes = {"alertname": spell.rule, "severity": spell.severity.value}
        if spell.acknowledged_by in self._people():
            attributes["person"] = spell.acknowledged_by
        return attributes
