"""Breakdowns as they are written: in rule files, in short forms, tuned, exported, and with their faults placed."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.config.load import load_settings
from otelmon.errors import ConfigError
from otelmon.labels import Labels
from otelmon.rules.breakdown import smallest_first
from otelmon.rules.builtin import builtins
from otelmon.rules.export import rule_file
from otelmon.rules.load import load_rules
from otelmon.rules.model import AlertingRule, Unit
from otelmon.runtime.evaluate import rule_lookback_seconds
from otelmon.runtime.retention import retention

FILE = """\
groups:
  - name: carts
    rules:
      - alert: CartsFail
        expr: rate(cart_failures_total[5m]) > 1
        annotations:
          summary: Carts fail
          otelmon_breakdown: |
            # Carts: share of the failures
            sum by (kind) (increase(cart_failures_total[5m]))

            # Oldest: seconds
            cart_age_seconds

            sort(cart_left)
"""


def _rule(text: str) -> AlertingRule:
    (group,) = load_rules(text, name="carts.yml")
    (rule,) = group.rules
    assert isinstance(rule, AlertingRule)
    return rule


def _configured(folder: Path, text: str) -> dict[str, AlertingRule]:
    config = folder / "otelmon.yaml"
    config.write_text(text)
    environ = {"OTEL_SERVICE_NAME": "shop", "OTELMON_STATE_DIR": str(folder)}
    settings = load_settings(config, environ=environ, directory=folder)
    return {rule.name: rule for rule in settings.alerting_rules()}


def test_a_rule_file_has_several_parted_by_empty_lines() -> None:
    failures, oldest, left = _rule(FILE).breakdown
    assert (failures.title, failures.share_of) == ("Carts", "the failures")
    assert (oldest.title, oldest.unit) == ("Oldest", Unit.SECONDS)
    assert (left.title, left.share_of, left.noun) == ("Breakdown", "", "")
    assert [smallest_first(each.expr) for each in (failures, oldest, left)] == [False, False, True]


def test_it_is_no_text_of_the_alerts() -> None:
    assert dict(_rule(FILE).annotations) == {"summary": "Carts fail"}


def test_what_is_exported_is_read_again_as_the_same() -> None:
    rule = _rule(FILE)
    again = _rule(rule_file(load_rules(FILE, name="carts.yml"), interval_seconds=15))
    assert again.breakdown == rule.breakdown


def test_samples_are_kept_for_the_window_before_and_alerts_are_not_held_for_it() -> None:
    assert retention(load_rules(FILE.replace("5m", "15m"), name="carts.yml"), 15.0) == (1830.0, {})
    assert rule_lookback_seconds(_rule(FILE)) == 300.0


def test_the_breakdowns_of_built_in_rules_cost_no_memory(tmp_path: Path) -> None:
    groups = load_settings(None, environ={"OTEL_SERVICE_NAME": "shop"}, directory=tmp_path).groups
    assert retention(groups, 15.0)[0] == 930.0


@pytest.mark.parametrize(
    ("written", "place", "said"),
    [
        ("sum by (kind) (increase(x_total[5m])", "12:27", "unclosed"),
        ("# Carts: seconds\n            rate(x_total)", "13:18", "rate"),
        ("x_total[5m]", "12:13", "a breakdown needs a value a series"),
        ("'text'", "12:13", "a breakdown needs a value a series"),
    ],
)
def test_a_fault_is_shown_where_it_stands(written: str, place: str, said: str) -> None:
    text = FILE.replace("cart_age_seconds", "y").replace("# Oldest: seconds\n            y", written)
    with pytest.raises(ConfigError) as caught:
        load_rules(text, name="carts.yml")
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"carts.yml:{place}")
    assert said in str(problem)


def test_an_empty_one_is_a_fault() -> None:
    with pytest.raises(ConfigError, match="no expression is written here"):
        load_rules(FILE[: FILE.index(" |")] + ' ""\n', name="carts.yml")


def test_more_than_are_shown_is_a_fault() -> None:
    more = "".join(f"\n            x_{number}\n" for number in range(4))
    with pytest.raises(ConfigError, match="7 breakdowns, at most 6 are shown"):
        load_rules(FILE + more, name="carts.yml")


def test_a_short_form_takes_a_text_or_a_list_in_any_spelling(tmp_path: Path) -> None:
    rules = _configured(
        tmp_path,
        "alerts:\n"
        "  one: {expr: x > 1, breakdown: 'sum by (\"http.route\") (y)'}\n"
        '  two: {expr: x > 1, breakdown: [y, "# Title: jobs\\nsum(z)"]}\n'
        "  error_rate: {breakdown: y}\n",
    )
    assert [each.text for each in rules["two"].breakdown] == ["y", "# Title: jobs\nsum(z)"]
    assert rules["two"].breakdown[1].noun == "jobs"
    assert [each.text for each in rules["error_rate"].breakdown] == ["y"]
    assert [each.text for each in rules["one"].breakdown] == ['sum by ("http_route") (y)']


def test_a_short_form_can_do_without(tmp_path: Path) -> None:
    assert _configured(tmp_path, "alerts:\n  error_rate: {breakdown: []}\n")["error_rate"].breakdown == ()


@pytest.mark.parametrize("value", ["{a: b}", "[[y]]", "''"])
def test_a_short_form_that_is_no_expression_is_a_fault(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"otelmon\.yaml:2:"):
        _configured(tmp_path, f"alerts:\n  one: {{expr: x > 1, breakdown: {value}}}\n")


def test_a_tuned_rule_has_its_numbers_in_its_breakdown(tmp_path: Path) -> None:
    rules = _configured(tmp_path, "alerts:\n  response_time: {threshold: 250ms, percentile: 99, window: 10m}\n")
    for each in rules["response_time"].breakdown:
        assert "0.99" in each.text
        assert "> 250" in each.text
        assert "[10m" in each.text
        assert not any(old in each.text for old in ("0.95", "> 1000", "[5m"))


@pytest.mark.parametrize("name", ["error_rate", "response_time", "database_connections", "disk_usage", "queue_delay"])
def test_the_built_in_rules_have_theirs(name: str) -> None:
    rule = builtins()[name].rule
    assert rule.breakdown
    assert Labels(rule.annotations).get("otelmon_breakdown") is None
