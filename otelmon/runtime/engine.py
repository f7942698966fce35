"""Engine: one tick is collect, evaluate, step, decide, write. It owns no thread and reads no clock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from otelmon.alerts.model import AlertState, Transition
from otelmon.collect.collector import Collector
from otelmon.errors import StateError
from otelmon.faults import Faults, logger
from otelmon.incidents.model import Change, Incident
from otelmon.incidents.policy import Policy
from otelmon.incidents.silence import Silence
from otelmon.incidents.step import shift as shift_incidents
from otelmon.incidents.step import shift_silences
from otelmon.incidents.step import step as step_incidents
from otelmon.oncall.model import OnCall
from otelmon.paging.decide import decide, decide_notices
from otelmon.paging.model import Page
from otelmon.paging.text import Context
from otelmon.runtime.by_hand import ByHand
from otelmon.runtime.evaluate import Alerts, RuleResults, RuleRunner
from otelmon.runtime.journal import Journal
from otelmon.runtime.snapshot import Snapshot, SnapshotViews
from otelmon.sample import Sample
from otelmon.storage.store import Request, Storage
from otelmon.window.window import Window

# Two snapshots within so many seconds share one collection, so that a busy caller does not fill the window.
_SNAPSHOT_AGE_SECONDS = 1.0
_LEAST_STEP_SECONDS = 0.001
_PRUNE_SECONDS = 300.0
# How long resolved incidents, and what was sent for them, are kept for `otelmon incidents`.
_KEEP_FINISHED = timedelta(days=30)


@dataclass(slots=True, kw_only=True)
class Engine:
    """Everything that one process watches with.

    ``targets`` names the notifiers that are paged (empty: paging is off). ``sample_host`` reads the host just before
    each collection. ``by_hand`` is where other threads put values for ``take_requests``. Instants are unix seconds, as
    the clock gives them; each must be later than the one before.
    """

    collector: Collector
    window: Window
    rules: RuleRunner
    disk: Storage | None
    journal: Journal
    on_call: OnCall
    targets: Sequence[str]
    about: Context
    faults: Faults
    sample_host: Callable[[], None]
    policy: Policy = field(default_factory=Policy)
    by_hand: deque[ByHand] = field(default_factory=deque)
    _incidents: Mapping[str, Incident] = field(default_factory=dict)
    _recent: Mapping[str, Incident] = field(default_factory=dict)
    _silences: Mapping[str, Silence] = field(default_factory=dict)
    _unsaved: bool = False
    _known_ids: frozenset[str] = frozenset()
    _prune_at: float = 0.0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _views: SnapshotViews = field(default_factory=SnapshotViews)
    _collected_at: float = 0.0

    def restore(self, at: float) -> None:
        """Take up alerts, incidents and the window where an earlier process left them."""
        if self.disk is None:
            return
        try:
            restored = self.disk.restore()
            if restored.saved_at is None:
                return
            self._incidents, self._known_ids = restored.incidents, restored.known_ids
            self._recent, self._silences = restored.recent, restored.silences
            removed = self.rules.restore(restored.alerts, saved_at=restored.saved_at, at=at)
            since = at - self.window.retention_seconds
            self.window.append(sample for sample in self.disk.samples(since) if sample.at < at)
            self._conclude(at, removed, ())
        except StateError as error:
            self.faults.add("state", f"the state of the last run cannot be read: {error}")

    def tick(self, at: float) -> None:
        """Collect, evaluate the rules, step the alerts and incidents, decide on pages, and write it all."""
        with self._lock:
            # A snapshot may have collected since the caller read the time.
            at = max(at, self._collected_at + _LEAST_STEP_SECONDS)
            samples = self._collect(at)
            results = self.rules.run(self.window, at)
            self._conclude(at, results, samples)
            if at >= self._prune_at:
                self._prune_at = at + _PRUNE_SECONDS
                finished_before = datetime.fromtimestamp(at, UTC) - _KEEP_FINISHED
                self.journal.prune(samples_before=at - self.window.retention_seconds, finished_before=finished_before)

    def take_requests(self, at: float) -> bool:
        """Handle what was asked meanwhile (values by hand, acknowledgements); true when there was anything."""
        with self._lock:
            if not self.by_hand and not self._requests():
                return False
            self._conclude(at, RuleResults(), ())
            return True

    def snapshot(self, at: float) -> Snapshot:
        """The vital signs now."""
        with self._lock:
            if at - self._collected_at >= _SNAPSHOT_AGE_SECONDS:
                self._collect(at)
            return self._views.evaluate(self.window, max(at, self._collected_at))

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so many seconds: move the past along, so that nothing fires or resolves for it."""
        with self._lock:
            self.faults.add("clock", f"the clock jumped by {seconds:.0f} s; windows and alerts were moved along")
            self.collector.shift(seconds)
            self.window.shift(seconds)
            self.rules.shift(seconds)
            self._incidents = shift_incidents(self._incidents, seconds)
            self._recent = shift_incidents(self._recent, seconds)
            self._silences = shift_silences(self._silences, seconds)
            self._unsaved = True
            self.journal.shift(seconds)
            self._collected_at += seconds
            self._prune_at += seconds

    def _collect(self, at: float) -> Sequence[Sample]:
        try:
            self.sample_host()
        except Exception as error:  # noqa: BLE001 (the app's metrics are collected all the same)
            self.faults.add("host", "the host cannot be read", error)
        samples = self.collector.collect(at)
        self.window.append(samples)
        self._collected_at = at
        return samples

    def _requests(self) -> Sequence[Request]:
        if self.disk is None:
            return ()
        try:
            return self.disk.requests()
        except StateError as error:
            self.faults.add("state", f"requests cannot be read from the state: {error}")
            return ()

    def _conclude(self, at: float, results: RuleResults, samples: Sequence[Sample]) -> None:
        now = datetime.fromtimestamp(at, UTC)
        alerts: dict[str, Alerts] = dict(results.alerts)
        transitions = list(results.transitions)
        for extra in (*self._process_by_hand(at), self.rules.expire_manual(at)):
            alerts.update(extra.alerts)
            transitions += extra.transitions
        requests = self._requests()
        stepped = step_incidents(
            self._incidents,
            transitions,
            [request.body for request in requests],
            at=now,
            taken=self._known_ids,
            alerts=[alert for alerts in self.rules.alerts.values() for alert in alerts.values()],
            recent=self._recent,
            silences=self._silences,
            policy=self.policy,
        )
        for refusal in stepped.refused:
            logger.warning("otelmon: %s: %s", refusal.request, refusal.reason)
        pages = decide(stepped.changes, on_call=self.on_call, targets=self.targets, about=self.about)
        pages += decide_notices(stepped.notices, targets=self.targets, about=self.about)
        self._log(transitions, stepped.changes, pages)
        self._incidents, self._recent, self._silences = stepped.incidents, stepped.recent, stepped.silences
        self._known_ids |= stepped.incidents.keys()
        self.journal.save(
            now,
            alerts=alerts,
            changes=stepped.changes,
            incidents=(*stepped.incidents.values(), *stepped.recent.values()) if self._unsaved else (),
            pages=pages,
            samples=samples,
            taken=[request.id for request in requests],
            silences=tuple(stepped.silences.values()) if self._unsaved else stepped.changed_silences,
        )
        self._unsaved = False

    def _process_by_hand(self, at: float) -> list[RuleResults]:
        results = []
        while self.by_hand:
            item = self.by_hand.popleft()
            try:
                results.append(self.rules.process(item.name, item.value, item.context, at))
            except Exception as error:  # noqa: BLE001 (a value by hand must not stop the tick)
                self.faults.add("process_alert", f"the value for {item.name} cannot be processed", error)
        return results

    def _log(self, transitions: Sequence[Transition], changes: Sequence[Change], pages: Sequence[Page]) -> None:
        for transition in transitions:
            if AlertState.PENDING not in {transition.alert.state, transition.before} or transition.alert.fired_at:
                logger.info("otelmon: %s is %s: %s", transition.alert.labels, transition.alert.state, transition.reason)
        if changes and not pages:
            logger.info("otelmon: paging is off, nobody is told")
