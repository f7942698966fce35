"""Prometheus's own cases, where they lie beside the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.promqlformat import read
from tests.conformance.promqltest import main, run

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


@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "cases").glob("*.test")), ids=lambda path: path.stem)
def test_cases_of_our_own_hold(path: Path) -> None:
    failing, number = run(path)
    assert number > 5
    assert not failing, failing[:5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nlaod 1m\n a 1\n", "line 2: unknown command 'laod 1m'"),
        ("load\n a 1\n", "line 1: cannot read 'load'"),
        ("load 1m\n # more\n a 1 2 x\n", "line 3: cannot read values"),
        ("load 1m\n a{b=} 1\n", "line 2: "),
        ("load 1m\n a {{count:x}}\n", "line 2: "),
        ("eval sometime 5m a\n", "line 1: cannot read"),
        ("eval instant at 5m a\n expect nothing\n", "line 2: cannot read 'expect nothing'"),
        ("eval instant at 5m a\n a{ 1\n", "line 2: "),
        ("eval_maybe instant at 5m a\n", "line 1: unknown command"),
    ],
)
def test_the_runner_names_the_line_that_it_cannot_read(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read(text)
    (tmp_path / "bad.test").write_text(text)
    assert main([str(tmp_path / "bad.test")]) == 2


def test_the_runner_holds_expectations_against_what_comes(tmp_path: Path) -> None:
    path = tmp_path / "expectations.test"
    path.write_text(EXPECTATIONS)
    failing, number = run(path)
    assert number == 11
    assert [line for line, _, _ in failing] == [
        number for number, line in enumerate(EXPECTATIONS.splitlines(), 1) if line.endswith("# wrong")
    ]


EXPECTATIONS = """load 1m
  a{x="1"} 1 2 3
  a{x="2"} 2 3 4

eval instant at 1m sum(a) + 0 # wrong
  expect warn
  {} 5

eval instant at 1m sort_desc(a)
  expect ordered
  a{x="2"} 3
  a{x="1"} 2

eval_ordered instant at 1m sort(a) # wrong
  a{x="2"} 3
  a{x="1"} 2

eval instant at 1m quantile(2, a)
  expect warn regex: quantile value should be between 0 and 1, got 2
  expect no_info
  {} Inf

eval_warn instant at 1m quantile(2, a)
  {} Inf

eval instant at 1m quantile(2, a) # wrong
  expect no_warn
  {} Inf

eval_fail instant at 1m a + on() a

eval instant at 1m a + on() a
  expect fail regex: found duplicate series

eval instant at 1m a + on() a # wrong
  expect fail msg: another reason

eval instant at 1m "text"
  expect string "text"

eval instant at 1m a[1m] # wrong
  a{x="1"} 2
  a{x="2"} 3
"""


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
