"""Evaluating the rules: each group when it is due, each rule on its own, so that one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from otelmon.alerts.identity import ALERT_NAME
from otelmon.alerts.manual import expire, manual_step
from otelmon.alerts.model import Transition
from otelmon.alerts.restore import restore, shift
from otelmon.alerts.step import remove, step
from otelmon.alerts.wording import wording
from otelmon.clock import SystemClock
from otelmon.collect.pace import Pace
from otelmon.errors import PromQLError
from otelmon.faults import Faults
from otelmon.labels import EMPTY_LABELS, METRIC_NAME, Labels
from otelmon.matching import Matcher, MatchOperator
from otelmon.promql.analyze import lookbacks, metric_names
from otelmon.promql.ast import VectorSelector
from otelmon.promql.evaluation import Evaluation, Failed
from otelmon.promql.parse import parse
from otelmon.rules.model import AlertingRule, Group, RecordingRule, Rule
from otelmon.rules.template import queries
from otelmon.runtime.tenanted import part_of
from otelmon.runtime.watched import Alerts, LastEvaluation, WatchedRule, watch_all
from otelmon.sample import STALE, Sample
from otelmon.tenants import NOBODY, TENANT, Tenants
from otelmon.window.window import Window

GroupKey = tuple[str, str]

# Prometheus lets a restored pending alert wait 10 more minutes, for its scrapes to come in. Our window is restored too,
# and an app restarts with each deploy: waiting each time would put off a long `for` for ever.
_GRACE_SECONDS = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResults:
    """What one round of evaluation changed: transitions, and by key the alerts of each rule that was evaluated.

    ``recorded`` are the recorded samples that are kept for longer than what is collected.
    """

    transitions: tuple[Transition, ...] = ()
    alerts: Mapping[str, Alerts] = field(default_factory=dict)
    recorded: tuple[Sample, ...] = ()


class RuleRunner:
    """Evaluates groups of rules on a window and keeps the alerts of each rule."""

    def __init__(
        self,
        groups: tuple[Group, ...],
        *,
        interval_seconds: float,
        faults: Faults,
        monotonic: Callable[[], float] | None = None,
        about: Labels = EMPTY_LABELS,
        tenants: Tenants = NOBODY,
    ) -> None:
        """``about`` are the labels of every series (job, instance), for alerts that are put in by hand.

        Where there are ``tenants``, each rule is evaluated for each of them, over what is theirs alone, and once for
        what nobody's token brought.
        """
        self._tenants = tenants
        self._interval_seconds = interval_seconds
        self._faults = faults
        self._about = about
        self._monotonic = monotonic or SystemClock().monotonic
        self._due_at: dict[GroupKey, float] = {}
        self._recorded: list[Sample] = []
        self._watched = watch_all(groups, {}, tenants)

    @property
    def watched(self) -> Iterator[WatchedRule]:
        """Every rule, in the order of evaluation."""
        return (watched for _, rules in self._watched for watched in rules)

    @property
    def alerts(self) -> dict[str, Alerts]:
        """The alerts of each alerting rule, by its key."""
        return {watched.key: watched.alerts for watched in self._alerting()}

    def of_alert(self, labels: Labels) -> WatchedRule | None:
        """The rule whose alert has these labels now; of an alert that is over, one of its name."""
        named: WatchedRule | None = None
        for watched in self._alerting():
            if labels in watched.alerts:
                return watched
            if (
                named is None
                and watched.rule.name == labels.get(ALERT_NAME)
                and watched.tenant in (None, self._tenants.of(labels))
            ):
                named = watched
        return named

    def _alerting(self) -> Iterator[WatchedRule]:
        return (watched for watched in self.watched if isinstance(watched.rule, AlertingRule))

    def replace(self, groups: tuple[Group, ...], *, window: Window, at: float) -> RuleResults:
        """Take up other rules: a rule that stays (see ``rule_keys``) keeps its state, those that are gone resolve."""
        before = {watched.key: watched for watched in self.watched}
        taken = watch_all(groups, before, self._tenants)
        self._watched = taken
        gone = before.keys() - {watched.key for watched in self.watched}
        transitions: list[Transition] = []
        for key in sorted(gone):
            removed = remove(before[key].alerts, at=_instant(at))
            transitions += removed.transitions
            ended = [Sample(labels=labels, at=at, value=STALE) for labels in before[key].recorded]
            window.append([*removed.samples, *ended])
        return RuleResults(
            transitions=tuple(transitions),
            alerts={key: {} for key in gone if isinstance(before[key].rule, AlertingRule)},
        )

    def restore(self, alerts: Mapping[str, Alerts], *, saved_at: datetime, at: float) -> RuleResults:
        """Go on from the alerts of an earlier process; those of rules that are gone are resolved."""
        now = _instant(at)
        transitions: list[Transition] = []
        removed: dict[str, Alerts] = {}
        known = {watched.key: watched for watched in self._alerting()}
        for key, saved in alerts.items():
            watched = known.get(key)
            if watched is None or not isinstance(watched.rule, AlertingRule):
                removed[key] = {}
                transitions += remove(saved, at=now).transitions
                continue
            watched.alerts = restore(watched.rule, saved, saved_at=saved_at, at=now, grace_seconds=_GRACE_SECONDS)
            watched.hold_restored_until = now + timedelta(seconds=rule_lookback_seconds(watched.rule))
        return RuleResults(transitions=tuple(transitions), alerts=removed)

    def run(self, window: Window, at: float) -> RuleResults:
        """Evaluate the groups that are due at an instant (unix seconds), in order; recorded samples are appended."""
        transitions: list[Transition] = []
        changed: dict[str, Alerts] = {}
        self._recorded = []
        pace = Pace()
        for group, rules in self._watched:
            interval = group.interval_seconds or self._interval_seconds
            # Half a tick of grace, so that a tick that comes a moment early does not cost the group a whole interval.
            if at < self._due_at.get(_group_key(group), at) - self._interval_seconds / 2:
                continue
            self._due_at[_group_key(group)] = at + interval
            for watched in rules:
                transitions += self._run_rule(watched, window, at)
                if isinstance(watched.rule, AlertingRule):
                    changed[watched.key] = watched.alerts
                pace.rest()
        return RuleResults(transitions=tuple(transitions), alerts=changed, recorded=tuple(self._recorded))

    def run_reading(self, metrics: frozenset[str], window: Window, at: float) -> RuleResults:
        """Evaluate the alerting rules that select one of these metrics by name; groups keep their turns."""
        transitions: list[Transition] = []
        changed: dict[str, Alerts] = {}
        for watched in self._alerting():
            if metrics.intersection(metric_names(watched.rule.expr)):
                transitions += self._run_rule(watched, window, at)
                changed[watched.key] = watched.alerts
        return RuleResults(transitions=tuple(transitions), alerts=changed)

    def resume(self, window: Window) -> None:
        """Go on from the recorded series of an earlier process, which are in the window again.

        A group with an interval of its own is due an interval after it was last evaluated, not at each restart: what
        it records of its last interval would else be recorded twice.
        """
        for group, rules in self._watched:
            latest = float("-inf")
            for watched in rules:
                if isinstance(watched.rule, RecordingRule) and watched.rule.name in window.lasting:
                    found = part_of(window, watched.tenant).select(_recorded_by(watched.rule))
                    watched.recorded = frozenset(series.labels for series in found)
                    latest = max(latest, *(float(series.times[-1]) for series in found), float("-inf"))
            if group.interval_seconds and latest > float("-inf"):
                self._due_at[_group_key(group)] = latest + group.interval_seconds

    def _run_rule(self, watched: WatchedRule, window: Window, at: float) -> tuple[Transition, ...]:
        name = watched.rule.name
        began = self._monotonic()
        watched.since = at if watched.since is None else watched.since
        selected, problem = 0, ""
        transitions: tuple[Transition, ...] = ()
        part = part_of(window, watched.tenant)
        try:
            if watched.is_of_others(part):
                watched.last = LastEvaluation(at=at, took_seconds=0.0, selected_series=0, problem="")
                return ()
            evaluation = watched.query.evaluate(part, at - watched.group.query_offset_seconds)
            if isinstance(evaluation, Failed):
                problem = evaluation.reason
                self._faults.add(watched.fault, f"the rule {name} cannot be evaluated: {problem}")
            else:
                selected = evaluation.selected_series
            if isinstance(watched.rule, AlertingRule):
                transitions, told = self._step(watched, watched.rule, evaluation, window, at)
            else:
                told = self._record(watched, watched.rule, evaluation, window, at)
            problem = problem or told
        except Exception as error:  # noqa: BLE001 (one rule's failure must not stop the others)
            problem = f"{type(error).__name__}: {error}"
            self._faults.add(watched.fault, f"the rule {name} failed", error)
        watched.last = LastEvaluation(
            at=at, took_seconds=self._monotonic() - began, selected_series=selected, problem=problem
        )
        return transitions

    def _step(
        self, watched: WatchedRule, rule: AlertingRule, evaluation: Evaluation | Failed, window: Window, at: float
    ) -> tuple[tuple[Transition, ...], str]:
        queried_at = at - watched.group.query_offset_seconds
        part = part_of(window, watched.tenant)
        result = step(
            rule,
            watched.alerts,
            evaluation,
            at=_instant(at),
            condition=watched.condition,
            resolving=None if watched.resolve_when is None else watched.resolve_when.evaluate(part, queried_at),
            expand=wording(part, at=at, given={TENANT: watched.tenant} if watched.tenant else None),
            limit=watched.group.limit,
            hold_restored_until=watched.hold_restored_until,
            query_offset_seconds=watched.group.query_offset_seconds,
        )
        watched.alerts = result.alerts
        window.append(result.samples)
        if watched.condition is not None:
            measured = None if isinstance(evaluation, Failed) else evaluation.measured
            watched.course.note(measured, watched.condition.operator, at)
        if isinstance(evaluation, Failed):
            return result.transitions, ""  # told already
        if result.problem:
            self._faults.add(watched.fault, f"the rule {rule.name}: {result.problem}")
        else:
            self._faults.clear(watched.fault)
        return result.transitions, result.problem or ""

    def _record(
        self, watched: WatchedRule, rule: RecordingRule, evaluation: Evaluation | Failed, window: Window, at: float
    ) -> str:
        if isinstance(evaluation, Failed):
            return ""
        problem = ""
        values = {
            element.labels.with_labels({**rule.labels, METRIC_NAME: rule.name}): element.value
            for element in evaluation.vector
        }
        if watched.group.limit and len(values) > watched.group.limit:
            problem = f"it records {len(values)} series, limit {watched.group.limit}"
            self._faults.add(watched.fault, f"the rule {rule.name}: {problem}")
            values = {}
        else:
            self._faults.clear(watched.fault)
        ended = [Sample(labels=labels, at=at, value=STALE) for labels in watched.recorded - values.keys()]
        samples = [*(Sample(labels=labels, at=at, value=value) for labels, value in values.items()), *ended]
        window.append(samples)
        if rule.name in window.lasting:
            self._recorded += samples
        watched.recorded = frozenset(values)
        return problem

    def process(self, window: Window, name: str, value: float, context: Mapping[str, str], at: float) -> RuleResults:
        """Put a value through a rule's alert by hand; its texts may query the window."""
        watched = next((each for each in self._alerting() if each.rule.name == name and not each.tenant), None)
        if watched is None or watched.condition is None or not isinstance(watched.rule, AlertingRule):
            return RuleResults()
        result = manual_step(
            watched.rule,
            watched.alerts,
            value=value,
            condition=watched.condition,
            expand=wording(part_of(window, watched.tenant), at=at),
            context=context,
            at=_instant(at),
            about=self._about,
        )
        watched.alerts = result.alerts
        return RuleResults(transitions=result.transitions, alerts={watched.key: watched.alerts})

    def expire_manual(self, at: float) -> RuleResults:
        """Resolve what was put in by hand and not renewed."""
        transitions: list[Transition] = []
        changed: dict[str, Alerts] = {}
        for watched in self._alerting():
            result = expire(watched.alerts, at=_instant(at))
            if result.transitions:
                watched.alerts = changed[watched.key] = result.alerts
                transitions += result.transitions
        return RuleResults(transitions=tuple(transitions), alerts=changed)

    def shift(self, seconds: float) -> None:
        """The wall clock jumped: move what is remembered of time by as much."""
        self._due_at = {key: at + seconds for key, at in self._due_at.items()}
        for watched in self.watched:
            watched.since = None if watched.since is None else watched.since + seconds
            watched.course.shift(seconds)
        for watched in self._alerting():
            watched.alerts = shift(watched.alerts, seconds)
            if watched.hold_restored_until is not None:
                watched.hold_restored_until += timedelta(seconds=seconds)


def rule_lookback_seconds(rule: Rule) -> float:
    """How far a rule's expressions look back; also what its templates ask, as far as it can be told beforehand."""
    return max((seconds for _, seconds in rule_lookbacks(rule)), default=0.0)


def rule_lookbacks(rule: Rule) -> Iterator[tuple[VectorSelector, float]]:
    """Each selector of a rule, in its templates too, with how many seconds it reaches back."""
    yield from lookbacks(rule.expr)
    if isinstance(rule, AlertingRule):
        if rule.resolve_when is not None and rule.resolve_when.expr is not None:
            yield from lookbacks(rule.resolve_when.expr)
        for text in (*rule.labels.values(), *rule.annotations.values()):
            for asked in queries(text):
                with suppress(PromQLError):  # no expression, or not a whole one: the page will say so
                    yield from lookbacks(parse(asked))


def _recorded_by(rule: RecordingRule) -> tuple[Matcher, ...]:
    labels = {**rule.labels, METRIC_NAME: rule.name}
    return tuple(Matcher(name=name, operator=MatchOperator.EQUAL, value=value) for name, value in labels.items())


def _group_key(group: Group) -> GroupKey:
    # As in Prometheus, two files may each have a group of one name.
    return group.origin.file, group.name


def _instant(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
