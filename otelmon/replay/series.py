"""The notation of series and their values in promtool's rule tests and in Prometheus's ``.test`` files.

``1+2x3`` is 1 3 5 7, ``_`` no sample, ``_x3`` three of them, ``stale`` the end of the series, and a native histogram
stands between double braces (https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/#series).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from otelmon.errors import PromQLError
from otelmon.histogram import Buckets, Histogram
from otelmon.labels import METRIC_NAME, Labels
from otelmon.matching import MatchOperator
from otelmon.promql import native
from otelmon.promql.ast import VectorSelector
from otelmon.promql.parse import parse
from otelmon.sample import STALE

Value = float | Histogram
_Combine = Callable[[Sequence[Histogram]], tuple[Histogram, bool]]

NUMBER = re.compile(r"[-+]?(?:inf|nan|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)", re.IGNORECASE)
"""A number as these files write it."""

# Ten years by the minute; what is more is a slip of the keyboard, and would fill the memory.
_MOST_VALUES = 5_000_000
_CUSTOM_BUCKETS = -53
_GAP = re.compile(r"_(?:x(\d+))?(?=\s|$)")
_VALUE = re.compile(rf"({NUMBER.pattern})(?:([-+])({NUMBER.pattern}))?(?:x(\d+))?(?=\s|$)", re.IGNORECASE)
_HISTOGRAM = re.compile(r"\{\{(.*?)\}\}(?:([-+])\{\{(.*?)\}\})?(?:x(\d+))?(?=\s|$)")
_HISTOGRAM_KEYS = frozenset({
    "schema", "sum", "count", "z_bucket", "z_bucket_w", "buckets", "offset", "n_buckets", "n_offset", "custom_values",
    "counter_reset_hint",
})  # fmt: skip
_HINTS = frozenset({"unknown", "reset", "not_reset", "gauge"})


class SeriesError(ValueError):
    """A series, or its values, that cannot be read."""


def read_series(entry: str) -> tuple[Labels, list[Value | None]]:
    """A series and its values, None where there is no sample. Raises SeriesError."""
    text = entry.strip()
    end = re.compile(r"[^\s{]*").match(text).end()  # type: ignore[union-attr]
    if text[end : end + 1] == "{" and text[end : end + 2] != "{{":
        end = _closing_brace(text, end)
    return read_metric(text[:end]), read_values(text[end:])


def _closing_brace(text: str, opening: int) -> int:
    """The position after the brace that closes the one here."""
    quote = ""
    position = opening
    while position < len(text):
        character = text[position]
        position += 1
        if quote:
            if character == "\\" and quote != "`":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "\"'`":
            quote = character
        elif character == "}":
            return position
    raise SeriesError(f"{text!r}: a brace is not closed")


def read_metric(text: str) -> Labels:
    """The labels of ``name{label="value"}``; nothing at all is no labels. Raises SeriesError."""
    plain = text.strip()
    bare = re.fullmatch(r"([^\s{}]*)\s*\{\s*\}|", plain)
    if bare:
        return Labels({METRIC_NAME: bare[1] or ""})
    try:
        selector = parse(plain)
    except PromQLError as error:
        raise SeriesError(f"{plain!r} is no series: {error}") from error
    if not isinstance(selector, VectorSelector) or selector.offset is not None or selector.at is not None:
        raise SeriesError(f"{plain!r} is no series: write a name and its labels in braces")
    if any(matcher.operator is not MatchOperator.EQUAL for matcher in selector.matchers):
        raise SeriesError(f"{plain!r} is no series: its labels are set with =")
    return Labels({matcher.name: matcher.value for matcher in selector.matchers})


def read_values(text: str) -> list[Value | None]:
    """The values of a series in turn. Raises SeriesError."""
    values: list[Value | None] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        end = _read_item(text, position, values)
        if len(values) > _MOST_VALUES:
            raise SeriesError(f"{text[position:end]!r} makes more than {_MOST_VALUES} values")
        position = end
    return values


def _read_item(text: str, position: int, values: list[Value | None]) -> int:
    """One item of the notation, appended as the values that it stands for; where it ends."""
    if found := _GAP.match(text, position):
        values.extend([None] * _times(found[1], 1))
    elif found := re.compile(r"stale(?=\s|$)").match(text, position):
        values.append(STALE)
    elif found := _HISTOGRAM.match(text, position):
        values.extend(_histograms(found))
    elif found := _VALUE.match(text, position):
        value = float(found[1])
        change = float(found[3]) * (-1 if found[2] == "-" else 1) if found[3] else 0.0
        values.append(value)
        for _ in range(_times(found[4], 0)):
            value += change
            values.append(value)
    else:
        raise SeriesError(f"cannot read values from {text[position : position + 40]!r} on")
    return found.end()


def _times(text: str | None, default: int) -> int:
    return default if text is None else min(int(text[:9]), _MOST_VALUES + 1)


def _histograms(found: re.Match[str]) -> list[Histogram]:
    first = histogram = read_histogram(found[1])
    histograms = [first]
    change = read_histogram(found[3]) if found[2] else None
    combine: _Combine = native.total if found[2] == "+" else lambda both: native.difference(both[0], both[1])
    for _ in range(_times(found[4], 0)):
        if change is not None:
            try:
                histogram = replace(combine([histogram, change])[0], gauge=first.gauge)
            except native.IncompatibleError:
                raise SeriesError(f"{found[0]!r} mixes exponential and custom buckets") from None
        histograms.append(histogram)
    return histograms


def read_histogram(text: str) -> Histogram:
    """The native histogram between double braces. Raises SeriesError."""
    parts: dict[str, str] = {}
    for found in re.finditer(r"(\w+):(\[[^\]]*\]|\S+)|\S+", text):
        if found[1] not in _HISTOGRAM_KEYS:
            raise SeriesError(f"{found[0]!r} is nothing of a histogram; known: {', '.join(sorted(_HISTOGRAM_KEYS))}")
        parts[found[1]] = found[2]
    hint = parts.get("counter_reset_hint", "unknown")
    if hint not in _HINTS:
        raise SeriesError(f"{hint!r} is no counter_reset_hint; known: {', '.join(sorted(_HINTS))}")
    try:
        return _histogram(parts, gauge=hint == "gauge")
    except ValueError as error:
        raise SeriesError(f"{{{{{text}}}}} is no histogram: {error}") from error


def _histogram(parts: dict[str, str], *, gauge: bool) -> Histogram:
    def numbers(key: str) -> list[float]:
        return [float(part) for part in parts.get(key, "[]").strip("[]").split()]

    def side(key: str, offset: str) -> Buckets:
        first = int(parts.get(offset, "0"))
        pairs = [(first + index, count) for index, count in enumerate(numbers(key)) if count]
        return Buckets(indices=tuple(index for index, _ in pairs), counts=tuple(count for _, count in pairs))

    schema = int(parts.get("schema", "0"))
    return Histogram(
        count=float(parts.get("count", "0")),
        sum=float(parts.get("sum", "0")),
        scale=0 if schema == _CUSTOM_BUCKETS else schema,
        zero_count=float(parts.get("z_bucket", "0")),
        zero_threshold=float(parts.get("z_bucket_w", "0")),
        positive=side("buckets", "offset"),
        negative=side("n_buckets", "n_offset"),
        bounds=tuple(numbers("custom_values")) if schema == _CUSTOM_BUCKETS else None,
        gauge=gauge,
    )


def histogram_text(histogram: Histogram) -> str:
    """A histogram in the notation that :func:`read_histogram` reads."""

    def side(buckets: Buckets, key: str, offset: str) -> list[str]:
        if not buckets.indices:
            return []
        counts = dict(zip(buckets.indices, buckets.counts, strict=True))
        first, last = buckets.indices[0], buckets.indices[-1]
        listed = " ".join(f"{counts.get(index, 0):g}" for index in range(first, last + 1))
        return [*([f"{offset}:{first}"] if first else []), f"{key}:[{listed}]"]

    scale = _CUSTOM_BUCKETS if histogram.bounds is not None else histogram.scale
    parts = [f"schema:{scale}"] if scale else []
    parts += [f"count:{histogram.count:.17g}", f"sum:{histogram.sum:.17g}"]
    if histogram.bounds is not None:
        parts.append(f"custom_values:[{' '.join(f'{bound:g}' for bound in histogram.bounds)}]")
    if histogram.zero_count:
        parts.append(f"z_bucket:{histogram.zero_count:g}")
    if histogram.zero_threshold:
        parts.append(f"z_bucket_w:{histogram.zero_threshold:g}")
    parts += side(histogram.positive, "buckets", "offset") + side(histogram.negative, "n_buckets", "n_offset")
    if histogram.gauge:
        parts.append("counter_reset_hint:gauge")
    return "{{" + " ".join(parts) + "}}"


def same_number(one: float, other: float, *, fuzzy: bool) -> bool:
    """Whether two numbers are equal; with ``fuzzy`` also where one is the float next to the other."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or (fuzzy and other in (math.nextafter(one, math.inf), math.nextafter(one, -math.inf)))


def same_value(one: Value, other: Value, *, fuzzy: bool) -> bool:
    """Whether two samples are equal, histograms bucket by bucket."""
    if not isinstance(one, Histogram) or not isinstance(other, Histogram):
        return type(one) is type(other) and same_number(one, other, fuzzy=fuzzy)  # type: ignore[arg-type]
    if (one.bounds, one.gauge) != (other.bounds, other.gauge) or (one.bounds is None and one.scale != other.scale):
        return False
    if (one.positive.indices, one.negative.indices) != (other.positive.indices, other.negative.indices):
        return False
    ours, theirs = (
        (each.count, each.sum, each.zero_count, each.zero_threshold, *each.positive.counts, *each.negative.counts)
        for each in (one, other)
    )
    return all(same_number(mine, other, fuzzy=fuzzy) for mine, other in zip(ours, theirs, strict=True))
