"""Backtest: what rules would have done with what was recorded.

The steps are those of the live engine, in its order: samples into the window, rules, alerts, incidents, pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from otelmon.alerts.model import Alert, AlertState, Transition
from otelmon.incidents.model import Incident
from otelmon.incidents.policy import Policy
from otelmon.incidents.step import step as step_incidents
from otelmon.labels import Labels
from otelmon.paging.decide import decide
from otelmon.paging.model import PageAction, PageReason
from otelmon.paging.routing import Route, Routing
from otelmon.paging.text import Context
from otelmon.replay.collection import Collection
from otelmon.rules.model import AlertingRule, Rule, Severity, Unit
from otelmon.sample import Sample
from otelmon.window.window import Window

_ROUTING = Routing(default=Route(targets=("backtest",)))
# Where nothing was recorded for longer, nothing happens in between either: alerts are over, or stay as they are.
_LONGEST_GAP_SECONDS = 86_400.0
_WEEK_SECONDS = 7 * 86_400.0


class Evaluated(Protocol):
    """What one round of rules changed."""

    @property
    def transitions(self) -> Sequence[Transition]:
        """Alerts that changed their state."""


class Evaluation(Protocol):
    """How a rule fared when it was last evaluated."""

    @property
    def selected_series(self) -> int:
        """How many series its selectors matched."""

    @property
    def problem(self) -> str:
        """Why it could not be evaluated, empty where it could."""


class Watched(Protocol):
    """A rule under evaluation."""

    @property
    def rule(self) -> Rule:
        """The rule."""

    @property
    def last(self) -> Evaluation | None:
        """Its last evaluation."""


class Rules(Protocol):
    """Evaluates rules, as the live engine has it."""

    @property
    def watched(self) -> Iterator[Watched]:
        """Every rule."""

    @property
    def alerts(self) -> Mapping[str, Mapping[Labels, Alert]]:
        """The alerts of each rule."""

    def run(self, window: Window, at: float) -> Evaluated:
        """Evaluate what is due at an instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One time that an alert fired. ``resolved_at`` is None where it still did when the recording ended.

    ``worst`` is the value farthest beyond the bound.
    """

    name: str
    labels: Labels
    severity: Severity
    active_at: datetime
    fired_at: datetime
    resolved_at: datetime | None = None
    worst: float
    unit: Unit = Unit.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestPage:
    """A message that would have pinged people: when, why, and for which alert."""

    at: datetime
    reason: PageReason
    alert: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the rules did from ``start_at`` to ``end_at``. ``most_series`` is how many lived at a time, at most.

    ``alerts`` names the alerting rules, ``unmatched`` those rules for which no series was there at any time,
    ``problems`` says by rule what went wrong in an evaluation, as it was first seen. ``set_back`` counts collections
    that were left out because they are of before what was there already.
    """

    start_at: datetime
    end_at: datetime
    evaluations: int
    samples: int
    most_series: int
    firings: tuple[Firing, ...]
    pages: tuple[BacktestPage, ...]
    incidents: int
    alerts: tuple[str, ...]
    unmatched: tuple[str, ...]
    problems: Mapping[str, str]
    set_back: int = 0

    @property
    def seconds(self) -> float:
        """How much time the recording covers."""
        return (self.end_at - self.start_at).total_seconds()

    @property
    def pages_a_week(self) -> float:
        """Pages, taken to a week."""
        return len(self.pages) * _WEEK_SECONDS / self.seconds if self.seconds else 0.0

    def firing_seconds(self, firing: Firing) -> float:
        """How long it fired, within the recording."""
        return ((firing.resolved_at or self.end_at) - firing.fired_at).total_seconds()


@dataclass(slots=True, kw_only=True)
class Backtest:
    """Takes collections in the order of their time. Nobody acknowledges anything in it.

    Rules are evaluated at each complete collection, as the monitor did that recorded it; where the recording is of
    something else, every ``interval_seconds`` from its first sample on.
    """

    rules: Rules
    window: Window
    interval_seconds: float
    policy: Policy = field(default_factory=Policy)
    _incidents: Mapping[str, Incident] = field(default_factory=dict)
    _recent: Mapping[str, Incident] = field(default_factory=dict)
    _ids: set[str] = field(default_factory=set)
    _open: dict[Labels, Firing] = field(default_factory=dict)
    _closed: list[Firing] = field(default_factory=list)
    _pages: list[BacktestPage] = field(default_factory=list)
    _waiting: list[Sample] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _matched: set[str] = field(default_factory=set)
    _problems: dict[str, str] = field(default_factory=dict)
    _first_at: float | None = None
    _ticked_at: float = 0.0
    _newest: float = 0.0
    _complete_at: float | None = None

    def feed(self, collection: Collection) -> None:
        """Take what was measured, and evaluate what is due by then."""
        at = collection.at
        if collection.complete and at < self._newest:
            # The clock of the monitor was set back. It moved its past along; here both are there.
            self._counts["set back"] += 1
            return
        if self._first_at is None:
            self._first_at = self._newest = at
            self._ticked_at = at - self.interval_seconds
        if not collection.complete:
            self._run_until(at)
        elif self._complete_at is not None and at > self._complete_at:
            # All of the instant before is there: one process may have several resources.
            self._tick(self._complete_at)
        if collection.complete:
            self._complete_at = at
        self._waiting += collection.samples
        self._newest = max(self._newest, at)

    def outcome(self) -> Outcome:
        """What came of it."""
        if self._complete_at is not None:
            self._tick(self._complete_at)
        elif self._first_at is not None:
            self._run_until(self._newest)
            if self._waiting:
                self._tick(self._ticked_at + self.interval_seconds)
        rules = [watched.rule for watched in self.rules.watched]
        firings = sorted([*self._closed, *self._open.values()], key=lambda each: (each.fired_at, each.name))
        return Outcome(
            start_at=_instant(self._first_at or 0.0),
            end_at=_instant(max(self._newest, self._ticked_at)),
            evaluations=self._counts["evaluations"],
            samples=self._counts["samples"],
            most_series=self._counts["series"],
            firings=tuple(firings),
            pages=tuple(self._pages),
            incidents=len(self._ids),
            alerts=tuple(dict.fromkeys(rule.name for rule in rules if isinstance(rule, AlertingRule))),
            unmatched=tuple(dict.fromkeys(rule.name for rule in rules if rule.name not in self._matched)),
            problems=self._problems,
            set_back=self._counts["set back"],
        )

    def _run_until(self, at: float) -> None:
        """Evaluate at each interval before ``at``."""
        if at - self._ticked_at > _LONGEST_GAP_SECONDS:
            self._run_until(self._ticked_at + _LONGEST_GAP_SECONDS)
            skipped = int((at - self._ticked_at) // self.interval_seconds) - 1
            self._ticked_at += max(0, skipped) * self.interval_seconds
        while self._ticked_at + self.interval_seconds < at:
            self._tick(self._ticked_at + self.interval_seconds)

    def _tick(self, at: float) -> None:
        self._ticked_at = at
        self.window.append(self._waiting)
        self._counts["samples"] += len(self._waiting)
        self._counts["evaluations"] += 1
        self._counts["series"] = max(self._counts["series"], self.window.series_count)
        self._waiting = []
        evaluated = self.rules.run(self.window, at)
        standing = [alert for each in self.rules.alerts.values() for alert in each.values()]
        for watched in self.rules.watched:
            if watched.last is not None:
                if watched.last.selected_series:
                    self._matched.add(watched.rule.name)
                if watched.last.problem:
                    self._problems.setdefault(watched.rule.name, watched.last.problem)
        self._note(evaluated.transitions, standing)
        self._step(at, evaluated.transitions, standing)

    def _step(self, at: float, transitions: Sequence[Transition], standing: Sequence[Alert]) -> None:
        stepped = step_incidents(
            self._incidents,
            transitions,
            at=_instant(at),
            taken=self._ids,
            alerts=standing,
            recent=self._recent,
            policy=self.policy,
        )
        self._incidents, self._recent = stepped.incidents, stepped.recent
        self._ids |= stepped.incidents.keys()
        for change in stepped.changes:
            about = Context(service=change.incident.lead.labels.get("job", ""))
            for page in decide([change], routing=_ROUTING, about=about):
                if page.action is PageAction.POST and page.reason is not PageReason.RESOLVED:
                    name = change.incident.lead.name
                    self._pages.append(BacktestPage(at=_instant(at), reason=page.reason, alert=name))

    def _note(self, transitions: Iterable[Transition], standing: Iterable[Alert]) -> None:
        for transition in transitions:
            alert = transition.alert
            if alert.state is AlertState.FIRING and alert.fired_at is not None and alert.labels not in self._open:
                self._open[alert.labels] = Firing(
                    name=alert.name,
                    labels=alert.labels,
                    severity=alert.severity,
                    active_at=alert.active_at,
                    fired_at=alert.fired_at,
                    worst=alert.value,
                    unit=alert.unit,
                )
            elif alert.state is AlertState.RESOLVED and alert.labels in self._open:
                over = self._open.pop(alert.labels)
                self._closed.append(replace(over, resolved_at=alert.resolved_at or transition.at))
        if self._open:
            for alert in standing:
                firing = self._open.get(alert.labels)
                if firing is not None and _is_worse(alert, firing.worst):
                    self._open[alert.labels] = replace(firing, worst=alert.value)


def _is_worse(alert: Alert, than: float) -> bool:
    return alert.value < than if alert.operator.startswith("<") else alert.value > than


def _instant(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
