"""Prometheus rule files: what Prometheus loads is loaded, what is wrong is told with its place."""

from pathlib import Path

import pytest

from otelmon.errors import ConfigError
from otelmon.labels import Labels
from otelmon.rules.load import load_rule_file, load_rules
from otelmon.rules.model import AlertingRule, NoData, RecordingRule, Severity, Unit

WHOLE = """
groups:
  - name: shop
    interval: 30s
    query_offset: 1m
    limit: 10
    labels: {team: checkout, tier: "1"}
    rules:
      - record: job:errors:rate5m
        expr: sum by (job) (rate(errors_total[5m]))
      - alert: CartFailures
        expr: |
          sum by (job) (
            rate(cart_failures_total[5m])
          ) > 0.2
        for: 2m
        keep_firing_for: 5m
        labels:
          severity: critical
          tier: 2
          on_call: on
        annotations:
          summary: "{{ $labels.job }} fails {{ $value | humanize }} carts a second"
          otelmon_unit: ratio
"""


def test_a_whole_group_is_read():
    (group,) = load_rules(WHOLE, name="shop.yml")
    assert (group.name, group.interval_seconds, group.query_offset_seconds, group.limit) == ("shop", 30.0, 60.0, 10)
    view, rule = group.rules
    assert isinstance(view, RecordingRule)
    assert view.name == "job:errors:rate5m"
    assert isinstance(rule, AlertingRule)
    assert (rule.for_seconds, rule.keep_firing_for_seconds) == (120.0, 300.0)
    assert rule.labels == Labels({"severity": "critical", "tier": "2", "team": "checkout", "on_call": "on"})
    assert (rule.severity, rule.unit) == (Severity.CRITICAL, Unit.RATIO)
    assert (rule.origin.file, rule.origin.line) == ("shop.yml", 11)
    assert rule.text.startswith("sum by (job) (\n  rate(")
    assert rule.text.endswith("> 0.2")


def test_what_otelmon_adds_stands_in_annotations_that_prometheus_loads_too():
    text = in_rule("alert: A\nexpr: up > 5\nannotations: {otelmon_no_data: keep, otelmon_resolve_when: 'max(up) < 3'}")
    (group,) = load_rules(text, name="f.yml")
    (rule,) = group.rules
    assert isinstance(rule, AlertingRule)
    assert rule.no_data is NoData.KEEP
    assert rule.resolve_when is not None
    assert (rule.resolve_when.text, rule.resolve_when.bound) == ("max(up) < 3", None)
    assert rule.annotations == {"otelmon_no_data": "keep", "otelmon_resolve_when": "max(up) < 3"}


def test_a_rule_file_means_what_it_means_in_prometheus_unless_it_says_otherwise():
    (group,) = load_rules(in_rule("alert: A\nexpr: up > 5"), name="f.yml")
    (rule,) = group.rules
    assert isinstance(rule, AlertingRule)
    assert (rule.no_data, rule.resolve_when) == (NoData.RESOLVE, None)


def test_a_severity_that_is_not_ours_counts_as_a_warning_and_stays_a_label():
    (group,) = load_rules("groups: [{name: g, rules: [{alert: A, expr: up, labels: {severity: page}}]}]", name="f.yml")
    (rule,) = group.rules
    assert isinstance(rule, AlertingRule)
    assert rule.severity is Severity.WARNING
    assert rule.labels["severity"] == "page"


def test_variables_of_the_environment_are_not_read_in_a_rule_file():
    text = "groups: [{name: g, rules: [{alert: A, expr: up, annotations: {summary: 'costs ${HOME} $$'}}]}]"
    (group,) = load_rules(text, name="f.yml")
    (rule,) = group.rules
    assert isinstance(rule, AlertingRule)
    assert rule.annotations["summary"] == "costs ${HOME} $$"


@pytest.mark.parametrize("text", ["", "groups:", "groups: []", "groups: [{name: g}]", "groups: [{name: g, rules: }]"])
def test_an_empty_file_or_group_is_none_to_complain_about(text):
    assert sum(len(group.rules) for group in load_rules(text, name="f.yml")) == 0


def in_rule(body: str) -> str:
    return "groups:\n  - name: g\n    rules:\n      - " + body.replace("\n", "\n        ")


BAD = [
    ("- a", "f.yml:1:1", "a rule file is a section with groups, not a list; write groups:"),
    ("group: []", "f.yml:1:1", 'group: unknown key; did you mean "groups"?'),
    ("groups: {}", "f.yml:1:9", "groups: a list expected, not a section of keys"),
    ("groups: [x]", "f.yml:1:10", "groups[0]: a group expected, not 'x'"),
    ("groups:\n  - rules: []", "f.yml:2:5", "groups[0].name: a group needs a name; write name:"),
    ("groups:\n  - name: a\n    rule: []", "f.yml:3:5", 'groups[0].rule: unknown key; did you mean "rules"?'),
    ("groups:\n  - name: a\n    interval: 30", "f.yml:3:15", "a number needs its unit: write 30s for seconds"),
    ("groups:\n  - name: a\n    interval: fast", "f.yml:3:15", "'fast' is no duration; write 30s, 5m or 1h30m"),
    (
        "groups:\n  - name: a\n    limit: -1",
        "f.yml:3:12",
        "groups[0].limit: '-1' is out of bounds; write a number of at",
    ),
    ("groups:\n  - name: a\n    limit: many", "f.yml:3:12", "a whole number expected, not 'many'"),
    ("groups:\n  - name: a\n  - name: a", "f.yml:3:5", "the group 'a' is in this file twice, first in line 2"),
    (in_rule("x"), "f.yml:4:9", "a rule expected, not 'x'"),
    (in_rule("expr: up"), "f.yml:4:9", "a rule needs a name; write alert: or record:"),
    (in_rule("alert: A"), "f.yml:4:9", "groups[0].rules[0].expr: a rule needs an expression; write expr:"),
    (in_rule("alert: A\nexpr:"), "f.yml:5:9", "an expression expected, not nothing"),
    (in_rule("alert: A\nexpr: [up]"), "f.yml:5:15", "an expression expected, not a list"),
    (in_rule("alert: A\nrecord: b\nexpr: up"), "f.yml:5:9", "a rule either alerts or records, and this one says both"),
    (in_rule("record: a\nexpr: up\nfor: 5m"), "f.yml:6:14", "for: a recording rule has none"),
    (in_rule("record: a\nexpr: up\nannotations: {a: b}"), "f.yml:6:22", "annotations: a recording rule has none"),
    (in_rule("record: 'a{b=\"c\"}'\nexpr: up"), "f.yml:4:17", "is no metric name; put selectors into expr:"),
    (in_rule("alert: A\nexpr: up\nfor: soon"), "f.yml:6:14", "'soon' is no duration"),
    (in_rule("alert: A\nexpr: up\nfro: 5m"), "f.yml:6:9", 'groups[0].rules[0].fro: unknown key; did you mean "for"?'),
    (in_rule("alert: A\nexpr: up\nlabels: {__name__: x}"), "f.yml:6:28", "'__name__' cannot be set as a label"),
    (in_rule("alert: A\nexpr: up\nlabels: {a: [b]}"), "f.yml:6:21", "labels.a: text expected, not a list"),
    (in_rule("alert: A\nexpr: up\nannotations: {a: 'x {{ $valeu }}'}"), "f.yml:6:32", "there is no variable $valeu"),
    (in_rule("alert: A\nexpr: up\nannotations: {otelmon_unit: miles}"), "f.yml:6:37", "'miles' is no unit"),
    (in_rule("alert: A\nexpr: up\nannotations: {otelmon_no_data: kepe}"), "f.yml:6:40", 'did you mean "keep"?'),
    (in_rule("alert: A\nexpr: up > 5\nannotations: {otelmon_resolve_when: '6'}"), "f.yml:6:45", "while it fires"),
    (in_rule("alert: A\nexpr: up\nannotations: {otelmon_resolve_when: '6'}"), "f.yml:6:45", "has no limit"),
    (in_rule("alert: A\nexpr: up > 5\nannotations: {otelmon_resolve_when: 'up <'}"), "f.yml:6:", "resolve_when: "),
    (in_rule("alert: A\nexpr: up[5m]"), "f.yml:5:15", "a rule needs a value a series, and this is a range of them"),
    (in_rule("alert: A\nexpr: '\"up\"'"), "f.yml:5:15", "a rule needs a number, and this is a string"),
    (in_rule("alert: A\nexpr: sum(rate(x[5m])"), "f.yml:5:", "expr: "),
    (in_rule("alert: A\nexpr: |\n  up ==\n    sum(up]\n"), "f.yml:7:", "expr: "),
    (in_rule("alert: A\nexpr: 'rate(up)'"), "f.yml:5:21", "expr: "),
    (in_rule("alert: A\nexpr: >\n  up\n  == foo bar\n"), "f.yml:7:18", "expr: "),
]


@pytest.mark.parametrize(("text", "place", "said"), BAD, ids=[str(index) for index in range(len(BAD))])
def test_what_is_wrong_is_told_with_its_line_and_column(text, place, said):
    with pytest.raises(ConfigError) as raised:
        load_rules(text, name="f.yml")
    message = str(raised.value)
    assert message.startswith(place), message
    assert said in message


def test_all_faults_of_a_file_are_told_at_once():
    text = in_rule("alert: A\nexpr: sum(\nfor: 5\nlabls: {}")
    with pytest.raises(ConfigError) as raised:
        load_rules(text, name="f.yml")
    assert [problem.line for problem in raised.value.problems] == [5, 6, 7]


def promtool(name: str) -> Path:
    for folder in Path(__file__).resolve().parents:
        path = folder / "shared" / "conformance" / "promtool" / name
        if path.is_file():
            return path
    pytest.skip(f"the conformance file {name} is not beside this checkout")


def test_promtools_own_rule_file_loads():
    alerts, rules = load_rule_file(promtool("rules.yml"), name="rules.yml")
    assert [rule.name for rule in alerts.rules] == ["InstanceDown", "AlwaysFiring"]
    assert len(rules.rules) == 3


@pytest.mark.parametrize(
    ("name", "place", "said"),
    [
        ("bad-rules-syntax.yml", "bad-rules-syntax.yml:7:", "groups[0].rules[0].expr"),
        ("rules_extrafields.yml", "rules_extrafields.yml:7:5", "groups[0].namespace: unknown key"),
    ],
)
def test_what_promtool_refuses_is_refused(name, place, said):
    with pytest.raises(ConfigError) as raised:
        load_rule_file(promtool(name), name=name)
    assert str(raised.value).startswith(place)
    assert said in str(raised.value)
