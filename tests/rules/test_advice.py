"""What `otelmon check` warns of, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from otelmon.cli.main import app
from otelmon.rules.advice import advice
from otelmon.rules.builtin import builtin_text
from otelmon.rules.load import load_rules

RATIO = 'sum by (job) (rate(requests_total{code=~"5.."}[5m])) / sum by (job) (rate(requests_total[5m]))'


def said(expr: str, *, more: str = "", annotations: str = "runbook_url: https://example.com") -> list[str]:
    text = f"groups:\n- name: g\n  rules:\n  - alert: a\n    expr: {expr!r}\n    labels: {{severity: info}}\n{more}"
    text += f"    annotations: {{{annotations}}}\n"
    return [str(problem) for problem in advice(load_rules(text, name="r.yml"), interval_seconds=15)]


@pytest.mark.parametrize(
    ("expr", "part"),
    [
        (f"{RATIO} > 5", "r.yml:4: a: the value is never above 1, so > 5 never holds; a share of 5 % is 0.05"),
        (f"{RATIO} > 1", "never above 1"),
        (f"{RATIO} >= 1.01", "never above 1"),
        (f"100 * {RATIO} > 100", "never above 100"),
        (f"({RATIO}) * 100 > 100", "never above 100"),
        (f"{RATIO} < 0", "never below 0"),
        ("rate(requests_total[20s]) > 1", "a change over 20s is mostly not seen at an interval of 15s"),
    ],
)
def test_what_can_never_hold_is_told(expr: str, part: str) -> None:
    (warning,) = said(expr)
    assert part in warning


@pytest.mark.parametrize(
    "expr",
    [
        f"{RATIO} > 0.05",
        f"{RATIO} >= 1",
        f"100 * {RATIO} > 5",
        f"{RATIO} <= 0",
        "sum(rate(a_total[5m])) / sum(rate(b_total[5m])) > 5",
        "avg(a) / avg(a) > 5",
        "a / a > 5",
        "rate(requests_total[30s]) > 1",
        "up == 0",
    ],
)
def test_what_may_hold_is_left_alone(expr: str) -> None:
    assert said(expr) == []


def test_a_declared_unit_has_its_bounds() -> None:
    (warning,) = said("used > 100", annotations="runbook: x, otelmon_unit: percent")
    assert "never above 100" in warning
    assert said("used > 99", annotations="runbook: x, otelmon_unit: percent") == []


def test_short_waits_and_missing_fields_are_told() -> None:
    (short,) = said("up == 0", more="    for: 5s\n")
    assert "for: 5s is shorter than the interval, 15s" in short
    (bare,) = said("up == 0", annotations="summary: down")
    assert "no runbook" in bare


def test_a_slow_group_looks_at_samples_as_often_taken_as_any() -> None:
    text = "groups:\n- {name: g, interval: 5m, rules: [{record: r, expr: 'rate(a[1m])'}]}\n"
    assert advice(load_rules(text, name="r.yml"), interval_seconds=15) == ()


def test_the_built_in_rules_need_no_advice() -> None:
    assert advice(load_rules(builtin_text(), name="builtin.yml"), interval_seconds=15) == ()


def test_warnings_fail_only_where_strict(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text("groups:\n- name: g\n  rules:\n  - {alert: a, expr: up == 0}\n")
    lenient, strict = (CliRunner().invoke(app, ["check", str(path), *option]) for option in ([], ["--strict"]))
    assert (lenient.exit_code, strict.exit_code) == (0, 1)
    assert lenient.stderr.count("warning: ") == 2
    assert "1 rules in 1 groups, all well" in lenient.stdout
