"""Inhibition, as Alertmanager defines it: while one alert fires, others that follow from it page nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from otelmon.alerts.model import Alert
from otelmon.incidents.silence import meets
from otelmon.labels import Labels
from otelmon.matching import Matcher, MatchOperator


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibition:
    """An alert that meets ``source`` mutes those that meet ``target`` and have the same values of the labels ``equal``.

    A missing label equals an empty one. An alert that meets both sides cannot mute another such alert.
    """

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()


def _named(name: str) -> tuple[Matcher, ...]:
    return (Matcher(name="alertname", operator=MatchOperator.EQUAL, value=name),)


# error_rate does not mute route_error_rate: the one pages for all requests, the other says which route it is, and the
# page of a route that is down must not hang on whether the sum is over its limit too.
BUILT_IN = (
    Inhibition(source=_named("health_check"), target=_named("response_time"), equal=("job",)),
    Inhibition(source=_named("redis_connection"), target=_named("queue_delay"), equal=("job",)),
    Inhibition(source=_named("service_silent"), target=_named("instance_silent"), equal=("job",)),
)
"""A failed health check mutes that service's latency; Redis down mutes the queue delay that follows from it; a service
that is silent as a whole mutes its instances."""


@dataclass(slots=True)
class Inhibitor:
    """Which of the alerts that fire at one instant are muted by which other one.

    ``candidates`` are the alerts that fire and are not silenced. An inhibitor has equal or higher severity and has been
    paged itself: ``told`` says so of an alert, or nothing mutes it, so that it is paged at this instant.
    """

    inhibitions: Sequence[Inhibition]
    candidates: Iterable[Alert]
    told: Callable[[Labels], bool]
    _sources: list[dict[tuple[str, ...], list[Alert]]] = field(init=False)
    _verdicts: dict[Labels, Alert | None] = field(init=False, default_factory=dict)
    _asking: set[Labels] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._sources = [{} for _ in self.inhibitions]
        for alert in self.candidates:
            for inhibition, sources in zip(self.inhibitions, self._sources, strict=True):
                if meets(alert.labels, inhibition.source):
                    sources.setdefault(_key(alert.labels, inhibition), []).append(alert)

    def muted_by(self, alert: Alert) -> Alert | None:
        """The alert that mutes this one; None where none does."""
        if not any(self._sources):
            return None
        if alert.labels not in self._verdicts:
            self._asking.add(alert.labels)
            found = next((source for source in self._stronger(alert) if self._is_paged(source)), None)
            self._asking.discard(alert.labels)
            self._verdicts[alert.labels] = found
        return self._verdicts[alert.labels]

    def _stronger(self, alert: Alert) -> Iterable[Alert]:
        for inhibition, sources in zip(self.inhibitions, self._sources, strict=True):
            if not sources or not meets(alert.labels, inhibition.target):
                continue
            both_sides = meets(alert.labels, inhibition.source)
            for source in sources.get(_key(alert.labels, inhibition), ()):
                if source.labels is alert.labels or source.severity.rank < alert.severity.rank:
                    continue
                if not (both_sides and meets(source.labels, inhibition.target)):
                    yield source

    def _is_paged(self, alert: Alert) -> bool:
        if self.told(alert.labels):
            return True
        # Where two mute each other through two inhibitions, the one that was asked about first is the one that pages.
        return alert.labels not in self._asking and self.muted_by(alert) is None


def _key(labels: Labels, inhibition: Inhibition) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in inhibition.equal)
