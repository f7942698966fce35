"""RequestRecorder: the counts of the requests of one process, written by its event loop and read by any thread."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Protocol, overload

from otelmon.instrument.buckets import SLOT_BOUNDS, outer_slot, split_slots
from otelmon.instrument.model import ActiveCell, RequestCell, RequestSnapshot, Traffic

# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ (http.request.method)
_KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_KNOWN_SCHEMES = frozenset({"http", "https", "ws", "wss"})
OTHER = "_OTHER"

_LaneKey = tuple[Traffic, str, str]  # traffic, method, scheme
_CellKey = tuple[str, int, str]  # route, status, error type


class Lane(Protocol):
    """Exchanges of one kind of traffic, method and scheme; each is begun once and then either ended or left."""

    def begin(self) -> None:
        """One more exchange is in flight."""

    def end(self, route: str, status: int, error_type: str, seconds: float) -> None:
        """An exchange in flight is over: count it. ``status`` is 0 where no response was started."""

    def leave(self) -> None:
        """An exchange in flight goes on in another lane."""


class Counts(Protocol):
    """Where the request middleware counts: a RequestRecorder, or OTel instruments in portable mode.

    ``requests`` holds the lanes of Traffic.REQUEST that were asked for, by (method, scheme) as the server spelled
    them: the look-up of the hot path. A miss goes to `lane`, which fills it.
    """

    requests: dict[tuple[str, str], Lane]

    def lane(self, traffic: Traffic, method: str, scheme: str) -> Lane:
        """The lane of these attributes; an unknown method or scheme is ``_OTHER``."""

    def forget(self) -> None:
        """Drop what was counted, as a forked child does with its parent's counts."""


def known_methods() -> frozenset[str]:
    """The methods that are told apart: semconv's, or those of OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS."""
    names = {name.strip() for name in os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "").split(",")}
    return frozenset(names - {""}) or _KNOWN_METHODS


def known_scheme(scheme: str) -> str:
    """The scheme, or ``_OTHER`` where it is not one of http, https, ws and wss."""
    return scheme if scheme in _KNOWN_SCHEMES else OTHER


class _Cell:
    """Counts by slot and the sum of seconds of one set of attributes."""

    __slots__ = ("slots", "sum")

    def __init__(self) -> None:
        self.slots: dict[int, int] = {}
        self.sum = 0.0


class _RecorderLane:
    """Counts in flight and cells by (route, status, error type)."""

    __slots__ = ("active", "cells", "key", "recorder")

    def __init__(self, recorder: RequestRecorder, key: _LaneKey) -> None:
        self.recorder = recorder
        self.key = key
        self.active = 0
        self.cells: dict[_CellKey, _Cell] = {}

    def begin(self) -> None:
        self.active += 1

    def leave(self) -> None:
        self.active -= 1

    def end(self, route: str, status: int, error_type: str, seconds: float) -> None:
        self.active -= 1
        try:
            cell = self.cells[route, status, error_type]
        except KeyError:
            cell = self.recorder._cell(self, route, status, error_type)  # noqa: SLF001 (the lane is its part)
        slot = bisect_left(SLOT_BOUNDS, seconds)
        if not 0 < slot < _SLOTS:
            slot = outer_slot(seconds)
        # The sum first: a snapshot between the two lines has a sum that is one observation ahead, never behind.
        cell.sum += seconds
        slots = cell.slots
        try:
            slots[slot] += 1
        except KeyError:
            slots[slot] = 1


_SLOTS = len(SLOT_BOUNDS)


class RequestRecorder:
    """Counts the requests of this process; bounded, without locks.

    One event loop writes (through `lane`); `snapshot` may be called from any thread meanwhile. ``start_at`` is the
    unix time at which counting begins. At most ``max_cells`` sets of attributes are told apart; beyond them each kind
    of traffic has one overflow cell, and ``overflowed`` is the number of exchanges that went there.
    """

    def __init__(self, *, start_at: float, max_cells: int = 2000) -> None:
        self.start_at = start_at
        self.max_cells = max_cells
        self.overflowed = 0
        self._methods = known_methods()
        self.requests: dict[tuple[str, str], Lane] = {}
        self._lanes: dict[_LaneKey, _RecorderLane] = {}
        self._overflow: dict[Traffic, _Cell] = {}
        self._cell_count = 0

    def lane(self, traffic: Traffic, method: str, scheme: str) -> Lane:
        """The lane of these attributes; an unknown method or scheme is ``_OTHER``."""
        key = (traffic, method if method in self._methods else OTHER, known_scheme(scheme))
        found = self._lanes.get(key)
        if found is None:
            found = self._lanes.setdefault(key, _RecorderLane(self, key))
        if traffic is Traffic.REQUEST and key[1:] == (method, scheme):
            self.requests[method, scheme] = found
        return found

    def forget(self) -> None:
        """Drop all counts; exchanges still in flight are not counted when they end."""
        self.requests = {}
        self._lanes = {}
        self._overflow = {}
        self._cell_count = 0
        self.overflowed = 0

    def snapshot(self) -> RequestSnapshot:
        """A copy of the counts, from any thread.

        Each cell agrees with itself: its count is the sum of its buckets in both histograms. Cells are copied one
        after the other while requests go on.
        """
        # dict.copy is one step for other threads; iterating over the dict itself would not be.
        lanes = self._lanes.copy()
        cells = _Cells()
        for at, lane in lanes.items():
            for key, cell in lane.cells.copy().items():
                cells.add(at, key, cell)
        for traffic, cell in self._overflow.copy().items():
            cells.add((traffic, "", ""), _OVERFLOW, cell)
        return RequestSnapshot(
            start_at=self.start_at,
            cells=cells,
            active=tuple(
                ActiveCell(traffic=traffic, method=method, scheme=scheme, count=lane.active)
                for (traffic, method, scheme), lane in lanes.items()
            ),
        )

    def _cell(self, lane: _RecorderLane, route: str, status: int, error_type: str) -> _Cell:
        """Find or make the cell of a key that the lane does not hold as it stands."""
        key = (route, int(status) if 100 <= status <= 599 else 0, error_type)
        found = lane.cells.get(key)
        if found is not None:
            return found
        if self._lanes.get(lane.key) is not lane:
            return _Cell()  # forgotten while this exchange was in flight
        if self._cell_count >= self.max_cells:
            self.overflowed += 1
            return self._overflow.setdefault(lane.key[0], _Cell())
        self._cell_count += 1
        return lane.cells.setdefault(key, _Cell())


_OVERFLOW: _CellKey = ("", 0, "")


class _Cells(Sequence[RequestCell]):
    """Copied counts, made into cells only while they are read: thousands of objects that outlive a collection bring
    on full ones of Python's garbage, in which the application stands still.
    """

    __slots__ = ("_keys", "_lanes", "_slots", "_sums")

    def __init__(self) -> None:
        self._lanes: list[_LaneKey] = []
        self._keys: list[_CellKey] = []
        self._slots: list[dict[int, int]] = []
        self._sums: list[float] = []

    def add(self, lane: _LaneKey, key: _CellKey, cell: _Cell) -> None:
        """Copy a cell unless nothing was counted in it."""
        slots = cell.slots.copy()
        if slots:
            self._lanes.append(lane)
            self._keys.append(key)
            self._slots.append(slots)
            self._sums.append(cell.sum)

    def __len__(self) -> int:
        return len(self._keys)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, _Cells) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[RequestCell]:
        return map(_read, self._lanes, self._keys, self._slots, self._sums)

    @overload
    def __getitem__(self, index: int) -> RequestCell: ...
    @overload
    def __getitem__(self, index: slice) -> list[RequestCell]: ...
    def __getitem__(self, index: int | slice) -> RequestCell | list[RequestCell]:
        return list(self)[index]


def _read(lane: _LaneKey, key: _CellKey, slots: dict[int, int], total: float) -> RequestCell:
    traffic, method, scheme = lane
    route, status, error_type = key
    zero_count, exponential, explicit = split_slots(slots)
    return RequestCell(
        traffic=traffic,
        method=method,
        route=route,
        status=status,
        error_type=error_type,
        scheme=scheme,
        count=sum(explicit),
        sum=total,
        zero_count=zero_count,
        exponential=exponential,
        explicit=explicit,
        overflow=key is _OVERFLOW,
    )
