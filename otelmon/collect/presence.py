"""Presence: who sends, and who has stopped sending, as metrics that rules look at.

An instance is heard of with each of its requests. Silence is counted in the instance's own intervals, because 30 s
without a word are an outage for one that sends each second and nothing for one that sends each minute. otelmon's client
says how often it sends, others do not, so that is learned (``otelmon.collect.rhythm``). While this process could hear
nobody, because it was stopped or did not get to run, nobody was silent. What tells a crash from a stop that is meant is
the client's last word (``otelmon.collect.senders.FAREWELL``); where a client has none, a new instance that takes its
place.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from otelmon.collect.rhythm import GAPS, LONGEST_SECONDS, rhythm
from otelmon.labels import METRIC_NAME, Labels
from otelmon.sample import STALE, Sample
from otelmon.tenants import TENANT

UP = "otelmon_instance_up"
SILENCE = "otelmon_instance_silence_intervals"
LAST_SEEN = "otelmon_instance_last_seen_seconds"
DELAY = "otelmon_telemetry_delay_seconds"
INSTANCES = "otelmon_service_instances"
METRICS = frozenset({UP, SILENCE, LAST_SEEN, DELAY, INSTANCES})
"""All of them."""

SILENT_INTERVALS = 1.75
"""After so many of its intervals without a word an instance is not up.

It last sent within an interval before it died, so that two intervals after its death leave a quarter of one to page. A
send that is late by a quarter, or comes at the second try, is no silence.
"""
# Comparing a silence with a bound a moment after it is reached leaves no doubt on which side it is.
_MOMENT_SECONDS = 0.001
# In such a part of an interval a send and its second try are given up: the next one is due up to an interval later.
_LOST = 0.7
# Whoever lost this server tries again after a while, which grows with the time it has been away up to this
# (https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md); otelmon's client tries in each interval.
_RECONNECT_SECONDS = 120.0
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
    # Silence counts from here: when it was heard of, or when it could be heard again.
    since: float
    # How often it sends, as it said itself.
    told_seconds: float = 0.0
    interval_seconds: float = 0.0
    delay_seconds: float = 0.0
    silent: bool = False
    # Whether it stands in the place of an instance that fell silent already.
    replaces: bool = False
    gaps: deque[float] = field(default_factory=lambda: deque(maxlen=GAPS))

    def settle(self, least: float) -> None:
        """Note how often it sends; not more often than each ``least`` seconds."""
        said = self.told_seconds
        self.interval_seconds = min(max(said, least), LONGEST_SECONDS) if said else rhythm(self.gaps, least=least)

    def excuse(self, at: float, away_seconds: float) -> None:
        """It could not be heard for so long, which is over at ``at``."""
        lost = away_seconds > _LOST * self.interval_seconds
        again = 0.0 if self.told_seconds else min(away_seconds, _RECONNECT_SECONDS)
        self.since = max(self.since, (at if lost else min(at, self.since + away_seconds)) + again)
        self.counted_at = min(at, self.counted_at + away_seconds)

    def silence(self, at: float) -> float:
        """For how many of its intervals it has been silent."""
        return max(0.0, at - self.since) / self.interval_seconds


class Presence:
    """Who sends to this server. ``heard`` and ``left`` may be called from any thread; instants are unix seconds.

    ``interval_seconds`` is how often `samples` is asked: no instance's interval is taken for shorter. An instance that
    fell silent is forgotten after ``forget_seconds``, and there are ``most`` at most; beyond them ``refused`` counts.
    ``look_at`` is when `fall_silent` has something to find at the earliest.
    ``tenant`` is whose they all are, a label of every metric unless empty.
    """

    def __init__(
        self, *, interval_seconds: float, forget_seconds: float = 86_400.0, most: int = 10_000, tenant: str = ""
    ) -> None:
        self._tenant = tenant
        self.refused = 0
        self.look_at = -math.inf
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
        # When this process was last known to run, and how long it may be unknown; None where nobody says.
        self._awake_at: float | None = None
        self._patience_seconds = 0.0
        self._looked_at: float | None = None

    def heard(
        self,
        job: str,
        instance: str,
        *,
        at: float,
        newest_at: float | None = None,
        interval_seconds: float | None = None,
    ) -> None:
        """A request of this instance came at ``at``; ``newest_at`` is the time of its newest point, if it has one.

        ``interval_seconds`` is how often it sends, where it says so. What has no job (a host's metrics, say) is nobody
        that could be missed by name.
        """
        if not job:
            return
        with self._lock:
            known = self._instances.get((job, instance))
            if known is None:
                if len(self._instances) >= self._most:
                    self.refused += 1
                    return
                replaces = self._takes_vacancy(job, at)
                known = _Instance(first_at=at, heard_at=at, counted_at=at, since=at, replaces=replaces)
                known.settle(self._least)
                self._instances[job, instance] = known
            gap = at - known.counted_at
            # What an interval brings may come in several requests: the first of them counts.
            if gap >= self._least / 2:
                known.gaps.append(gap)
                known.counted_at = at
                known.settle(self._least)
            if interval_seconds is not None and interval_seconds != known.told_seconds:
                known.told_seconds = interval_seconds
                known.settle(self._least)
            known.heard_at = known.since = max(known.heard_at, at)
            known.silent = False
            if newest_at is not None:
                known.delay_seconds = max(0.0, at - newest_at)

    def left(self, job: str, instance: str) -> None:
        """This instance was stopped by intent. With the last one that is up, those that had crashed are over too."""
        with self._lock:
            gone = self._instances.pop((job, instance), None)
            if gone is None:
                return
            self.look_at = -math.inf  # it may have been the last one of its service that was to be heard of
            successor = _successor(gone, self._candidates({job}).get(job, []))
            if successor is not None:
                successor.replaces = True
            else:
                self._vacancies.setdefault(job, deque(maxlen=self._most)).append(gone.heard_at)
            others = [who for who in self._instances if who[0] == job]
            if all(self._instances[who].silence(gone.heard_at) > SILENT_INTERVALS for who in others):
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
            if self._awake_at is not None:
                self._wake(at)
            self._judge(at)
            found = list(self._of_instances(at))
            found += self._of_services(at)
        return found

    def awake(self, at: float, *, patience_seconds: float) -> None:
        """This process runs at ``at``, and will say so again within ``patience_seconds``.

        Where it does not, it was stopped or starved, and could hear nobody: that is nobody's silence.
        """
        with self._lock:
            self._patience_seconds = patience_seconds
            self._wake(at)

    def fall_silent(self, bounds: Collection[float], *, at: float) -> bool:
        """Whether a service has, since the last call, been silent for one of these many intervals, in all instances."""
        found, next_at = False, at + SILENT_INTERVALS * self._least
        with self._lock:
            after = at if self._looked_at is None else self._looked_at
            for bound in bounds:
                ends: dict[str, float] = {}
                for (job, _), each in self._instances.items():
                    end = each.since + bound * each.interval_seconds + _MOMENT_SECONDS
                    if end > ends.get(job, -math.inf):
                        ends[job] = end
                found = found or any(after < end <= at for end in ends.values())
                # Whoever is heard of from now on is silent no sooner than that.
                next_at = min(next_at, at + bound * self._least, *(end for end in ends.values() if end > at))
            self.look_at, self._looked_at = next_at, at
        return found

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so much."""
        with self._lock:
            self.look_at += seconds
            self._awake_at = None if self._awake_at is None else self._awake_at + seconds
            self._looked_at = None if self._looked_at is None else self._looked_at + seconds
            for each in self._instances.values():
                each.first_at += seconds
                each.heard_at += seconds
                each.counted_at += seconds
                each.since += seconds

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
                    "told_seconds": each.told_seconds,
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
            heard_at = float(each["heard_at"])
            known = restored[str(each["job"]), str(each["instance"])] = _Instance(
                first_at=float(each["first_at"]),
                heard_at=heard_at,
                counted_at=heard_at,
                since=heard_at,
                told_seconds=float(each.get("told_seconds", 0.0)),
                silent=bool(each["silent"]),
                replaces=bool(each["replaces"]),
                gaps=deque(map(float, each["gaps"]), maxlen=GAPS),
            )
            known.settle(self._least)
        away_seconds = at - max((each.heard_at for each in restored.values()), default=at)
        for known in restored.values():
            if not known.silent:
                known.since = known.counted_at = at
                known.excuse(at, away_seconds)
        with self._lock:
            self._instances = restored
            self._awake_at = self._looked_at = None
            self.look_at = -math.inf

    def _takes_vacancy(self, job: str, at: float) -> bool:
        left = self._vacancies.get(job)
        while left:
            if left.popleft() > at - _OVERLAP_SECONDS:
                return True
        self._vacancies.pop(job, None)
        return False

    def _wake(self, at: float) -> None:
        slept = 0.0 if self._awake_at is None else at - self._awake_at
        self._awake_at = at
        if slept > self._patience_seconds:
            for each in self._instances.values():
                if not each.silent:
                    each.excuse(at, slept)

    def _judge(self, at: float) -> None:
        """Who is silent now, and of these who was replaced or is forgotten."""
        for each in self._instances.values():
            # Later than now is only who was heard of while the wall clock jumped.
            each.heard_at, each.counted_at = min(at, each.heard_at), min(at, each.counted_at)
            each.since = min(at + (0.0 if each.told_seconds else _RECONNECT_SECONDS), each.since)
            each.silent = each.silence(at) > SILENT_INTERVALS
        silent = [(who, each) for who, each in self._instances.items() if each.silent]
        candidates = self._candidates({who[0] for who, _ in silent})
        for who, each in silent:
            successor = _successor(each, candidates.get(who[0], []))
            if successor is not None:
                successor.replaces = True
            if successor is not None or at - each.heard_at > self._forget_seconds:
                del self._instances[who]

    def _candidates(self, jobs: Collection[str]) -> dict[str, list[_Instance]]:
        """Of each of these jobs the instances that send and are there in no other's place, the oldest first."""
        found: dict[str, list[_Instance]] = {}
        for (job, _), each in self._instances.items() if jobs else ():
            if job in jobs and not each.silent and not each.replaces:
                found.setdefault(job, []).append(each)
        for those in found.values():
            those.sort(key=_first_at)
        return found

    def _of_instances(self, at: float) -> Iterator[Sample]:
        for who, each in self._instances.items():
            series = self._series.get(who)
            if series is None:
                series = self._series[who] = _series_of(*who, self._tenant)
            values = (float(not each.silent), each.silence(at), each.heard_at, each.delay_seconds)
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


def _first_at(instance: _Instance) -> float:
    return instance.first_at


def _successor(before: _Instance, candidates: list[_Instance]) -> _Instance | None:
    """The instance that came in the place of one that is gone, taken from the candidates; None where there is none."""
    earliest = max(before.first_at + _COHORT_SECONDS, before.heard_at - _OVERLAP_SECONDS)
    index = bisect_right(candidates, earliest, key=_first_at)
    return candidates.pop(index) if index < len(candidates) else None


def _series_of(job: str, instance: str, tenant: str) -> tuple[Labels, ...]:
    return tuple(
        Labels({METRIC_NAME: name, "job": job, "instance": instance, TENANT: tenant})
        for name in (UP, SILENCE, LAST_SEEN, DELAY)
    )
