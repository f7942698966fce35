"""Siblings: what the processes of one service on one host have counted, left in the state directory, made one.

Each process leaves its last collection in a file of its own, replaced whole by a rename; the one that evaluates reads
them all. What a process had counted that has ended is folded into totals in the database, in a transaction that only
the holder of the lease can make, and its file is deleted after that: so no count is lost or taken twice, wherever a
process is killed or stopped, and the sums never fall.

Whether a process has ended is told by a lock on a second file: the system frees it with its process however that ends,
keeps it while the process is stopped, and a forked child does not inherit it. The ids of processes come again, locks
do not.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otelmon.clock import Clock
from otelmon.collect.gathered import Parser, Writer
from otelmon.collect.merge import Points, lasts, merge_into, merged
from otelmon.collect.translate import Point
from otelmon.errors import LostLeaseError, StateError
from otelmon.faults import Faults
from otelmon.labels import Labels
from otelmon.storage.store import Storage

FOLDER = "processes"
_POINTS, _LOCK, _PART = ".points", ".lock", ".part"
_VERSION = 1
_READING, _LEAVING = "siblings", "siblings.leave"
# A living process that has left nothing for so many intervals (it is stopped): its gauges say nothing any more.
_STALE_INTERVALS = 3
_STALE_SECONDS = 10.0
# How long the totals keep a series that no living process has: a rule that looks back sees it end only once.
_KEEP_SECONDS = 3600.0

# The ids of this process, and its number, which a forked child does not have. Asking whether a lock of ours is free
# would free it.
_mine: dict[str, int] = {}


@dataclass(slots=True, kw_only=True)
class _Sibling:
    """Another process as it was last read."""

    stamp: tuple[int, int, int]
    header: Mapping[str, Any]
    points: Mapping[str, Points]
    written_at: float
    alive: bool = True


@dataclass(slots=True, kw_only=True)
class _Totals:
    """What ended processes had counted, by source; ``touched`` is when the last of them was added (unix seconds)."""

    points: dict[str, Points] = field(default_factory=dict)
    touched: dict[Labels, float] = field(default_factory=dict)
    folded: list[str] = field(default_factory=list)


class Siblings:
    """The collections of all processes that share a state directory; see ``otelmon.collect.collector.Shared``.

    For one thread at a time. Raises OSError where the folder cannot be used; later failures are counted and logged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        about: Mapping[str, str],
        boot: str,
        interval_seconds: float,
        clock: Clock,
        faults: Faults,
        examples: Callable[[], Sequence[object]] = tuple,
    ) -> None:
        """``about`` is the job and the instance of all series, ``boot`` names the run of the machine.

        ``examples`` gives what this process has to show beside its counts, as JSON.
        """
        self.id = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._folder = folder / FOLDER
        self._header = {"version": _VERSION, "boot": boot, "pid": os.getpid(), **about}
        self._stale_seconds = max(_STALE_SECONDS, _STALE_INTERVALS * interval_seconds)
        self._clock = clock
        self._faults = faults
        self._own_examples = examples
        self._writer = Writer()
        self._lines: dict[str, list[str]] = {}
        self._parser = Parser()
        self._storage: Storage | None = None
        self._totals = _Totals()
        self._known: dict[str, _Sibling] = {}
        self._others: dict[str, Points] = {}
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _mine[self.id] = os.getpid()
        self._lock: int | None = _hold(self._folder, self.id)

    def begin_term(self, storage: Storage) -> bool:
        """This process evaluates from now on; whether there are counts of others to go on from.

        ``storage`` holds the lease: its totals are no other's to change meanwhile.
        """
        self._storage, self._known = storage, {}
        try:
            self._totals = self._read_totals(storage.totals())
        except StateError as error:
            self._faults.add(_READING, f"the counts of processes that ended cannot be read: {error}")
        self._tidy()
        self.gather()
        return bool(self._known or self._totals.points)

    def end_term(self) -> None:
        """Another process evaluates: count for oneself only."""
        self._storage, self._known, self._others, self._totals = None, {}, {}, _Totals()

    def gather(self) -> None:
        """Read what the others have left. What cannot be read counts as it was before."""
        if self._storage is None:
            return
        try:
            self._read_all()
        except OSError as error:
            self._faults.add(_READING, f"what other processes have counted cannot be read: {error}")
        self._others = {}
        for source, points in self._totals.points.items():
            self._add(source, points.values())
        for sibling in self._known.values():
            fresh = sibling.alive and self._clock.now() - sibling.written_at < self._stale_seconds
            for source, points in sibling.points.items():
                self._add(source, (point for point in points.values() if fresh or lasts(point)))

    def examples(self) -> list[object]:
        """What the other processes have to show beside their counts; from any thread."""
        return [example for sibling in tuple(self._known.values()) for example in sibling.header.get("examples", ())]

    def share(self, source: str, points: Iterator[Point]) -> Iterator[Point]:
        """The own points of a source, noted for `leave`, with those of the others merged into them."""
        lines: list[str] = []
        yield from merged(self._noted(points, lines), self._others.get(source, {}))
        self._lines[source] = lines

    def leave(self) -> None:
        """Write what was noted, and fold the counts of processes that have ended. Raises LostLeaseError."""
        if self._lock is None:
            return
        sources = {source: len(lines) for source, lines in self._lines.items()}
        header = {**self._header, "sources": sources, "examples": self._own_examples()}
        text = [json.dumps(header), *(line for lines in self._lines.values() for line in lines), ""]
        self._writer.forget_unused()
        path = self._folder / f"{self.id}{_POINTS}"
        try:
            _replace(path, "\n".join(text))
        except OSError as error:
            self._faults.add(_LEAVING, f"what this process has counted cannot be left to the others: {error}")
            return
        self._faults.clear(_LEAVING)
        self._fold()

    def close(self) -> None:
        """This process has ended: whoever evaluates may fold what it has left."""
        _mine.pop(self.id, None)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _noted(self, points: Iterable[Point], lines: list[str]) -> Iterator[Point]:
        for point in points:
            lines.append(self._writer.line(point))
            yield point

    def _add(self, source: str, points: Iterable[Point]) -> None:
        into = self._others.setdefault(source, {})
        for point in points:
            merge_into(into, point)

    def _read_all(self) -> None:
        found = {path.stem for path in self._folder.glob(f"*{_POINTS}")} - {self.id} - set(self._totals.folded)
        for id_ in found | self._known.keys():
            # Asked first: what is read of a process after its end is all that there will be.
            ended = self._has_ended(id_)
            try:
                if id_ in found:
                    self._read(id_)
            except OSError as error:
                self._faults.add(_READING, f"what process {id_} has counted cannot be read: {error}")
            except (ValueError, KeyError, TypeError, IndexError) as error:
                self._faults.add(_READING, f"what process {id_} has counted makes no sense: {error!r}")
                if ended and id_ not in self._known:
                    self._delete(id_)
            if id_ in self._known:
                self._known[id_].alive = not ended
        self._parser.forget_unused()

    def _tidy(self) -> None:
        """Delete what processes have left that ended before they had written anything whole."""
        for path in self._folder.glob(f"*{_LOCK}"):
            with suppress(OSError):
                if not path.with_suffix(_POINTS).exists() and self._has_ended(path.stem):
                    path.unlink(missing_ok=True)
        for path in self._folder.glob(f"*{_PART}"):
            with suppress(OSError):
                if self._clock.now() - path.stat().st_mtime > _KEEP_SECONDS:
                    path.unlink(missing_ok=True)

    def _has_ended(self, id_: str) -> bool:
        return _mine.get(id_) != os.getpid() and _is_free(self._folder / f"{id_}{_LOCK}")

    def _delete(self, id_: str) -> None:
        for suffix in (_POINTS, _LOCK):
            with suppress(OSError):
                (self._folder / f"{id_}{suffix}").unlink(missing_ok=True)

    def _read(self, id_: str) -> None:
        path = self._folder / f"{id_}{_POINTS}"
        with path.open(encoding="ascii") as file:
            found = os.fstat(file.fileno())
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            known = self._known.get(id_)
            if known is not None and known.stamp == stamp:
                return
            lines = file.read().splitlines()
        header = json.loads(lines[0])
        if header["version"] != _VERSION:
            raise ValueError(f"it is in format {header['version']}; this version reads {_VERSION}")
        points, at = {}, 1
        for source, count in header["sources"].items():
            each = self._parser.points(lines[at : at + count])
            points[source] = {point.series[0]: point for point in each}
            at += count
        if at != len(lines):
            raise ValueError(f"it has {len(lines)} lines instead of {at}")
        self._known[id_] = _Sibling(stamp=stamp, header=header, points=points, written_at=found.st_mtime)

    def _fold(self) -> None:
        ended = {id_: sibling for id_, sibling in self._known.items() if not sibling.alive}
        if self._storage is None or not ended:
            return
        now = self._clock.now()
        totals = self._with(ended, now)
        try:
            self._storage.keep_totals(self._totals_text(totals))
        except LostLeaseError:
            raise
        except StateError as error:
            self._faults.add(_READING, f"the counts of processes that ended cannot be kept: {error}")
            return
        self._totals = totals
        for id_ in ended:
            del self._known[id_]
            self._delete(id_)

    def _with(self, ended: Mapping[str, _Sibling], now: float) -> _Totals:
        """The totals with what these processes had counted."""
        living = set(self._writer.written)
        for sibling in self._known.values():
            if sibling.alive:
                living.update(labels for points in sibling.points.values() for labels in points)
        kept = {
            source: {
                labels: point
                for labels, point in points.items()
                if labels in living or now - self._totals.touched[labels] < _KEEP_SECONDS
            }
            for source, points in self._totals.points.items()
        }
        touched = self._totals.touched
        totals = _Totals(
            points=kept, touched={labels: touched[labels] for points in kept.values() for labels in points}
        )
        for sibling in ended.values():
            if any(sibling.header.get(name) != value for name, value in self._header.items() if name != "pid"):
                continue  # of another run of the machine, or of another host's name: its counts go on nowhere
            for source, points in sibling.points.items():
                for point in points.values():
                    # A callback's total goes on in the same process, when the app is only started again there.
                    if lasts(point) and (point.start is not None or sibling.header["pid"] != os.getpid()):
                        merge_into(totals.points.setdefault(source, {}), point)
                        totals.touched[point.series[0]] = now
        # Those whose files may still be there.
        totals.folded = [*(id_ for id_ in self._totals.folded if self._remains(id_)), *ended]
        return totals

    def _remains(self, id_: str) -> bool:
        path = self._folder / f"{id_}{_POINTS}"
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return path.exists()

    def _totals_text(self, totals: _Totals) -> str:
        writer = Writer()
        header = {**self._header, "folded": totals.folded, "sources": {s: len(p) for s, p in totals.points.items()}}
        lines = [
            f"{writer.line(point)}\t{totals.touched[labels]!r}"
            for points in totals.points.values()
            for labels, point in points.items()
        ]
        return "\n".join([json.dumps(header), *lines])

    def _read_totals(self, text: str) -> _Totals:
        if not text:
            return _Totals()
        try:
            lines = text.splitlines()
            header = json.loads(lines[0])
            totals = _Totals(folded=list(header["folded"]))
            if any(header.get(name) != value for name, value in self._header.items() if name != "pid"):
                return totals
            at = 1
            for source, count in header["sources"].items():
                parts = [line.rsplit("\t", 1) for line in lines[at : at + count]]
                points = list(self._parser.points(line for line, _ in parts))
                totals.points[source] = {point.series[0]: point for point in points}
                totals.touched |= {
                    point.series[0]: float(touched) for point, (_, touched) in zip(points, parts, strict=True)
                }
                at += count
        except (ValueError, KeyError, TypeError, IndexError) as error:
            self._faults.add(_READING, f"the counts of processes that ended cannot be read: {error}")
            return _Totals()
        return totals


def _replace(path: Path, text: str) -> None:
    """Write a file that others see whole or not at all."""
    part = path.with_suffix(_PART)
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w", encoding="ascii") as writing:
        writing.write(text)
    part.replace(path)


def _hold(folder: Path, id_: str) -> int:
    """A lock file of this process, locked before others can see it."""
    import fcntl

    part = folder / f"{id_}{_PART}"
    file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    part.rename(folder / f"{id_}{_LOCK}")
    return file


def _is_free(path: Path) -> bool:
    """Whether nobody holds the lock: its process has ended."""
    import fcntl

    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    finally:
        os.close(file)
    return True
