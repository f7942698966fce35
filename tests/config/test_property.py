"""However a file is broken, the answer is settings or an error with a place: never another exception."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelmon.config.load import load_settings
from otelmon.errors import ConfigError, Problem
from otelmon.rules.load import load_rules

GOOD = """service: shop
environment: ${ENV:-production}
paging: auto
interval: 15s
discord:
  webhook_url: ${URL:-}
  mention:
    critical: [role: 123456789012345678, user: 234567890123456789]
alerts:
  error_rate: {threshold: 0.05, window: 5m, severity: critical, at_least: 5}
  response_time: {threshold: 1s, percentile: 95, window: 5m}
  disk_usage: 85%
  memory_usage: off
  cart_failures:
    expr: |
      sum by (job) (rate(cart_failures_total[5m])) > 0.2
    for: 2m
    summary: '{{ $value | humanize }} fail'
    labels: {team: checkout}
exclude_paths: [/health, /internal/*]
state_dir: state
max_series: 1000
forward:
  backend: {endpoint: "http://a:4317", headers: {X-A: b}, signals: [logs], queue: {size: 1GiB}, timeout: 5s}
process:
  - drop: 'http.route="/health"'
  - rename: {label: a, to: b, match: [x, 'y=~"z"']}
  - redact: {labels: [user.mail], with: '***'}
  - promote: [host.name]
  - limit: {series: 100}
"""
PIECES = st.sampled_from([
    ":", "- ", "  ", "\t", "\n", "'", '"', "{", "}", "[", "]", "|", ">", "&a ", "*a", "!!set ", "#", "%", "${", "${X}",
    "}", "$$", "null", "on", "0", "-1", ".nan", "1e999", "99999999999999999999999", "9" * 400, "\x00", "\x85",
    "\u2028", "\ufeff", "é", "\\", "\\u12", "? ", "<<: ", "---\n", "...\n", ",", "alerts", "expr", "threshold: ",
    "error_rate: ", "5m", "100y", "{{", "}}", "{{ $labels", "(", ")", "[5m]", "role: ", "@", "`",
    "~", "=", "\ud83d\ude00", "\x7f",
])  # fmt: skip


@st.composite
def mutations(draw: st.DrawFn, good: str) -> str:
    text = good
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        length = draw(st.sampled_from([0, 0, 1, 2, 5, 20, 60]))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            text = text[:start] + draw(PIECES) + text[start + length :]
        elif kind == 1:
            text = text[:start] + text[start + length :]
        elif kind == 2:
            text = text[:start] + text[start : start + length] * 2 + text[start + length :]
        else:
            other = draw(st.integers(0, len(text)))
            text = text[:start] + text[other : other + length] + text[start:]
    return text


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(text=mutations(GOOD))
def test_a_broken_configuration_is_an_error_with_a_place_or_settings(directory, text):
    path = directory / "otelmon.yaml"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    problems: tuple[Problem, ...] = ()
    try:
        found = load_settings(path, environ={"HOME": "/home/a", "X": "a: [b"}, directory=directory)
    except ConfigError as error:
        found, problems = None, error.problems
    assert (found is None) is bool(problems)
    lines = text.count("\n") + text.count("\r") + 2
    for problem in problems:
        assert problem.message
        assert problem.line is None or 1 <= problem.line <= lines


RULES = """groups:
  - name: shop
    interval: 30s
    labels: {team: a}
    rules:
      - record: job:errors:rate5m
        expr: sum by (job) (rate(errors_total[5m]))
      - alert: CartFailures
        expr: |
          job:errors:rate5m > 0.2
        for: 2m
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.job }} fails"}
"""


@settings(max_examples=200, deadline=None)
@given(text=mutations(RULES))
def test_a_broken_rule_file_is_an_error_with_a_place_or_rules(text):
    problems: tuple[Problem, ...] = ()
    try:
        load_rules(text, name="rules.yml")
    except ConfigError as error:
        problems = error.problems
    assert all(problem.message and problem.file == "rules.yml" for problem in problems)
