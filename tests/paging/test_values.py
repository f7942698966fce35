"""Values as a person reads them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelmon.paging.values import format_span, format_value, format_value_and_bound
from otelmon.rules.model import Unit


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.124, Unit.RATIO, "12.4 %"),
        (0.05, Unit.RATIO, "5 %"),
        (1.0, Unit.RATIO, "100 %"),
        (0.0004, Unit.RATIO, "0.04 %"),
        (0.0, Unit.RATIO, "0 %"),
        (85.0, Unit.PERCENT, "85 %"),
        (91.37, Unit.PERCENT, "91.4 %"),
        (1240.0, Unit.MILLISECONDS, "1.24 s"),
        (999.6, Unit.MILLISECONDS, "1,000 ms"),
        (250.0, Unit.MILLISECONDS, "250 ms"),
        (0.5, Unit.MILLISECONDS, "500 µs"),
        (90_000.0, Unit.MILLISECONDS, "90 s"),
        (0.2, Unit.SECONDS, "200 ms"),
        (0.0, Unit.SECONDS, "0 s"),
        (-3.5, Unit.SECONDS, "-3.5 s"),
        (3900.0, Unit.SECONDS, "1 h 5 min"),
        (-3900.0, Unit.SECONDS, "-1 h 5 min"),
        (512.0, Unit.BYTES, "512 B"),
        (1536.0, Unit.BYTES, "1.5 KiB"),
        (3.2e9, Unit.BYTES, "2.98 GiB"),
        (2.0**62, Unit.BYTES, "4,096 PiB"),
        (3.14159, Unit.NONE, "3.142"),
        (42.0, Unit.NONE, "42"),
        (1234567.0, Unit.NONE, "1,234,567"),
        (-0.00001234, Unit.NONE, "-0.00001234"),
        (1e-9, Unit.NONE, "1e-09"),
        (1.5e20, Unit.NONE, "1.5e+20"),
        (-0.0, Unit.NONE, "0"),
        (math.nan, Unit.RATIO, "NaN"),
        (math.inf, Unit.BYTES, "+Inf"),
        (-math.inf, Unit.SECONDS, "-Inf"),
    ],
)
def test_a_value_is_said_in_its_unit(value: float, unit: Unit, text: str) -> None:
    assert format_value(value, unit) == text


def test_a_value_just_over_its_limit_does_not_look_equal_to_it() -> None:
    assert format_value_and_bound(0.0500001, 0.05, Unit.RATIO) == ("5.00001 %", "5 %")
    assert format_value_and_bound(0.124, 0.05, Unit.RATIO) == ("12.4 %", "5 %")
    assert format_value_and_bound(3600.4, 3600.0, Unit.SECONDS) == ("3,600.4 s", "3,600 s")
    assert format_value_and_bound(5.0, 5.0, Unit.NONE) == ("5", "5")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.4, "0 s"), (45, "45 s"), (59.7, "1 min"), (60, "1 min"), (365, "6 min 5 s"), (3600, "1 h"),
        (3899, "1 h 5 min"), (3659.9, "1 h 1 min"), (86_400, "1 d"), (86_400 + 59 * 60, "1 d"),
        (2 * 86_400 + 3 * 3600 + 7, "2 d 3 h"), (-5, "0 s"),
    ],
)  # fmt: skip
def test_a_span_is_said_in_two_units(seconds: float, text: str) -> None:
    assert format_span(seconds) == text


@given(value=st.floats(), bound=st.floats(), unit=st.sampled_from(Unit))
def test_any_value_in_any_unit_is_short(value: float, bound: float, unit: Unit) -> None:
    for text in (format_value(value, unit), *format_value_and_bound(value, bound, unit)):
        assert 0 < len(text) <= 40
