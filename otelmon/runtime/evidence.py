"""Evidence: what explains an incident, gathered after its page is owed and edited into its message.

In a thread of its own, never in the tick and never on the application's event loop. What it finds goes to the engine's
next step, so that the edit is decided and stored like any other. Whatever is lost on the way, the page is not.

A chart belongs to it once its picture is drawn: at once where that takes no longer than the rest, else a little later.
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
from otelmon.incidents.chart import Chart
from otelmon.incidents.model import Cause, Change, Evidence, Finding, Incident, IncidentState
from otelmon.notify.pictures import LATE_SECONDS, Pictures
from otelmon.rules.model import AlertingRule
from otelmon.runtime.course import Point

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
_PICTURES_POLL_SECONDS = 0.2
# Events are dated in whole microseconds, samples are not: those of the tick itself must not lie after its instant.
_ROUNDED_SECONDS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An incident that wants explaining: its lead as it stood at ``at`` (unix seconds), and the rule of that.

    ``course`` is how the rule's value went, up to then or later.
    ``deadline`` is the monotonic second by which an answer is of use.
    """

    incident: Incident
    alert: Alert
    rule: AlertingRule | None
    course: tuple[Point, ...] = ()
    at: float
    deadline: float


class Source(Protocol):
    """Something that can be found out."""

    def begin(self, question: Question) -> None:
        """Start what takes time; must not wait."""

    def findings(self, question: Question) -> Iterable[Finding]:
        """What was found out, most telling first."""


class Gatherer:
    """Asks the sources about incidents that people were just told of. ``on_found`` wakes the engine's thread.

    Those of ``closing`` are asked again when an incident that has a chart is over, for how it ended. ``pictures``
    draws charts; without it there are none.
    """

    def __init__(
        self,
        engine: Engine,
        sources: Sequence[Source],
        *,
        closing: Sequence[Source] = (),
        pictures: Pictures | None = None,
        clock: Clock,
        faults: Faults,
    ) -> None:
        self._engine = engine
        self._sources = sources
        self._closing = closing
        self._pictures = pictures
        self._late: list[tuple[Evidence, float]] = []  # whose pictures are still drawn, and until when
        self._clock = clock
        self._faults = faults
        self._waiting: deque[tuple[Incident, float]] = deque(maxlen=_MOST_WAITING)
        self._wake = threading.Event()
        self.on_found: Callable[[], None] = lambda: None

    def notice(self, changes: Sequence[Change]) -> None:
        """Of these changes, ask about what people are told; from the engine's thread, without waiting."""
        for change in changes:
            asks = change.cause in _ASKS or (change.cause is Cause.RESOLVED and _has_chart(change.incident.evidence))
            if asks and not change.incident.storm:
                self._waiting.append((change.incident, change.event.at.timestamp() + _ROUNDED_SECONDS))
                self._wake.set()

    def wake(self) -> None:
        """Look again whether to stop."""
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Gather whatever is asked for, until ``stop``."""
        while not stop.is_set():
            if self._clock.wait(self._wake, _PICTURES_POLL_SECONDS if self._late else _POLL_SECONDS):
                self._wake.clear()
                self.gather(stop)
            self.look_at_pictures()

    def gather(self, stop: threading.Event | None = None) -> None:
        """Answer what waits, each incident once, until ``stop``. Never raises."""
        while self._waiting and not (stop is not None and stop.is_set()):
            incident, at = self._waiting.popleft()
            if any(later.id == incident.id for later, _ in self._waiting):
                continue
            try:
                self._about(incident, at)
            except Exception as error:  # noqa: BLE001 (the page went out; only its evidence is missing)
                self._faults.add("evidence", "evidence could not be gathered", error)

    def look_at_pictures(self) -> None:
        """Add those that were late, once they are drawn."""
        waiting, self._late = self._late, []
        for evidence, until in waiting:
            if _drawn(evidence, self._is_drawn) == evidence:
                self._found(evidence)
            elif self._clock.monotonic() < until:
                self._late.append((evidence, until))
            else:
                self._faults.add(
                    "evidence.chart", f"a chart was not drawn within {LATE_SECONDS:g} s; the page has none"
                )

    def _about(self, incident: Incident, at: float) -> None:
        with self._engine.held() as engine:
            watched = engine.rules.of_alert(incident.lead.labels)
            course = () if watched is None else watched.course.so_far()
        rule = watched.rule if watched is not None and isinstance(watched.rule, AlertingRule) else None
        deadline = self._clock.monotonic() + LIMIT_SECONDS
        question = Question(incident=incident, alert=incident.lead, rule=rule, course=course, at=at, deadline=deadline)
        over = incident.state is IncidentState.RESOLVED
        found = self._ask(self._closing if over else self._sources, question)
        if over:
            ends = iter([finding for finding in found if finding.chart is not None])
            found = [each if each.chart is None else next(ends, each) for each in incident.evidence]
        if not found:
            return
        evidence = Evidence(
            incident_id=incident.id, round=incident.rounds, findings=tuple(map(_cut, found)), of_the_end=over
        )
        self._late = [(late, until) for late, until in self._late if late.incident_id != incident.id]
        drawn = _drawn(evidence, lambda chart: self._draw(chart, deadline))
        if drawn != evidence and self._pictures is not None:
            self._late.append((evidence, self._clock.monotonic() + LATE_SECONDS))
        if drawn == evidence or not over:  # how it was is better than no chart, until the one of its end is there
            self._found(drawn)

    def _ask(self, sources: Sequence[Source], question: Question) -> list[Finding]:
        for source in sources:
            self._guarded(source, lambda source=source: source.begin(question))  # type: ignore[misc]
        found: list[Finding] = []
        for source in sources:
            self._guarded(source, lambda source=source: found.extend(source.findings(question)))  # type: ignore[misc]
        return found[:_MOST_FINDINGS]

    def _found(self, evidence: Evidence) -> None:
        self._engine.evidence.append(evidence)
        self.on_found()

    def _draw(self, chart: Chart, deadline: float) -> bool:
        return self._pictures is not None and self._pictures.draw(chart, deadline - self._clock.monotonic())

    def _is_drawn(self, chart: Chart) -> bool:
        return self._pictures is not None and self._pictures.ready(chart) is not None

    def _guarded(self, source: Source, ask: Callable[[], None]) -> None:
        try:
            ask()
        except Exception as error:  # noqa: BLE001 (one source's failure costs its own findings only)
            self._faults.add(f"evidence.{type(source).__name__}", "evidence could not be gathered", error)


def _cut(finding: Finding) -> Finding:
    if len(finding.text) <= _FINDING_LIMIT:
        return finding
    return replace(finding, text=finding.text[: _FINDING_LIMIT - 1] + "…")


def _has_chart(findings: Sequence[Finding]) -> bool:
    return any(finding.chart is not None for finding in findings)


def _drawn(evidence: Evidence, is_drawn: Callable[[Chart], bool]) -> Evidence:
    """The evidence with those charts only of which there is a picture."""
    findings = tuple(
        finding if finding.chart is None or is_drawn(finding.chart) else replace(finding, chart=None)
        for finding in evidence.findings
    )
    return replace(evidence, findings=findings)
