"""What waits for one target: on disk, and in memory where the disk does not take it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from otelmon.faults import Faults, logger
from otelmon.server.forward.disk_queue import DiskQueue, end_sync

_MEMORY_BYTES = 2**24
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What was taken to be sent. ``on_disk`` is whether the disk still has it."""

    bodies: tuple[bytes, ...]
    on_disk: bool


class Buffer:
    """A queue that any thread fills and one thread empties, bounded in bytes: the oldest goes when it is full.

    A body is on disk when `put` returns. Where the disk is full, broken, or another process has the queue, bodies
    stay in memory, bounded too, until it takes them again; that is said once. The order of arrival is kept throughout.
    ``on_dropped`` is told how many bodies had to go, and why.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str,
        size_bytes: int,
        on_dropped: Callable[[int, str], None],
        monotonic: Callable[[], float],
        faults: Faults,
    ) -> None:
        self.arrived = threading.Event()
        self._directory = directory
        self._name = name
        self._size = size_bytes
        self._memory_size = min(size_bytes, _MEMORY_BYTES)
        self._on_dropped = on_dropped
        self._monotonic = monotonic
        self._faults = faults
        self._fault = f"forward.queue.{name}"
        self._lock = threading.Lock()
        self._memory: deque[bytes] = deque()
        self._memory_bytes = 0
        self._disk: DiskQueue | None = None
        self._retry_at: float | None = None
        with self._lock:
            self._spill()
        if self.waiting:
            self.arrived.set()

    @property
    def size_bytes(self) -> int:
        """What is kept until it is done, in bytes."""
        with self._lock:
            return self._memory_bytes + (0 if self._disk is None else self._disk.owed_bytes)

    @property
    def waiting(self) -> int:
        """How many bodies were not taken yet."""
        with self._lock:
            return len(self._memory) + (0 if self._disk is None else self._disk.waiting)

    def put(self, body: bytes) -> None:
        """Add a body at the end. Never raises, and waits for nothing but the disk."""
        with self._lock:
            self._memory.append(body)
            self._memory_bytes += len(body)
            if self._retry_at is None or self._monotonic() >= self._retry_at:
                self._spill()
            self._trim()
        self.arrived.set()

    def take(self, most_bytes: int, most_bodies: int) -> Batch | None:
        """The next bodies, at most so many bytes but one at least; None where nothing waits."""
        with self._lock:
            found = [] if self._disk is None else self._disk.take(most_bytes, most_bodies)
            if found:
                return Batch(bodies=tuple(found), on_disk=True)
            room = most_bytes
            while self._memory and len(found) < most_bodies and (not found or len(self._memory[0]) <= room):
                found.append(self._memory.popleft())
                room -= len(found[-1])
                self._memory_bytes -= len(found[-1])
            if not found:
                self.arrived.clear()
            return Batch(bodies=tuple(found), on_disk=False) if found else None

    def done(self, batch: Batch) -> None:
        """These are delivered, or given up."""
        with self._lock:
            if batch.on_disk and self._disk is not None:
                self._disk.done()

    def back(self, batch: Batch) -> None:
        """These come again with the next `take`."""
        with self._lock:
            if not batch.on_disk:
                self._memory.extendleft(reversed(batch.bodies))
                self._memory_bytes += sum(map(len, batch.bodies))
            elif self._disk is not None:
                self._disk.back()
                self._tell_drops()
        self.arrived.set()

    def tend(self) -> None:
        """Have the disk write what is new, and take what had to wait in memory. Called once a second; never raises."""
        with self._lock:
            if self._memory or self._disk is None:
                self._spill()
                self._trim()
            handles = []
            with suppress(OSError):  # no more handles: the next time
                handles = [] if self._disk is None else self._disk.begin_sync()
        try:
            end_sync(handles)
        except OSError as error:
            self._faults.add(self._fault, f"the disk does not confirm {self._name}", error)

    def close(self) -> None:
        """Leave what waits to the next start, as far as it is on disk."""
        self.tend()
        with self._lock:
            if self._disk is not None:
                self._disk.close()
                self._disk = None
            if self._memory:
                self._on_dropped(len(self._memory), "not on disk at the end")
                self._memory.clear()
                self._memory_bytes = 0

    def _spill(self) -> None:
        """Move what is in memory to the disk, as far as that takes it."""
        try:
            if self._disk is None:
                self._disk = DiskQueue(self._directory, size_bytes=self._size)
                self._tell_damage(self._disk)
            while self._memory:
                self._disk.append(self._memory[0])
                self._memory_bytes -= len(self._memory.popleft())
        except OSError as error:
            if self._retry_at is None:
                kept = f"the newest {self._memory_size // 2**20} MiB are kept in memory"
                self._faults.add(self._fault, f"{self._name} cannot be written to disk; {kept}", error)
            self._retry_at = self._monotonic() + _RETRY_SECONDS
        else:
            if self._retry_at is not None:
                self._retry_at = None
                self._faults.clear(self._fault)
                logger.info("otelmon: %s are written to disk again", self._name)
        self._tell_drops()

    def _tell_drops(self) -> None:
        if self._disk is not None and self._disk.dropped:
            self._on_dropped(self._disk.dropped, "the queue is full")
            self._disk.dropped = 0

    def _trim(self) -> None:
        dropped = 0
        while self._memory_bytes > self._memory_size:
            self._memory_bytes -= len(self._memory.popleft())
            dropped += 1
        if dropped:
            self._on_dropped(dropped, "the queue is full")

    def _tell_damage(self, disk: DiskQueue) -> None:
        if disk.damaged:
            what = f"{disk.damaged} files of {self._name} were damaged; what is in them goes on up to there"
            self._faults.add(self._fault, what)
