"""SLOs as they are written: what they stand for, and each way of being wrong with its place and what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otelmon.cli.main import app
from otelmon.errors import ConfigError
from otelmon.rules.export import rule_file
from otelmon.rules.load import load_rules
from otelmon.rules.model import AlertingRule, RecordingRule
from otelmon.runtime.retention import retention
from tests.rules.burning import CHECKOUT, groups_of

DAY = 86_400.0


def alerts(text: str) -> list[AlertingRule]:
    return [rule for group in groups_of(text) for rule in group.rules if isinstance(rule, AlertingRule)]


def test_an_slo_pages_and_warns_at_the_workbooks_rates() -> None:
    page, ticket = alerts(CHECKOUT)
    assert page.name == ticket.name == "checkout_error_budget"
    assert (page.severity, ticket.severity) == ("critical", "warning")
    assert re.findall(r"burn_rate:(\w+)\{[^}]*\} > ([\d.]+)", page.text) == [
        ("1h", "14.4"), ("5m", "14.4"), ("6h", "6"), ("30m", "6"),
    ]  # fmt: skip
    assert re.findall(r"burn_rate:(\w+)\{[^}]*\} > ([\d.]+)", ticket.text) == [
        ("1d", "3"), ("2h", "3"), ("3d", "1"), ("6h", "1"),
    ]  # fmt: skip


def test_in_another_window_the_same_shares_of_the_budget_are_told() -> None:
    page, _ = alerts("requests: {objective: 99.9, window: 7d}")
    assert 'slo:burn_rate:1h{slo="requests"} > 3.36' in page.text
    low, _ = alerts("requests: {objective: 90}")
    assert "> 9 and" in low.text  # nine tenths of an outage: nothing burns 14.4 times as fast


def test_an_slo_is_switched_off_and_turned_down() -> None:
    assert alerts("requests: off") == []
    assert alerts("requests: {objective: 99.9, enabled: no}") == []
    (page,) = alerts("requests: {objective: 99.9, ticket: off, page: warning, description: Ask Ada., runbook: mine}")
    assert page.severity == "warning"
    assert page.annotations["description"].startswith("Ask Ada.\nObjective: 99.9 % of 30d.")
    assert page.annotations["runbook"] == "mine"


def test_good_events_that_never_came_are_errors_too() -> None:
    group, views = groups_of('pay: {objective: 99, good: a_total, total: "increase(b_total[5m])", by: [job, shop]}')
    errors = group.rules[0]
    assert errors.text == (
        "clamp_min(sum by (job, shop) (increase(b_total[5m])) - "
        "(sum by (job, shop) (increase(a_total[5m])) or 0 * sum by (job, shop) (increase(b_total[5m]))), 0)"
    )
    assert views.interval_seconds == 300
    assert [rule.name for rule in views.rules] == ["slo:errors:every5m", "slo:events:every5m"]


def test_only_views_are_kept_for_the_window() -> None:
    groups = groups_of(CHECKOUT)
    seconds, lasting = retention(groups, 15.0)
    assert seconds == retention((), 15.0)[0], "as long as without the objective"
    assert lasting == dict.fromkeys(("slo:errors:every5m", "slo:events:every5m"), 30 * DAY + 30)


def test_the_rules_that_it_stands_for_are_a_prometheus_rule_file() -> None:
    groups = groups_of(CHECKOUT)
    read = load_rules(rule_file(groups, interval_seconds=15.0, foreign=True), name="rules.yml")
    assert [rule.text for group in read for rule in group.rules] == [
        rule.text for group in groups for rule in group.rules
    ]
    assert sum(isinstance(rule, RecordingRule) for group in read for rule in group.rules) == 12


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "a: {good: x_total, total: y_total}",
            "1:4: slo.a.objective: an SLO needs its objective; write objective: 99.9",
        ),
        ("requests: {objective: high}", "1:23: slo.requests.objective: 'high' is no number of percent; write"),
        ("requests: {objective: 0.999}", "0.999 is taken as percent, and so asks for nearly nothing; write 99.9 if"),
        ("requests: {objective: 100}", "100 is out of bounds; write 50 to 99.999"),
        (
            "requests: {objective: 99.9, window: 1d}",
            "slo.requests.window: '1d' is out of bounds; write at least 1w",
        ),
        ("requests: {objective: 99.9, total: x_total}", "1:36: slo.requests.total: the SLO 'requests' is built in"),
        ("requests: {objectve: 99.9}", 'unknown key; did you mean "objective"?'),
        ("requests: 99.9", "1:11: slo.requests: '99.9' is no SLO; write requests: {objective: 99.9}"),
        ("requests: {objective: 99.9, page: loud}", "write critical, warning, info or off"),
        ("a: {objective: 99, total: x_total}", "slo.a.good: an SLO needs its good events, or its errors; write good:"),
        ("a: {objective: 99, good: x_total}", "slo.a.total: an SLO needs all its events; write total:"),
        (
            "a: {objective: 99, good: x_total, errors: y_total, total: z_total}",
            "good and errors say the same",
        ),
        ("a: {objective: 99, good: 'x_total{', total: z_total}", "1:35: slo.a.good: unexpected end of expression"),
        (
            "a: {objective: 99, good: 'increase(x_total[1h])', total: z_total}",
            "1:44: slo.a.good: events are counted",
        ),
        (
            "a: {objective: 99, good: sum(x_total), total: z_total}",
            "this is no number of events: it has no range",
        ),
        ("a: {objective: 99, good: 'sum_over_time(x[5m:1m])', total: z_total}", "a subquery counts events more than"),
        ("a: {objective: 99, good: x_total offset 5m, total: z_total}", "events are counted as they come; take offset"),
        ("a: {objective: 99, good: x_total, total: z_total, by: [a b]}", "is no label; write [job]"),
        ("a b: {objective: 99, good: x_total, total: z_total}", "'a b' is no name; write letters, digits, - and _"),
        ("a:", "1:1: slo.a: "),
        (
            "a: {objective: 99, good: x_total, total: z_total, description: '{{ nonsense }}'}",
            "slo.a.description: templ",
        ),
    ],
)
def test_each_way_of_being_wrong_is_said_with_its_place_and_what_to_write(written: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        groups_of(written)
    assert said in str(refused.value)
    assert str(refused.value).startswith("otelmon.yaml:1:")


def test_an_interval_too_long_to_count_in_is_said() -> None:
    with pytest.raises(ConfigError, match="write interval: 2m30s or less"):
        groups_of("requests: {objective: 99.9}", interval_seconds=600.0)


def test_the_command_shows_an_slo_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "otelmon.yaml"
    config.write_text("service: shop\nslo: {requests: {objective: 99.9}}\n", encoding="utf-8")
    shown = CliRunner().invoke(app, ["rules", "show", "requests_error_budget"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("alert: requests_error_budget") == 2
    assert CliRunner().invoke(app, ["check", str(config), "--strict"]).exit_code == 0
    config.write_text("service: shop\nslo: [requests]\n", encoding="utf-8")
    said = CliRunner().invoke(app, ["check", str(config)])
    assert "otelmon.yaml:2:6: slo: a section of SLOs expected" in said.output
