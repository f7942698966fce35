"""Presence: who sends, and who has stopped sending, as metrics that rules look at.

An instance is heard of with each of its requests. Nobody tells a server how often a client sends, so that is learned:
silence is counted in the instance's own intervals, because 30 s without a word are an outage for one that sends each
second and nothing for one that sends each minute. What tells a crash from a stop that is meant is the client's last
word (``otelmon.collect.senders.FAREWELL``); where a client has none, a new instance that takes its place.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from otelmon.labels import METRIC_NAME, Labels
from otelmon.sample import STALE, Sample
from otelmon.tenants import TENANT

UP = "otelmon_instance_up"
SILENCE = "otelmon_instance_silence_intervals"
LAST_SEEN = "otelmon_instance_last_seen_seconds"
DELAY = "otelmon_telemetry_delay_seconds"
INSTANCES = "otelmon_service_instances"

SILENT_INTERVALS = 2.0
"""After so many of its intervals without a word an instance is not up."""
# What OpenTelemetry SDKs send by default, until the instance's own interval is known.
_DEFAULT_INTERVAL_SECONDS = 60.0
_GAPS = 5
_LONGEST_INTERVAL_SECONDS = 3600.0
# A new instance takes the place of one that fell silent up to so long after it came: old and new overlap in a rolling
# restart.
_OVERLAP_SECONDS = 120.0
# Those that came within so many seconds were started together, and none is there in another's place.
_COHORT_SECONDS = 30.0

Who = tuple[str, str]
"""The job and the instance."""


@dataclass(slots=True, kw_only=True)
class _Instance:
    first_at: float
    heard_at: float
    counted_at: float
    delay_seconds: float = 0.0
    silent: bool = False
    # Whether it stands in the place of an instance that fell silent already.
    replaces: bool = False
    gaps: deque[float] = field(default_factory=lambda: deque(maxlen=_GAPS))

    def interval(self, least: float) -> float:
        """How often it sends: the second longest of its last gaps, so that one outage does not count as its rhythm."""
        if not self.gaps:
            return max(least, _DEFAULT_INTERVAL_SECONDS)
        return min(max(least, sorted(self.gaps)[-2 if len(self.gaps) > 1 else -1]), _LONGEST_INTERVAL_SECONDS)


class Presence:
    """Who sends to this server. ``heard`` and ``left`` may be called from any thread; instants are unix seconds.

    ``interval_seconds`` is how often `samples` is asked: no instance's interval is taken for shorter. An instance that
    fell silent is forgotten after ``forget_seconds``, and there are ``most`` at most; beyond them ``refused`` counts.
    ``tenant`` is whose they all are, a label of every metric unless empty.
    """

    def __init__(
        self, *, interval_seconds: float, forget_seconds: float = 86_400.0, most: int = 10_000, tenant: str = ""
    ) -> None:
        self._tenant = tenant
        self.refused = 0
        self._least = interval_seconds
        self._forget_seconds = forget_seconds
        self._most = most
        self._lock = threading.Lock()
        self._instances: dict[Who, _Instance] = {}
        self._series: dict[Who, tuple[Labels, ...]] = {}
        self._jobs: dict[str, Labels] = {}
        # When instances left by intent whose place nobody has taken since, so that the next one does not stand for a
        # crash.
        self._vacancies: dict[str, deque[float]] = {}

    def heard(self, job: str, instance: str, *, at: float, newest_at: float | None = None) -> None:
        """A request of this instance came at ``at``; ``newest_at`` is the time of its newest point, if it has one.

        What has no job (a host's metrics, say) is nobody that could be missed by name.
        """
        if not job:
            return
        with self._lock:
            known = self._instances.get((job, instance))
            if known is None:
                if len(self._instances) >= self._most:
                    self.refused += 1
                    return
                known = _Instance(first_at=at, heard_at=at, counted_at=at, replaces=self._takes_vacancy(job, at))
                self._instances[job, instance] = known
            gap = at - known.counted_at
            # What an interval brings may come in several requests: the first of them counts.
            if gap >= self._least / 2:
                known.gaps.append(gap)
                known.counted_at = at
            known.heard_at = max(known.heard_at, at)
            known.silent = False
            if newest_at is not None:
                known.delay_seconds = max(0.0, at - newest_at)

    def left(self, job: str, instance: str) -> None:
        """This instance was stopped by intent. With the last one that is up, those that had crashed are over too."""
        with self._lock:
            gone = self._instances.pop((job, instance), None)
            if gone is None:
                return
            successor = self._successor((job, instance), gone)
            if successor is not None:
                successor.replaces = True
            else:
                self._vacancies.setdefault(job, deque(maxlen=self._most)).append(gone.heard_at)
            others = [who for who in self._instances if who[0] == job]
            if all(self._instances[who].silent for who in others):
                for who in others:
                    del self._instances[who]

    def is_up(self, job: str, instance: str) -> bool:
        """Whether an instance sends."""
        with self._lock:
            known = self._instances.get((job, instance))
            return known is not None and not known.silent

    def samples(self, at: float) -> Sequence[Sample]:
        """The metrics of all instances; a series whose instance left, was replaced or forgotten ends."""
        with self._lock:
            self._judge(at)
            found = list(self._of_instances(at))
            found += self._of_services(at)
        return found

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so much."""
        with self._lock:
            for each in self._instances.values():
                each.first_at += seconds
                each.heard_at += seconds
                each.counted_at += seconds

    def state(self) -> list[dict[str, Any]]:
        """All of it as JSON has it, for `restore`."""
        with self._lock:
            return [
                {
                    "job": job,
                    "instance": name,
                    "first_at": each.first_at,
                    "heard_at": each.heard_at,
                    "silent": each.silent,
                    "replaces": each.replaces,
                    "gaps": list(each.gaps),
                }
                for (job, name), each in self._instances.items()
            ]

    def restore(self, state: Sequence[Mapping[str, Any]], *, at: float) -> None:
        """Go on from the state of an earlier process at ``at``; while no server listened, nobody could be heard.

        Raises KeyError, TypeError or ValueError for what is no state.
        """
        restored = {}
        for each in state:
            silent = bool(each["silent"])
            heard_at = float(each["heard_at"])
            restored[str(each["job"]), str(each["instance"])] = _Instance(
                first_at=float(each["first_at"]),
                heard_at=heard_at if silent else at,
                counted_at=heard_at if silent else at,
                silent=silent,
                replaces=bool(each["replaces"]),
                gaps=deque(map(float, each["gaps"]), maxlen=_GAPS),
            )
        with self._lock:
            self._instances = restored

    def _takes_vacancy(self, job: str, at: float) -> bool:
        left = self._vacancies.get(job)
        while left:
            if left.popleft() > at - _OVERLAP_SECONDS:
                return True
        self._vacancies.pop(job, None)
        return False

    def _silence(self, each: _Instance, at: float) -> float:
        return max(0.0, at - each.heard_at) / each.interval(self._least)

    def _judge(self, at: float) -> None:
        """Who is silent now, and of these who was replaced or is forgotten."""
        for each in self._instances.values():
            each.silent = self._silence(each, at) > SILENT_INTERVALS
        for who, each in [(who, each) for who, each in self._instances.items() if each.silent]:
            successor = self._successor(who, each)
            if successor is not None:
                successor.replaces = True
            if successor is not None or at - each.heard_at > self._forget_seconds:
                del self._instances[who]

    def _successor(self, gone: Who, before: _Instance) -> _Instance | None:
        """The instance that came in the place of one that is gone, if there is one that has taken no other's."""
        candidates = [
            each
            for (job, name), each in self._instances.items()
            if job == gone[0]
            and name != gone[1]
            and not each.silent
            and not each.replaces
            and each.first_at > before.first_at + _COHORT_SECONDS
            and each.first_at > before.heard_at - _OVERLAP_SECONDS
        ]
        return min(candidates, key=lambda each: each.first_at, default=None)

    def _of_instances(self, at: float) -> Iterator[Sample]:
        for who, each in self._instances.items():
            series = self._series.get(who)
            if series is None:
                series = self._series[who] = _series_of(*who, self._tenant)
            values = (float(not each.silent), self._silence(each, at), each.heard_at, each.delay_seconds)
            # A gauge of what was sent long ago says nothing; late is who sends.
            live = series[:-1] if each.silent else series
            for labels, value in zip(live, values[: len(live)], strict=True):
                yield Sample(labels=labels, at=at, value=value)
            if each.silent:
                yield Sample(labels=series[-1], at=at, value=STALE)
        for who in [who for who in self._series if who not in self._instances]:
            for labels in self._series.pop(who):
                yield Sample(labels=labels, at=at, value=STALE)

    def _of_services(self, at: float) -> Iterator[Sample]:
        counts: dict[str, int] = {}
        for (job, _), each in self._instances.items():
            counts[job] = counts.get(job, 0) + (not each.silent)
        for job, count in counts.items():
            labels = self._jobs.get(job)
            if labels is None:
                labels = self._jobs[job] = Labels({METRIC_NAME: INSTANCES, "job": job, TENANT: self._tenant})
            yield Sample(labels=labels, at=at, value=float(count))
        for job in [job for job in self._jobs if job not in counts]:
            yield Sample(labels=self._jobs.pop(job), at=at, value=STALE)


def _series_of(job: str, instance: str, tenant: str) -> tuple[Labels, ...]:
    return tuple(
        Labels({METRIC_NAME: name, "job": job, "instance": instance, TENANT: tenant})
        for name in (UP, SILENCE, LAST_SEEN, DELAY)
    )
