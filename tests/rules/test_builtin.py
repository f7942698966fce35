"""The built-in rules: a real Prometheus rule file, with the values that the README promises."""

import re
from pathlib import Path

import promql_parser
import pytest

from otelmon.config.load import load_settings
from otelmon.labels import Labels
from otelmon.promql.analyze import condition, lookback_seconds, selectors
from otelmon.rules.builtin import builtin_text, builtins
from otelmon.rules.load import load_rules
from otelmon.rules.model import Severity, Unit
from otelmon.rules.runbooks import HEADINGS, first_steps, runbook_link, runbook_text
from otelmon.rules.template import Surroundings, expand

EXPECTED = {
    "error_rate": (0.05, Unit.RATIO, Severity.CRITICAL, 0.0, True),
    "route_error_rate": (0.5, Unit.RATIO, Severity.CRITICAL, 0.0, True),
    "response_time": (1000.0, Unit.MILLISECONDS, Severity.WARNING, 0.0, True),
    "database_connections": (80.0, Unit.PERCENT, Severity.WARNING, 120.0, True),
    "disk_usage": (85.0, Unit.PERCENT, Severity.CRITICAL, 300.0, True),
    "memory_usage": (90.0, Unit.PERCENT, Severity.WARNING, 300.0, True),
    "page_delivery": (0.0, Unit.NONE, Severity.CRITICAL, 0.0, True),
    "process_down": (0.0, Unit.STATE, Severity.CRITICAL, 0.0, True),
    "service_silent": (1.75, Unit.STATE, Severity.CRITICAL, 0.0, True),
    "instance_silent": (4.0, Unit.STATE, Severity.WARNING, 120.0, True),
    "telemetry_late": (60.0, Unit.SECONDS, Severity.WARNING, 120.0, True),
    "series_overflow": (0.0, Unit.NONE, Severity.WARNING, 0.0, True),
    "redis_connection": (1.0, Unit.STATE, Severity.CRITICAL, 0.0, True),
    "queue_delay": (300.0, Unit.SECONDS, Severity.WARNING, 0.0, True),
    "health_check": (1.0, Unit.STATE, Severity.CRITICAL, 0.0, True),
    "certificate_expiry": (14.0, Unit.NONE, Severity.WARNING, 0.0, True),
    "upload_failures": (0.1, Unit.RATIO, Severity.CRITICAL, 0.0, True),
    "operation_failures": (0.1, Unit.RATIO, Severity.CRITICAL, 0.0, True),
    "outbound_error_rate": (0.1, Unit.RATIO, Severity.WARNING, 0.0, True),
    "outbound_response_time": (2000.0, Unit.MILLISECONDS, Severity.WARNING, 0.0, True),
    "cpu_usage": (90.0, Unit.PERCENT, Severity.WARNING, 600.0, False),
}


def test_the_built_in_alerts_are_these():
    found = {}
    for name, builtin in builtins().items():
        rule = builtin.rule
        limit = condition(rule.expr)
        assert limit is not None
        assert limit.operator == ("<" if name in {"redis_connection", "health_check", "certificate_expiry"} else ">")
        assert rule.keep_firing_for_seconds == (600.0 if name == "page_delivery" else 120.0)
        found[name] = (limit.bound, rule.unit, rule.severity, rule.for_seconds, builtin.enabled)
    assert found == EXPECTED


def test_another_parser_of_promql_reads_every_expression():
    for builtin in builtins().values():
        promql_parser.parse(builtin.rule.text)


def test_the_file_is_a_rule_file_like_any_other():
    groups = load_rules(builtin_text(), name="builtin.yml")
    assert [rule.name for group in groups for rule in group.rules] == list(EXPECTED)


def test_a_request_without_a_status_counts_as_an_error():
    (matcher,) = {
        matcher
        for selector in selectors(builtins()["error_rate"].rule.expr)
        for matcher in selector.matchers
        if matcher.name == "http_response_status_code" and "5" in matcher.value and "4" not in matcher.value
    }
    assert re.fullmatch(matcher.value, "")
    assert re.fullmatch(matcher.value, "503")
    assert not re.fullmatch(matcher.value, "404")


def test_an_exception_after_the_status_counts_and_a_client_that_hangs_up_does_not():
    (matcher,) = {
        matcher
        for selector in selectors(builtins()["error_rate"].rule.expr)
        for matcher in selector.matchers
        if matcher.name == "error_type"
    }
    pattern = matcher.value
    counts = [kind for kind in ("ValueError", "shop.Broken", "incomplete_response") if not re.fullmatch(pattern, kind)]
    assert counts == ["ValueError", "shop.Broken", "incomplete_response"]
    for harmless in ("", "404", "starlette.requests.ClientDisconnect", "asyncio.exceptions.CancelledError"):
        assert re.fullmatch(pattern, harmless), harmless


def test_the_rules_look_back_over_five_minutes_or_a_little_more_and_those_of_operations_over_fifteen():
    found = {name: lookback_seconds(builtin.rule.expr) for name, builtin in builtins().items()}
    longer = {"database_connections": 360.0, "upload_failures": 900.0, "operation_failures": 900.0}
    assert found == dict.fromkeys(EXPECTED, 300.0) | longer


def test_every_annotation_expands():
    labels = Labels({"job": "shop", "instance": "web-1", "http_route": "/pay", "system_device": "/dev/sda1"})
    for builtin in builtins().values():
        for text in builtin.rule.annotations.values():
            assert expand(text, labels, 0.5, Surroundings(query=lambda *_: [])).error == ""
    summary = builtins()["error_rate"].rule.annotations["summary"]
    assert expand(summary, labels, 0.1234).text == "12.34% of the requests to shop fail"


@pytest.mark.parametrize("name", EXPECTED)
def test_every_runbook_has_the_same_headings_and_three_first_steps(name):
    text = runbook_text(name)
    assert text is not None
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == HEADINGS
    assert text.startswith(f"# {name}: ")
    assert 40 <= len(text.splitlines()) <= 90
    assert builtins()[name].rule.annotations["runbook"] == name
    steps = first_steps(name)
    assert len(steps) == 3
    assert all(20 < len(step) < 300 and "\n" not in step for step in steps)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_runbook_says_about_tuning_is_true(name, tmp_path: Path):
    text = runbook_text(name)
    assert text is not None
    (snippet,) = re.findall(r"^    alerts:\n(?:     .+\n)+", text, re.MULTILINE)
    (tmp_path / "otelmon.yaml").write_text(re.sub("^    ", "", snippet, flags=re.MULTILINE))
    settings = load_settings(None, environ={"HOME": "/home/a"}, directory=tmp_path)
    assert settings.alerting_rule(name) is not None


def test_there_is_no_runbook_of_another_name():
    assert runbook_text("nothing") is None
    assert runbook_text("../README") is None
    assert first_steps("nothing") == ()


def test_a_step_that_goes_on_in_another_runbook_says_by_which_command():
    assert "[its runbook](route_error_rate.md)" in runbook_text("error_rate")
    assert "its runbook (`otelmon runbook route_error_rate`)" in first_steps("error_rate")[1]


def test_a_runbook_is_linked_where_there_is_an_address():
    wiki = "https://wiki.example.com/r/"
    assert runbook_link("error_rate", {}, wiki) == "https://wiki.example.com/r/error_rate"
    assert runbook_link("error_rate", {"runbook": "errors"}, wiki) == "https://wiki.example.com/r/errors"
    assert runbook_link("error_rate", {"runbook": "errors"}, None) is None
    assert runbook_link("error_rate", {"runbook": "https://other.example.com/x"}, wiki) == "https://other.example.com/x"
    assert (
        runbook_link("error_rate", {"runbook_url": "https://a.example/x", "runbook": "b"}, None)
        == "https://a.example/x"
    )
    assert runbook_link("error_rate", {"runbook": "call somebody"}, wiki) is None
