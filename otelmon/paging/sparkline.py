"""A row of blocks that shows how a value went: ▁▁▁▂▅█."""

from __future__ import annotations

import math
from collections.abc import Sequence

from otelmon.incidents.model import Finding
from otelmon.paging.values import format_span, format_value
from otelmon.rules.model import Unit

_BLOCKS = "▁▂▃▄▅▆▇█"
_GAP = "·"
# As many as fit beside each other on a phone.
_WIDTH = 30
_LEAST_VALUES = 3


def sparkline(values: Sequence[float | None]) -> str:
    """A block for each value between the least (0 at most) and the greatest; a dot where nothing was measured.

    Of more values than fit, neighbours share a block, which shows the greatest of them.
    """
    each = max(1, math.ceil(len(values) / _WIDTH))
    # Counted from the end, so that the last block is the last value's.
    first = len(values) % each
    parts = [values[:first]] if first else []
    parts += [values[start : start + each] for start in range(first, len(values), each)]
    shown = [max((value for value in part if value is not None), default=None) for part in parts]
    known = [value for value in shown if value is not None]
    low, high = min(0.0, *known, 0.0), max(0.0, *known, 0.0)
    return "".join(_GAP if value is None else _block(value, low, high) for value in shown)


def value_finding(
    values: Sequence[float | None], *, every_seconds: float, bound: float | None, unit: Unit
) -> Finding | None:
    """How a rule's value went, with its range and its limit; None where there is too little of it."""
    finite = [value if value is not None and math.isfinite(value) else None for value in values]
    known = [value for value in finite if value is not None]
    if not known or len(finite) < _LEAST_VALUES:
        return None
    low, high = format_value(min(known), unit), format_value(max(known), unit)
    said = high if low == high else f"{low} to {high}"
    limit = "" if bound is None else f", limit {format_value(bound, unit)}"
    span = format_span(every_seconds * (len(finite) - 1))
    return Finding(name=f"The last {span}", text=f"{sparkline(finite)}\n{said}{limit}")


def _block(value: float, low: float, high: float) -> str:
    share = (value - low) / (high - low) if high > low else 0.0
    return _BLOCKS[min(len(_BLOCKS) - 1, math.floor(share * len(_BLOCKS)))]
