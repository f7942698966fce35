"""Engine: one tick is collect, evaluate, step, decide, write. It owns no thread and reads no clock."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from otelmon.alerts.by_hand import ByHand
from otelmon.alerts.model import AlertState, Transition
from otelmon.errors import StateError
from otelmon.faults import Faults, logger
from otelmon.incidents.missed import missed
from otelmon.incidents.model import Change, Evidence, Incident
from otelmon.incidents.policy import Policy
from otelmon.incidents.shift import shift as shift_incidents
from otelmon.incidents.shift import shift_silences
from otelmon.incidents.silence import Silence
from otelmon.incidents.step import IncidentStep
from otelmon.incidents.step import step as step_incidents
from otelmon.labels import Labels
from otelmon.oncall.escalation import Escalation
from otelmon.oncall.escalations import DEFAULT_POLICY, EscalationsStep, escalate, shift_escalations, timing
from otelmon.oncall.people import Team
from otelmon.oncall.policy import Policy as EscalationPolicy
from otelmon.oncall.shifts_told import NoticeSettings
from otelmon.paging.decide import decide_notices
from otelmon.paging.routing import Routing, routed
from otelmon.paging.text import Context
from otelmon.rules.model import Group
from otelmon.runtime.evaluate import RuleResults, RuleRunner
from otelmon.runtime.journal import Journal
from otelmon.runtime.lookout import Lookout
from otelmon.runtime.member import Mutes
from otelmon.runtime.owed import owed_pages
from otelmon.runtime.shifts import ShiftTeller
from otelmon.runtime.snapshot import Snapshot, SnapshotViews
from otelmon.runtime.source import Source
from otelmon.runtime.team import CurrentTeam
from otelmon.runtime.tenanted import parted, shared
from otelmon.runtime.watched import Alerts
from otelmon.runtime.worth import WorthSaving
from otelmon.sample import Sample
from otelmon.storage.store import Request, Restored, Storage
from otelmon.tenants import NOBODY, Tenants
from otelmon.window.window import Window

# Two snapshots within so many seconds share one collection, so that a busy caller does not fill the window.
_SNAPSHOT_AGE_SECONDS = 1.0
_LEAST_STEP_SECONDS = 0.001
_PORTION = 512
_PRUNE_SECONDS = 300.0
# How many incidents are looked at to say what happened in a shift.
_OF_LATE = 200
# How long resolved incidents, and what was sent for them, are kept for `otelmon incidents`.
_KEEP_FINISHED = timedelta(days=30)


@dataclass(slots=True, kw_only=True)
class Engine:
    """Everything that one process watches with.

    ``routing`` says which notifiers are paged (none: paging is off), and whom they mention where there is no
    escalation policy. ``sample_host`` reads the host just before each collection. ``team`` is who escalations page,
    and may be replaced between ticks. ``on_changes`` and ``on_transitions`` are told what was written of incidents
    and of alerts, by each tick. ``by_hand`` and ``evidence`` are where other threads put values, and what they found
    out, for ``take_requests``. Instants are unix seconds, as the clock gives them; each must be later than the one
    before. ``current_team`` gives the ``team`` of each tick, ``shifts`` tells people of theirs. ``continues`` is
    whether the counts that are collected go on from those of a process that evaluated before. ``mutes`` gives silences
    of the moment, by id, that nobody has written. ``lookout`` sees between ticks who falls silent. ``tenants``
    are those that share it, whose incidents the ``policy`` keeps apart.
    """

    collector: Source
    window: Window
    rules: RuleRunner
    disk: Storage | None
    journal: Journal
    routing: Routing
    about: Context
    faults: Faults
    sample_host: Callable[[], None]
    current_team: CurrentTeam
    shifts: ShiftTeller
    policy: Policy = field(default_factory=Policy)
    team: Team = field(default_factory=Team)
    on_changes: Callable[[Sequence[Change]], None] = lambda _: None
    continues: bool = False
    mutes: Mutes = lambda *_: {}
    lookout: Lookout | None = None
    tenants: Tenants = NOBODY
    on_transitions: Callable[[Sequence[Transition]], None] = lambda _: None
    by_hand: deque[ByHand] = field(default_factory=deque)
    evidence: deque[Evidence] = field(default_factory=deque)
    _incidents: Mapping[str, Incident] = field(default_factory=dict)
    _recent: Mapping[str, Incident] = field(default_factory=dict)
    _silences: Mapping[str, Silence] = field(default_factory=dict)
    _escalations: Mapping[str, Escalation] = field(default_factory=dict)
    # False while escalations fail: reminders take their place.
    _escalates: bool = True
    # Every instant moved with the clock, so all of it is to be written.
    _rewrite: bool = False
    _known_ids: frozenset[str] = frozenset()
    _worth: WorthSaving = field(default_factory=WorthSaving)
    _prune_at: float = 0.0
    # Held while the window and the rules are touched; never while something is written to disk.
    _lock: threading.RLock = field(default_factory=threading.RLock)
    # Held through a whole tick, and taken before the other.
    _turn: threading.RLock = field(default_factory=threading.RLock)
    _views: SnapshotViews = field(default_factory=SnapshotViews)
    _collected_at: float = 0.0
    _looked_at: float = 0.0
    _unsaved: list[Sample] = field(default_factory=list)

    @property
    def incidents(self) -> Mapping[str, Incident]:
        """The open incidents, by their ids."""
        return self._incidents

    def restore(self, at: float) -> None:
        """Take up alerts, incidents and the window where an earlier process left them."""
        if self.disk is None:
            return
        try:
            restored = self.disk.restore()
            saved_at = restored.saved_at
            if saved_at is None:
                return
            known: set[Labels] = set()
            try:
                self._restore_window(restored, known, at)
            finally:  # alerts and incidents count for more than the window: they are there without it too
                removed = self._restore_alerts(restored, saved_at, at)
            self.rules.resume(self.window)
            if self.continues:
                self.collector.resume(known, min(saved_at.timestamp(), at))
            self._conclude(at, removed, ())
        except StateError as error:
            self.faults.add("state", f"the state of the last run cannot be read: {error}")

    def _restore_window(self, restored: Restored, known: set[Labels], at: float) -> None:
        """The samples of the state, into the window; ``known`` gets the series that have not ended."""
        if self.disk is None:
            return
        since, lasting_since = at - self.window.retention_seconds, at - self.window.longest_seconds
        saved = self.disk.samples(since, lasting_since=lasting_since)
        if self.tenants:
            saved = shared(saved, self.tenants, own_job=self.about.service, alerts=restored.alerts)
        self.window.append(_noted(known, (sample for sample in saved if sample.at < at)))

    def _restore_alerts(self, restored: Restored, saved_at: datetime, at: float) -> RuleResults:
        """The alerts and incidents of the state, each its tenant's; what became of those of rules that are gone."""
        restored, given = parted(restored, self.tenants, own_job=self.about.service, window=self.window)
        self._rewrite = bool(given)
        self._incidents, self._known_ids = restored.incidents, restored.known_ids
        self._recent, self._silences = restored.recent, restored.silences
        self._escalations = restored.escalations
        self.shifts.told = restored.told
        removed = self.rules.restore(restored.alerts, saved_at=saved_at, at=at)
        return replace(removed, alerts={**given, **removed.alerts})

    def tick(self, at: float) -> None:
        """Collect, evaluate the rules, step the alerts and incidents, decide on pages, and write it all."""
        with self._turn:
            self.collector.gather()
            with self._lock:
                # A snapshot may have collected since the caller read the time.
                at = max(at, max(self._collected_at, self._looked_at) + _LEAST_STEP_SECONDS)
                samples = self._collect(at)
                if self._unsaved:
                    samples = [*self._unsaved, *samples]
                    self._unsaved = []
                results = self.rules.run(self.window, at)
            # Before the samples are saved: whoever goes on from those must find no fewer counts than they hold.
            self.collector.leave()
            self._conclude(at, results, samples)
            if at >= self._prune_at:
                self._prune_at = at + _PRUNE_SECONDS
                finished_before = datetime.fromtimestamp(at, UTC) - _KEEP_FINISHED
                self.journal.prune(
                    samples_before=at - self.window.retention_seconds,
                    lasting_before=at - self.window.longest_seconds,
                    finished_before=finished_before,
                )

    def take_requests(self, at: float) -> bool:
        """Handle what came up since the last tick; true when there was anything.

        That is what was asked (values by hand, acknowledgements), and who has fallen silent.
        """
        with self._turn:
            seen = self._look(at)
            if seen is None and not self.by_hand and not self.evidence and not self._requests():
                return False
            self._conclude(max(at, self._looked_at), *(seen or (RuleResults(), ())))
            return True

    def snapshot(self, at: float) -> Snapshot:
        """The vital signs now, from any thread; a tick that writes to a slow disk does not hold it up."""
        with self._lock:
            if at - self._collected_at >= _SNAPSHOT_AGE_SECONDS:
                # A tick saves what it collects. Of what a snapshot collected a restart needs the starts and ends of
                # series, which the collector tells only once.
                collected = self._collect(at)
                self._unsaved += [each for each in collected if each.start_at is not None or each.is_end]
            return self._views.evaluate(self.window, max(at, self._collected_at))

    @property
    def look_seconds(self) -> float:
        """How soon `take_requests` may have something to see that nobody asked for; infinite where it never has."""
        return math.inf if self.lookout is None else self.lookout.wait_seconds

    @property
    def known_incidents(self) -> tuple[Incident, ...]:
        """The open incidents, and those that were resolved lately."""
        return (*self._incidents.values(), *self._recent.values())

    @contextmanager
    def held(self) -> Iterator[Engine]:
        """The engine between two ticks, to look at its window and its rules; keep it short, a tick waits."""
        with self._lock:
            yield self

    def reload(
        self,
        groups: tuple[Group, ...],
        *,
        retention_seconds: float,
        lasting: Mapping[str, float],
        at: float,
        team: Team,
        notices: NoticeSettings,
    ) -> None:
        """Take up other rules and another team; rules that stay keep their state, those that are gone resolve."""
        with self._turn:
            self.team = self.current_team.replace(team)
            self.shifts.settings = notices
            with self._lock:
                results = self.rules.replace(groups, window=self.window, at=at)
                self.window.retention_seconds, self.window.lasting = retention_seconds, lasting
            self._conclude(at, results, ())

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so many seconds: move the past along, so that nothing fires or resolves for it."""
        with self._turn, self._lock:
            self.faults.add("clock", f"the clock jumped by {seconds:.0f} s; windows and alerts were moved along")
            self.collector.shift(seconds)
            self.window.shift(seconds)
            self.rules.shift(seconds)
            self._incidents = shift_incidents(self._incidents, seconds)
            self._recent = shift_incidents(self._recent, seconds)
            self._silences = shift_silences(self._silences, seconds)
            self._escalations = shift_escalations(self._escalations, seconds)
            self._rewrite = True
            self.journal.shift(seconds)
            self._collected_at += seconds
            self._looked_at += seconds
            self._unsaved = [sample.moved(seconds) for sample in self._unsaved]
            self._prune_at += seconds
            self._worth = WorthSaving()

    def _collect(self, at: float) -> Sequence[Sample]:
        try:
            self.sample_host()
        except Exception as error:  # noqa: BLE001 (the app's metrics are collected all the same)
            self.faults.add("host", "the host cannot be read", error)
        samples = self.collector.collect(at)
        # Collected samples pause while they are read; by portions, the window does too while it stores them.
        reading = iter(samples)
        for _ in range(0, len(samples), _PORTION):
            self.window.append(islice(reading, _PORTION))
        self._collected_at = at
        return samples

    def _look(self, at: float) -> tuple[RuleResults, Sequence[Sample]] | None:
        if self.lookout is None:
            return None
        at = max(at, max(self._collected_at, self._looked_at) + _LEAST_STEP_SECONDS)
        try:
            with self._lock:
                found = self.lookout.look(self.window, self.rules, at)
        except Exception as error:  # noqa: BLE001 (the next tick sees it too)
            self.faults.add("lookout", "who falls silent cannot be told between ticks", error)
            return None
        if found is not None:
            self._looked_at = at
        return found

    def _requests(self) -> Sequence[Request]:
        if self.disk is None:
            return ()
        try:
            return self.disk.requests()
        except Exception as error:  # noqa: BLE001 (a request that cannot be read must not stop the tick)
            self.faults.add("state", "requests cannot be read from the state", error)
            return ()

    def _conclude(self, at: float, results: RuleResults, samples: Sequence[Sample]) -> None:
        now = datetime.fromtimestamp(at, UTC)
        alerts: dict[str, Alerts] = dict(results.alerts)
        transitions = list(results.transitions)
        requests = self._requests()
        put_in = len(self.by_hand)
        values = [*islice(self.by_hand, put_in), *(each.body for each in requests if isinstance(each.body, ByHand))]
        with self._lock:
            for extra in (*self._process_by_hand(values, at), self.rules.expire_manual(at)):
                alerts.update(extra.alerts)
                transitions += extra.transitions
            current = [alert for each in self.rules.alerts.values() for alert in each.values()]
        transitions += missed([*self._incidents.values(), *self._recent.values()], current, transitions, at=now)
        requests = self._requests()
        evidence = [self.evidence.popleft() for _ in range(len(self.evidence))]
        self.team = team = self.current_team.refresh(now)
        handed = self.mutes(self.window, self._incidents, at)
        stepped = step_incidents(
            self._incidents,
            transitions,
            [request.body for request in requests if not isinstance(request.body, ByHand)],
            at=now,
            taken=self._known_ids,
            alerts=current,
            recent=self._recent,
            silences={**self._silences, **handed},
            policy=self.policy,
            timing=timing(self.policy, self._policy_of) if self._escalates else None,
            evidence=evidence,
        )
        escalated = self._escalate(stepped, now)
        left = {id_: each for id_, each in stepped.silences.items() if id_ not in handed}
        stepped = replace(stepped, incidents=escalated.incidents, changes=escalated.changes, silences=left)
        stepped = routed(stepped, self.routing)
        for refusal in stepped.refused:
            logger.warning("otelmon: %s: %s", refusal.request, refusal.reason)
        pages = owed_pages(stepped.changes, escalated.calls, self.routing, self.about, self.faults)
        pages += decide_notices(stepped.notices, routing=self.routing, about=self.about)
        told = self.shifts.decide(
            team, now, incidents=lambda: self._of_late(stepped.incidents), targets=self.routing.people
        )
        pages += told.pages
        self._log(transitions, stepped.changes)
        self.journal.save(
            now,
            alerts=self._worth.of(alerts, at),
            # What nobody was told of is not kept: once paging is on, what still fires opens a new incident and pages.
            changes=stepped.changes if self.routing.pages else (),
            incidents=(*stepped.incidents.values(), *stepped.recent.values()) if self._rewrite else (),
            pages=pages,
            samples=samples,
            lasting=results.recorded,
            taken=[request.id for request in requests],
            silences=tuple(stepped.silences.values()) if self._rewrite else stepped.changed_silences,
            escalations=(escalated.escalations if self._rewrite else escalated.changed) if self.routing.pages else {},
            told=told.told if told.worth_saving else None,
        )
        # Last, so that what could not be written is stepped and decided on anew by the next tick (see `missed`).
        self._incidents, self._recent, self._silences = stepped.incidents, stepped.recent, stepped.silences
        self._escalations = escalated.escalations
        self._known_ids |= stepped.incidents.keys()
        self._rewrite = False
        self.on_transitions(transitions)
        self.on_changes(stepped.changes)
        self.shifts.done(told, team, now)
        for _ in range(put_in):
            self.by_hand.popleft()

    def _of_late(self, incidents: Mapping[str, Incident]) -> Sequence[Incident]:
        """The open incidents, then the latest of those that are over."""
        over: Sequence[Incident] = tuple(self._recent.values())
        if self.disk is not None:
            with suppress(StateError):
                over = [each for each in self.disk.incidents(_OF_LATE) if each.resolved_at is not None]
        return [*incidents.values(), *(each for each in over if each.id not in incidents)]

    def _escalate(self, stepped: IncidentStep, now: datetime) -> EscalationsStep:
        self._escalates = True
        try:
            return escalate(
                self._escalations,
                stepped.incidents,
                stepped.changes,
                stepped.refused,
                team=self.team,
                policy_of=self._policy_of,
                at=now,
            )
        except Exception as error:  # noqa: BLE001 (whoever is mentioned without a policy is better than nobody)
            self._escalates = False
            self.faults.add("escalation", "escalations cannot be stepped", error)
            return EscalationsStep(escalations=self._escalations, incidents=stepped.incidents, changes=stepped.changes)

    def _policy_of(self, incident: Incident) -> EscalationPolicy | None:
        return self.team.policies.get(self.routing.route(incident).escalation or DEFAULT_POLICY)

    def _process_by_hand(self, values: Sequence[ByHand], at: float) -> list[RuleResults]:
        results = []
        for item in values:
            try:
                results.append(self.rules.process(self.window, item.name, item.value, item.context, at))
            except Exception as error:  # noqa: BLE001 (a value by hand must not stop the tick)
                self.faults.add("process_alert", f"the value for {item.name} cannot be processed", error)
        return results

    def _log(self, transitions: Sequence[Transition], changes: Sequence[Change]) -> None:
        for transition in transitions:
            if AlertState.PENDING not in {transition.alert.state, transition.before} or transition.alert.fired_at:
                logger.info("otelmon: %s is %s: %s", transition.alert.labels, transition.alert.state, transition.reason)
        # Of what is muted, by a rule or since a server pages it, nobody would be told in any case.
        if not self.routing.pages and any(change.incident.visible for change in changes):
            logger.info("otelmon: paging is off, nobody is told")


def _noted(known: set[Labels], samples: Iterable[Sample]) -> Iterator[Sample]:
    """The samples; ``known`` has the series that have not ended."""
    for sample in samples:
        (known.discard if sample.is_end else known.add)(sample.labels)
        yield sample
