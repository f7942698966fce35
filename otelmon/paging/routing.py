"""Routing: which notifiers an incident's pages go to, and whom they mention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from otelmon.incidents.model import NEW_MESSAGE, Incident
from otelmon.incidents.silence import meets
from otelmon.incidents.step import IncidentStep
from otelmon.labels import Labels
from otelmon.matching import Matcher
from otelmon.oncall.model import Mention
from otelmon.rules.model import Severity

DELIVERY_ALERT = "page_delivery"
"""The built-in alert of pages that do not arrive; its label ``notifier`` says where."""

Mentions = Mapping[Severity, tuple[Mention, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where pages go: ``targets`` are notifiers' names, ``escalation`` the name of a policy (empty: none)."""

    targets: tuple[str, ...] = ()
    mentions: Mentions = field(default_factory=dict)
    escalation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRule:
    """One of the configured routes: what it leaves out (None) is the default's. Without matchers it takes all."""

    matchers: tuple[Matcher, ...] = ()
    targets: tuple[str, ...] | None = None
    mentions: Mentions | None = None
    escalation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """The routes, in order, and what holds where none matches.

    ``fallback`` are the notifiers that get what another does not take. ``machines`` are those whose readers are
    programs: they are sent what fires and what is over, no edits and no words for people. ``tracker`` is told of
    critical incidents beside the routes (see ``otelmon.paging.tracked``; empty: nobody is). Without targets anywhere
    paging is off.
    """

    default: Route = field(default_factory=Route)
    rules: tuple[RouteRule, ...] = ()
    fallback: tuple[str, ...] = ()
    machines: frozenset[str] = frozenset()
    tracker: str = ""

    @property
    def pages(self) -> bool:
        """Whether anybody is paged at all."""
        return bool(self.default.targets)

    @property
    def people(self) -> tuple[str, ...]:
        """The default's notifiers that people read."""
        return tuple(name for name in self.default.targets if name not in self.machines)

    def route(self, incident: Incident) -> Route:
        """Where new messages about an incident go, by the labels of the alert that they are about."""
        labels = incident.lead.labels
        route = self._by_labels(labels)
        if incident.lead.name == DELIVERY_ALERT:
            # Who says that a notifier fails must not be that notifier, if there is another.
            others = tuple(name for name in self.fallback if name != labels.get("notifier"))
            route = replace(route, targets=others if self.pages and others else route.targets)
        return route

    def readers(self, labels: Labels) -> tuple[str, ...]:
        """The notifiers that people read, of those that an alert with these labels is paged to."""
        return tuple(name for name in self._by_labels(labels).targets if name not in self.machines)

    def _by_labels(self, labels: Labels) -> Route:
        if not self.pages:
            return Route()
        rule = next((rule for rule in self.rules if meets(labels, rule.matchers)), None)
        if rule is None:
            return self.default
        return Route(
            targets=self.default.targets if rule.targets is None else rule.targets,
            mentions=self.default.mentions if rule.mentions is None else rule.mentions,
            escalation=self.default.escalation if rule.escalation is None else rule.escalation,
        )


def routed(stepped: IncidentStep, routing: Routing) -> IncidentStep:
    """The step with each incident that people are told of anew knowing where they are told.

    An incident keeps the notifiers that have a message about it: edits and the word that it is over go there, also
    after the configuration sent new messages elsewhere. A reopened one begins anew.
    """
    targets: dict[str, tuple[str, ...]] = {}
    changes = []
    for change in stepped.changes:
        now, incident = change, change.incident
        known = targets.get(incident.id, incident.targets)
        if change.cause in NEW_MESSAGE:
            before = (known or routing.default.targets) if change.shown_in else ()
            targets[incident.id] = tuple(dict.fromkeys((*before, *routing.route(incident).targets)))
        if incident.id in targets:
            now = replace(change, incident=replace(incident, targets=targets[incident.id]))
        changes.append(now)
    if not targets:
        return stepped
    return replace(
        stepped,
        changes=tuple(changes),
        incidents=_with_targets(stepped.incidents, targets),
        recent=_with_targets(stepped.recent, targets),
    )


def shown_at(incident: Incident, routing: Routing) -> tuple[str, ...]:
    """The notifiers that have a message about an incident."""
    # Before there were routes everything went to the default, and no incident said so.
    return incident.targets or routing.default.targets


def _with_targets(incidents: Mapping[str, Incident], targets: Mapping[str, tuple[str, ...]]) -> dict[str, Incident]:
    return {
        id_: replace(incident, targets=targets[id_]) if id_ in targets else incident
        for id_, incident in incidents.items()
    }
