"""Wire: an ExportMetricsServiceRequest read from its bytes, mostly without making objects of them.

What costs in decoding is the attributes, and they are the same in each request. So they stay bytes, by which the series
is found that they stand for. A number in the order in which senders write it,

    11 start(8)  19 time(8)  21|31 value(8)  3a attributes...        (sums; gauges mostly without the start)

is then only looked up; the numbers of all points are cut out at once, as columns. Whatever is written otherwise, and
histograms, are read by protobuf point by point, but for the attributes.

Formats: protobuf.dev/programming-guides/encoding, opentelemetry/proto/metrics/v1/metrics.proto.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
from google.protobuf.message import DecodeError
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otelmon.collect.batch import Batch, signed
from otelmon.collect.limits import IngestLimits, MalformedError
from otelmon.collect.senders import TOO_WIDE, Form, MetricKind, Sender, Senders, Stream
from otelmon.collect.values import attributes_of

# Keys of fields (number << 3 | wire type) in metrics.proto.
_FORMS = {
    0x2A: Form.GAUGE,
    0x3A: Form.SUM,
    0x4A: Form.EXPLICIT,
    0x52: Form.EXPONENTIAL,
    0x5A: Form.SUMMARY,
}
_START, _TIME, _DOUBLE, _INTEGER = 0x11, 0x19, 0x21, 0x31
_HEAD = np.dtype(
    [("start_key", "u1"), ("start", "<i8"), ("time_key", "u1"), ("time", "<i8"), ("value_key", "u1"), ("value", "<i8")]
)
_FULL, _SHORT = 27, 18  # the bytes before the attributes, with and without a start
_NO_RECORDED_VALUE = 1


class _PointForm(NamedTuple):
    message: Any
    attributes: int  # the key of the field
    exemplars: int
    number: bool = False


_NUMBER = _PointForm(NumberDataPoint, 0x3A, 0x2A, number=True)
_POINTS = {
    Form.GAUGE: _NUMBER,
    Form.SUM: _NUMBER,
    Form.EXPLICIT: _PointForm(HistogramDataPoint, 0x4A, 0x42),
    Form.EXPONENTIAL: _PointForm(ExponentialHistogramDataPoint, 0x0A, 0x5A),
    Form.SUMMARY: _PointForm(SummaryDataPoint, 0x3A, 0),
}


class WireReader:
    """Reads requests into batches."""

    def __init__(self, limits: IngestLimits, senders: Senders) -> None:
        self._limits = limits
        self._senders = senders

    def read(self, request: bytes, batch: Batch, *, tenant: str) -> None:
        """Read all of it. Raises MalformedError."""
        try:
            _Reading(request, batch, self._limits, self._senders).read(tenant)
        except (IndexError, DecodeError, UnicodeDecodeError) as error:
            raise MalformedError("the body is no ExportMetricsServiceRequest") from error


class _Reading:
    """One request that is read."""

    def __init__(self, buffer: bytes, batch: Batch, limits: IngestLimits, senders: Senders) -> None:
        self._buffer = buffer
        self._batch = batch
        self._limits = limits
        self._senders = senders
        self._heads = {_FULL: _Heads(_FULL), _SHORT: _Heads(_SHORT)}

    def read(self, tenant: str) -> None:
        for key, begin, end in _fields(self._buffer, 0, len(self._buffer)):
            if key == 0x0A:
                self._resource(begin, end, tenant)
        for heads in self._heads.values():
            heads.give(self._buffer, self._batch, self._point)

    def _resource(self, begin: int, end: int, tenant: str) -> None:
        buffer = self._buffer
        described, scopes = b"", []
        for key, low, high in _fields(buffer, begin, end):
            if key == 0x0A:
                described += buffer[low:high]
            elif key == 0x12:
                scopes.append((low, high))
        sender = self._senders.find(described, len(described), partial(_described, described), tenant=tenant)
        self._batch.heard(sender)
        for scope, stop in scopes:
            for key, low, high in _fields(buffer, scope, stop):
                if key == 0x12:
                    self._metric(low, high, sender)

    def _metric(self, begin: int, end: int, sender: Sender | int) -> None:
        buffer = self._buffer
        name = unit = b""
        form, low, high = None, 0, 0
        for key, inner, stop in _fields(buffer, begin, end):
            if key == 0x0A:
                name = buffer[inner:stop]
            elif key == 0x1A:
                unit = buffer[inner:stop]
            elif key in _FORMS:
                form, low, high = _FORMS[key], inner, stop
        if form is None:
            return
        begins, ends, temporality, monotonic = _points(buffer, low, high)
        if not self._batch.has_room(len(begins), form) or not begins:
            return
        if isinstance(sender, int):
            self._batch.refuse(sender, None, len(begins))
            return
        what = MetricKind(form, temporality, monotonic)
        stream = sender.streams.get((name, unit, what))
        if stream is None:
            stream = self._senders.stream(sender, (name, unit, what), name.decode(), unit.decode(), what)
        if stream is None:
            self._batch.no_stream(len(begins))
        elif form in {Form.GAUGE, Form.SUM}:
            self._numbers(begins, ends, stream)
        else:
            for inner, stop in zip(begins, ends, strict=True):
                self._point(inner, stop, stream)

    def _numbers(self, begins: list[int], ends: list[int], stream: Stream) -> None:
        buffer, first = self._buffer, begins[0]
        size = _FULL if first < ends[0] and buffer[first] == _START else _SHORT
        # Of a number the row is a number.
        find = cast("dict[bytes, int]", stream.known).get
        rows = [find(buffer[begin + size : end], -1) for begin, end in zip(begins, ends, strict=True)]
        if min(rows) < 0:
            for row, begin, end in zip(rows, begins, ends, strict=True):
                if row == -1:
                    self._point(begin, end, stream)
                elif row < 0:
                    self._batch.refuse(row, stream.sender)
            found = [index for index, row in enumerate(rows) if row >= 0]
            rows = [rows[index] for index in found]
            begins, ends = [begins[index] for index in found], [ends[index] for index in found]
        if rows:
            time = begins[0] + size - 17
            # Whatever stands elsewhere is read as a point by itself.
            if buffer[time - 1] == _TIME:
                self._batch.came(stream, signed(int.from_bytes(buffer[time : time + 8], "little")))
            self._heads[size].add(stream, rows, begins, ends)

    def _point(self, begin: int, end: int, stream: Stream) -> None:
        """One point, however it is written."""
        form, batch = _POINTS[stream.form], self._batch
        attributes, rest = _split(self._buffer, begin, end, form)
        if len(attributes) > self._limits.attribute_bytes:
            batch.refuse(TOO_WIDE, stream.sender)
            return
        point = form.message.FromString(rest)
        read = partial(_attributes, form.message, attributes)
        at = signed(point.time_unix_nano)
        batch.came(stream, at)
        if point.flags & _NO_RECORDED_VALUE:
            batch.ended(stream, attributes, at=at)
        elif form.number:
            kind = point.WhichOneof("value")
            if kind is None:
                batch.without_value()
            else:
                start, value = signed(point.start_time_unix_nano), float(getattr(point, kind))
                batch.number(stream, attributes, read, start=start, at=at, value=value)
        else:
            batch.histogram(stream, attributes, read, point)


def _described(resource: bytes) -> Mapping[str, Any]:
    return attributes_of(Resource.FromString(resource).attributes)


def _attributes(message: Any, written: bytes) -> Mapping[str, Any]:
    return attributes_of(message.FromString(written).attributes)


class _Heads:
    """Numbers of known series by where they begin, of one size of what stands before the attributes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows: list[Any] = []
        self._begins: list[int] = []
        self._ends: list[int] = []
        # After how many points the next metric begins.
        self._until: list[int] = []
        self._streams: list[Stream] = []

    def add(self, stream: Stream, rows: list[Any], begins: list[int], ends: list[int]) -> None:
        """Points of a metric."""
        self._rows += rows
        self._begins += begins
        self._ends += ends
        self._until.append(len(self._rows))
        self._streams.append(stream)

    def give(self, buffer: bytes, batch: Batch, read: Callable[[int, int, Stream], None]) -> None:
        """Cut the numbers out; points that are not written as they were taken to be go to ``read``."""
        if not self._rows:
            return
        begins = np.array(self._begins, dtype=np.intp)
        # Aligned as if each had a start: what stands there instead is not looked at.
        places = begins - (_FULL - self._size)
        usual = (np.array(self._ends, dtype=np.intp) - begins >= self._size) & (places >= 0)
        every = np.ndarray(shape=(max(0, len(buffer) - _FULL + 1),), dtype=_HEAD, buffer=buffer, strides=(1,))
        heads = every[places if usual.all() else np.where(usual, places, 0)]
        integer = heads["value_key"] == _INTEGER
        usual &= (heads["time_key"] == _TIME) & (integer | (heads["value_key"] == _DOUBLE))
        if self._size == _FULL:
            usual &= heads["start_key"] == _START
        rows = np.array(self._rows, dtype=np.intp)
        if not usual.all():
            for index in np.nonzero(~usual)[0].tolist():
                stream = self._streams[bisect_right(self._until, index)]
                read(self._begins[index], self._ends[index], stream)
            rows, heads, integer = rows[usual], heads[usual], integer[usual]
        written = np.ascontiguousarray(heads["value"])
        values = written.view(np.float64)
        if integer.any():
            values = np.where(integer, written.astype(np.float64), values)
        starts = np.ascontiguousarray(heads["start"]) if self._size == _FULL else np.zeros(rows.size, dtype=np.int64)
        batch.columns(rows, starts, np.ascontiguousarray(heads["time"]), values)


def _fields(buffer: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message that have a length: key, begin and end."""
    while at < end:
        begin = at
        key = buffer[at]
        if key & 7 == 2 and key < 0x80:
            size = buffer[at + 1]
            at += 2
            if size >= 0x80:
                size, at = _varint(buffer, at - 1)
            begin, at = at, at + size
            if at > end:
                break
            yield key, begin, at
        else:
            at = _skip(buffer, at)
    if at != end:
        raise MalformedError("the body is cut short, or no ExportMetricsServiceRequest")


def _points(buffer: bytes, at: int, end: int) -> tuple[list[int], list[int], int, bool]:
    """Where the points of a Sum, Gauge or histogram begin and end; its temporality, and whether it only rises."""
    begins: list[int] = []
    ends: list[int] = []
    temporality = monotonic = 0
    while at < end:
        key = buffer[at]
        if key == 0x0A:
            size = buffer[at + 1]
            at += 2
            if size >= 0x80:
                size, at = _varint(buffer, at - 1)
            begins.append(at)
            at += size
            ends.append(at)
        elif key == 0x10:
            temporality, at = _varint(buffer, at + 1)
        elif key == 0x18:
            monotonic, at = _varint(buffer, at + 1)
        else:
            at = _skip(buffer, at)
    if at != end:
        raise MalformedError("a metric is cut short")
    return begins, ends, temporality, bool(monotonic)


def _split(buffer: bytes, at: int, end: int, form: _PointForm) -> tuple[bytes, bytes]:
    """The bytes of a point's attributes, and those of the rest but for the exemplars."""
    attributes, rest = [], []
    while at < end:
        begin, key = at, buffer[at]
        at = _skip(buffer, at)
        if key == form.attributes:
            attributes.append(buffer[begin:at])
        elif key != form.exemplars:
            rest.append(buffer[begin:at])
    if at != end:
        raise MalformedError("a point is cut short")
    return b"".join(attributes), b"".join(rest)


def _skip(buffer: bytes, at: int) -> int:
    """Where the next field begins."""
    key = buffer[at]
    at += 1
    if key >= 0x80:
        key, at = _varint(buffer, at - 1)
    kind = key & 7
    if kind == 1:
        return at + 8
    if kind == 2:
        size, at = _varint(buffer, at)
        return at + size
    if kind == 0:
        return _varint(buffer, at)[1]
    if kind == 5:
        return at + 4
    raise MalformedError("a field of an unknown kind")


def _varint(buffer: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = shift = 0
    while True:
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise MalformedError("a number without an end")
