"""Evidence: what explains an incident, gathered after its page is owed and edited into its message.

In a thread of its own, never in the tick and never on the application's event loop. What it finds goes to the engine's
next step, so that the edit is decided and stored like any other. Whatever is lost on the way, the page is not.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from otelmon.alerts.model import Alert
from otelmon.clock import Clock
from otelmon.faults import Faults
from otelmon.incidents.model import Cause, Change, Evidence, Finding, Incident
from otelmon.rules.model import AlertingRule

if TYPE_CHECKING:
    from otelmon.runtime.engine import Engine

LIMIT_SECONDS = 2.0
"""How long is looked for evidence of one incident."""

# Asked for anew when an incident is told of anew, but not by a reminder that has nothing new to say.
_ASKS = frozenset({Cause.TRIGGERED, Cause.REOPENED, Cause.UNMUTED, Cause.WORSENED, Cause.EXPIRED, Cause.ESCALATED})
_MOST_WAITING = 100
_MOST_FINDINGS = 10
_FINDING_LIMIT = 600
_POLL_SECONDS = 1.0
# Events are dated in whole microseconds, samples are not: those of the tick itself must not lie after its instant.
_ROUNDED_SECONDS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An incident that wants explaining: its lead as it stood at ``at`` (unix seconds), and the rule of that.

    ``course`` is how the rule's value went (see ``Course``).
    ``deadline`` is the monotonic second by which an answer is of use.
    """

    incident: Incident
    alert: Alert
    rule: AlertingRule | None
    course: tuple[float | None, ...] = ()
    at: float
    deadline: float


class Source(Protocol):
    """Something that can be found out."""

    def begin(self, question: Question) -> None:
        """Start what takes time; must not wait."""

    def findings(self, question: Question) -> Iterable[Finding]:
        """What was found out, most telling first."""


class Gatherer:
    """Asks the sources about incidents that people were just told of. ``on_found`` wakes the engine's thread."""

    def __init__(self, engine: Engine, sources: Sequence[Source], *, clock: Clock, faults: Faults) -> None:
        self._engine = engine
        self._sources = sources
        self._clock = clock
        self._faults = faults
        self._waiting: deque[tuple[Incident, float]] = deque(maxlen=_MOST_WAITING)
        self._wake = threading.Event()
        self.on_found: Callable[[], None] = lambda: None

    def notice(self, changes: Sequence[Change]) -> None:
        """Of these changes, ask about what people are told; from the engine's thread, without waiting."""
        for change in changes:
            if change.cause in _ASKS and not change.incident.storm:
                self._waiting.append((change.incident, change.event.at.timestamp() + _ROUNDED_SECONDS))
                self._wake.set()

    def wake(self) -> None:
        """Look again whether to stop."""
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Gather whatever is asked for, until ``stop``."""
        while not stop.is_set():
            if self._clock.wait(self._wake, _POLL_SECONDS):
                self._wake.clear()
                self.gather(stop)

    def gather(self, stop: threading.Event | None = None) -> None:
        """Answer what waits, each incident once, until ``stop``. Never raises."""
        while self._waiting and not (stop is not None and stop.is_set()):
            incident, at = self._waiting.popleft()
            if any(later.id == incident.id for later, _ in self._waiting):
                continue
            try:
                found = self._about(incident, at)
            except Exception as error:  # noqa: BLE001 (the page went out; only its evidence is missing)
                self._faults.add("evidence", "evidence could not be gathered", error)
                continue
            if found:
                self._engine.evidence.append(
                    Evidence(incident_id=incident.id, round=incident.rounds, findings=tuple(found))
                )
                self.on_found()

    def _about(self, incident: Incident, at: float) -> list[Finding]:
        with self._engine.held() as engine:
            watched = engine.rules.of_alert(incident.lead.labels)
            course = () if watched is None else tuple(watched.course.values)
        rule = watched.rule if watched is not None and isinstance(watched.rule, AlertingRule) else None
        deadline = self._clock.monotonic() + LIMIT_SECONDS
        question = Question(incident=incident, alert=incident.lead, rule=rule, course=course, at=at, deadline=deadline)
        for source in self._sources:
            self._guarded(source, lambda source=source: source.begin(question))  # type: ignore[misc]
        found: list[Finding] = []
        for source in self._sources:
            self._guarded(source, lambda source=source: found.extend(source.findings(question)))  # type: ignore[misc]
        return [_cut(finding) for finding in found[:_MOST_FINDINGS]]

    def _guarded(self, source: Source, ask: Callable[[], None]) -> None:
        try:
            ask()
        except Exception as error:  # noqa: BLE001 (one source's failure costs its own findings only)
            self._faults.add(f"evidence.{type(source).__name__}", "evidence could not be gathered", error)


def _cut(finding: Finding) -> Finding:
    if len(finding.text) <= _FINDING_LIMIT:
        return finding
    return replace(finding, text=finding.text[: _FINDING_LIMIT - 1] + "…")
