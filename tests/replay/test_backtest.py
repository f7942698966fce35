"""Backtests of recordings that no monitor of ours made: rules are evaluated at their interval, gaps included."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otelmon.cli.main import app
from otelmon.faults import Faults
from otelmon.labels import Labels
from otelmon.paging.model import PageReason
from otelmon.replay.backtest import Backtest, Outcome
from otelmon.replay.collection import Collection
from otelmon.replay.report import report
from otelmon.rules.load import load_rules
from otelmon.runtime.assemble import window_for
from otelmon.runtime.evaluate import RuleRunner
from otelmon.sample import Sample

START = 1_767_225_600.0
RULES = """
groups:
  - name: shop
    rules:
      - {alert: down, expr: up == 0, for: 1m, labels: {severity: critical}}
      - {alert: missing, expr: absent(up), labels: {severity: warning}}
      - {alert: strange, expr: strange > 1}
"""


def outcome_of(samples: Iterable[tuple[float, str, float]], text: str = RULES) -> Outcome:
    groups = load_rules(text, name="rules.yml")
    run = Backtest(
        rules=RuleRunner(groups, interval_seconds=15.0, faults=Faults()),
        window=window_for(groups, interval_seconds=15.0, max_series=1000),
        interval_seconds=15.0,
    )
    for at, instance, value in samples:
        labels = Labels({"__name__": "up", "instance": instance})
        run.feed(Collection(at=START + at, samples=[Sample(labels=labels, at=START + at, value=value)]))
    return run.outcome()


def test_an_alert_fires_when_it_has_held_for_long_enough_and_resolves_when_it_is_over() -> None:
    ups = [(at * 15.0, "a", 0.0 if 10 <= at < 30 else 1.0) for at in range(60)]
    (down,) = outcome_of(ups).firings
    assert (down.active_at.timestamp() - START, down.fired_at.timestamp() - START) == (150, 210)
    assert down.resolved_at is not None
    assert down.resolved_at.timestamp() - START == 450


def test_two_targets_at_different_moments_are_evaluated_together_at_each_interval() -> None:
    ups = sorted((at * 15.0 + offset, name, 1.0) for at in range(40) for name, offset in (("a", 0.0), ("b", 7.3)))
    outcome = outcome_of(ups)
    assert outcome.evaluations == 41
    assert outcome.samples == 80
    assert outcome.firings == ()


def test_rules_go_on_where_nothing_was_recorded_for_a_while() -> None:
    ups = [(at, "a", 1.0) for at in (0.0, 15.0, 3600.0, 3615.0)]
    (missing,) = outcome_of(ups).firings
    assert missing.name == "missing"
    assert missing.fired_at.timestamp() - START == pytest.approx(15 + 300, abs=15)
    assert missing.resolved_at is not None
    assert missing.resolved_at.timestamp() - START == pytest.approx(3600, abs=15)


def test_what_was_away_for_a_year_takes_no_year_to_evaluate() -> None:
    outcome = outcome_of([(0.0, "a", 1.0), (365 * 86_400.0, "a", 1.0)])
    assert outcome.evaluations < 6000
    assert outcome.end_at.timestamp() >= START + 365 * 86_400


def test_pages_are_counted_with_the_reminders_that_nobody_stopped() -> None:
    outcome = outcome_of((at * 15.0, "a", 0.0) for at in range(600))
    assert [page.reason for page in outcome.pages].count(PageReason.TRIGGERED) == 1
    assert [page.reason for page in outcome.pages].count(PageReason.REMINDER) == 4
    assert outcome.pages_a_week == pytest.approx(5 * 7 * 86_400 / (599 * 15))
    text = "\n".join(report(outcome))
    assert "still firing" in text
    assert "of them 4 reminders" in text
    assert "no series in the recording: strange" in text


def test_a_picture_shows_when_it_fired_also_in_plain_text() -> None:
    ups = [(at * 60.0, "a", 0.0 if 20 <= at < 40 else 1.0) for at in range(60)]
    lines = list(report(outcome_of(ups), plain=True))
    assert max(map(len, lines)) <= 80
    picture = next(line for line in lines if line.startswith("down") and "#" in line)
    filled = [index / len(picture) for index, mark in enumerate(picture) if mark == "#"]
    assert filled[0] == pytest.approx(1 / 3, abs=0.1)
    assert filled[-1] == pytest.approx(2 / 3, abs=0.1)
    assert all(line.isascii() for line in lines)


def test_the_command_takes_a_rule_file_and_text_with_timestamps(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES, encoding="utf-8")
    data = tmp_path / "up.om"
    data.write_text("".join(f"up 0 {START + at}\n" for at in range(0, 600, 15)) + "# EOF\n", encoding="utf-8")
    asked = ["backtest", str(tmp_path / "rules.yml"), "--data", str(data), "--interval", "30s", "--json"]
    said = CliRunner().invoke(app, asked)
    assert said.exit_code == 0, said.output
    outcome = json.loads(said.stdout)
    assert [(each["name"], each["resolved_at"]) for each in outcome["alerts"]] == [("down", None)]
    assert outcome["evaluations"] == 21


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--data", "nowhere"], "nowhere: cannot be read: No such file or directory"),
        (["--data", "empty"], "empty: there is no sample in it that rules can use"),
        (["--data", "empty", "--interval", "1ms"], "--interval: '1ms': write a duration from 1s to 1h"),
    ],
)
def test_what_cannot_be_replayed_is_said(
    more: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yml").write_text(RULES, encoding="utf-8")
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    refused = CliRunner().invoke(app, ["backtest", "rules.yml", *more])
    assert refused.exit_code == 1
    assert said in refused.stderr
