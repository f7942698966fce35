"""How a value went, as a row of blocks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from otelmon.labels import Labels
from otelmon.paging.sparkline import sparkline, value_finding
from otelmon.rules.model import Unit
from otelmon.runtime.course import Course
from tests.evidence.stories import broken, pages, simulated


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], "▁▂▃▄▅▆▇██"),
        ([0.0, 0.0, 0.0], "▁▁▁"),
        ([5.0, 5.0], "██"),
        ([None, 1.0, None], "·█·"),
        ([-1.0, 0.0, 1.0], "▁▅█"),
        ([], ""),
        ([None], "·"),
    ],
)
def test_each_value_is_a_block_between_nothing_and_the_greatest(values: list[float | None], shown: str) -> None:
    assert sparkline(values) == shown


@pytest.mark.parametrize("count", range(1, 100))
def test_a_row_fits_on_a_phone_and_ends_with_the_last_value(count: int) -> None:
    row = sparkline([0.0] * (count - 1) + [1.0])
    assert len(row) <= 30
    assert row.endswith("█")
    assert row.count("█") == 1


def test_it_is_said_from_what_to_what_and_with_which_limit() -> None:
    found = value_finding([0.0, 0.01, None, 0.124], every_seconds=60, bound=0.05, unit=Unit.RATIO)
    assert found is not None
    assert (found.name, found.text) == ("The last 3 min", "▁▁·█\n0 % to 12.4 %, limit 5 %")


@pytest.mark.parametrize("values", [[], [1.0, 2.0], [None] * 9, [math.nan, math.inf, -math.inf]])
def test_of_too_little_nothing_is_said(values: list[float | None]) -> None:
    assert value_finding(values, every_seconds=60, bound=None, unit=Unit.NONE) is None


def test_the_worst_value_of_each_minute_is_kept_for_an_hour() -> None:
    course = Course()
    for second in range(0, 7200, 15):
        course.note({Labels({"a": "1"}): float(second), Labels({"a": "2"}): 1.0}, ">", 1000.0 + second)
    assert list(course.points) == [(1000.0 + 60 * minute, 60.0 * minute) for minute in range(60, 120)]
    course.note({Labels({"a": "1"}): 9.0, Labels({"a": "2"}): 2.0}, "<", 20_000.0)
    assert course.points[-1][1] == 2.0
    course.note({Labels({"a": "1"}): 1.0}, "<", 20_030.0)
    assert course.so_far() == (*course.points, (20_030.0, 1.0))
    assert course.points[-1][1] == 2.0
    course.note(None, "<", 20_060.0)
    assert course.points[-1][1] is None
    assert course.so_far() == tuple(course.points)
    course.shift(-20_000.0)
    assert course.so_far()[-1] == (60.0, None)


def test_the_page_shows_how_it_came(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    broken(simulation, "/pay", before=600)
    simulation.explain()
    (field,) = [each for each in pages(simulation)[-1].message.fields if each.name.startswith("The last ")]
    assert field.name == "The last 11 min"
    row, said = field.value.splitlines()
    assert (row[0], row[-1]) == ("·", "█")  # without an error there is no rate of them
    assert said.endswith(", limit 5 %")
