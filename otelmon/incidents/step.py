"""Incidents, as a pure step: alerts fire and resolve, people acknowledge, resolve and silence, time passes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from otelmon.alerts.model import Alert, AlertState, Transition
from otelmon.incidents.asked import ask
from otelmon.incidents.books import Books
from otelmon.incidents.closing import close
from otelmon.incidents.model import Change, Evidence, Incident, Refusal, RequestBody
from otelmon.incidents.policy import Policy
from otelmon.incidents.silence import Silence, SilenceNotice

DEFAULT = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentStep:
    """The open incidents now, what changed (resolved ones included) and the requests that do not apply.

    ``recent`` are resolved incidents that may be reopened, ``silences`` those that are not over, ``changed_silences``
    all whose record changed, ``notices`` those that people are told of.
    """

    incidents: Mapping[str, Incident]
    changes: tuple[Change, ...] = ()
    refused: tuple[Refusal, ...] = ()
    recent: Mapping[str, Incident] = field(default_factory=dict)
    silences: Mapping[str, Silence] = field(default_factory=dict)
    changed_silences: tuple[Silence, ...] = ()
    notices: tuple[SilenceNotice, ...] = ()


def step(
    incidents: Mapping[str, Incident],
    transitions: Iterable[Transition],
    requests: Sequence[RequestBody] = (),
    *,
    at: datetime,
    alerts: Iterable[Alert] = (),
    taken: Collection[str] = frozenset(),
    recent: Mapping[str, Incident] | None = None,
    silences: Mapping[str, Silence] | None = None,
    policy: Policy = DEFAULT,
    timing: Callable[[Incident], Policy] | None = None,
    evidence: Iterable[Evidence] = (),
) -> IncidentStep:
    """The open incidents after what happened at ``at``.

    ``alerts`` are alerts as they stand: their values are refreshed inside the incidents, which is no change. ``taken``
    are ids that resolved incidents have, so that no new one gets them. ``recent`` and ``silences`` are those of the
    step before. Requests come first: whoever acknowledges while the alert resolves is named in the resolved page, and
    who silences is spared what fires at the same instant. Of an alert that changes more than once, the last counts.
    ``evidence`` is what was found out about open incidents; what comes too late is passed over.
    ``timing`` gives the policy whose timers count for an incident, where that is not ``policy`` for all.
    """
    books = Books(incidents, recent or {}, silences or {}, at=at, taken=taken, policy=policy, timing=timing)
    for request in requests:
        ask(books, request)
    for found in evidence:
        books.learn(found)
    for transition in transitions:
        if transition.alert.state is AlertState.FIRING:
            books.fire(transition)
        elif transition.alert.state is AlertState.RESOLVED and transition.before is AlertState.FIRING:
            books.end(transition)
    for alert in alerts:
        books.refresh(alert)
    notices = close(books)
    return IncidentStep(
        incidents=books.open,
        changes=tuple(books.changes),
        refused=tuple(books.refused),
        recent=books.recent,
        silences=books.silences,
        changed_silences=tuple(books.changed_silences.values()),
        notices=notices,
    )
