"""Numbers as Prometheus writes them in labels and messages."""

from __future__ import annotations

import math
from decimal import Decimal


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
