"""Background: what asks the network, each job on its own interval and with a time limit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

from otelmon.clock import Clock
from otelmon.faults import Faults
from otelmon.instrument.own_calls import leave_out_calls

_T = TypeVar("_T")
# How soon a job that is added, or one whose time is over, is seen.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran(Generic[_T]):
    """One run of a job: what it returned, or the error that it raised (TimeoutError where its time was over)."""

    value: _T | None
    error: BaseException | None
    seconds: float


@dataclass(slots=True, kw_only=True, eq=False)
class Job(Generic[_T]):
    """Something to do every ``interval_seconds``; ``done`` is told how it went, once a run, from any thread.

    ``due`` (monotonic seconds) and ``current`` are kept by `Background`.
    """

    name: str
    run: Callable[[], _T]
    done: Callable[[Ran[_T]], None]
    interval_seconds: float
    timeout_seconds: float
    due: float = 0.0
    current: _Run[_T] | None = None


class _Run(Generic[_T]):
    """One run in its thread. It is told of once: by the thread at its end, or by the watcher when it takes too long."""

    def __init__(self, job: Job[_T], faults: Faults, deadline: float) -> None:
        self.deadline = deadline
        self._job = job
        self._faults = faults
        self._unclaimed = threading.Lock()
        self.thread = threading.Thread(target=self._main, name=f"otelmon-{job.name}"[:60], daemon=True)
        self.thread.start()

    def _main(self) -> None:
        leave_out_calls()
        began = perf_counter()
        value: _T | None = None
        error: BaseException | None = None
        try:
            value = self._job.run()
        except BaseException as raised:  # noqa: BLE001 (a probe may even raise SystemExit)
            error = raised
        self.tell(Ran(value=value, error=error, seconds=perf_counter() - began))

    def tell(self, ran: Ran[_T]) -> None:
        """Tell how it went, unless that was told."""
        if self._unclaimed.acquire(blocking=False):
            try:
                self._job.done(ran)
            except Exception as error:  # noqa: BLE001 (the other jobs go on)
                self._faults.add("background", f"the outcome of {self._job.name} cannot be taken", error)


class Background:
    """Runs jobs when they are due, each in a short-lived thread, so that one that hangs delays no other.

    A job that takes longer than its limit has failed at that moment, and is not started again until its thread has
    ended: it fails once an interval, and holds one thread.
    """

    def __init__(self) -> None:
        self._jobs: list[Job[object]] = []
        self._faults = Faults()

    def add(self, job: Job[_T]) -> None:
        """Run a job from now on; it is due at once."""
        self._jobs.append(job)  # type: ignore[arg-type]  # what a job returns goes to its own ``done``

    def clear(self, faults: Faults) -> None:
        """Forget all jobs; a run that is under way ends by itself and is told of."""
        self._jobs = []
        self._faults = faults

    def run(self, clock: Clock, stop: threading.Event) -> None:
        """Run what is due until ``stop`` is set."""
        while not clock.wait(stop, _LOOK_SECONDS):
            self.run_due(clock.monotonic())

    def run_due(self, at: float) -> None:
        """Start what is due, and give up on what takes too long. ``at`` is in monotonic seconds. Never raises."""
        for job in list(self._jobs):
            try:
                self._look(job, at)
            except Exception as error:  # noqa: BLE001 (no thread can be started, say)
                self._faults.add("background", f"{job.name} cannot be run", error)

    def wait(self, timeout_seconds: float) -> None:
        """Wait in real time until no job runs, or the time is over."""
        deadline = perf_counter() + timeout_seconds
        for job in list(self._jobs):
            if job.current is not None:
                job.current.thread.join(max(0.0, deadline - perf_counter()))

    def _look(self, job: Job[object], at: float) -> None:
        run = job.current
        hangs = run is not None and run.thread.is_alive()
        if run is not None and hangs and at >= run.deadline:
            run.tell(_late(job))
        if at < job.due:
            return
        # Several intervals late (a suspended machine) is one run, not many.
        job.due = at + job.interval_seconds
        if not hangs:
            job.current = _Run(job, self._faults, at + job.timeout_seconds)
        elif run is not None and at > run.deadline:
            job.done(_late(job))


def _late(job: Job[object]) -> Ran[object]:
    return Ran(value=None, error=TimeoutError(), seconds=job.timeout_seconds)
