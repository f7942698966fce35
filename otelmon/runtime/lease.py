"""Lease: which process of a host evaluates and pages, of those that share a state directory.

The holder renews it from a thread of its own, a quarter of an interval apart; it ends one and a half intervals after
the last renewal, and the others ask for it eight times an interval: a holder that dies or is stopped is followed within
two. What a former holder still writes is refused (``otelmon.storage.lease``).
"""

from __future__ import annotations

import threading
from pathlib import Path

from otelmon.clock import Clock
from otelmon.errors import StateError
from otelmon.faults import Faults
from otelmon.storage.lease import Moment
from otelmon.storage.store import Storage

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LEASE_INTERVALS = 1.5
_RENEW_INTERVALS = 0.25
_ASK_INTERVALS = 0.125


class Lease:
    """One process's share in the lease; ``held`` as far as it knows.

    `take` is for the thread that evaluates, between two terms: a term that was lost is never taken up again. `renew` is
    for any thread, and asked just before a page is sent too: nobody takes over so soon after it. Where the state cannot
    be written, a holder stays one, since nobody else can take over either, and whoever is not stays so.
    """

    def __init__(
        self, storage: Storage, *, holder: str, interval_seconds: float, clock: Clock, faults: Faults, boot: str = ""
    ) -> None:
        """``holder`` is unique among the processes, ``boot`` names the run of the machine (`boot_id`)."""
        self.held = False
        self.seconds = _LEASE_INTERVALS * interval_seconds
        self.renew_seconds = _RENEW_INTERVALS * interval_seconds
        self.ask_seconds = _ASK_INTERVALS * interval_seconds
        self._storage = storage
        self._holder = holder
        self._clock = clock
        self._faults = faults
        self._boot = boot
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take it where it is free; true when it is held now."""
        with self._lock:
            try:
                self.held = self._storage.take_lease(self._holder, self._now(), self.seconds)
            except StateError as error:
                self.held = False
                self._faults.add("state", f"it cannot be asked which process evaluates: {error}")
            return self.held

    def renew(self) -> bool:
        """Hold it for longer; false once it is lost, and then for good."""
        with self._lock:
            if self.held:
                try:
                    self.held = self._storage.renew_lease(self._now(), self.seconds)
                except StateError as error:
                    self._faults.add("state", f"the lease on evaluating cannot be renewed: {error}")
            return self.held

    def release(self) -> None:
        """Give it up; another process takes over at once."""
        with self._lock:
            self.held = False
            try:
                self._storage.release_lease()
            except StateError as error:
                self._faults.add("state", f"the lease on evaluating cannot be given up, it ends by itself: {error}")

    def _now(self) -> Moment:
        return Moment(boot=self._boot, monotonic=self._clock.monotonic(), wall=self._clock.now())


def boot_id() -> str:
    """What names this run of the machine; empty where the system does not say."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
