"""What the running monitor answers: queries, its vital signs, the state of its rules, and a reload."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otelmon.alerts.model import AlertState
from otelmon.errors import ConfigError, OtelmonError, PromQLError
from otelmon.histogram import Histogram
from otelmon.labels import Labels
from otelmon.promql.analyze import metric_names
from otelmon.promql.ast import ValueType
from otelmon.promql.check import value_type
from otelmon.promql.evaluation import Failed
from otelmon.promql.parse import parse
from otelmon.promql.query import Query
from otelmon.promql.render import render
from otelmon.promql.supported import check_supported
from otelmon.promql.unmatched import unmatched
from otelmon.rules.model import AlertingRule
from otelmon.runtime.delivery import Delivery
from otelmon.runtime.engine import Engine
from otelmon.runtime.reload import Reloader
from otelmon.runtime.vitals import Vitals
from otelmon.runtime.watched import WatchedRule
from otelmon.window.window import Window

Plain = dict[str, Any]

# An evaluation holds up the tick for as long as it lasts, so a person's is bounded more tightly than a rule's.
MOST_SAMPLES = 5_000_000
MOST_STEPS = 11_000  # Prometheus's bound on the points of a series
MOST_POINTS = 200_000
MOST_SECONDS = 2.0


class RefusedError(OtelmonError):
    """The request cannot be answered; the text says why."""


class Answers:
    """Answers requests about an engine; each is a mapping with a ``verb``, and so is each answer.

    query (expr, at), query_range (expr, start, end, step), snapshot, rules, delivery, monitor, reload, record
    (known_at: the last collection as a line of OTLP/JSON, unless it is of that instant). Instants are unix seconds.
    Numbers of results are texts, as in Prometheus's API, since JSON has neither NaN nor infinity. ``error`` in an
    answer says that there is none, and why.
    """

    def __init__(
        self,
        engine: Engine,
        reloader: Reloader | None,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        delivery: Delivery | None = None,
        vitals: Vitals | None = None,
    ) -> None:
        self._engine = engine
        self._reloader = reloader
        self._delivery = delivery
        self._vitals = vitals
        self._now = now
        self._monotonic = monotonic
        self._verbs: Mapping[str, Callable[[Mapping[str, Any]], Plain]] = {
            "query": self._query,
            "query_range": self._query_range,
            "snapshot": self._snapshot,
            "rules": self._rules,
            "delivery": self._delivered,
            "monitor": self._monitor,
            "reload": self._reload,
            "record": self._record,
        }

    def answer(self, request: Mapping[str, Any]) -> Plain:
        """The answer to a request; never raises."""
        verb = self._verbs.get(str(request.get("verb")))
        if verb is None:
            return {"error": f"the monitor knows no such request; it knows {', '.join(self._verbs)}"}
        try:
            return verb(request)
        except (OtelmonError, ConfigError, PromQLError) as error:
            return {"error": str(error)}
        except Exception as error:  # noqa: BLE001 (whoever asks is told; nothing else is disturbed)
            return {"error": f"{type(error).__name__}: {error}"}

    def _query(self, request: Mapping[str, Any]) -> Plain:
        query = _compiled(request)
        at = _instant(request, "at", self._now())
        with self._engine.held() as engine:
            evaluation = query.evaluate(engine.window, at)
        if isinstance(evaluation, Failed):
            raise RefusedError(evaluation.reason)
        if len(evaluation.vector) > MOST_POINTS:
            raise RefusedError(f"more than {MOST_POINTS} series; aggregate them")
        return {
            "at": at,
            "vector": [{"labels": dict(found.labels), "value": _value(found.value)} for found in evaluation.vector],
            "selected_series": evaluation.selected_series,
            "warnings": list(evaluation.warnings),
        }

    def _query_range(self, request: Mapping[str, Any]) -> Plain:
        query = _compiled(request)
        start, end, step = (_instant(request, name, None) for name in ("start", "end", "step"))
        if step <= 0 or end < start:
            raise RefusedError("a range needs an end after its start, and a step of more than 0")
        if (end - start) / step >= MOST_STEPS:
            raise RefusedError(f"that are more than {MOST_STEPS} steps; take a longer step")
        steps = math.floor((end - start) / step + 1e-9) + 1
        found: dict[Labels, list[tuple[float, Any]]] = {}
        points = 0
        with self._engine.held() as engine:
            names = metric_names(query.expr) or ("",)
            oldest = engine.window.newest - min(map(engine.window.kept_seconds, names))
            deadline = self._monotonic() + MOST_SECONDS
            for number in range(steps):
                at = start + number * step
                evaluation = query.evaluate(engine.window, at)
                if isinstance(evaluation, Failed):
                    raise RefusedError(evaluation.reason)
                points += len(evaluation.vector)
                if points > MOST_POINTS:
                    raise RefusedError(f"more than {MOST_POINTS} points; aggregate, or take a longer step")
                if self._monotonic() > deadline:
                    raise RefusedError(f"it takes more than {MOST_SECONDS:g} s; take a longer step or a shorter range")
                for element in evaluation.vector:
                    found.setdefault(element.labels, []).append((at, _value(element.value)))
        matrix = [{"labels": dict(labels), "values": values} for labels, values in found.items()]
        return {"matrix": matrix, "oldest_at": oldest if math.isfinite(oldest) else None}

    def _snapshot(self, request: Mapping[str, Any]) -> Plain:  # noqa: ARG002 (verbs have one signature)
        return {"snapshot": self._engine.snapshot(self._now()).as_dict()}

    def _rules(self, request: Mapping[str, Any]) -> Plain:  # noqa: ARG002
        with self._engine.held() as engine:
            return {"rules": [_rule(watched, engine.window) for watched in engine.rules.watched]}

    def _delivered(self, request: Mapping[str, Any]) -> Plain:  # noqa: ARG002
        if self._delivery is None:
            raise RefusedError("this monitor delivers nothing")
        return self._delivery.answer()

    def _monitor(self, request: Mapping[str, Any]) -> Plain:  # noqa: ARG002
        if self._vitals is None:
            raise RefusedError("this monitor cannot say how it fares")
        return {"at": self._now(), **self._vitals.answer()}

    def _record(self, request: Mapping[str, Any]) -> Plain:
        found = self._engine.collector.recording(_instant(request, "known_at", 0.0))
        return {} if found is None else {"at": found[0], "line": found[1]}

    def _reload(self, request: Mapping[str, Any]) -> Plain:  # noqa: ARG002
        if self._reloader is None:
            raise RefusedError("this monitor was not started from files")
        made = self._reloader.reload()
        return {
            "rules": made.rules, "new": made.new, "gone": made.gone, "team": made.team, "later": list(made.later)
        }  # fmt: skip


def _compiled(request: Mapping[str, Any]) -> Query:
    text = request.get("expr")
    if not isinstance(text, str):
        raise RefusedError("expr: an expression is expected")
    expr = parse(text)
    check_supported(expr, text)
    if value_type(expr) is ValueType.MATRIX:
        hint = "put a function around it, such as rate(...) or last_over_time(...)"
        raise RefusedError(f"the expression is a range of samples; {hint}")
    return Query(text, most_samples=MOST_SAMPLES)


def _instant(request: Mapping[str, Any], name: str, default: float | None) -> float:
    value = request.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RefusedError(f"{name}: a number of seconds is expected")
    return float(value)


def _value(value: float | Histogram) -> str | Plain:
    if not isinstance(value, Histogram):
        return number_text(value)
    return {"count": number_text(value.count), "sum": number_text(value.sum)}


def number_text(value: float) -> str:
    """A float as Prometheus writes it: NaN, +Inf, -Inf, else the shortest that reads the same."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(float(value))
    return text.removesuffix(".0")


def _rule(watched: WatchedRule, window: Window) -> Plain:
    rule, last = watched.rule, watched.last
    unseen = unmatched(rule.expr, lambda selector: window.selection(selector.matchers).series_count > 0)
    states: Sequence[AlertState] = [alert.state for alert in watched.alerts.values()]
    return {
        "name": rule.name,
        "group": watched.group.name,
        "kind": "alert" if isinstance(rule, AlertingRule) else "record",
        "file": rule.origin.file,
        "line": rule.origin.line,
        "tenant": watched.tenant or "",
        "expr": rule.text,
        "pending": sum(state is AlertState.PENDING for state in states),
        "firing": sum(state is AlertState.FIRING for state in states),
        "evaluated_since": watched.since,
        "evaluated_at": None if last is None else last.at,
        "took_seconds": None if last is None else last.took_seconds,
        "unmatched": [render(selector) for selector in unseen],
        "selected_series": None if last is None else last.selected_series,
        "problem": "" if last is None else last.problem,
    }
