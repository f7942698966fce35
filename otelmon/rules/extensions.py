"""What otelmon adds to a Prometheus rule, as annotations: the file stays one that Prometheus loads.

annotations:
  otelmon_unit: ratio              in which unit the value and its bound are written
  otelmon_no_data: keep            resolve (Prometheus's meaning, the default), keep or alert
  otelmon_resolve_when: "0.03"     a bound, or an expression, that has to hold before the alert resolves
  otelmon_breakdown: ...           expressions that say what the alert is made of, see breakdown.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from otelmon.document.fields import Problems, did_you_mean
from otelmon.document.model import Scalar
from otelmon.promql.analyze import condition
from otelmon.promql.ast import Expr
from otelmon.rules.breakdown import BREAKDOWN_ANNOTATION, read_breakdown
from otelmon.rules.expression import read_expression
from otelmon.rules.model import Breakdown, NoData, ResolveWhen, Unit
from otelmon.rules.quantity import QuantityError, parse_threshold

UNIT_ANNOTATION = "otelmon_unit"
NO_DATA_ANNOTATION = "otelmon_no_data"
RESOLVE_WHEN_ANNOTATION = "otelmon_resolve_when"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """What the annotations of a rule say to otelmon."""

    unit: Unit = Unit.NONE
    no_data: NoData = NoData.RESOLVE
    resolve_when: ResolveWhen | None = None
    breakdown: tuple[Breakdown, ...] = ()


def read_extensions(annotations: Mapping[str, Scalar], expr: Expr, problems: Problems, path: str) -> Extensions:
    """The extensions of a rule with the expression ``expr``; ``path`` is that of its annotations, for the errors."""
    unit, no_data, resolve_when = Unit.NONE, NoData.RESOLVE, None
    scalar = annotations.get(UNIT_ANNOTATION)
    if scalar is not None:
        if scalar.text in set(Unit):
            unit = Unit(scalar.text)
        else:
            known = ", ".join(unit for unit in Unit if unit)
            key = f"{path}.{UNIT_ANNOTATION}"
            problems.add(scalar, f"{scalar.text!r} is no unit", key=key, hint=f"write one of {known}")
    scalar = annotations.get(NO_DATA_ANNOTATION)
    if scalar is not None:
        no_data = read_no_data(scalar, problems, key=f"{path}.{NO_DATA_ANNOTATION}") or no_data
    scalar = annotations.get(RESOLVE_WHEN_ANNOTATION)
    if scalar is not None:
        resolve_when = read_resolve_when(scalar, expr, unit, problems, key=f"{path}.{RESOLVE_WHEN_ANNOTATION}")
    scalar = annotations.get(BREAKDOWN_ANNOTATION)
    breakdown = () if scalar is None else read_breakdown(scalar, problems, key=f"{path}.{BREAKDOWN_ANNOTATION}")
    return Extensions(unit=unit, no_data=no_data, resolve_when=resolve_when, breakdown=breakdown)


def read_no_data(scalar: Scalar, problems: Problems, *, key: str) -> NoData | None:
    """``resolve``, ``keep`` or ``alert``."""
    word = scalar.text.strip()
    if word in set(NoData):
        return NoData(word)
    hint = did_you_mean(word, NoData) or "write resolve, keep or alert"
    problems.add(scalar, f"{scalar.shown} is not known here", key=key, hint=hint)
    return None


def read_resolve_when(scalar: Scalar, expr: Expr, unit: Unit, problems: Problems, *, key: str) -> ResolveWhen | None:
    """A bound in the rule's unit, on the quiet side of the rule's own, or an expression."""
    text = scalar.text.strip()
    bound = _bound(text, unit)
    if bound is None:
        found = read_expression(scalar, problems, key=key)
        return None if found is None else ResolveWhen(text=text, expr=found)
    fires = condition(expr)
    if fires is None or fires.operator not in (">", ">=", "<", "<="):
        hint = "write an expression that holds once the alert may resolve"
        problems.add(scalar, "the rule has no limit that this one could take the place of", key=key, hint=hint)
        return None
    if bound > fires.bound if fires.operator in (">", ">=") else bound < fires.bound:
        side = "at most" if fires.operator in (">", ">=") else "at least"
        hint = f"the rule fires at {fires.operator} {fires.bound:g}: write {side} {fires.bound:g}"
        problems.add(scalar, f"{scalar.shown} would resolve the alert while it fires", key=key, hint=hint)
        return None
    return ResolveWhen(text=text, bound=bound)


def _bound(text: str, unit: Unit) -> float | None:
    try:
        return parse_threshold(text, unit)
    except QuantityError:
        pass
    try:
        return float(text)
    except ValueError:
        return None
