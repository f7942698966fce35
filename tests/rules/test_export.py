"""Rules go to a Prometheus and mean there what they mean here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otelmon.cli.main import app
from otelmon.promql.parse import parse
from otelmon.promql.render import render
from otelmon.rules.builtin import builtin_text
from otelmon.rules.export import rule_file
from otelmon.rules.histograms import HistogramForm, NoSuchFormError, histogram_names, in_form
from otelmon.rules.load import load_rules
from otelmon.rules.model import AlertingRule
from tests.conformance import prometheus

OWN = """
groups:
  - name: shop
    interval: 30s
    limit: 5
    rules:
      - record: job:latency:p99
        expr: histogram_quantile(0.99, sum by (le, job) (rate(latency_bucket[5m])))
        labels: {team: web}
      - alert: slow
        expr: |
          rate(latency_sum[5m])   # seconds
            / rate(latency_count[5m]) > 1
        for: 1m30s
        keep_firing_for: 5m
        labels: {severity: critical, note: 'a: "b" # {{ $labels.job }}'}
        annotations: {summary: "two\\nlines", odd: "  spaces  ", number: "012", colour: "ä {{ $value }}"}
      - alert: share_below
        expr: rate(latency_bucket{le="0.5"}[5m]) / rate(latency_count[5m]) < 0.9
"""


def in_native(text: str) -> str:
    expr = parse(text)
    return render(in_form(expr, HistogramForm.NATIVE, histogram_names([expr])))


def test_what_is_exported_reads_back_the_same() -> None:
    for text in (OWN, builtin_text()):
        groups = load_rules(text, name="rules.yml")
        again = load_rules(rule_file(groups, interval_seconds=15), name="again.yml")
        assert [group.name for group in again] == [group.name for group in groups]
        for before, after in zip(groups, again, strict=True):
            assert after.interval_seconds == (before.interval_seconds or 15)
            assert after.limit == before.limit
            for one, other in zip(before.rules, after.rules, strict=True):
                assert (other.name, render(other.expr), other.labels) == (one.name, render(one.expr), one.labels)
                if isinstance(one, AlertingRule):
                    assert isinstance(other, AlertingRule)
                    assert other.annotations == one.annotations
                    assert other.for_seconds == one.for_seconds
                    assert other.keep_firing_for_seconds == one.keep_firing_for_seconds
                    assert other.unit == one.unit


def test_native_rules_ask_for_native_histograms_only() -> None:
    assert in_native("sum(rate(a_count[5m])) > sum(rate(a_bucket[5m]))") == (
        "sum(histogram_count(rate(a[5m]))) > sum(rate(a[5m]))"
    )
    assert in_native("histogram_quantile(0.9, sum by (job, le) (rate(a_bucket{x='y'}[5m] offset 1m)))") == (
        'histogram_quantile(0.9, sum by (job) (rate(a{x="y"}[5m] offset 1m)))'
    )
    both = "histogram_quantile(.9, rate(a[5m])) or histogram_quantile(.9, rate(a_bucket[5m]))"
    assert in_native(both) == "histogram_quantile(0.9, rate(a[5m]))"
    classic = in_form(parse(both), HistogramForm.CLASSIC, histogram_names([parse(both)]))
    assert render(classic) == "histogram_quantile(0.9, rate(a_bucket[5m]))"
    # What is not known to be a histogram is left alone.
    assert in_native("rate(jobs_count[5m]) or up") == "rate(jobs_count[5m]) or up"
    assert in_native("a_sum / a_count + a_bucket") == "histogram_sum(a) / histogram_count(a) + a"


def test_what_a_form_does_not_have_is_left_out_with_a_comment() -> None:
    native = rule_file(load_rules(OWN, name="rules.yml"), interval_seconds=15, form=HistogramForm.NATIVE)
    assert "# left out: share_below: it asks for one bucket of latency by its le" in native
    assert len(load_rules(native, name="native.yml")[0].rules) == 2
    alone = parse("histogram_quantile(0.9, rate(http_server_request_duration_seconds[5m]))")
    with pytest.raises(NoSuchFormError, match="classic histograms do not have"):
        in_form(alone, HistogramForm.CLASSIC, histogram_names([alone]))


def test_groups_of_one_name_get_names_of_their_own() -> None:
    groups = load_rules(OWN, name="a.yml") + load_rules(OWN, name="b.yml")
    assert [group.name for group in load_rules(rule_file(groups, interval_seconds=15), name="x")] == [
        "shop", "shop (b.yml, 2)",
    ]  # fmt: skip


def test_the_command_shows_what_a_short_form_stands_for(tmp_path: Path) -> None:
    config = tmp_path / "otelmon.yaml"
    config.write_text("service: shop\nalerts:\n  error_rate: {threshold: 7%, window: 10m}\n")
    said = CliRunner().invoke(app, ["rules", "show", "error_rate", "cpu_usage", "--config", str(config)])
    assert said.exit_code == 0
    first, second = load_rules(said.output, name="shown")
    assert "> 0.07" in first.rules[0].text
    assert "[10m]" in first.rules[0].text
    assert (second.name, second.rules[0].name) == ("otelmon (off)", "cpu_usage")
    unknown = CliRunner().invoke(app, ["rules", "show", "nope", "--config", str(config)])
    assert unknown.exit_code == 1


EXTENDED = """
groups:
  - name: shop
    rules:
      - alert: busy
        expr: queue_length > 10
        annotations: {summary: "v: {{ $value }}", otelmon_unit: bytes, otelmon_no_data: keep, otelmon_resolve_when: "8"}
      - alert: quiet
        expr: queue_length < 1
        annotations: {otelmon_no_data: alert}
"""


def test_what_only_otelmon_does_is_left_out_for_others_with_a_comment_at_the_rule() -> None:
    groups = load_rules(EXTENDED, name="rules.yml")
    text = rule_file(groups, interval_seconds=15, foreign=True)
    lines = [line.strip() for line in text.splitlines()]
    assert lines[lines.index("- alert: busy") - 2].startswith(
        "# left out: otelmon_no_data: keep (only otelmon does that;"
    )
    assert lines[lines.index("- alert: busy") - 1].startswith("# left out: otelmon_resolve_when: 8 (")
    assert lines[lines.index("- alert: quiet") - 1].startswith("# left out: otelmon_no_data: alert (")
    busy, quiet = load_rules(text, name="again.yml")[0].rules
    assert isinstance(busy, AlertingRule)
    assert isinstance(quiet, AlertingRule)
    assert dict(busy.annotations) == {"summary": "v: {{ $value }}", "otelmon_unit": "bytes"}
    assert not quiet.annotations
    assert "left out" not in rule_file(groups, interval_seconds=15)


@pytest.mark.skipif(not prometheus.installed(), reason=prometheus.MISSING)
@pytest.mark.parametrize("form", [None, *HistogramForm])
def test_promtool_accepts_what_is_exported(form: HistogramForm | None, tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    groups = [group for text in (OWN, builtin_text(), EXTENDED) for group in load_rules(text, name=f"{len(text)}.yml")]
    path.write_text(rule_file(groups, interval_seconds=15, form=form, foreign=True))
    said = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "SUCCESS" in said.stdout
