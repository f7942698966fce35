"""Chart: how a rule's value went around an incident, as numbers from which a picture is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otelmon.rules.model import Severity, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What a picture of a rule's value shows. All instants are unix seconds, in order of time.

    ``points`` are instants with the value then (None: nothing was measured). ``bound`` is the limit that the rule
    compares with. ``firing`` are the spans of firing as (start, end); the end is None while it fires. ``deploys`` are
    instants with the version that was deployed.
    """

    points: tuple[tuple[float, float | None], ...]
    unit: Unit
    severity: Severity
    bound: float | None = None
    firing: tuple[tuple[float, float | None], ...] = ()
    deploys: tuple[tuple[float, str], ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON's types."""
        return {
            "points": [list(point) for point in self.points],
            "unit": self.unit.value,
            "severity": self.severity.value,
            "bound": self.bound,
            "firing": [list(span) for span in self.firing],
            "deploys": [list(deploy) for deploy in self.deploys],
        }


def chart_from(plain: Mapping[str, Any] | None) -> Chart | None:
    """The chart whose ``plain`` this is; None for none, and for what cannot be read: nothing hangs on a chart."""
    if not plain:
        return None
    try:
        return Chart(
            points=tuple((at, value) for at, value in plain["points"]),
            unit=Unit(plain["unit"]),
            severity=Severity(plain["severity"]),
            bound=plain.get("bound"),
            firing=tuple((since, until) for since, until in plain.get("firing", ())),
            deploys=tuple((at, str(version)) for at, version in plain.get("deploys", ())),
        )
    except (KeyError, TypeError, ValueError):
        return None
