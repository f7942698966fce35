"""Thresholds as people write them, and those that cannot be meant."""

import pytest

from otelmon.rules.model import Unit
from otelmon.rules.quantity import QuantityError, parse_percentile, parse_threshold


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("0.05", Unit.RATIO, 0.05),
        ("5%", Unit.RATIO, 0.05),
        ("5 %", Unit.RATIO, 0.05),
        ("0", Unit.RATIO, 0.0),
        (".5", Unit.RATIO, 0.5),
        ("99.9%", Unit.RATIO, 0.999),
        ("85", Unit.PERCENT, 85.0),
        ("85%", Unit.PERCENT, 85.0),
        ("0.5%", Unit.PERCENT, 0.5),
        ("1000", Unit.MILLISECONDS, 1000.0),
        ("800ms", Unit.MILLISECONDS, 800.0),
        ("1s", Unit.MILLISECONDS, 1000.0),
        ("1.5s", Unit.MILLISECONDS, 1500.0),
        ("1m", Unit.MILLISECONDS, 60000.0),
        ("1ms", Unit.MILLISECONDS, 1.0),
        ("1 min", Unit.MILLISECONDS, 60000.0),
        ("5 minutes", Unit.MILLISECONDS, 300000.0),
        ("1m30s", Unit.MILLISECONDS, 90000.0),
        ("2 seconds", Unit.MILLISECONDS, 2000.0),
        ("300", Unit.SECONDS, 300.0),
        ("5m", Unit.SECONDS, 300.0),
        ("2d", Unit.SECONDS, 172_800.0),
        ("20", Unit.NONE, 20.0),
    ],
)
def test_a_threshold_is_read_in_the_unit_of_its_rule(text, unit, expected):
    assert parse_threshold(text, unit) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "unit", "message", "hint"),
    [
        ("5", Unit.RATIO, "5 is no ratio", "write 0.05 or 5%"),
        ("1", Unit.RATIO, "a ratio never exceeds 1", "write 0.01 or 1% if one percent is meant"),
        ("500", Unit.RATIO, "500 is no ratio", "write 0.05 or 5%"),
        ("100%", Unit.RATIO, "can never be exceeded", "write less than 100%"),
        ("5s", Unit.RATIO, "5s is no ratio", "write 0.05 or 5%"),
        ("-0.1", Unit.RATIO, "-0.1 is negative", "write 0.05 or 5%"),
        ("nan", Unit.RATIO, "nan is no threshold", "write 0.05 or 5%"),
        (".inf", Unit.PERCENT, ".inf is no threshold", "write 85 or 85%"),
        ("1e999", Unit.PERCENT, "1e999 is no threshold", "write 85 or 85%"),
        ("0.85", Unit.PERCENT, "0.85 is no percentage", "write 85 or 85%"),
        ("1", Unit.PERCENT, "1 would be one percent", "write 1% if that is meant"),
        ("0", Unit.PERCENT, "0 is always exceeded", "write 85 or 85%"),
        ("100", Unit.PERCENT, "100 can never be exceeded", "write less than 100"),
        ("85ms", Unit.PERCENT, "85ms is no percentage", "write 85 or 85%"),
        ("1", Unit.MILLISECONDS, "1 would be 1 ms", "write 1s or 1000, or 1ms if that is meant"),
        ("0.5", Unit.MILLISECONDS, "0.5 would be 0.5 ms", "write 500ms or 500, or 0.5ms if that is meant"),
        ("5%", Unit.MILLISECONDS, "5% is no time", "write 1000, 800ms or 1s"),
        ("2h", Unit.MILLISECONDS, "2h is out of bounds", "at most 1h"),
        ("0", Unit.MILLISECONDS, "0 is out of bounds", "more than 0"),
        ("soon", Unit.MILLISECONDS, "soon is no threshold", "write 1000, 800ms or 1s"),
        ("5%", Unit.SECONDS, "5% is no time", "write 300, 5m or 1h"),
        ("8d", Unit.SECONDS, "8d is out of bounds", "at most 7d"),
        ("20%", Unit.NONE, "20% has a unit", "write a number"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write(text, unit, message, hint):
    with pytest.raises(QuantityError) as raised:
        parse_threshold(text, unit)
    assert message in raised.value.message
    assert hint in raised.value.hint


def test_a_percentile_is_a_number_up_to_100():
    assert (parse_percentile("95"), parse_percentile("p99"), parse_percentile("99.9")) == (95.0, 99.0, 99.9)
    for text, hint in [("0.95", "write 95"), ("0.999", "write 99.9"), ("100", "such as 95"), ("-1", "such as 95")]:
        with pytest.raises(QuantityError) as raised:
            parse_percentile(text)
        assert hint in raised.value.hint
