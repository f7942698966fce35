"""Runs rule unit tests with promtool's verdicts (prometheus/cmd/promtool/unittest.go)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from otelmon.alerts.model import Alert, AlertState
from otelmon.alerts.step import step
from otelmon.alerts.wording import wording
from otelmon.duration import format_duration
from otelmon.errors import ConfigError, Problem, PromQLError
from otelmon.labels import METRIC_NAME, Labels
from otelmon.promql.analyze import condition
from otelmon.promql.evaluation import Evaluation, Failed
from otelmon.promql.query import Query
from otelmon.promql.supported import check_supported
from otelmon.replay.model import AlertCase, ExpectedAlert, ExprCase, Scenario, TestFile
from otelmon.replay.read import read_test_file
from otelmon.replay.verdict import Failure, alert_difference, sample_difference
from otelmon.rules.load import load_rule_file
from otelmon.rules.model import AlertingRule, Group, RecordingRule, Rule
from otelmon.sample import STALE, Sample
from otelmon.window.window import Window

# Everything that a test writes is kept: it ends with the test.
_RETENTION_SECONDS = 1e12
_MOST_SERIES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the tests of a file came to: it passes if nothing failed."""

    file: str
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all holds."""
        return not self.failures


def run_test_file(path: Path, *, ignore_unknown: bool = False) -> Verdict:
    """Run the tests of a file; with ``ignore_unknown``, rule files may have keys that Prometheus does not know.

    Raises ConfigError where the file, or one of its rule files, cannot be read as such.
    """
    tests = read_test_file(path)
    failures: list[Failure] = []
    groups = _load_groups(tests, ignore_unknown=ignore_unknown)
    for scenario in tests.scenarios:
        failures += _Run(tests, scenario, groups).failures()
    warnings = tuple(f"{tests.name}: no file matches {pattern}" for pattern in tests.unmatched)
    return Verdict(file=tests.name, failures=tuple(failures), warnings=warnings)


def _load_groups(tests: TestFile, *, ignore_unknown: bool) -> tuple[Group, ...]:
    """The groups of all rule files, in their order of evaluation."""
    groups: list[Group] = []
    problems: list[Problem] = []
    for path in tests.rule_files:
        try:
            groups += load_rule_file(path, ignore_unknown=ignore_unknown)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    order = {name: index for index, name in enumerate(tests.group_order)}
    return tuple(sorted(groups, key=lambda group: order.get(group.name, 0)))


class _RuleError(Exception):
    """A rule that cannot be evaluated, which ends its scenario."""


@dataclass(slots=True, kw_only=True)
class _Watched:
    """A rule, and the alerts or recorded series that it has now."""

    rule: Rule
    group: Group
    query: Query
    alerts: Mapping[Labels, Alert] = field(default_factory=dict)
    recorded: frozenset[Labels] = frozenset()


class _Run:
    """One scenario: a window of its own, and the rules from the beginning."""

    def __init__(self, tests: TestFile, scenario: Scenario, groups: tuple[Group, ...]) -> None:
        self._tests = tests
        self._scenario = scenario
        self._every = tests.evaluation_interval_seconds
        self._window = Window(retention_seconds=_RETENTION_SECONDS, max_series=_MOST_SERIES)
        self._watched = [
            _Watched(rule=rule, group=group, query=Query(rule.text, subquery_step_seconds=self._every))
            for group in groups
            for rule in group.rules
        ]

    def failures(self) -> Iterator[Failure]:
        """Whatever does not hold."""
        scenario = self._scenario
        asked = [case.at for case in scenario.alerts] + [case.at for case in scenario.expressions]
        last = max(asked, default=0.0)
        samples = self._samples()
        waiting = next(samples, None)
        offset = 0.0
        evaluations = 0
        while offset <= last:
            at = round(scenario.start_at + offset, 3)
            due = []
            while waiting is not None and waiting.at <= at:
                due.append(waiting)
                waiting = next(samples, None)
            self._window.append(due)
            try:
                self._evaluate(at)
            except _RuleError as error:
                yield self._failure(scenario.line, f"at {format_duration(offset)}: {error}")
                return
            for case in scenario.alerts:
                if offset <= case.at < offset + self._every:
                    yield from self._check_alerts(case)
            evaluations += 1
            offset = round(evaluations * self._every, 3)
        for expression in scenario.expressions:
            yield from self._check_expression(expression)

    def _samples(self) -> Iterator[Sample]:
        """The samples of the series by instant."""
        scenario = self._scenario
        for index in range(max((len(values) for _, values in scenario.series), default=0)):
            at = round(scenario.start_at + index * scenario.interval_seconds, 3)
            for labels, values in scenario.series:
                value = values[index] if index < len(values) else None
                if value is not None:
                    yield Sample(labels=labels, at=at, value=value)

    def _failure(self, line: int, about: str, difference: tuple[str, ...] = ()) -> Failure:
        name = self._scenario.name
        return Failure(
            file=self._tests.name, line=line, about=f"{name}: {about}" if name else about, difference=difference
        )

    def _evaluate(self, at: float) -> None:
        expand = wording(
            self._window,
            at=at,
            external_labels=self._scenario.external_labels,
            external_url=self._scenario.external_url,
        )
        for watched in self._watched:
            rule, group = watched.rule, watched.group
            evaluation = watched.query.evaluate(self._window, at - group.query_offset_seconds)
            if isinstance(evaluation, Failed):
                raise _RuleError(f"the rule {rule.name} cannot be evaluated: {evaluation.reason}")
            if isinstance(rule, RecordingRule):
                self._record(watched, rule, evaluation, at)
                continue
            result = step(
                rule,
                watched.alerts,
                evaluation,
                at=datetime.fromtimestamp(at, UTC),
                condition=condition(rule.expr),
                expand=expand,
                limit=group.limit,
                query_offset_seconds=group.query_offset_seconds,
            )
            if result.problem:
                raise _RuleError(f"the rule {rule.name}: {result.problem}")
            watched.alerts = result.alerts
            self._window.append(result.samples)

    def _record(self, watched: _Watched, rule: RecordingRule, evaluation: Evaluation, at: float) -> None:
        at = at - watched.group.query_offset_seconds
        values = {
            element.labels.with_labels({**rule.labels, METRIC_NAME: rule.name}): element.value
            for element in evaluation.vector
        }
        if len(values) < len(evaluation.vector):
            raise _RuleError(f"the rule {rule.name} records two series with the same labels")
        if 0 < watched.group.limit < len(values):
            raise _RuleError(f"the rule {rule.name} records {len(values)} series, limit {watched.group.limit}")
        self._window.append(Sample(labels=labels, at=at, value=value) for labels, value in values.items())
        ended = watched.recorded - values.keys()
        self._window.append(Sample(labels=labels, at=at, value=STALE) for labels in ended)
        watched.recorded = frozenset(values)

    def _check_alerts(self, case: AlertCase) -> Iterator[Failure]:
        found = [
            ExpectedAlert(labels=alert.labels, annotations=dict(alert.annotations))
            for watched in self._watched
            if isinstance(watched.rule, AlertingRule)
            and watched.rule.name == case.name
            and case.group in ("", watched.group.name)
            for alert in watched.alerts.values()
            if alert.state is AlertState.FIRING
        ]
        difference = alert_difference(case.expected, found)
        if difference:
            about = f"the alerts of {case.name} that fire at {format_duration(case.at)} differ"
            yield self._failure(case.line, about, difference)

    def _check_expression(self, case: ExprCase) -> Iterator[Failure]:
        try:
            query = Query(case.text, subquery_step_seconds=self._every)
            check_supported(query.expr, case.text)
        except PromQLError as error:
            yield self._failure(case.line, f"{case.text!r} is no expression: {error}")
            return
        evaluation = query.evaluate(self._window, round(self._scenario.start_at + case.at, 3))
        if isinstance(evaluation, Failed):
            yield self._failure(case.line, f"{case.text!r} cannot be evaluated: {evaluation.reason}")
            return
        found = [(element.labels, element.value) for element in evaluation.vector]
        difference = sample_difference(case.expected, found, fuzzy=self._tests.fuzzy_compare)
        if difference:
            yield self._failure(case.line, f"{case.text!r} at {format_duration(case.at)} differs", difference)
