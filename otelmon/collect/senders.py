"""Senders: the resources that send, the metrics of each, and which series their points are."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from otelmon.collect.arriving import Arriving, Mode
from otelmon.collect.limits import IngestLimits
from otelmon.collect.names import Kind, label_set, metric_name
from otelmon.collect.points import SECOND, Nanoseconds
from otelmon.collect.shares import Shares
from otelmon.collect.translate import instance_of, job_of, target_info
from otelmon.labels import Labels
from otelmon.tenants import TENANT

FAREWELL = "otelmon_running"
"""A gauge of a client: 1 while it runs, 0 in what it sends last when it is stopped by intent."""
INTERVAL = "otelmon.interval"
"""An attribute of a client's resource: each how many seconds it sends. It is for the server alone, and no label."""
NO_ROOM = -2
"""Stands for the row of a series for which there is no room."""
TOO_WIDE = -3
"""Stands for the row of a series with too many attributes."""
CLASH = -5
"""Stands for the row of a series that another kind of metric has: not for long, so it is not to be remembered."""
OVER_SHARE = -4
"""Stands for the row of a series that is more than its service or tenant may have."""

# The points of one collection are stamped within so much.
_MOMENT = SECOND // 2
# New series of a metric that was sent so often without them are taken to have begun since.
_SEEN_BEFORE = 2
# Attribute sets may be written in several ways; so many ways a series are remembered.
_WAYS = 4

Rows = int | tuple[tuple[float, ...], Sequence[int]]
"""The row of a number, or what tells layouts of a histogram apart (its bounds) with the rows of its series."""
MakeSeries = Callable[[str, Mapping[str, str], Sequence[float]], tuple[Labels, ...]]


class Form(Enum):
    """What a metric's data are in OTLP."""

    GAUGE = "gauge"
    SUM = "sum"
    EXPLICIT = "histogram"
    EXPONENTIAL = "exponentialHistogram"
    SUMMARY = "summary"


_DELTA, _CUMULATIVE = 1, 2


class MetricKind(NamedTuple):
    """What tells metrics of one name and unit apart."""

    form: Form
    temporality: int
    monotonic: bool

    @property
    def mode(self) -> Mode | None:
        """How its points follow one another; None where its temporality is none."""
        if self.form is Form.GAUGE:
            return Mode.GAUGE
        if self.form is Form.SUMMARY:
            return Mode.CUMULATIVE
        rises = self.form is not Form.SUM or self.monotonic
        if self.temporality == _CUMULATIVE:
            return Mode.CUMULATIVE if rises else Mode.GAUGE
        if self.temporality == _DELTA:
            return Mode.DELTA if rises else Mode.DELTA_LEVEL
        return None

    @property
    def kind(self) -> Kind:
        """What it is to Prometheus."""
        if self.form is Form.SUM:
            return Kind.COUNTER if self.monotonic else Kind.UP_DOWN
        return Kind.GAUGE if self.form is Form.GAUGE else Kind.HISTOGRAM


class Stream:
    """One metric of one sender. ``known`` finds the rows of a point by its attributes as they are written."""

    __slots__ = ("_before", "_complete", "_moments", "_newest", "form", "known", "mode", "name", "sender")

    def __init__(self, sender: Sender, name: str, form: Form, mode: Mode) -> None:
        """``name`` is the Prometheus name."""
        self.sender = sender
        self.form = form
        self.name = name
        self.mode = mode
        self.known: dict[Hashable, Rows] = {}
        self._moments = 0
        self._newest = self._before = 0
        # Whether a series that is not known is one that was not there before.
        self._complete = True

    def came(self, at: int) -> None:
        """Points of this time (unix nanoseconds) came."""
        if at > self._newest:
            if at > self._newest + _MOMENT:
                self._moments += 1
                self._before = self._newest
            self._newest = at
            self.sender.newest = max(self.sender.newest, at)

    @property
    def since(self) -> int:
        """When a series that is new now was not there yet, in unix nanoseconds; 0 where that is not known.

        An SDK that starts every series with the process tells nothing of when one was new.
        """
        return self._before if self._complete and self._moments > _SEEN_BEFORE else 0

    def lost(self) -> None:
        """Not every series of it is known: from now on one that is not known need not be new."""
        self._complete = False

    def forget(self, gone: set[int]) -> None:
        """Let go of these rows."""
        kept = {key: rows for key, rows in self.known.items() if not _are(rows, gone)}
        if len(kept) < len(self.known):
            self.known = kept
            self.lost()


def _are(rows: Rows, gone: set[int]) -> bool:
    if isinstance(rows, int):
        # What was refused may have room now.
        return rows in gone or rows in {NO_ROOM, OVER_SHARE}
    return any(row in gone for row in rows[1])


class Sender:
    """A resource that sends. ``newest`` is the time of its newest point in unix nanoseconds.

    ``interval_seconds`` is how often it sends; None where it does not say. ``whose`` are its tenant and service.
    """

    __slots__ = ("heard", "identity", "info", "interval_seconds", "newest", "number", "series", "streams", "whose")

    def __init__(self, attributes: Mapping[str, Any], *, tenant: str, number: int) -> None:
        self.identity = {"job": job_of(attributes), "instance": instance_of(attributes)}
        self.whose = (tenant, self.identity["job"])
        self.interval_seconds = _seconds(attributes.get(INTERVAL))
        described = target_info({key: each for key, each in attributes.items() if key != INTERVAL}, self.identity)
        if tenant:
            self.identity[TENANT] = tenant
        self.info = None if described is None else described.series[0].with_label(TENANT, tenant)
        self.number = number
        self.newest = 0
        self.heard = 0
        self.series = 0
        self.streams: dict[Hashable, Stream] = {}


class Senders:
    """All who send. Not for several threads at once."""

    def __init__(self, limits: IngestLimits, arriving: Arriving) -> None:
        self._limits = limits
        self._arriving = arriving
        self._senders: dict[Hashable, Sender] = {}
        self._numbers: list[int] = []
        self._next = 0
        self._ways = 0
        self._stream_count = 0
        self._shares = {what: Shares(most, limits) for what, most in _shared(limits).items()}

    def find(
        self, key: Hashable, size: int, attributes: Callable[[], Mapping[str, Any]], *, tenant: str
    ) -> Sender | int:
        """The sender by its resource as it is written, in so many bytes; else why it is not taken, as for a series."""
        sender = self._senders.get((tenant, key))
        if sender is None:
            if size > self._limits.attribute_bytes:
                return TOO_WIDE
            if len(self._senders) >= self._limits.senders:
                return NO_ROOM
            described = attributes()
            if len(described) > self._limits.attributes:
                return TOO_WIDE
            found = Sender(described, tenant=tenant, number=self._numbers[-1] if self._numbers else self._next)
            if not self._shares[Sender].has_room(*found.whose):
                return OVER_SHARE
            if self._numbers:
                self._numbers.pop()
            else:
                self._next += 1
            self._shares[Sender].add(*found.whose)
            sender = self._senders[tenant, key] = found
        return sender

    def stream(self, sender: Sender, key: Hashable, name: str, unit: str, what: MetricKind) -> Stream | None:
        """A new metric of a sender, to be found by this key; None where it makes no sense or there are too many."""
        mode = what.mode
        too_long = max(len(name), len(unit)) > self._limits.name_length
        if mode is None or too_long or self._stream_count >= self._limits.series:
            return None
        translated = metric_name(name, unit, what.kind)
        if not translated or not self._shares[Stream].has_room(*sender.whose):
            return None
        if translated == FAREWELL:
            mode = Mode.FAREWELL
        self._stream_count += 1
        self._shares[Stream].add(*sender.whose)
        found = sender.streams[key] = Stream(sender, translated, what.form, mode)
        return found

    def rows(
        self, stream: Stream, attributes: Mapping[str, Any], make: MakeSeries, bounds: tuple[float, ...], *, now: int
    ) -> list[int] | int:
        """The rows of a point's series; NO_ROOM, OVER_SHARE or CLASH where it has none."""
        sender = stream.sender
        series = make(stream.name, {**label_set(attributes), **sender.identity}, bounds)
        if self._arriving.clashes(series, stream.mode, now=now):
            return CLASH
        before = len(self._arriving)
        within = sender.series + len(series) <= self._limits.series_per_sender
        if not within or not self._shares[Labels].has_room(*sender.whose, len(series)):
            stream.lost()
            return OVER_SHARE
        rows = self._arriving.admit(series, stream.mode, sender=sender.number, since=stream.since)
        if rows is None:
            stream.lost()
            return NO_ROOM
        new = len(self._arriving) - before
        sender.series += new
        self._shares[Labels].add(*sender.whose, new)
        return rows

    def info_rows(self, sender: Sender) -> Sequence[int]:
        """The row of a sender's target_info, where it has one and there is room."""
        if sender.info is None:
            return ()
        return self._arriving.admit((sender.info,), Mode.GAUGE, sender=sender.number, since=0) or ()

    def remember(self, stream: Stream, key: Hashable, rows: Rows) -> None:
        """Note which rows the points with these attributes, as they are written, have."""
        if key not in stream.known:
            self._ways += 1
            if self._ways > _WAYS * self._limits.series:
                self._ways = 0
                for each in self._streams():
                    each.known = {}
        stream.known[key] = rows

    def newest(self, now: int) -> Nanoseconds:
        """The time of the newest point of each sender, by its number; never after now."""
        newest = np.zeros(self._next, dtype=np.int64)
        for sender in self._senders.values():
            newest[sender.number] = min(sender.newest, now)
        return newest

    def forget(self, gone: set[int], before: int) -> None:
        """Let go of these rows, and of senders that were not heard of since ``before``."""
        for key, sender in list(self._senders.items()):
            if sender.heard < before:
                del self._senders[key]
                self._numbers.append(sender.number)
        self._ways = self._stream_count = 0
        for shares in self._shares.values():
            shares.clear()
        for sender in self._senders.values():
            held: set[int] = set()
            for stream in sender.streams.values():
                stream.forget(gone)
                self._ways += len(stream.known)
                held.update(row for rows in stream.known.values() for row in _all(rows))
            # A metric without series is worth nothing, but that a new one of it may be an old one.
            sender.streams = {key: stream for key, stream in sender.streams.items() if stream.known}
            self._stream_count += len(sender.streams)
            sender.series = len(held)
            for what, count in ((Sender, 1), (Stream, len(sender.streams)), (Labels, len(held))):
                self._shares[what].add(*sender.whose, count)

    def shift(self, nanoseconds: int) -> None:
        """The clock jumped: senders were heard of as long ago as before."""
        for sender in self._senders.values():
            sender.heard += nanoseconds

    def _streams(self) -> Iterator[Stream]:
        return (stream for sender in self._senders.values() for stream in sender.streams.values())


def _seconds(told: object) -> float | None:
    if not isinstance(told, int | float) or isinstance(told, bool):
        return None
    return float(told) if 0 < told < math.inf else None


def _shared(limits: IngestLimits) -> Mapping[type, int]:
    """What has a bound for all together. Each metric of a sender is one."""
    return {Sender: limits.senders, Stream: limits.series, Labels: limits.series}


def _all(rows: Rows) -> Sequence[int]:
    if isinstance(rows, int):
        return (rows,) if rows >= 0 else ()
    return rows[1]
