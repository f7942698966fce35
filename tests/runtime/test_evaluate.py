"""Evaluating rules: each group when it is due, each rule on its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from otelmon.faults import Faults
from otelmon.labels import Labels
from otelmon.promql.query import Query
from otelmon.rules.load import load_rule_file
from otelmon.runtime.evaluate import RuleRunner
from otelmon.sample import Sample
from otelmon.window.window import Window

INTERVAL = 15.0
START = 1_767_614_400.0


class Bench:
    """Rules over a window whose series the test writes."""

    def __init__(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        self.faults = Faults()
        self.rules = RuleRunner(load_rule_file(path), interval_seconds=INTERVAL, faults=self.faults)
        self.window = Window(retention_seconds=600)
        self.at = START
        self.transitions: list[tuple[float, str, str]] = []

    def tick(self, **values: float) -> None:
        """One interval passes; a series of each name gets its value, then the rules run."""
        self.at += INTERVAL
        self.write(**values)
        self.run()

    def write(self, **values: float) -> None:
        for name, value in values.items():
            metric, _, item = name.partition("_of_")
            labels = Labels({"__name__": metric, "item": item or "one"})
            self.window.append([Sample(labels=labels, at=self.at, value=value)])

    def run(self) -> None:
        for each in self.rules.run(self.window, self.at).transitions:
            self.transitions.append((self.at - START, each.alert.name, str(each.alert.state)))

    def fired(self) -> list[tuple[float, str]]:
        return [(at, name) for at, name, state in self.transitions if state == "firing"]

    def ask(self, text: str) -> list[float]:
        evaluation = Query(text).evaluate(self.window, self.at)
        return sorted(element.value for element in evaluation.vector)


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[str], Bench]:
    return lambda text: Bench(tmp_path / "rules.yml", text)


def test_a_group_with_an_interval_of_its_own_is_evaluated_as_often_as_it_says(bench: Callable[[str], Bench]) -> None:
    rules = bench(
        "groups:\n"
        "  - {name: fast, rules: [{alert: fast, expr: 'up == 0'}]}\n"
        "  - {name: slow, interval: 1m, rules: [{alert: slow, expr: 'up == 0'}]}\n"
    )
    for tick in range(1, 12):
        rules.tick(up=1.0 if tick < 3 else 0.0)
    assert rules.fired() == [(45, "fast"), (75, "slow")]  # slow is asked at 15 and at 75


def test_a_tick_that_comes_a_moment_early_costs_a_group_no_interval(bench: Callable[[str], Bench]) -> None:
    rules = bench("groups: [{name: a, interval: 1m, rules: [{record: n, expr: 'vector(1)'}]}]\n")
    for _ in range(3):
        rules.tick()
    rules.tick()
    rules.at += 14.9
    rules.run()
    assert rules.ask("count_over_time(n[5m])") == [2]


def test_a_rule_that_fails_stops_neither_those_after_it_nor_other_groups_and_is_said_once(
    bench: Callable[[str], Bench], caplog: pytest.LogCaptureFixture
) -> None:
    rules = bench(
        "groups:\n"
        "  - name: a\n"
        "    rules:\n"
        "      - {alert: before, expr: 'up == 0'}\n"
        "      - {alert: broken, expr: 'up * on (job) up > 0'}\n"
        "      - {alert: after, expr: 'up == 0'}\n"
        "  - {name: b, rules: [{alert: other, expr: 'up == 0'}]}\n"
    )
    for _ in range(3):
        rules.tick(up_of_x=0, up_of_y=0)
    assert {name for _, name in rules.fired()} == {"before", "after", "other"}
    assert rules.faults.counts["rule.broken"] == 3
    assert caplog.text.count("rule broken") == 1


def test_a_recorded_series_that_is_gone_goes_stale_at_once(bench: Callable[[str], Bench]) -> None:
    rules = bench(
        "groups:\n"
        "  - name: a\n"
        "    rules:\n"
        "      - {record: 'item:size:max', expr: 'max by (item) (size) > 1', labels: {team: shop}}\n"
        "      - {alert: large, expr: 'item:size:max > 10'}\n"
    )
    rules.tick(size_of_x=20, size_of_y=5)
    assert rules.ask('{__name__="item:size:max", team="shop"}') == [5, 20]
    rules.tick(size_of_x=1, size_of_y=5)
    assert rules.ask('{__name__="item:size:max"}') == [5]
    assert [(name, state) for _, name, state in rules.transitions] == [("large", "firing"), ("large", "resolved")]


def test_a_recorded_series_is_seen_by_the_rules_after_it_in_the_same_tick(bench: Callable[[str], Bench]) -> None:
    rules = bench(
        "groups: [{name: a, rules: [{record: n, expr: 'sum(up)'}, {alert: low, expr: 'n < 2'}]}]\n",
    )
    rules.tick(up_of_x=1)
    assert rules.fired() == [(15, "low")]


def test_beyond_its_limit_a_recording_rule_records_nothing_and_says_so(bench: Callable[[str], Bench]) -> None:
    rules = bench("groups: [{name: a, limit: 2, rules: [{record: n, expr: 'up + 1'}]}]\n")
    rules.tick(up_of_x=1, up_of_y=1)
    assert rules.ask("n") == [2, 2]
    rules.tick(up_of_x=1, up_of_y=1, up_of_z=1)
    assert rules.ask("n") == []
    assert rules.faults.counts["rule.n"] == 1
    rules.at += 301  # the third is forgotten
    rules.tick(up_of_x=1, up_of_y=1)
    assert rules.ask("n") == [2, 2]


def test_beyond_its_limit_an_alerting_rule_pages_nobody_and_says_so(bench: Callable[[str], Bench]) -> None:
    rules = bench("groups: [{name: a, limit: 2, rules: [{alert: down, expr: 'up == 0'}]}]\n")
    rules.tick(up_of_x=0, up_of_y=0, up_of_z=0)
    assert rules.fired() == []
    assert rules.faults.counts["rule.down"] == 1


def test_a_rule_that_works_again_is_logged_anew_when_it_fails_again(
    bench: Callable[[str], Bench], caplog: pytest.LogCaptureFixture
) -> None:
    rules = bench("groups: [{name: a, rules: [{alert: twice, expr: 'up * on (job) up > 0'}]}]\n")
    for _ in range(3):
        rules.tick(up_of_x=1, up_of_y=1)
    assert caplog.text.count("the rule twice cannot be evaluated") == 1
    rules.at += 301  # both are forgotten, and one comes back
    rules.tick(up_of_x=1)
    rules.tick(up_of_x=1, up_of_y=1)
    assert caplog.text.count("the rule twice cannot be evaluated") == 2


def test_a_query_offset_looks_at_what_was_then(bench: Callable[[str], Bench]) -> None:
    rules = bench("groups: [{name: a, query_offset: 1m, rules: [{alert: down, expr: 'up == 0'}]}]\n")
    for _ in range(2):
        rules.tick(up=1)
    for _ in range(5):
        rules.tick(up=0)
    assert rules.fired() == [(105, "down")]  # down since 45


def test_after_a_jump_of_the_clock_groups_are_due_as_before(bench: Callable[[str], Bench]) -> None:
    rules = bench("groups: [{name: slow, interval: 1m, rules: [{alert: slow, expr: 'up == 0'}]}]\n")
    rules.tick(up=1)
    for shifted in (-86400.0, 86400.0):
        rules.window.shift(shifted)
        rules.rules.shift(shifted)
        rules.at += shifted
    rules.tick(up=0)
    assert rules.fired() == []
    for _ in range(3):
        rules.tick(up=0)
    assert rules.fired() == [(75, "slow")]
