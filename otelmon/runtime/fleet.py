"""Fleet: what the engine of a server collects, in the place of one process's `Collector`.

The server's own metrics, what clients have sent since the last tick, and who of them has stopped sending. Who was heard
of when is left beside the state, so that a service that dies while the server restarts is missed all the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, overload

from otelmon.collect.presences import Presences
from otelmon.faults import Faults
from otelmon.labels import Labels
from otelmon.runtime.source import Source
from otelmon.sample import Sample

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

PRESENCE_FILE = "instances.json"
"""Where, in the state directory, it is left who was heard of when."""


class Fed(Protocol):
    """What takes in what clients send: ``otelmon.collect.ingest.Ingest``."""

    @property
    def overflowed(self) -> int:
        """How many points were left out because there were too many series."""

    def collect(self, at: float) -> Sequence[Sample]:
        """All that came since the last collection, as samples of ``at`` (unix seconds). Never raises."""

    def resume(self, known: Collection[Labels], at: float) -> None:
        """Go on where an earlier process stopped at ``at``, whose window had these series."""

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so much."""


class Fleet:
    """Collects the server's own metrics and those of its clients; see `otelmon.runtime.engine.Source`."""

    def __init__(self, own: Source, fed: Fed, presence: Presences, *, state_dir: Path, faults: Faults) -> None:
        """``collects`` is whether this process evaluates; ``measured`` is what the last collection had of the server
        itself, and of who sends.
        """
        self._own = own
        self._fed = fed
        self._presence = presence
        self._file = state_dir / PRESENCE_FILE
        self._faults = faults
        self.collects = False
        self.measured: Sequence[Sample] = ()
        self._measured: Sequence[Sample] = ()

    @property
    def overflowed(self) -> int:
        """How many points were left out for want of room."""
        return self._own.overflowed + self._fed.overflowed

    @property
    def latest(self) -> MetricsData | None:
        """What the server itself measured last."""
        return self._own.latest

    @property
    def finest(self) -> MetricsData | None:
        """The same, with request histograms at the recorder's own resolution."""
        return self._own.finest

    def gather(self) -> None:
        """See `Collector.gather`."""
        self._own.gather()

    def leave(self) -> None:
        """Write what the next process has to know."""
        self._own.leave()
        try:
            part = self._file.with_suffix(".part")
            part.write_text(json.dumps(self._presence.state()), encoding="utf-8")
            part.replace(self._file)
        except OSError as error:
            self._faults.add("state", f"who has sent when cannot be kept over a restart: {error}")

    def collect(self, at: float) -> Sequence[Sample]:
        """Everything measured here and sent by others until ``at``. Never raises."""
        if not self.collects:
            self._restore(at)  # this process evaluates from now on; nobody could be heard until now
        self._measured = self._own.collect(at)
        fed = self._fed.collect(at)
        try:
            self.senders(at)
        except Exception as error:  # noqa: BLE001 (what was sent is evaluated all the same)
            self._faults.add("collect", "who sends cannot be told", error)
            self.measured = self._measured
        self.collects = True
        return _Joined([self.measured, fed])

    def senders(self, at: float) -> Sequence[Sample]:
        """Who sends, and who has stopped, as samples of ``at``."""
        found = self._presence.samples(at)
        self.measured = _Joined([self._measured, found])
        return found

    def count(self, at: float) -> None:
        """See `Collector.count`: another process evaluates, and this one takes nothing in."""
        self.collects = False
        self._own.count(at)

    def recording(self, known_at: float) -> tuple[float, str] | None:
        """The server's own last collection; see `Collector.recording`."""
        return self._own.recording(known_at)

    def resume(self, known: Collection[Labels], at: float) -> None:
        """Go on where another process stopped at ``at``; clients count on where they were."""
        self._own.resume(known, at)
        self._fed.resume(known, at)

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so much."""
        self._own.shift(seconds)
        self._fed.shift(seconds)
        self._presence.shift(seconds)

    def _restore(self, at: float) -> None:
        try:
            self._presence.restore(json.loads(self._file.read_text(encoding="utf-8")), at=at)
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._faults.add("state", f"who had sent before cannot be read from {self._file.name}", error)


class _Joined(Sequence[Sample]):
    """Several collections as one, without making the samples of any before they are read."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Sequence[Sample]]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[Sample]:
        return chain.from_iterable(self._parts)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        return list(self)[index]
