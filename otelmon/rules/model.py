"""What a rule is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from otelmon.labels import EMPTY_LABELS, Labels
from otelmon.promql.ast import Expr


class Severity(StrEnum):
    """How bad an alert is; the value is its ``severity`` label. Ordered by ``rank``: critical is highest."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for critical."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Unit(StrEnum):
    """In which unit a rule's value and bound are written, so that a page can say "12.4 %" instead of 0.124.

    A STATE holds or does not: its number tells a person nothing, and a page leaves it out.
    """

    NONE = ""
    RATIO = "ratio"
    PERCENT = "percent"
    MILLISECONDS = "milliseconds"
    SECONDS = "seconds"
    BYTES = "bytes"
    STATE = "state"


class NoData(StrEnum):
    """What becomes of a rule's firing alerts when nothing is measured for them any more.

    ``RESOLVE`` is Prometheus's meaning: what is not there does not hold. ``KEEP`` goes on firing until a value is
    measured. ``ALERT`` does that too, and pages with an alert of its own that nothing is measured.
    """

    RESOLVE = "resolve"
    KEEP = "keep"
    ALERT = "alert"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveWhen:
    """Hysteresis: what has to be so before a firing alert resolves, once its own expression no longer holds.

    Either ``bound``: the rule's condition must not hold with this bound in place of its own. Or ``expr``: it must
    return an element whose labels the alert's series has. ``text`` is what was written.
    """

    text: str
    bound: float | None = None
    expr: Expr | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a rule was written: a path as the user would type it, and a line counted from 1."""

    file: str
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """An expression that says what an alert is made of; see :mod:`otelmon.rules.breakdown`.

    Its values are shown as shares of their sum, of what ``share_of`` says, where that is not empty; else in ``unit``;
    else with ``noun`` behind them. ``text`` is the expression as written, with the comment that heads it.
    """

    title: str
    text: str
    expr: Expr
    share_of: str = ""
    unit: Unit = Unit.NONE
    noun: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertingRule:
    """A Prometheus alerting rule, with its expression parsed.

    ``for_seconds`` is how long the expression must hold before the alert fires, ``keep_firing_for_seconds`` how long
    it goes on firing after the expression stopped holding. ``annotations`` and ``labels`` are templates.
    ``unit``, ``no_data`` and ``resolve_when`` are otelmon extensions, kept in the annotations ``otelmon_unit``,
    ``otelmon_no_data`` and ``otelmon_resolve_when`` so that the file stays Prometheus's. So is ``breakdown``, in
    ``otelmon_breakdown``, but that is no text of the alert's: it is not among ``annotations``.
    """

    name: str
    expr: Expr
    text: str
    for_seconds: float = 0.0
    keep_firing_for_seconds: float = 0.0
    labels: Labels = EMPTY_LABELS
    annotations: Mapping[str, str] = field(default_factory=dict)
    unit: Unit = Unit.NONE
    no_data: NoData = NoData.RESOLVE
    resolve_when: ResolveWhen | None = None
    breakdown: tuple[Breakdown, ...] = ()
    origin: Origin

    @property
    def severity(self) -> Severity:
        """The rule's severity label; warning where it has none or one that is not a Severity."""
        value = self.labels.get("severity", "")
        return Severity(value) if value in set(Severity) else Severity.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRule:
    """A Prometheus recording rule: a view, a named expression whose result becomes a series."""

    name: str
    expr: Expr
    text: str
    labels: Labels = EMPTY_LABELS
    origin: Origin


Rule = AlertingRule | RecordingRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules evaluated together, in order, at one instant. ``interval_seconds`` is None for the monitor's interval.

    ``limit`` is how many alerts (or recorded series) a rule may have, 0 for any number.
    """

    name: str
    rules: tuple[Rule, ...]
    interval_seconds: float | None = None
    query_offset_seconds: float = 0.0
    limit: int = 0
    origin: Origin
