"""What failed and what was slow, by example: traces, and the messages of exceptions where they may be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from otelmon.incidents.model import Finding
from otelmon.instrument.exemplars import EXEMPLARS, Exemplar, Exemplars, errors_since, slowest_since
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
    """The requests that were noted, for rules that look at requests.

    ``trace_url`` leads to a trace (empty: its id is shown); ``messages`` says whether those of exceptions are shown.
    ``others`` gives what other processes have left (see ``left``).
    """

    def __init__(
        self,
        *,
        trace_url: str = "",
        messages: bool = False,
        exemplars: Exemplars = EXEMPLARS,
        others: Callable[[], Sequence[object]] = tuple,
    ) -> None:
        self._trace_url = trace_url
        self._messages = messages
        self._exemplars = exemplars
        self._others = others

    def begin(self, question: Question) -> None:
        """Nothing takes long here."""

    def findings(self, question: Question) -> Iterator[Finding]:
        """The messages of three types of exceptions, then the traces of an error and of the slowest request."""
        rule, wanted = question.rule, question.alert.series.get("http_route")
        if rule is None or _REQUESTS not in rule.text:
            return
        since = question.at - lookback_seconds(rule.expr)
        seen = [*read(self._others()), *self._exemplars.seen()]
        errors = [each for each in errors_since(seen, since) if wanted is None or each.route == wanted]
        told = {each.error_type: each.message for each in errors if each.message} if self._messages else {}
        if told:
            lines = [f"{kind}: {_said(message)}" for kind, message in list(told.items())[-_MOST_MESSAGES:]]
            yield Finding(name="Exceptions", text="\n".join(reversed(lines)))
        traced = [each for each in errors if each.trace_id]
        if traced:
            latest = traced[-1]
            yield self._trace("Trace of an error", latest, f"{_route(latest)}: {latest.error_type}")
        slowest = slowest_since(seen, since)
        if slowest is not None and slowest.trace_id and (wanted is None or slowest.route == wanted):
            took = format_value(slowest.seconds, Unit.SECONDS)
            yield self._trace("Trace of the slowest request", slowest, f"{_route(slowest)}: {took}")

    def _trace(self, name: str, exemplar: Exemplar, said: str) -> Finding:
        link = self._trace_url.replace(PLACEHOLDER, exemplar.trace_id)
        return Finding(name=name, text=f"{said}, {exemplar.trace_id}", link=link)


def left(exemplars: Exemplars = EXEMPLARS) -> list[list[object]]:
    """What this process has seen, as JSON for the process that evaluates; messages without what may be a secret."""
    return [
        [each.at, each.method, each.route, each.error_type, each.seconds, each.trace_id, _said(each.message)]
        for each in exemplars.seen()
    ]


def read(plain: Iterable[object]) -> Iterator[Exemplar]:
    """What processes have left; what makes no sense is passed over, since nothing hangs on it."""
    for each in plain:
        match each:
            case [float(at), str(method), str(route), str(kind), float(seconds), str(id_), str(message)]:
                yield Exemplar(
                    at=at, method=method, route=route, error_type=kind, seconds=seconds, trace_id=id_, message=message
                )


def _route(exemplar: Exemplar) -> str:
    return f"{exemplar.method} {exemplar.route}".strip()


def _said(message: str) -> str:
    """A message in one line, without what may be a secret."""
    text = " ".join(masked(message).split())
    return text if len(text) <= _MESSAGE_LIMIT else text[: _MESSAGE_LIMIT - 1] + "…"
