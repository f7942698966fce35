"""promtool's rule unit tests get promtool's verdicts."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from otelmon.cli.main import app
from otelmon.errors import ConfigError
from otelmon.replay.run import Verdict, run_test_file

# What promtool says of each file of its own.
VERDICTS = {
    "bad-input-series.yml": False,
    "bad-promql.yml": False,
    "bad-rules-syntax-test.yml": False,
    "failing.yml": False,
    "no-test-group-interval.yml": True,
    "rules_run_extrafields.yml": False,
    "rules_run_fuzzy.yml": False,
    "rules_run_no_fuzzy.yml": False,
}

RULES = """
groups:
  - name: alerts
    interval: 5m
    rules:
      - alert: InstanceDown
        expr: up == 0
        for: 5m
        labels: {severity: page}
        annotations:
          summary: 'Instance {{ $labels.instance }} down in {{ $externalLabels.cluster }}'
          others: '{{ with query "count(up == 1)" }}{{ . | first | value }}{{ else }}none{{ end }}'
      - alert: AlwaysFiring
        expr: 1
  - name: views
    rules:
      - record: job:test:count_over_time1m
        expr: sum without(instance) (count_over_time(test[1m]))
      - record: fixed_data
        expr: 1
      - record: subqueried
        expr: count_over_time(up[5m:])
"""

TESTS = """
rule_files: [ru*.yml]
evaluation_interval: 1m
group_eval_order: [views, alerts]
tests:
  - interval: 1m
    name: values
    input_series:
      - {series: test_full, values: 0 0}
      - {series: test_repeat, values: 1x2}
      - {series: test_increase, values: 1+1x2}
      - {series: test_histogram, values: 'HISTOGRAM'}
      - {series: test_histogram_increase, values: '{{sum:3 count:2 buckets:[2]}}+{{sum:1.3 count:1 buckets:[1]}}x2'}
      - {series: test_stale, values: 0 stale}
      - {series: test_missing, values: 0 _ _ _ _ _ _ 0}
    promql_expr_test:
      - {expr: test_full, eval_time: 60s, exp_samples: [{value: 0, labels: test_full}]}
      - {expr: test_repeat, eval_time: 2m, exp_samples: [{value: 1, labels: 'test_repeat{}'}]}
      - {expr: test_increase, eval_time: 2m, exp_samples: [{value: 3, labels: '{__name__="test_increase"}'}]}
      - expr: test_histogram
        exp_samples:
          - labels: test_histogram
            histogram: 'HISTOGRAM'
      - expr: test_histogram_increase
        eval_time: 2m
        exp_samples: [{labels: test_histogram_increase, histogram: '{{count:4 sum:5.6 buckets:[4]}}'}]
      - {expr: test_stale, eval_time: 59s, exp_samples: [{value: 0, labels: test_stale}]}
      - {expr: test_stale, eval_time: 1m, exp_samples: []}
      - {expr: test_missing, eval_time: 5m, exp_samples: []}
      - {expr: count(test_missing), eval_time: 7m, exp_samples: [{value: 1}]}
      - {expr: 0 / 0, eval_time: 0, exp_samples: [{value: .nan, labels: '{}'}]}
  - interval: 1m
    name: alerts
    external_labels: {cluster: eu}
    input_series:
      - series: 'up{job="prometheus", instance="localhost:9090"}'
        values: 0+0x1440
    promql_expr_test:
      - expr: count(ALERTS) by (alertname, alertstate)
        eval_time: 4m
        exp_samples:
          - {labels: '{alertname="AlwaysFiring",alertstate="firing"}', value: 1}
          - {labels: '{alertname="InstanceDown",alertstate="pending"}', value: 1}
      - {expr: 'count_over_time(fixed_data[1h])', eval_time: 1h, exp_samples: [{value: 60, labels: '{}'}]}
      - expr: subqueried
        eval_time: 10m
        exp_samples: [{labels: 'subqueried{job="prometheus", instance="localhost:9090"}', value: 5}]
    alert_rule_test:
      - {eval_time: 3h, alertname: AlwaysFiring, exp_alerts: [{}]}
      - {eval_time: 4m59s, alertname: InstanceDown, exp_alerts: []}
      - eval_time: 5m
        alertname: InstanceDown
        groupname: alerts
        exp_alerts:
          - exp_labels: {severity: page, instance: 'localhost:9090', job: prometheus}
            exp_annotations: {summary: Instance localhost:9090 down in eu, others: none}
      - {eval_time: 5m, alertname: InstanceDown, groupname: views, exp_alerts: []}
  - interval: 20s
    name: an instant of the calendar, and views
    start_timestamp: 2026-01-31T12:00:00Z
    input_series: [{series: 'test{instance="a"}', values: 0+1x9}, {series: 'test{instance="b"}', values: 0+1x9}]
    promql_expr_test:
      - {expr: time(), eval_time: 30s, exp_samples: [{value: 1769860830}]}
      - expr: job:test:count_over_time1m
        eval_time: 2m
        exp_samples: [{labels: job:test:count_over_time1m, value: 6}]
"""
HISTOGRAM = (
    "{{schema:1 sum:-0.3 count:32.1 z_bucket:7.1 z_bucket_w:0.05 buckets:[5.1 10 7] offset:-3 "
    "n_buckets:[4.1 5] n_offset:-5}}"
)
TESTS = TESTS.replace("HISTOGRAM", HISTOGRAM)


def folder() -> Path:
    for parent in Path(__file__).resolve().parents:
        found = parent.parent / "shared" / "conformance" / "promtool"
        if found.is_dir():
            return found
    pytest.skip("promtool's own test files are not beside this repository")


def run(tmp_path: Path, tests: str, rules: str = RULES) -> Verdict:
    (tmp_path / "rules.yml").write_text(rules, encoding="utf-8")
    (tmp_path / "tests.yml").write_text(tests, encoding="utf-8")
    return run_test_file(tmp_path / "tests.yml")


@pytest.mark.parametrize("name", VERDICTS)
def test_each_of_promtools_files_gets_its_verdict(name: str) -> None:
    result = CliRunner().invoke(app, ["test", str(folder() / name)])
    assert result.exit_code == (0 if VERDICTS[name] else 1), result.output


def test_keys_that_prometheus_lacks_are_passed_over_when_asked() -> None:
    path = str(folder() / "rules_run_extrafields.yml")
    result = CliRunner().invoke(app, ["test", "--ignore-unknown-fields", path])
    assert result.exit_code == 0, result.output


def test_all_that_the_format_knows_passes_where_it_holds(tmp_path: Path) -> None:
    verdict = run(tmp_path, TESTS)
    assert [str(failure) for failure in verdict.failures] == []
    assert verdict.warnings == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[{value: 0, labels: test_full}]", "[]", "    + test_full{} 0.0"),
        ("eval_time: 4m59s", "eval_time: 5m", '    + {alertname="InstanceDown"'),
        ("Instance localhost:9090 down in eu", "Down", "    -     summary: Down"),
        ("severity: page, instance", "instance", '    - {alertname="InstanceDown", instance='),
        ("exp_alerts: [{}]", "exp_alerts: []", '    + {alertname="AlwaysFiring"}'),
        (
            "buckets:[4]}}",
            "buckets:[5]}}",
            "    - test_histogram_increase{} {{count:4 sum:5.5999999999999996 buckets:[5]}}",
        ),
        ("expr: test_full,", "expr: test_full +,", "is no expression"),
        ("expr: time()", "expr: label_join(up)", "is no expression"),
    ],
)
def test_what_does_not_hold_fails_with_the_difference(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TESTS
    verdict = run(tmp_path, TESTS.replace(old, new, 1))
    assert len(verdict.failures) == 1
    assert said in str(verdict.failures[0])
    assert str(verdict.failures[0]).startswith(f"{tmp_path / 'tests.yml'}:")


def test_a_rule_that_cannot_be_evaluated_fails_its_test(tmp_path: Path) -> None:
    rules = "groups: [{name: g, rules: [{record: x, expr: 'a + on() b'}, {alert: B, expr: a, labels: {i: one}}]}]"
    tests = "rule_files: [rules.yml]\ntests: [{input_series: [{series: 'a{i=\"1\"}', values: 1}, "
    tests += "{series: 'a{i=\"2\"}', values: 1}]}]"
    verdict = run(tmp_path, tests, rules)
    assert "at 0s: the rule B: the expression returns two series" in str(verdict.failures[0])


def test_a_rule_file_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    verdict = run(tmp_path, "rule_files: [nothing-*.yml]\ntests: []")
    assert verdict.passed
    assert verdict.warnings == (f"{tmp_path / 'tests.yml'}: no file matches nothing-*.yml",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("test: []", "tests.yml:1:1: test: unknown key; did you mean"),
        ("tests: [{input_serie: []}]", "tests.yml:1:10: tests[0].input_serie: unknown key"),
        ("tests: [{alert_rule_test: [{eval_time: 1m}]}]", "a test of alerts needs their name"),
        ("tests: [{promql_expr_test: [{expr: a, exp_samples: [{labels: 'a{'}]}]}]", "is no series"),
        ("tests: [{promql_expr_test: [{expr: a, exp_samples: [{value: x}]}]}]", "'x' is no number"),
        ("tests: [{promql_expr_test: [{expr: a, exp_samples: [{histogram: 3}]}]}]", "one histogram expected"),
        ("tests: [{input_series: [{series: a, values: 1 2y}]}]", "cannot read values from '2y' on"),
        ("tests: [{input_series: [{series: a, values: 1x99999999}]}]", "makes more than 5000000 values"),
        ("tests: [{input_series: [{values: 1}]}]", "a series is missing"),
        ("tests: [{input_series: [{series: 'a{b!=\"c\"}', values: 1}]}]", "its labels are set with ="),
        ("tests: [{start_timestamp: yesterday}]", "'yesterday' is no instant"),
        ("group_eval_order: [a, a]", "the group 'a' is there twice"),
        ("[]", "a file of rule tests is a section, not a list"),
    ],
)
def test_what_is_no_test_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(tmp_path, text)
    assert said in str(caught.value)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_no_change_of_a_file_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = TESTS.replace("0+0x1440", "0+0x9").replace("3h", "9m").replace("1h", "9m")
    start = data.draw(st.integers(0, len(text)))
    changed = (
        text[:start] + data.draw(st.sampled_from(["", "{", "[]", ": ", "\n", "x9", '"', "{{"])) + text[start + 3 :]
    )
    with contextlib.suppress(ConfigError):
        run(tmp_path_factory.getbasetemp(), changed)
