"""Reads promtool's rule unit tests: strict, every fault with its line and column.

The format is https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from glob import glob
from pathlib import Path

from otelmon.document.fields import Fields, Problems
from otelmon.document.load import read_document
from otelmon.document.model import Scalar, Section, Value, describe, is_empty
from otelmon.errors import ConfigError, Problem
from otelmon.labels import Labels
from otelmon.replay.model import AlertCase, ExpectedAlert, ExprCase, Scenario, TestFile
from otelmon.replay.series import SeriesError, read_metric, read_series, read_values
from otelmon.replay.series import Value as SampleValue

_FILE = ("rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare")
_SCENARIO = (
    "name", "interval", "start_timestamp", "input_series", "alert_rule_test", "promql_expr_test", "external_labels",
    "external_url",
)  # fmt: skip
_DEFAULT_INTERVAL_SECONDS = 60.0
_ALERT_NAME = "alertname"


def read_test_file(path: Path) -> TestFile:
    """The tests in a file; its ``rule_files`` are found from where it lies. Raises ConfigError."""
    document = read_document(path, name=str(path))
    problems = Problems()
    if not isinstance(document, Section):
        message = f"a file of rule tests is a section, not {describe(document)}"
        place = document.place
        raise ConfigError(
            [Problem(file=str(path), line=place.line, column=place.column, message=message, hint="write tests:")]
        )
    fields = Fields(document, problems, known=_FILE)
    interval = fields.duration("evaluation_interval", exact=True) or _DEFAULT_INTERVAL_SECONDS
    order = tuple(item.text for _, item in _scalars(fields, "group_eval_order"))
    for name in {name for name in order if order.count(name) > 1}:
        fields.fault("group_eval_order", f"the group {name!r} is there twice")
    files, unmatched = _rule_files(fields, path.parent)
    scenarios = [
        _scenario(Fields(section, problems, known=_SCENARIO, path=where), interval)
        for where, section in _sections(fields, "tests")
    ]
    fuzzy = bool(fields.boolean("fuzzy_compare"))
    problems.raise_any()
    return TestFile(
        name=str(path),
        rule_files=files,
        unmatched=unmatched,
        evaluation_interval_seconds=interval,
        fuzzy_compare=fuzzy,
        group_order=order,
        scenarios=tuple(scenarios),
    )


def _items(fields: Fields, name: str) -> Iterator[tuple[str, Value]]:
    """The items of a list with their paths; a list that is left empty has none."""
    value = fields.value(name)
    listing = None if value is None or is_empty(value) else fields.listing(name)
    for index, item in enumerate(() if listing is None else listing.items):
        yield f"{fields.key(name)}[{index}]", item


def _sections(fields: Fields, name: str) -> Iterator[tuple[str, Section]]:
    for where, item in _items(fields, name):
        if isinstance(item, Section):
            yield where, item
        else:
            fields.problems.add(item, f"a section of keys expected, not {describe(item)}", key=where)


def _scalars(fields: Fields, name: str) -> Iterator[tuple[str, Scalar]]:
    for where, item in _items(fields, name):
        if isinstance(item, Scalar):
            yield where, item
        else:
            fields.problems.add(item, f"text expected, not {describe(item)}", key=where)


def _rule_files(fields: Fields, folder: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    found: list[Path] = []
    unmatched: list[str] = []
    for _, scalar in _scalars(fields, "rule_files"):
        paths = sorted(glob(str(folder / scalar.text)))  # noqa: PTH207 (a pattern may be absolute)
        found += [Path(path) for path in paths]
        if not paths:
            unmatched.append(scalar.text)
    return tuple(found), tuple(unmatched)


def _scenario(fields: Fields, evaluation_interval: float) -> Scenario:
    series: list[tuple[Labels, tuple[SampleValue | None, ...]]] = []
    for where, section in _sections(fields, "input_series"):
        one = _series(Fields(section, fields.problems, known=("series", "values"), path=where))
        if one is not None:
            series.append(one)
    return Scenario(
        name=_text(fields, "name"),
        line=fields.section.place.line,
        interval_seconds=fields.duration("interval", exact=True) or evaluation_interval,
        start_at=_start(fields),
        series=tuple(series),
        alerts=tuple(_alert_case(*found, fields.problems) for found in _sections(fields, "alert_rule_test")),
        expressions=tuple(_expr_case(*found, fields.problems) for found in _sections(fields, "promql_expr_test")),
        external_labels=_texts(fields, "external_labels"),
        external_url=_text(fields, "external_url"),
    )


def _text(fields: Fields, name: str) -> str:
    value = fields.value(name)
    return "" if value is None or is_empty(value) else fields.text(name) or ""


def _texts(fields: Fields, name: str) -> dict[str, str]:
    value = fields.value(name)
    if value is None or is_empty(value):
        return {}
    return {key: "" if is_empty(scalar) else scalar.text for key, scalar in fields.texts(name).items()}


def _start(fields: Fields) -> float:
    """Unix seconds, or a time as RFC 3339 writes it."""
    text = _text(fields, "start_timestamp")
    if not text:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            fields.fault("start_timestamp", f"{text!r} is no instant", "write unix seconds or 2026-01-31T12:00:00Z")
            return 0.0
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        fields.fault("start_timestamp", f"{text!r} is no instant", "write unix seconds or 2026-01-31T12:00:00Z")
        return 0.0
    return seconds


def _series(fields: Fields) -> tuple[Labels, tuple[SampleValue | None, ...]] | None:
    text, values = _text(fields, "series"), _text(fields, "values")
    if not text:
        fields.fault("series", "a series is missing", 'write series: name{label="value"}')
        return None
    try:
        labels, rest = read_series(text)
    except SeriesError as error:
        fields.fault("series", str(error))
        return None
    if rest:
        fields.fault("series", f"{text!r} has values beside its name", "write them under values:")
        return None
    try:
        return labels, tuple(read_values(values))
    except SeriesError as error:
        fields.fault("values", str(error))
        return None


def _alert_case(where: str, section: Section, problems: Problems) -> AlertCase:
    known = ("eval_time", "alertname", "groupname", "exp_alerts")
    fields = Fields(section, problems, known=known, path=where)
    name = _text(fields, "alertname")
    if not name:
        fields.fault("alertname", "a test of alerts needs their name", "write alertname:")
    expected = []
    for inner, alert in _sections(fields, "exp_alerts"):
        one = Fields(alert, problems, known=("exp_labels", "exp_annotations"), path=inner)
        labels = Labels({**_texts(one, "exp_labels"), _ALERT_NAME: name})
        expected.append(ExpectedAlert(labels=labels, annotations=_texts(one, "exp_annotations")))
    return AlertCase(
        line=section.place.line,
        at=fields.duration("eval_time", exact=True) or 0.0,
        name=name,
        group=_text(fields, "groupname"),
        expected=tuple(expected),
    )


def _expr_case(where: str, section: Section, problems: Problems) -> ExprCase:
    fields = Fields(section, problems, known=("expr", "eval_time", "exp_samples"), path=where)
    text = _text(fields, "expr")
    if not text:
        fields.fault("expr", "an expression is missing", "write expr:")
    expected = []
    for inner, sample in _sections(fields, "exp_samples"):
        one = Fields(sample, problems, known=("labels", "value", "histogram"), path=inner)
        labels, value = _labels(one), _value(one)
        if labels is not None and value is not None:
            expected.append((labels, value))
    at = fields.duration("eval_time", exact=True) or 0.0
    return ExprCase(line=section.place.line, at=at, text=text, expected=tuple(expected))


def _labels(fields: Fields) -> Labels | None:
    try:
        return read_metric(_text(fields, "labels"))
    except SeriesError as error:
        fields.fault("labels", str(error))
        return None


def _value(fields: Fields) -> SampleValue | None:
    histogram = _text(fields, "histogram")
    if histogram:
        try:
            values = read_values(histogram)
        except SeriesError as error:
            fields.fault("histogram", str(error))
            return None
        if len(values) != 1 or values[0] is None or isinstance(values[0], float):
            fields.fault("histogram", "one histogram expected", "write '{{schema:1 sum:3 count:2 buckets:[2]}}'")
            return None
        return values[0]
    text = _text(fields, "value")
    try:
        return float(text.replace(".inf", "inf").replace(".nan", "nan").replace(".Inf", "inf").replace(".NaN", "nan"))
    except ValueError:
        if text:
            fields.fault("value", f"{text!r} is no number")
            return None
        return 0.0
