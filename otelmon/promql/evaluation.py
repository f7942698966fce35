"""What evaluating an expression says (it is more than a vector). Imports no numpy, so that every stage may use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from otelmon.histogram import Histogram
from otelmon.labels import Labels
from otelmon.promql.ast import Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element of an instant vector."""

    labels: Labels
    value: float | Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The comparison at the top of an alert's expression: ``measure operator bound``, such as ``ratio > 0.05``.

    For ``a > 1 and b >= 5`` (or ``unless``) it is the condition of the left side, whose labels the result keeps.
    """

    measure: Expr
    operator: str
    bound: float

    def holds(self, value: float) -> bool:
        """Whether a value would trigger the alert."""
        return bool(_COMPARE[self.operator](value, self.bound))


_COMPARE = {
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    "==": lambda value, bound: value == bound,
    "!=": lambda value, bound: value != bound,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The result of a query at one instant.

    ``selected_series`` counts the series that its selectors found (0: the rule looks at nothing). ``measured`` has
    the value of the condition's measure by label set, also where the condition does not hold; None where the
    expression has no condition.
    """

    vector: tuple[Element, ...]
    selected_series: int = 0
    warnings: tuple[str, ...] = ()
    measured: Mapping[Labels, float] | None = field(default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The query could not be evaluated; alerts keep their state."""

    reason: str
