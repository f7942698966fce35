"""Ticks: runs each tick, and knows whether it was good and when the next one is late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from otelmon.errors import LostLeaseError
from otelmon.faults import Faults

if TYPE_CHECKING:
    from otelmon.runtime.engine import Engine

# After so many intervals, and some seconds for a busy machine, a tick is late.
_LATE_INTERVALS = 2
_LATE_GRACE_SECONDS = 5.0
_COUNTED = ("collect", "state")


class Flaw(StrEnum):
    """What a tick that was not good lacked; the word is the metric's ``error.type``."""

    TICK = "tick"
    COLLECT = "collect"
    EVALUATE = "evaluate"
    STATE = "state"

    @property
    def words(self) -> str:
        """For people; nothing secret, so it may leave the process. The cause is in the log."""
        return {
            Flaw.TICK: "the tick failed",
            Flaw.COLLECT: "metrics cannot be collected",
            Flaw.EVALUATE: "no rule can be evaluated",
            Flaw.STATE: "the state cannot be written",
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A tick that has ended: begun at unix second ``at``, how long it took, and what it lacked (None: it was good)."""

    at: float
    seconds: float
    flaw: Flaw | None = None


Heard = Callable[[Tick], None]


class Ticks:
    """Runs the ticks of one engine.

    A tick is good when everything was collected, a rule could be evaluated, and what it decided was written to disk. A
    single metric or rule that fails spoils none: that is the user's to mend, and is counted as a fault of its own.
    ``count`` and ``failed`` count the ticks since `begin`.
    """

    def __init__(self, *, interval_seconds: float, monotonic: Callable[[], float], faults: Faults) -> None:
        self.interval_seconds = interval_seconds
        self._monotonic = monotonic
        self._faults = faults
        self.count = 0
        self.failed = 0
        self.last: Tick | None = None
        self._began_at: float | None = None
        self._ended_at = 0.0
        self._lock = threading.Lock()
        self._following: list[Heard] = []
        self._waiting: list[Heard] = []

    def begin(self) -> None:
        """The watching begins, for the first time or anew after a pause or a fork; who followed does so no longer."""
        self.count = self.failed = 0
        self.last = None
        self._began_at = self._ended_at = self._monotonic()
        self._lock = threading.Lock()  # one that a fork may have copied while it was held would stay so
        self._following = []

    @property
    def uptime_seconds(self) -> float:
        """How long this process has watched; 0 before it does."""
        return 0.0 if self._began_at is None else self._monotonic() - self._began_at

    @property
    def patience_seconds(self) -> float:
        """How long the end of the next tick may still take until it is late; negative when it is."""
        allowed = _LATE_INTERVALS * self.interval_seconds + _LATE_GRACE_SECONDS
        return allowed if self._began_at is None else self._ended_at + allowed - self._monotonic()

    def run(self, engine: Engine, at: float) -> None:
        """One tick at unix second ``at``, then everybody who listens; nothing that fails goes further."""
        began = self._monotonic()
        before = {kind: self._faults.counts[kind] for kind in _COUNTED}
        try:
            engine.tick(at)
            flaw = self._flaw(engine, at, before)
        except LostLeaseError:
            raise  # another process evaluates by now
        except Exception as error:  # noqa: BLE001 (the loop goes on)
            self._faults.add("tick", "tick failed", error)
            flaw = Flaw.TICK
        with self._lock:
            listeners = (*self._following, *self._waiting)
        self._end(Tick(at=at, seconds=self._monotonic() - began, flaw=flaw), listeners)

    def stand_by(self, at: float) -> None:
        """This process has left its counts to the one that evaluates: a good tick, which only who asks hears of."""
        with self._lock:
            listeners = tuple(self._waiting)
        self._end(Tick(at=at, seconds=0.0), listeners)

    def _end(self, tick: Tick, listeners: Sequence[Heard]) -> None:
        self._ended_at = self._monotonic()
        self.last = tick
        self.count += 1
        self.failed += tick.flaw is not None
        for listener in listeners:
            try:
                listener(tick)
            except Exception as error:  # noqa: BLE001 (one that fails keeps the others from nothing)
                self._faults.add("tick", "what follows a tick failed", error)

    def follow(self, heard: Heard) -> None:
        """Call this after each tick until the next `begin`, in the engine's thread: it may not block."""
        with self._lock:
            self._following.append(heard)

    @contextmanager
    def listening(self, heard: Heard) -> Iterator[None]:
        """Call this after each tick while the block lasts, also after a `begin`."""
        with self._lock:
            self._waiting.append(heard)
        try:
            yield
        finally:
            with self._lock:
                self._waiting.remove(heard)

    def _flaw(self, engine: Engine, at: float, before: dict[str, int]) -> Flaw | None:
        if self._faults.counts["collect"] > before["collect"]:
            return Flaw.COLLECT
        evaluated = [each.last for each in engine.rules.watched if each.last is not None and each.last.at >= at]
        if evaluated and all(last.problem for last in evaluated):
            return Flaw.EVALUATE
        if engine.disk is None or self._faults.counts["state"] > before["state"]:
            return Flaw.STATE
        return None
