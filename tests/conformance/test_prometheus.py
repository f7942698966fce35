"""Generated expressions over generated series mean here what they mean in a real Prometheus 2.42.

By hand, with any number of expressions: ``python -m tests.conformance.test_prometheus [SEED [NUMBER]]``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from otelmon.errors import PromQLError
from otelmon.histogram import Histogram
from otelmon.labels import Labels
from otelmon.promql.evaluation import Failed
from otelmon.promql.query import Query
from otelmon.sample import Sample
from otelmon.window.window import Window
from tests.conformance import prometheus
from tests.conformance.measured import SECONDS, Expressions, points

TOLERANCE = 1e-9


def window_of(series: prometheus.Points) -> Window:
    """All samples in one window."""
    window = Window(retention_seconds=4 * SECONDS)
    window.append(Sample(labels=labels, at=at, value=value) for labels, found in series.items() for at, value in found)
    return window


def ours(text: str, window: Window, at: float) -> dict[Labels, float] | str:
    """What we find, as Prometheus's API says it."""
    try:
        result = Query(text).evaluate(window, at)
    except PromQLError as error:
        return str(error)
    if isinstance(result, Failed):
        return result.reason
    found = {}
    for element in result.vector:
        assert not isinstance(element.value, Histogram)
        assert element.labels not in found, "an element twice"
        found[element.labels] = element.value
    return found


def differences(seed: int, number: int, folder: Path) -> Iterator[tuple[str, str, bool]]:
    """(expression and instant, how the two differ or nothing, whether Prometheus found anything)."""
    series = points(seed)
    window, expressions = window_of(series), Expressions(seed)
    blocks = prometheus.create_blocks(series, folder)
    with prometheus.started(blocks, folder) as server:
        for _ in range(number):
            text, at = expressions.expression(), expressions.instant()
            theirs = server.query(text, at)
            found = not isinstance(theirs, str) and bool(theirs)
            yield f"{text}  @{at:.3f}", prometheus.difference(ours(text, window, at), theirs, TOLERANCE), found


@pytest.mark.skipif(not prometheus.installed(), reason=prometheus.MISSING)
def test_generated_expressions_agree_with_prometheus(tmp_path: Path) -> None:
    if not prometheus.version().startswith("2."):
        pytest.skip(f"the expressions are made for Prometheus 2.42, and here is {prometheus.version()}")
    compared = list(differences(7, 300, tmp_path))
    wrong = [f"{expression}\n  {said}" for expression, said, _ in compared if said]
    assert not wrong, "\n".join(wrong[:5])
    assert sum(found for _, _, found in compared) > 200, "most expressions have to find something"


def main() -> None:
    """Compare and print."""
    seed, number = (int(argument) for argument in (*sys.argv[1:], *("7", "300")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        compared = list(differences(seed, number, Path(folder)))
    for expression, said, _ in compared:
        if said:
            print(f"{expression}\n  {said}")
    agree = sum(not said for _, said, _ in compared)
    print(f"{agree} of {number} expressions agree, {sum(found for _, _, found in compared)} of them find something")
    sys.exit(agree < number)


if __name__ == "__main__":
    main()
