"""Numbers as Prometheus writes them in labels and messages."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np

from otelmon.promql.vector import Floats


def number_text(value: float) -> str:
    """The shortest decimal that reads back the same, without an exponent (Go: FormatFloat(v, 'f', -1, 64))."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = format(Decimal(repr(value)), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text


def greater(one: float | Floats, other: float | Floats) -> Floats:
    """The greater of two, element by element, as Go's math.Max: NaN if either is NaN, but +Inf if either is +Inf."""
    picked = np.maximum(one, other)
    return np.asarray(np.where((one == np.inf) | (other == np.inf), np.inf, picked))


def lesser(one: float | Floats, other: float | Floats) -> Floats:
    """The lesser of two, element by element, as Go's math.Min: NaN if either is NaN, but -Inf if either is -Inf."""
    picked = np.minimum(one, other)
    return np.asarray(np.where((one == -np.inf) | (other == -np.inf), -np.inf, picked))
