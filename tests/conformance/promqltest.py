"""Runs Prometheus's ``.test`` files: ``python -m tests.conformance.promqltest FILE...``.

Prints each failing eval with file and line, then ``N of M evals pass``; exits 0 only if all do. An instant eval is run
at its instant, as the middle of a range query, and with every selector pinned by ``@``, as Prometheus itself does.
"""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from otelmon.errors import PromQLError
from otelmon.histogram import Buckets, Histogram
from otelmon.labels import Labels
from otelmon.promql.analyze import LOOKBACK_DELTA_SECONDS, walk
from otelmon.promql.ast import Call, Expr, MatrixSelector, Paren, Subquery, ValueType
from otelmon.promql.check import value_type
from otelmon.promql.evaluate import Evaluator
from otelmon.promql.extended import ends_of, series_of
from otelmon.promql.parse import parse
from otelmon.promql.query import Query
from otelmon.promql.rates import listed
from otelmon.promql.reading import ranged
from otelmon.promql.supported import check_supported
from otelmon.promql.vector import EvaluationError, Vector, single
from otelmon.sample import Sample, is_stale
from otelmon.window.window import Window
from tests.conformance.promqlformat import Eval, FormatError, Load, Value, read

_FOREVER = 1e9
_TOLERANCE = 1e-6
_SMALLEST = 2.2250738585072014e-308


def load_into(window: Window, load: Load) -> None:
    """Append what a load command says."""
    window.append(
        Sample(labels=labels, at=round(index * load.step, 3), value=value)
        for labels, values in load.series.items()
        for index, value in enumerate(values)
        if value is not None
    )
    if load.custom_buckets:
        window.append(_custom_buckets(load))


def _custom_buckets(load: Load) -> list[Sample]:
    classic: dict[Labels, dict[float, list[Value | None]]] = {}
    for labels, values in load.series.items():
        if labels.metric_name.endswith("_bucket"):
            name = labels.metric_name.removesuffix("_bucket")
            base = labels.without(("le",)).with_label("__name__", name)
            classic.setdefault(base, {})[float(labels["le"])] = values
    samples = []
    for base, buckets in classic.items():
        sums, totals = (load.series.get(base.with_label("__name__", base.metric_name + end), []) for end in _TOTALS)
        for index in range(max(len(values) for values in buckets.values())):
            known = {
                bound: number for bound, values in buckets.items() if (number := _number(values, index)) is not None
            }
            if known:
                histogram = _of_classic(known, _number(sums, index), _number(totals, index))
                samples.append(Sample(labels=base, at=round(index * load.step, 3), value=histogram))
    return samples


_TOTALS = ("_sum", "_count")


def _number(values: list[Value | None], index: int) -> float | None:
    value = values[index] if index < len(values) else None
    return None if value is None or isinstance(value, Histogram) or is_stale(value) else value


def _of_classic(buckets: dict[float, float], total: float | None, number: float | None) -> Histogram:
    bounds = sorted(bound for bound in buckets if bound != math.inf)
    count = buckets.get(math.inf, number)
    cumulative = [buckets[bound] for bound in bounds]
    cumulative.append(count if count is not None else cumulative[-1])
    counts = [after - before for before, after in zip([0.0, *cumulative], cumulative, strict=False)]
    filled = [(at, count) for at, count in enumerate(counts) if count]
    return Histogram(
        count=cumulative[-1],
        sum=0.0 if total is None else total,
        positive=Buckets(indices=tuple(at for at, _ in filled), counts=tuple(count for _, count in filled)),
        bounds=tuple(bounds),
    )


@dataclass
class Answer:
    """What an evaluation gave: by instant the elements in order, and its annotations; or why it failed."""

    steps: list[tuple[float, list[tuple[Labels, Value]]]] = field(default_factory=list)
    annotations: tuple[str, ...] = ()
    failed: str | None = None
    string: str | None = None
    samples: dict[Labels, dict[float, Value]] | None = None  # of a range vector


def _range_vector(evaluator: Evaluator, tree: Expr, at: float) -> dict[Labels, dict[float, Value]]:
    """The samples of a range vector; an anchored or smoothed one has samples at its ends (extendFloats)."""
    while isinstance(tree, Paren):
        tree = tree.expr
    modifier = tree.selector.range_modifier if isinstance(tree, MatrixSelector) else ""
    if not isinstance(tree, MatrixSelector) or not modifier:
        matrix = evaluator.matrix(tree, at)
        named = matrix.shape
        return {
            named.label(index): dict(zip(*samples, strict=True))
            for index in range(len(named))
            if (samples := listed(matrix, index))[0]
        }
    start, end = evaluator._span(tree, at)
    until = end + LOOKBACK_DELTA_SECONDS if modifier == "smoothed" else end
    matrix = ranged(evaluator.selection(tree.selector), start - LOOKBACK_DELTA_SECONDS, until)
    found = {}
    for position, times, values in series_of(matrix):
        kept = {time: value for time, value in zip(times, values, strict=True) if start < time < end}
        ends = ends_of(times, values, start, end, smoothed=modifier == "smoothed")
        if ends is not None:
            found[matrix.shape.label(position)] = {start: ends[0], **kept, end: ends[1]}
    return found


def ask(window: Window, expr: str, start: float, end: float, step: float | None, pinned: float | None = None) -> Answer:
    """Evaluate at an instant (``step`` None) or over a range; ``pinned`` sets ``@`` on every selector."""
    answer = Answer()
    try:
        tree = parse(expr)
        check_supported(tree, expr)
        query = Query(expr)
    except PromQLError as error:
        answer.failed = error.message
        return answer
    evaluator = query.evaluator(window, start=start, end=end, step=step or 0.0)
    if pinned is not None:
        evaluator = _Pinned(evaluator, query, pinned)  # type: ignore[assignment]
    try:
        at = start
        if value_type(tree) is ValueType.MATRIX and step is None:
            answer.samples = _range_vector(evaluator, tree, at)
        while answer.samples is None and at <= end + 1e-9:
            value = query.value(evaluator, round(at, 3))
            if isinstance(value, str):
                answer.string = value
                break
            vector = value if isinstance(value, Vector) else single(value)
            elements = [(vector.shape.label(index), vector.element(index)) for index in vector.listed().tolist()]
            answer.steps.append((round(at, 3), elements))
            at += step or 1.0
    except EvaluationError as error:
        answer.failed = str(error)
    answer.annotations = query.annotations(evaluator)
    return answer


def _Pinned(evaluator, query, at):  # noqa: N802
    """An evaluator whose selectors look at ``at`` whatever the instant."""
    inner = {id(node) for outer in walk(query.expr) if isinstance(outer, Subquery) for node in walk(outer.expr)}
    moved = evaluator._moved

    def pinned(node, moment):
        return moved(node, at if node.at is None and id(node) not in inner else moment)

    evaluator._moved = pinned
    return evaluator


def _close(expected: Value, found: Value) -> bool:
    if isinstance(expected, Histogram) or isinstance(found, Histogram):
        return isinstance(expected, Histogram) and isinstance(found, Histogram) and _same(expected, found)
    if math.isnan(expected) or math.isnan(found):
        return math.isnan(expected) and math.isnan(found)
    if expected == found:
        return True
    size, difference = abs(expected) + abs(found), abs(expected - found)
    if expected == 0 or found == 0 or size < _SMALLEST:
        return difference < _TOLERANCE * _SMALLEST
    return difference / min(size, sys.float_info.max) < _TOLERANCE


def _same(expected: Histogram, found: Histogram) -> bool:
    if expected.bounds != found.bounds or expected.scale != found.scale or (expected.gauge and not found.gauge):
        return False
    numbers = [
        (expected.count, found.count),
        (expected.sum, found.sum),
        (expected.zero_count, found.zero_count),
        (expected.zero_threshold, found.zero_threshold),
    ]
    for one, other in ((expected.positive, found.positive), (expected.negative, found.negative)):
        if one.indices != other.indices:
            return False
        numbers.extend(zip(one.counts, other.counts, strict=True))
    return all(_close(one, other) for one, other in numbers)


def check(one: Eval, answer: Answer) -> str | None:
    """What is wrong with an answer; None when nothing is."""
    if one.fails:
        if answer.failed is None:
            return "should fail"
        texts = [(mode, text) for kind, mode, text in one.expects if kind == "fail" and mode]
        for mode, text in texts:
            if text != answer.failed if mode == "msg" else not re.search(text, answer.failed):
                return f"failed with {answer.failed!r}, expected {text!r}"
        return None
    if answer.failed is not None:
        return f"failed: {answer.failed}"
    if one.string is not None:
        return None if answer.string == one.string else f"is {answer.string!r}, expected {one.string!r}"
    if (answer.samples is None) != (one.samples_at is None):
        return f"is {'no' if answer.samples is None else 'a'} range vector"
    if answer.samples is not None:
        return _check_annotations(one, answer) or _check_samples(one, answer.samples)
    return _check_annotations(one, answer) or (
        _check_instant(one, answer.steps[0][1]) if one.step is None else _check_range(one, answer)
    )


def _check_annotations(one: Eval, answer: Answer) -> str | None:
    for kind, mode, text in one.expects:
        prefix = {"warn": "PromQL warning", "info": "PromQL info"}.get(kind.removeprefix("no_"))
        if prefix is None:
            continue
        found = [line for line in answer.annotations if line.startswith(prefix)]
        if kind.startswith("no_") and found:
            return f"unexpected {found[0]}"
        if not kind.startswith("no_") and not found:
            return f"expected {kind}"
        if mode and not any(text == line if mode == "msg" else re.search(text, line) for line in found):
            return f"expected {kind} {text!r}, found {found}"
    return None


def _check_instant(one: Eval, elements: list[tuple[Labels, Value]]) -> str | None:
    if one.scalar is not None:
        ok = len(elements) == 1 and not elements[0][0] and _close(one.scalar, elements[0][1])
        return None if ok else f"is {elements}, expected {one.scalar}"
    expected = {labels: values[0] for labels, values in one.series}
    found = dict(elements)
    if set(expected) != set(found):
        return f"has {sorted(map(str, found))}, expected {sorted(map(str, expected))}"
    for labels, value in expected.items():
        if value is None or not _close(value, found[labels]):
            return f"{labels} is {found[labels]}, expected {value}"
    ordered = any(kind == "ordered" for kind, _, _ in one.expects)
    if ordered and [labels for labels, _ in one.series] != [labels for labels, _ in elements]:
        return f"is in the order {[str(labels) for labels, _ in elements]}"
    return None


def _check_samples(one: Eval, found: dict[Labels, dict[float, Value]]) -> str | None:
    times = one.samples_at or []
    expected = {
        labels: {at: value for at, value in zip(times, values, strict=False) if value is not None}
        for labels, values in one.series
    }
    if set(expected) != set(found):
        return f"has {sorted(map(str, found))}, expected {sorted(map(str, expected))}"
    for labels, values in expected.items():
        if set(values) != set(found[labels]):
            return f"{labels} has samples at {sorted(found[labels])}, expected {sorted(values)}"
        for at, value in values.items():
            if not _close(value, found[labels][at]):
                return f"{labels} at {at} is {found[labels][at]}, expected {value}"
    return None


def _check_range(one: Eval, answer: Answer) -> str | None:
    found: dict[Labels, dict[int, Value]] = {}
    for index, (_, elements) in enumerate(answer.steps):
        for labels, value in elements:
            found.setdefault(labels, {})[index] = value
    expected = {
        labels: {index: value for index, value in enumerate(values) if value is not None}
        for labels, values in one.series
    }
    expected = {labels: values for labels, values in expected.items() if values}
    if set(expected) != set(found):
        return f"has {sorted(map(str, found))}, expected {sorted(map(str, expected))}"
    for labels, values in expected.items():
        if set(values) != set(found[labels]):
            return f"{labels} has steps {sorted(found[labels])}, expected {sorted(values)}"
        for index, value in values.items():
            if not _close(value, found[labels][index]):
                return f"{labels} at step {index} is {found[labels][index]}, expected {value}"
    return None


_OF_THE_INSTANT = frozenset(
    [
        "time",
        "timestamp",
        "predict_linear",
        "minute",
        "hour",
        "day_of_week",
        "day_of_month",
        "day_of_year",
        "days_in_month",
        "month",
        "year",
    ]
)
_OF_THE_QUERY = frozenset(["start", "end", "step", "range"])


def judge(window: Window, one: Eval) -> str | None:
    """Run one eval in every way it must hold; what is wrong, or None."""
    wrong = check(one, ask(window, one.expr, one.start, one.end, one.step))
    if wrong is not None or one.step is not None or one.fails or one.string is not None or one.samples_at is not None:
        return wrong
    tree = list(walk(parse(one.expr)))
    calls = {node.function for node in tree if isinstance(node, Call)}
    if calls & _OF_THE_QUERY or any(getattr(node, "at", None) in ("start", "end") for node in tree):
        return None
    unordered = replace(one, expects=[expect for expect in one.expects if expect[0] == "ordered"])
    around = ask(window, one.expr, one.start - 60, one.start + 60, 60.0)
    if around.failed is None:
        around.steps = around.steps[1:2]
        wrong = check(unordered, around)
        if wrong is not None:
            return f"in a range: {wrong}"
    if not calls & _OF_THE_INSTANT:
        pinned = ask(window, one.expr, one.start + 1234.5, one.start + 1234.5, None, pinned=one.start)
        wrong = check(one, pinned)
        if wrong is not None:
            return f"with @: {wrong}"
    return None


def run(path: Path) -> tuple[list[tuple[int, str, str]], int]:
    """Run a file; (line, expression, what is wrong) of each failing eval, and how many evals there are."""
    window = Window(retention_seconds=_FOREVER)
    failing = []
    number = 0
    for command in read(path.read_text(encoding="utf-8")):
        if command is None:
            window = Window(retention_seconds=_FOREVER)
        elif isinstance(command, Load):
            load_into(window, command)
        else:
            number += 1
            wrong = judge(window, command)
            if wrong is not None:
                failing.append((command.line, command.expr, wrong))
    return failing, number


def main(paths: list[str]) -> int:
    """Run files, print what fails."""
    total = failed = 0
    for path in paths:
        try:
            failing, number = run(Path(path))
        except (FormatError, OSError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
        for line, expr, wrong in failing:
            print(f"{path}:{line}: {expr}\n    {wrong[:400]}")
        print(f"{path}: {number - len(failing)} of {number}")
        total += number
        failed += len(failing)
    print(f"{total - failed} of {total} evals pass")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
