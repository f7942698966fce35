"""Durations, as Prometheus writes them and as people do."""

from __future__ import annotations

import pytest

from otelmon.duration import format_duration, parse_duration, read_duration
from otelmon.errors import ConfigError
from otelmon.rules.load import load_rules


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300),
        ("1h30m", 5400),
        ("0", 0),
        ("250ms", 0.25),
        ("5 minutes", 300),
        ("1 min", 60),
        ("1 MIN", 60),
        ("90 sec", 90),
        ("1.5h", 5400),
        (".5 s", 0.5),
        ("1 hour 30 minutes", 5400),
        ("1 hour, 30 minutes", 5400),
        ("2 days and 3 hours", 183600),
        ("1h 30m", 5400),
        (" 1 week ", 604800),
        ("500 milliseconds", 0.5),
    ],
)
def test_a_person_s_duration_is_read(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds
    assert read_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "minutes",
        "-5m",
        "5 parsecs",
        "30m 1h",
        "5m 5m",
        "1 hour and",
        "1h,",
        "5,5m",
        "1e3s",
        "five minutes",
        "5 m/s",
    ],
)
def test_what_is_no_duration_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write a number with a unit"):
        read_duration(text)


def test_a_prometheus_rule_file_has_prometheus_s_durations_only() -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration("5 minutes")
    text = "groups: [{name: a, rules: [{alert: b, expr: up, for: 5 minutes}]}]"
    with pytest.raises(ConfigError, match="is no duration"):
        load_rules(text, name="rules.yml")
