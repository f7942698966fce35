"""Lane: one signal on its way to one target, in the order of arrival."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass
from typing import assert_never

from otelmon.collect.otlp import Signal
from otelmon.faults import Faults, logger
from otelmon.server.forward.answers import Accepted, Later, Refused, Sender
from otelmon.server.forward.buffer import Batch, Buffer

_MANY = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """How long things wait, in seconds, and how much goes at once.

    ``batch_bytes`` stays below the 4 MiB that receivers over gRPC take by default.
    """

    batch_seconds: float = 0.2
    batch_bytes: int = 2 * 2**20
    first_retry_seconds: float = 1.0
    longest_retry_seconds: float = 30.0
    longest_pause_seconds: float = 600.0
    drain_seconds: float = 5.0
    sync_seconds: float = 1.0

    def retry_seconds(self, attempts: int, asked_seconds: float | None, share: float) -> float:
        """How long to wait after so many failed attempts, of which ``share`` (0 to 1) spreads the half of it.

        Never less than the other side asks for, as far as that is believed.
        """
        longest = min(self.longest_retry_seconds, self.first_retry_seconds * 2.0 ** min(attempts - 1, 16))
        return max(min(asked_seconds or 0.0, self.longest_pause_seconds), longest * (0.5 + 0.5 * share))


class Counts:
    """What became of the requests of one lane; read from any thread. Losses are logged, once a reason."""

    def __init__(self, signal: Signal, target: str, faults: Faults) -> None:
        """``target`` is its name and place for logs."""
        self.sent = 0
        self.rejected = 0
        self.retries = 0
        self.dropped: Counter[str] = Counter()
        self._what, self._target = signal.lower(), target
        self._faults = faults
        self._told: dict[str, str] = {}
        self._lock = threading.Lock()

    def drop(self, requests: int, reason: str, said: str = "") -> None:
        """Requests are lost for a reason, of which there are few; ``said`` is what the target says of it."""
        with self._lock:
            self.dropped[reason] += requests
        self._tell(f"{self._what} for {self._target} are lost: {reason}", said)

    def reject(self, items: int, said: str) -> None:
        """The target has taken a request, but not so many points, spans or records of it."""
        self.rejected += items
        self._tell(f"{self._target} takes {self._what}, but not all of them", said)

    def _tell(self, what: str, said: str) -> None:
        # What a target says may differ each time; the first of it is what is logged.
        self._faults.add("forward.lost", self._told.setdefault(what, f"{what} ({said})" if said else what))


class Lane:
    """Takes batches from its buffer and sends them, one at a time; serialised requests are joined by joining bytes.

    A batch that the target will not have is sent again in its parts, so that only the request that it refuses is lost.
    """

    def __init__(
        self,
        signal: Signal,
        buffer: Buffer,
        sender: Sender,
        *,
        counts: Counts,
        target: str,
        timeout_seconds: float,
        tempo: Tempo,
        faults: Faults,
    ) -> None:
        """``target`` is its name and place for logs."""
        self.signal = signal
        self.buffer = buffer
        self.counts = counts
        self._sender = sender
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._tempo = tempo
        self._faults = faults
        self._kind = f"forward.{target}.{signal.lower()}"
        self._failing = False
        self._attempts = 0
        # So many bodies are sent each in a request of its own: one of them was refused.
        self._singly = 0
        self._more = False

    def run(self, stop: threading.Event) -> None:
        """Send until ``stop``, then what can be sent at once. Whoever sets it sets ``buffer.arrived`` too."""
        while not stop.is_set():
            try:
                self.buffer.arrived.wait()
                if not self._more:
                    stop.wait(self._tempo.batch_seconds)
                later = self._step(self._timeout_seconds)
                if later is not None:
                    self._attempts += 1
                    self.counts.retries += 1
                    stop.wait(self._tempo.retry_seconds(self._attempts, later.seconds, random.random()))  # noqa: S311
            except Exception as error:  # noqa: BLE001 (the lane goes on)
                self._faults.add("forward", f"{self._words()} cannot be forwarded", error)
                stop.wait(self._tempo.first_retry_seconds)
        try:
            while self.buffer.waiting and self._step(self._tempo.drain_seconds) is None:
                pass
        except Exception as error:  # noqa: BLE001 (the server is stopping; it must)
            self._faults.add("forward", f"{self._words()} cannot be forwarded", error)
        self._sender.close()

    def _step(self, timeout_seconds: float) -> Later | None:
        """Send one batch, if there is one; what is not done with then comes again with the next step."""
        batch = self.buffer.take(self._tempo.batch_bytes, 1 if self._singly else _MANY)
        self._more = self.buffer.waiting > 0
        if batch is None:
            return None
        done, later = False, None
        try:
            done, later = self._send(batch, timeout_seconds)
        finally:
            if done:
                self._attempts = 0
                self._singly = max(0, self._singly - len(batch.bodies))
                self.buffer.done(batch)
            else:
                self.buffer.back(batch)
        return later

    def _send(self, batch: Batch, timeout_seconds: float) -> tuple[bool, Later | None]:
        """Send once: whether the batch is done with, and where it is not for now, when to come again."""
        body = batch.bodies[0] if len(batch.bodies) == 1 else b"".join(batch.bodies)
        answer = self._sender.send(self.signal, body, timeout_seconds)
        match answer:
            case Accepted():
                self._sent(batch, answer)
            case Refused() if answer.for_content and len(batch.bodies) > 1:
                self._singly = len(batch.bodies)
                return False, None
            case Refused():
                self.counts.drop(len(batch.bodies), answer.reason, answer.message)
            case Later():
                self._failing = True
                self._faults.add(self._kind, f"{self._words()} wait for {self._target}: {answer.reason}")
                return False, answer
            case _:
                assert_never(answer)
        return True, None

    def _sent(self, batch: Batch, answer: Accepted) -> None:
        self.counts.sent += len(batch.bodies)
        if self._failing:
            self._failing = False
            self._faults.clear(self._kind)
            logger.info("otelmon: %s takes %s again", self._target, self._words())
        if answer.rejected or answer.message:
            self.counts.reject(answer.rejected, answer.message)

    def _words(self) -> str:
        return self.signal.lower()
