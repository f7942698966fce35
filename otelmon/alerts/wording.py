"""The texts of an alert at one instant: its templates, which may query the window that the rule looks at."""

from __future__ import annotations

from collections.abc import Mapping

from otelmon.alerts.identity import Expand
from otelmon.errors import PromQLError
from otelmon.labels import Labels
from otelmon.promql.evaluation import Element, Failed
from otelmon.promql.query import Query
from otelmon.rules.template import Surroundings, expand
from otelmon.window.view import Readable


def wording(
    window: Readable,
    *,
    at: float,
    external_labels: Mapping[str, str] | None = None,
    external_url: str = "",
    given: Mapping[str, str] | None = None,
) -> Expand:
    """What expands templates at unix second ``at``; one that fails leaves its text and says why.

    ``given`` are labels that templates find beside those of the series.
    """

    def query(text: str) -> tuple[Element, ...]:
        try:
            evaluation = Query(text).evaluate(window, at)
        except PromQLError as error:
            raise ValueError(f"{text!r} is no expression: {error}") from error
        if isinstance(evaluation, Failed):
            raise ValueError(evaluation.reason)  # noqa: TRY004 (the reason is about a value of the template)
        return evaluation.vector

    around = Surroundings(query=query, at=at, external_labels=external_labels or {}, external_url=external_url)

    def expanded(text: str, labels: Labels, value: float) -> str:
        result = expand(text, labels.with_labels(given) if given else labels, value, around)
        return f"{text} (template: {result.error})" if result.error else result.text

    return expanded
