"""Queues: how many jobs wait, how long the oldest has, and how long it took until jobs were started."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from otelmon.faults import Faults
from otelmon.instrument.background import Background, Job, Ran

NAME = "otelmon.queue.name"
_INTERVAL_SECONDS = 15.0
_TIMEOUT_SECONDS = 5.0
_BOUNDS_SECONDS = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0)
_MOST_QUEUES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits in a queue: how many jobs, and how long the oldest has (seconds; 0 when none waits, None: unknown)."""

    depth: int | None = None
    oldest_age_seconds: float | None = None


class Queue:
    """A queue of the application's own, as `otelmon.queue` returns it."""

    def __init__(self, queues: Queues, name: str) -> None:
        self.name = name
        self._queues = queues

    def started(self, enqueued_at: datetime | float) -> None:
        """A job is started that was enqueued then: an aware datetime, a naive one in UTC, or unix seconds."""
        self._queues.started(self.name, enqueued_at)


class _Watched:
    def __init__(self, name: str, faults: Faults) -> None:
        self.attributes = {NAME: name}
        self.backlog = Backlog()
        self._faults = faults

    def done(self, ran: Ran[Backlog]) -> None:
        self.backlog = ran.value or Backlog()
        name = self.attributes[NAME]
        if ran.error is None:
            self._faults.clear(f"queue.{name}")
        else:
            # Without its text: a broker's address may be in it.
            self._faults.add(f"queue.{name}", f"the queue {name} cannot be read: {type(ran.error).__name__}")


class Queues:
    """The queues of one process.

    Instruments, by ``otelmon.queue.name``: ``otelmon.queue.depth`` ({job}), ``otelmon.queue.oldest_age`` (s) and the
    histogram ``otelmon.queue.delay`` (s, from enqueue to start). ``now`` is the wall clock, in unix seconds.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._declared: dict[str, Callable[[], Backlog]] = {}
        self._watched: dict[str, _Watched] = {}
        self._delayed: set[str] = set()
        self._background: Background | None = None
        self._delay: Histogram | None = None
        self._faults = Faults()

    def declare(
        self, name: str, depth: Callable[[], int] | None, oldest_age: Callable[[], float | None] | None
    ) -> Queue:
        """A queue that functions of the application look into; they run in the background."""

        def read() -> Backlog:
            return Backlog(
                depth=None if depth is None else int(depth()),
                oldest_age_seconds=None if oldest_age is None else oldest_age() or 0.0,
            )

        if depth is not None or oldest_age is not None:
            self.watch(name, read)
        return Queue(self, name)

    def watch(self, name: str, read: Callable[[], Backlog]) -> None:
        """Read a queue's backlog from time to time, in the background; a later one of the same name is ignored."""
        self._declared.setdefault(name, read)
        if self._background is not None:
            self._start(name, self._declared[name])

    def started(self, name: str, enqueued_at: datetime | float) -> None:
        """A job of a queue is started. Never raises."""
        if self._delay is None:
            return
        try:
            if isinstance(enqueued_at, datetime):
                aware = enqueued_at if enqueued_at.tzinfo is not None else enqueued_at.replace(tzinfo=UTC)
                enqueued_at = aware.timestamp()
            if name not in self._delayed and len(self._delayed) >= _MOST_QUEUES:
                self._faults.add("queue", f"more than {_MOST_QUEUES} queues; further ones are not watched")
                return
            self._delayed.add(name)
            # Two machines' clocks differ a little.
            self._delay.record(max(0.0, self.now() - enqueued_at), {NAME: name})
        except Exception as error:  # noqa: BLE001 (the job matters more)
            self._faults.add("queue", "the delay of a job could not be recorded", error)

    def begin(self, meter: Meter, background: Background, faults: Faults) -> None:
        """Look into queues from now on."""
        self._background, self._faults = background, faults
        self._delay = meter.create_histogram(
            "otelmon.queue.delay",
            "s",
            "How long jobs waited until they were started.",
            explicit_bucket_boundaries_advisory=_BOUNDS_SECONDS,
        )
        meter.create_observable_gauge(
            "otelmon.queue.depth", [self._callback(lambda backlog: backlog.depth)], "{job}", "Jobs that wait."
        )
        meter.create_observable_gauge(
            "otelmon.queue.oldest_age",
            [self._callback(lambda backlog: backlog.oldest_age_seconds)],
            "s",
            "How long the oldest job has waited.",
        )
        for name, read in self._declared.items():
            self._start(name, read)

    def end(self) -> None:
        """Forget what was found; what was declared stays for the next `begin`."""
        self._background = self._delay = None
        self._watched = {}

    def _start(self, name: str, read: Callable[[], Backlog]) -> None:
        if self._background is None or name in self._watched:
            return
        watched = self._watched[name] = _Watched(name, self._faults)
        self._background.add(
            Job(
                name=f"queue {name}",
                run=read,
                done=watched.done,
                interval_seconds=_INTERVAL_SECONDS,
                timeout_seconds=_TIMEOUT_SECONDS,
            )
        )

    def _callback(self, read: Callable[[Backlog], float | None]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            found = [(watched, read(watched.backlog)) for watched in list(self._watched.values())]
            return [Observation(value, watched.attributes) for watched, value in found if value is not None]

        return observe


def watch_library(queues: Queues, queue: Any, name: str | None) -> None:
    """Watch the queues of a Celery application, or one of RQ. Raises TypeError for anything else."""
    from otelmon.instrument.job_queues import watch_celery, watch_rq

    root = {kind.__module__.partition(".")[0] for kind in type(queue).__mro__}
    if "celery" in root and hasattr(queue, "amqp"):
        watch_celery(queues, queue, name)
    elif "rq" in root and hasattr(queue, "get_job_ids"):
        watch_rq(queues, queue, name)
    else:
        kind = f"{type(queue).__module__}.{type(queue).__qualname__}"
        raise TypeError(
            f"otelmon.watch_queue takes a Celery application or a Queue of RQ, not {kind}; see otelmon.queue"
        )
