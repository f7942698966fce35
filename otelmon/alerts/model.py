"""Alert: one series of one rule, and how it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from otelmon.labels import EMPTY_LABELS, Labels
from otelmon.rules.model import Severity, Unit


class AlertState(StrEnum):
    """Prometheus's states; an inactive alert simply is not there."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class TransitionReason(StrEnum):
    """Why an alert changed."""

    HELD = "the expression holds"
    HELD_FOR = "the expression has held for as long as the rule asks"
    STOPPED = "the expression no longer holds"
    STOPPED_BEFORE_FIRING = "the expression stopped holding before the alert fired"
    EXPIRED = "no value was put in by hand for five minutes"
    LIMIT_EXCEEDED = "the rule has more alerts than its group's limit, so it keeps none"
    NO_TRAFFIC = "no traffic"
    NO_DATA = "no data"
    SERIES_GONE = "its series is gone while others are measured"
    NOTHING_MEASURED = "nothing is measured for this rule"
    MEASURED_AGAIN = "there is data again"
    RULE_REMOVED = "the rule is no longer configured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One series of one rule.

    ``labels`` is the identity: the sample's labels without the metric name, the rule's labels, and ``alertname``.
    ``active_at`` is when the expression began to hold, ``fired_at`` when it had held for long enough,
    ``resolved_at`` when it was over. ``last_held_at`` is the last evaluation at which the expression held.
    ``stopped_at`` is the first evaluation at which a firing alert's expression no longer held, while the rule keeps it
    firing; None again once it holds.
    ``series`` is the label set that the expression returned, before the rule's labels were put over it: by it the
    alert is found again among an evaluation's measured values.
    ``value`` is the value of the last evaluation at which it held, ``bound`` the limit it is compared with.
    ``restored`` is set after a restart until the expression has been measured again: such an alert resolves on a
    measured value only, never because the window is not yet filled.
    ``ended`` is why a resolved alert is over, None before.
    ``manual`` is set for a value that was put in by hand (``process_alert``), with its ``context``.
    """

    labels: Labels
    annotations: Mapping[str, str] = field(default_factory=dict)
    severity: Severity
    state: AlertState
    active_at: datetime
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    last_held_at: datetime | None = None
    stopped_at: datetime | None = None
    series: Labels = EMPTY_LABELS
    value: float
    bound: float | None = None
    operator: str = ""
    unit: Unit = Unit.NONE
    restored: bool = False
    manual: bool = False
    ended: TransitionReason | None = None
    context: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The rule's name."""
        return str(self.labels["alertname"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """An alert went from one state to another (``before`` is None for a new one)."""

    alert: Alert
    before: AlertState | None
    at: datetime
    reason: TransitionReason
