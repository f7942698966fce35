"""A request that steps change: its metrics, and their points as columns of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress
from operator import itemgetter
from typing import Any

from otelmon.server.process.envelope import FORMS, REQUEST, Form
from otelmon.server.process.memo import remember
from otelmon.server.process.seen import identity, metric_names

# How senders write a number: what stands at these places are the keys of time (after the start, or without one) and of
# a value, each of eight bytes; then attributes come, at the place that is named last.
_TIME, _VALUES = 0x19, (0x21, 0x31)
_HEADS = (
    (itemgetter(0, 9, 18), frozenset((0x11, _TIME, value) for value in _VALUES), 27),
    (itemgetter(0, 9), frozenset((_TIME, value) for value in _VALUES), 18),
)
# Of a head, counted back from its end.
_TIME_BEGINS, _TIME_ENDS = 17, 9

Known = dict[Form, dict[bytes, bytes]]
"""Serialised attributes that were seen to be such, each to the object that stands for it."""


class Metric:
    """A metric and its points.

    message     the envelope's Metric
    identity    job and instance of the resource
    changed     the message, or a point, is no more what it was
    gone        its last point was taken out
    """

    __slots__ = ("_exemplars", "_heads", "_known", "_points", "_sets", "changed", "form", "gone", "identity", "message")

    def __init__(self, message: Any, identity: Mapping[str, str], known: Known) -> None:
        self.message = message
        self.identity = identity
        self.form = FORMS[message.WhichOneof("data")]
        self.changed = False
        self.gone = False
        self._known = known
        self._points: list[bytes] | None = None
        self._sets: list[bytes] | None = None
        # Where the attributes begin, if they are the rest of the point; else 0.
        self._heads: list[int] = []
        self._exemplars: list[bool] = []

    def __len__(self) -> int:
        return len(self.points)

    @property
    def names(self) -> Sequence[str]:
        """The names by which a matcher may mean it."""
        return metric_names(self.message)

    @property
    def points(self) -> list[bytes]:
        """The points, serialised."""
        if self._points is None:
            kind = self.message.WhichOneof("data")
            self._points = [] if kind is None else list(getattr(self.message, kind).data_points)
        return self._points

    @property
    def sets(self) -> list[bytes]:
        """The attributes of each point, serialised as fields of it. Raises DecodeError."""
        if self._sets is None:
            self._sets = self._split()
        return self._sets

    @property
    def exemplars(self) -> Sequence[bool]:
        """Which points have exemplars."""
        return self._exemplars if self.sets else []

    @property
    def times(self) -> list[bytes]:
        """The time of each point, as eight bytes."""
        return [
            point[head - _TIME_BEGINS : head - _TIME_ENDS]
            if head
            else self.form.message.FromString(point).time_unix_nano.to_bytes(8, "little")
            for point, head in zip(self.points, self._heads if self.sets else [], strict=True)
        ]

    def keep(self, which: Sequence[bool]) -> int:
        """Take out the points that are not to be kept; how many."""
        gone = len(which) - sum(which)
        if gone:
            self._points = list(compress(self.points, which))
            if self._sets is not None:
                self._sets = list(compress(self._sets, which))
                self._heads = list(compress(self._heads, which))
                self._exemplars = list(compress(self._exemplars, which))
            self.changed = True
            self.gone = not self._points
        return gone

    def put(self, points: list[bytes]) -> None:
        """Other points instead of its own."""
        self._points, self._sets, self.changed = points, None, True

    def describe(self, index: int, attributes: bytes) -> None:
        """Give a point other attributes, serialised as those of ``sets``."""
        sets, points = self.sets, self.points
        head, point = self._heads[index], points[index]
        if head:
            points[index] = point[:head] + attributes
        else:
            parts = self.form.parts.FromString(point)
            parts.ClearField("attributes")
            rest = parts.SerializeToString()
            points[index] = attributes + rest if self.form.attributes_first else rest + attributes
        sets[index] = attributes
        self.changed = True

    def edit_exemplars(self, index: int, edit: Callable[[Any], object]) -> None:
        """Change the attributes of a point's exemplars in place."""
        point = self.form.message.FromString(self.points[index])
        for exemplar in point.exemplars:
            edit(exemplar.filtered_attributes)
        self.points[index] = point.SerializeToString()
        self.changed = True

    def write(self) -> None:
        """Give the message the points as they are now."""
        kind = self.message.WhichOneof("data")
        if kind is not None and self._points is not None:
            getattr(self.message, kind).data_points[:] = self._points

    def _split(self) -> list[bytes]:
        points, known = self.points, self._known.setdefault(self.form, {})
        head = _head(points) if self.form.number else 0
        self._heads, self._exemplars = [head] * len(points), [False] * len(points)
        if not head:
            return [self._parted(index, known, b"") for index in range(len(points))]
        tails = [point[head:] for point in points]
        sets = list(map(known.get, tails))
        return [self._parted(index, known, tails[index]) if each is None else each for index, each in enumerate(sets)]

    def _parted(self, index: int, known: dict[bytes, bytes], tail: bytes) -> bytes:
        """A point's attributes, wherever they stand in it; ``tail`` is what comes after its head."""
        form = self.form
        parts = form.parts.FromString(self.points[index])
        if form.exemplars and parts.exemplars:
            self._exemplars[index] = True
            parts.ClearField("exemplars")
        parts.DiscardUnknownFields()
        attributes: bytes = parts.SerializeToString()
        if attributes != tail:
            self._heads[index] = 0
        found = known.get(attributes)
        if found is None:
            remember(known, attributes, attributes)
        return attributes if found is None else found


def _head(points: Sequence[bytes]) -> int:
    """Where the attributes begin in numbers that are all written alike, as by any sender; 0 for others."""
    for keys, written, size in _HEADS:
        try:
            if written.issuperset(map(keys, points)):
                return size
        except IndexError:  # one that is shorter
            continue
    return 0


class Scope:
    """The metrics of a scope."""

    __slots__ = ("message", "metrics")

    def __init__(self, message: Any, metrics: list[Metric]) -> None:
        self.message = message
        self.metrics = metrics


class Resource:
    """The scopes of a resource."""

    __slots__ = ("message", "scopes")

    def __init__(self, message: Any, known: Known) -> None:
        who = identity(message.resource)
        self.message = message
        self.scopes = [
            Scope(scope, [Metric(metric, who, known) for metric in scope.metrics]) for scope in message.scope_metrics
        ]


class Request:
    """All of a request. ``changed`` says that something is not as it came, beside metrics that know of themselves."""

    def __init__(self, body: bytes, known: Known) -> None:
        """Raises DecodeError for what is no request; points are not looked into yet."""
        self._body = body
        self._message = REQUEST.FromString(body)
        self.resources = [Resource(resource, known) for resource in self._message.resource_metrics]
        self.changed = False

    def metrics(self) -> Iterator[Metric]:
        """Those that are still there."""
        for resource in self.resources:
            for scope in resource.scopes:
                for metric in scope.metrics:
                    if not metric.gone:
                        yield metric

    def written(self) -> bytes:
        """The request as it is now: the very same bytes if nothing was changed.

        A metric that lost its last point is left out, and so is what holds nothing but such.
        """
        changed = self.changed
        resources = []
        for resource in self.resources:
            scopes = []
            for scope in resource.scopes:
                for metric in scope.metrics:
                    if metric.changed:
                        changed = True
                        metric.write()
                scopes.append(_prune(scope.message.metrics, [metric.gone for metric in scope.metrics]))
            resources.append(_prune(resource.message.scope_metrics, scopes))
        _prune(self._message.resource_metrics, resources)
        return bytes(self._message.SerializeToString()) if changed else self._body


def _prune(repeated: Any, gone: Sequence[bool]) -> bool:
    """Take these out of a repeated field; whether that left nothing of it."""
    for index in range(len(gone) - 1, -1, -1):
        if gone[index]:
            del repeated[index]
    return any(gone) and not repeated
