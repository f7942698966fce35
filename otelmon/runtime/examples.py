"""What failed and what was slow, by example: traces, and the messages of exceptions where they may be shown."""

from __future__ import annotations

from collections.abc import Iterator

from otelmon.incidents.model import Finding
from otelmon.instrument.exemplars import EXEMPLARS, Exemplar, Exemplars
from otelmon.masking import masked
from otelmon.paging.values import format_value
from otelmon.promql.analyze import lookback_seconds
from otelmon.rules.model import Unit
from otelmon.runtime.evidence import Question

_REQUESTS = "http_server_request_duration"
_MOST_MESSAGES = 3
_MESSAGE_LIMIT = 180
PLACEHOLDER = "{trace_id}"
"""What of ``trace_url`` the id of a trace takes the place of."""


class ExampleSource:
    """The requests that the process noted, for rules that look at requests.

    ``trace_url`` leads to a trace (empty: its id is shown); ``messages`` says whether those of exceptions are shown.
    """

    def __init__(self, *, trace_url: str = "", messages: bool = False, exemplars: Exemplars = EXEMPLARS) -> None:
        self._trace_url = trace_url
        self._messages = messages
        self._exemplars = exemplars

    def begin(self, question: Question) -> None:
        """Nothing takes long here."""

    def findings(self, question: Question) -> Iterator[Finding]:
        """The messages of three types of exceptions, then the traces of an error and of the slowest request."""
        rule, wanted = question.rule, question.alert.series.get("http_route")
        if rule is None or _REQUESTS not in rule.text:
            return
        since = question.at - lookback_seconds(rule.expr)
        errors = [each for each in self._exemplars.errors(since).values() if wanted is None or each.route == wanted]
        told = [each for each in errors if each.message] if self._messages else []
        if told:
            lines = [f"{each.error_type}: {_said(each.message)}" for each in reversed(told[-_MOST_MESSAGES:])]
            yield Finding(name="Exceptions", text="\n".join(lines))
        traced = [each for each in errors if each.trace_id]
        if traced:
            latest = traced[-1]
            yield self._trace("Trace of an error", latest, f"{_route(latest)}: {latest.error_type}")
        slowest = self._exemplars.slowest_of(since)
        if slowest is not None and slowest.trace_id and (wanted is None or slowest.route == wanted):
            took = format_value(slowest.seconds, Unit.SECONDS)
            yield self._trace("Trace of the slowest request", slowest, f"{_route(slowest)}: {took}")

    def _trace(self, name: str, exemplar: Exemplar, said: str) -> Finding:
        link = self._trace_url.replace(PLACEHOLDER, exemplar.trace_id)
        return Finding(name=name, text=f"{said}, {exemplar.trace_id}", link=link)


def _route(exemplar: Exemplar) -> str:
    return f"{exemplar.method} {exemplar.route}".strip()


def _said(message: str) -> str:
    """A message in one line, without what may be a secret."""
    text = " ".join(masked(message).split())
    return text if len(text) <= _MESSAGE_LIMIT else text[: _MESSAGE_LIMIT - 1] + "…"
