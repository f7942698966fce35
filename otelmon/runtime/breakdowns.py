"""What a rule says about an incident: its breakdowns, asked of the window between two ticks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from otelmon.incidents.model import Finding
from otelmon.paging.breakdown import breakdown_finding
from otelmon.promql.evaluation import Evaluation, Failed
from otelmon.promql.query import Query
from otelmon.rules.breakdown import before_seconds
from otelmon.runtime.evidence import Question
from otelmon.runtime.tenanted import part_of

if TYPE_CHECKING:
    from otelmon.runtime.engine import Engine


class BreakdownSource:
    """Evaluates the breakdowns of the rule that fired, each in a turn of its own, so that a tick waits for one only."""

    def __init__(self, engine: Engine, *, monotonic: Callable[[], float]) -> None:
        self._engine = engine
        self._monotonic = monotonic

    def begin(self, question: Question) -> None:
        """Nothing takes long here."""

    def findings(self, question: Question) -> Iterator[Finding]:
        """What each breakdown says, in the order of the rule, as long as there is time."""
        for breakdown in () if question.rule is None else question.rule.breakdown:
            if self._monotonic() >= question.deadline:
                return
            query = Query(breakdown.expr)
            now = self._evaluated(query, question, question.at)
            before = None
            if breakdown.share_of:
                before = self._evaluated(query, question, question.at - before_seconds(breakdown))
            finding = None if now is None else breakdown_finding(breakdown, question.alert, now, before)
            if finding is not None:
                yield finding

    def _evaluated(self, query: Query, question: Question, at: float) -> Evaluation | None:
        with self._engine.held() as engine:
            tenant = engine.tenants.of(question.alert.labels) if engine.tenants else None
            evaluation = query.evaluate(part_of(engine.window, tenant), at)
        return None if isinstance(evaluation, Failed) else evaluation
