"""Recordings as text: OpenMetrics and Prometheus's format, sorted by time whatever their order and size."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from otelmon.replay.collection import LineError
from otelmon.replay.exposition import TextReader
from otelmon.replay.recording import Recording

OPEN_METRICS = """# TYPE requests counter
# HELP requests Requests with a "}" in it.
requests_total{route="/a}",code="200"} 3 100.5 # {trace_id="x"} 1 100.4
requests_total{route="/a}",code="200"} 5 115.5
depth NaN 100.5
# EOF
"""


def told(text: str) -> list[tuple[float, str, float | object]]:
    reader = TextReader()
    for line in text.splitlines():
        reader.read(line)
    return [(each.at, str(each.labels), each.value) for part in reader.collections() for each in part.samples]


def test_series_after_series_becomes_instant_after_instant() -> None:
    found = told(OPEN_METRICS)
    assert [(at, labels) for at, labels, _ in found] == [
        (100.5, 'requests_total{code="200", route="/a}"}'),
        (100.5, "depth{}"),
        (115.5, 'requests_total{code="200", route="/a}"}'),
    ]
    assert [found[0][2], found[2][2]] == [3.0, 5.0]


def test_prometheuss_milliseconds_are_known_from_seconds() -> None:
    assert told("up 1 1767225600000\nup 1 1767225615") == [(1767225600.0, "up{}", 1.0), (1767225615.0, "up{}", 1.0)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("up 1", "a sample without a timestamp"),
        ("up one 100", "could not convert"),
        ("up", "no sample: name"),
        ("up{a=b} 1 100", "up{a=b}"),
        ("up 1 NaN", "NaN is no timestamp"),
    ],
)
def test_what_is_wrong_in_a_line_is_said_and_leaves_the_rest_whole(line: str, said: str) -> None:
    reader = TextReader()
    reader.read("up 1 90")
    with pytest.raises(LineError, match=re.escape(said)):
        reader.read(line)
    reader.read("up 0 110")
    assert [[each.value for each in part.samples] for part in reader.collections()] == [[1.0], [0.0]]


def test_more_than_memory_may_hold_is_sorted_all_the_same(tmp_path: Path) -> None:
    chance = random.Random(3)
    rows = [(float(at), series, chance.random()) for series in range(7) for at in range(300)]
    reader = TextReader(most_in_memory=100)
    for at, series, value in rows:
        reader.read(f'x{{n="{series}"}} {value!r} {at}')
    found = [(each.at, each.labels["n"], each.value) for part in reader.collections() for each in part.samples]
    assert [at for at, *_ in found] == sorted(at for at, *_ in rows)
    assert sorted(found) == sorted((at, str(series), value) for at, series, value in rows)


def test_a_file_of_text_is_known_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "dump.om"
    path.write_text(OPEN_METRICS, encoding="utf-8")
    recording = Recording(path)
    assert [len(part.samples) for part in recording.collections()] == [2, 1]
    assert recording.bad_lines == 0
