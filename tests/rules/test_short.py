"""The short forms of otelmon.yaml expand to Prometheus rules."""

import pytest

from otelmon.document.fields import Problems
from otelmon.document.load import parse_document
from otelmon.document.model import Section
from otelmon.errors import ConfigError
from otelmon.promql.analyze import condition, lookback_seconds
from otelmon.promql.parse import parse
from otelmon.rules.builtin import builtins
from otelmon.rules.model import AlertingRule, Group, NoData, Severity, Unit
from otelmon.rules.short import expand_alerts
from otelmon.rules.tune import Tuning, tuned

MISSION = """
error_rate: {threshold: 0.05, window: 5m, severity: critical}
response_time: {threshold: 1000, percentile: 95, window: 5m, severity: warning}
database_connections: {threshold: 80, severity: warning}
disk_usage: {threshold: 85, severity: critical}
"""
ON_BY_DEFAULT = [
    "error_rate", "route_error_rate", "response_time", "database_connections", "disk_usage", "memory_usage",
    "page_delivery", "process_down", "service_silent", "instance_silent", "telemetry_late", "series_overflow",
    "redis_connection", "queue_delay", "health_check", "certificate_expiry", "upload_failures", "operation_failures",
    "outbound_error_rate", "outbound_response_time",
]  # fmt: skip


def expanded(text: str, interval: float = 15.0) -> tuple[Group, ...]:
    problems = Problems()
    document = parse_document(text, name="otelmon.yaml", environ={})
    groups = expand_alerts(document, problems, interval_seconds=interval)
    problems.raise_any()
    return groups


def rules(text: str, interval: float = 15.0) -> dict[str, AlertingRule]:
    found = [rule for group in expanded(text, interval) for rule in group.rules]
    return {rule.name: rule for rule in found if isinstance(rule, AlertingRule)}


def bound(rule: AlertingRule) -> float:
    limit = condition(rule.expr)
    assert limit is not None
    return limit.bound


def test_without_any_section_the_built_in_rules_keep_their_defaults():
    problems = Problems()
    (group,) = expand_alerts(None, problems, interval_seconds=15.0)
    assert [rule.name for rule in group.rules] == ON_BY_DEFAULT
    assert list(group.rules) == [builtins()[name].rule for name in ON_BY_DEFAULT]
    assert problems.found == []


def test_the_blocks_of_the_system_this_replaces_mean_what_they_meant():
    found = rules(MISSION)
    assert list(found) == ON_BY_DEFAULT
    assert {name: (bound(rule), rule.severity, rule.unit) for name, rule in found.items() if name in MISSION} == {
        "error_rate": (0.05, Severity.CRITICAL, Unit.RATIO),
        "response_time": (1000.0, Severity.WARNING, Unit.MILLISECONDS),
        "database_connections": (80.0, Severity.WARNING, Unit.PERCENT),
        "disk_usage": (85.0, Severity.CRITICAL, Unit.PERCENT),
    }
    for name, rule in found.items():
        assert rule.text == builtins()[name].rule.text


def test_every_number_of_a_rule_can_be_tuned_and_nothing_else_changes():
    default = builtins()["response_time"].rule.text
    text = "response_time: {threshold: 800ms, percentile: 99.9, window: 10m, at_least: 50, severity: critical, for: 1m}"
    rule = rules(text)["response_time"]
    expected = default.replace("0.95", "0.999").replace("[5m]", "[10m]").replace("> 1000", "> 800")
    assert rule.text == expected.replace(">= 20", ">= 50")
    assert rule.expr == parse(rule.text)
    assert (rule.severity, rule.for_seconds, rule.labels["severity"]) == (Severity.CRITICAL, 60.0, "critical")
    assert rule.annotations["title"] == "Response time p99.9"
    assert rule.annotations["description"].startswith("99.9 % of the requests in the last 10m were")
    assert (rule.origin.file, rule.origin.line) == ("otelmon.yaml", 1)


def test_tuning_every_built_in_rule_changes_what_it_says():
    for name, builtin in builtins().items():
        tuning = Tuning(
            threshold=0.125,
            window_seconds=420.0 if builtin.has_window else None,
            percentile=90.0 if builtin.has_percentile else None,
            at_least=7.0 if builtin.has_at_least else None,
        )
        text = tuned(builtin.rule.text, builtin.rule.expr, tuning)
        expr = parse(text)
        limit = condition(expr)
        assert limit is not None
        assert limit.bound == 0.125, name
        assert lookback_seconds(expr) == (420.0 if builtin.has_window else lookback_seconds(builtin.rule.expr)), name
        assert ("[5m]" in text) is False
        assert (">= 7" in text) is builtin.has_at_least


def test_a_bare_value_is_a_threshold():
    found = rules("error_rate: 2%\nresponse_time: 1.5s\ndisk_usage: 90\nmemory_usage: 95%\n")
    assert bound(found["error_rate"]) == pytest.approx(0.02)
    assert bound(found["response_time"]) == 1500.0
    assert bound(found["disk_usage"]) == 90.0
    assert bound(found["memory_usage"]) == 95.0


@pytest.mark.parametrize("off", ["off", "false", "no", "{enabled: false}", "{enabled: off, threshold: 90}"])
def test_a_rule_is_switched_off_by_any_word_for_it(off):
    assert "disk_usage" not in rules(f"disk_usage: {off}")


@pytest.mark.parametrize("on", ["on", "true", "{}", "{enabled: true}", "85", "{threshold: 85}"])
def test_a_rule_that_is_off_by_default_is_on_once_it_is_named(on):
    assert "cpu_usage" in rules(f"cpu_usage: {on}")
    assert "cpu_usage" not in rules("error_rate: on")


def test_the_window_of_a_gauge_is_how_long_it_must_hold():
    rule = rules("disk_usage: {window: 10m}")["disk_usage"]
    assert rule.for_seconds == 600.0
    assert rule.text == builtins()["disk_usage"].rule.text


def test_texts_and_labels_of_a_built_in_rule_can_be_changed():
    text = (
        "error_rate: {summary: 'fails: {{ $value }}', labels: {team: a}, keep_firing_for: 10m, runbook: https://x.y/z}"
    )
    rule = rules(text)["error_rate"]
    assert rule.annotations["summary"] == "fails: {{ $value }}"
    assert rule.annotations["runbook_url"] == "https://x.y/z"
    assert rule.annotations["otelmon_unit"] == "ratio"
    assert dict(rule.labels) == {"severity": "critical", "team": "a"}
    assert rule.keep_firing_for_seconds == 600.0


def test_a_rule_of_ones_own():
    text = """
cart_failures:
  expr: rate(cart_failures_total[5m]) > 0.2
  for: 2m
  severity: critical
  summary: carts fail
  description: more words
  runbook: Ask the checkout team.
  unit: percent
  labels: {team: checkout}
  annotations: {dashboard: shop}
"""
    builtin, own = expanded(text)
    assert (builtin.name, own.name) == ("otelmon", "alerts")
    (rule,) = own.rules
    assert isinstance(rule, AlertingRule)
    assert rule.text == "rate(cart_failures_total[5m]) > 0.2"
    assert (rule.for_seconds, rule.keep_firing_for_seconds, rule.severity) == (120.0, 120.0, Severity.CRITICAL)
    assert rule.unit is Unit.PERCENT
    assert rule.annotations == {
        "title": "Cart failures", "dashboard": "shop", "otelmon_unit": "percent", "summary": "carts fail",
        "description": "more words", "runbook": "Ask the checkout team.",
    }  # fmt: skip
    assert dict(rule.labels) == {"severity": "critical", "team": "checkout"}
    assert rule.origin.line == 2


def test_a_rule_of_ones_own_needs_no_more_than_an_expression():
    rule = rules("down: {expr: up == 0}")["down"]
    assert (rule.severity, rule.for_seconds, rule.unit) == (Severity.WARNING, 0.0, Unit.NONE)
    assert "down" not in rules("down: {expr: up == 0, enabled: no}")


def test_names_may_be_spelled_as_opentelemetry_does():
    text = """
slow: {expr: 'sum by ("http.route") (rate({"http.server.request.duration_count", "http.route"=~"/a.*"}[5m])) > 1'}
"""
    rule = rules(text)["slow"]
    assert rule.text == (
        'sum by ("http_route") (rate({"http_server_request_duration_seconds_count", "http_route"=~"/a.*"}[5m])) > 1'
    )
    assert rule.expr == parse(rule.text)


def test_strings_that_are_no_names_are_left_as_they_are():
    text = """e: {expr: 'label_replace(up{path="a.b"}, "x", "$1", "instance", "(.*).example.com") == 0'}"""
    assert '"(.*).example.com"' in rules(text)["e"].text
    assert 'path="a.b"' in rules(text)["e"].text


def test_a_slow_interval_widens_windows_that_could_never_hold_two_samples():
    slow = rules("{}", interval=600.0)["error_rate"]
    assert lookback_seconds(slow.expr) == 1200.0
    assert "in the last 20m" in slow.annotations["description"]
    assert rules("{}", interval=150.0)["error_rate"] == builtins()["error_rate"].rule


def test_an_empty_section_of_alerts_is_the_defaults():
    document = parse_document("alerts:\n", name="otelmon.yaml")
    assert isinstance(document, Section)
    problems = Problems()
    (group,) = expand_alerts(document.entries["alerts"].value, problems, interval_seconds=15.0)
    assert [rule.name for rule in group.rules] == ON_BY_DEFAULT
    assert problems.found == []


def test_built_in_gauges_go_on_firing_without_data_and_ratios_do_not():
    found = rules("cpu_usage: on")
    kept = {name for name, rule in found.items() if rule.no_data is NoData.KEEP}
    assert kept == {
        "database_connections", "disk_usage", "memory_usage", "cpu_usage", "redis_connection", "queue_delay",
        "health_check", "certificate_expiry",
    }  # fmt: skip
    assert rules("disk_usage: {no_data: resolve}")["disk_usage"].no_data is NoData.RESOLVE


def test_hysteresis_is_a_bound_in_the_rules_unit_or_an_expression():
    rule = rules("error_rate: {resolve_when: 3%}")["error_rate"]
    assert rule.resolve_when is not None
    assert rule.resolve_when.bound == 0.03
    assert rule.annotations["otelmon_resolve_when"] == "3%"
    own = rules("carts: {expr: 'carts > 10', resolve_when: 'avg_over_time(carts[10m]) < 5', no_data: alert}")["carts"]
    assert own.resolve_when is not None
    assert own.resolve_when.expr is not None
    assert own.no_data is NoData.ALERT


def test_a_bound_to_resolve_at_is_on_the_quiet_side_of_the_tuned_threshold():
    assert rules("disk_usage: {threshold: 95, resolve_when: 90}")["disk_usage"].resolve_when is not None
    with pytest.raises(ConfigError, match="would resolve the alert while it fires"):
        rules("disk_usage: {threshold: 80, resolve_when: 90}")
