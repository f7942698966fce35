"""Prometheus's own cases, where they lie beside the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.promqltest import read, run

# Files of which every eval passes.
FILES = ("literals", "operators", "selectors", "staleness", "aggregators", "functions", "native_histograms")


def folder() -> Path:
    for parent in Path(__file__).resolve().parents:
        found = parent.parent / "shared" / "conformance" / "promqltest"
        if found.is_dir():
            return found
    pytest.skip("Prometheus's test files are not beside this repository")


@pytest.mark.parametrize("name", FILES)
def test_prometheus_agrees(name: str) -> None:
    failing, number = run(folder() / f"{name}.test")
    assert number > 10
    assert not failing, failing[:5]


def test_the_runner_finds_a_wrong_value(tmp_path: Path) -> None:
    path = tmp_path / "wrong.test"
    path.write_text(
        "load 1m\n  a{x='1'} 0+1x5\n\neval instant at 2m a\n  a{x='1'} 3\n\neval instant at 2m a\n  a{x='1'} 2\n"
    )
    failing, number = run(path)
    assert (len(failing), number) == (1, 2)
    assert failing[0][0] == 4


def test_the_runner_reads_runs_of_values() -> None:
    (load,) = read("load 10s\n  a 1+2x3 _x2 stale 5x1\n")
    assert load is not None
    (values,) = load.series.values()
    assert values[:6] == [1, 3, 5, 7, None, None]
    assert values[7:] == [5, 5]
