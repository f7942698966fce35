"""Rules, evaluations and instants for stories about alerts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from otelmon.alerts.model import Alert
from otelmon.alerts.step import Step, step
from otelmon.labels import Labels
from otelmon.promql.ast import Number
from otelmon.promql.evaluation import Condition, Element, Evaluation, Failed
from otelmon.rules.model import AlertingRule, Origin, Unit

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EXPR = Number(start=0, end=1, value=1.0)
OVER_FIVE_PERCENT = Condition(measure=EXPR, operator=">", bound=0.05)


def minute(number: float) -> datetime:
    return START + timedelta(minutes=number)


def rule(
    name: str = "error_rate",
    *,
    hold: float = 0.0,
    keep: float = 0.0,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    unit: Unit = Unit.RATIO,
) -> AlertingRule:
    return AlertingRule(
        name=name,
        expr=EXPR,
        text="ratio > 0.05",
        for_seconds=hold,
        keep_firing_for_seconds=keep,
        labels=Labels({"severity": "critical"} if labels is None else labels),
        annotations=annotations or {},
        unit=unit,
        origin=Origin(file="rules.yml"),
    )


def series(route: str = "/", **more: str) -> Labels:
    return Labels({"__name__": "ratio", "job": "shop", "http_route": route, **more})


def result(*elements: tuple[Labels, float], measured: Mapping[Labels, float] | None = None) -> Evaluation:
    vector = tuple(Element(labels=labels, value=value) for labels, value in elements)
    return Evaluation(vector=vector, selected_series=len(vector), measured=measured)


NOTHING = result()


def expand(text: str, labels: Labels, value: float) -> str:
    """A template language of two words."""
    return text.replace("$route", labels.get("http_route", "")).replace("$value", f"{value:g}")


class Story:
    """A rule evaluated again and again; keeps its alerts in between and what happened."""

    def __init__(self, rule: AlertingRule, alerts: Mapping[Labels, Alert] | None = None) -> None:
        self.rule = rule
        self.alerts: Mapping[Labels, Alert] = alerts or {}
        self.steps: list[Step] = []

    def at(self, minutes: float, evaluation: Evaluation | Failed, **more: object) -> Step:
        given = {"condition": OVER_FIVE_PERCENT, "expand": expand, **more}
        made = step(self.rule, self.alerts, evaluation, at=minute(minutes), **given)
        self.alerts = made.alerts
        self.steps.append(made)
        return made

    @property
    def happened(self) -> list[tuple[str | None, str, str]]:
        """(state before, state after, reason) of every transition so far."""
        return [
            (transition.before and str(transition.before), str(transition.alert.state), transition.reason.name)
            for made in self.steps
            for transition in made.transitions
        ]


def states(alerts: Mapping[Labels, Alert]) -> dict[str, str]:
    return {alert.labels.get("http_route", ""): str(alert.state) for alert in alerts.values()}


def recorded(made: Step) -> dict[str, float]:
    """The samples of a step by series, as text."""
    return {str(sample.labels): sample.value for sample in made.samples}
