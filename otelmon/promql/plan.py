"""Plans: which label sets a vector has, how they group and how they pair, worked out once and extended after that.

A ``Shape`` is the list of label sets of a vector's elements. It is only ever added to, and everything derived from it
(groups, pairs, buckets, sets with a name dropped) is remembered in it and follows it as it grows. So rules that group
or match the same series share one plan, and a tick in which no series is new does no work on labels at all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from otelmon.labels import EMPTY_LABELS, METRIC_NAME, Labels

Integers = npt.NDArray[np.intp]
Key = tuple[object, ...]
Made = TypeVar("Made")


class Shape:
    """The label sets of a vector by position. ``distinct``: no two positions have the same labels."""

    def __init__(self, labels: list[Labels], *, distinct: bool = True, one_name: bool = False) -> None:
        """A shape over ``labels``, which its owner may extend."""
        self._labels = labels
        self.distinct = distinct
        self.one_name = one_name
        self._memo: dict[Hashable, object] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def label(self, position: int) -> Labels:
        """The label set of an element."""
        return self._labels[position]

    def remember(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What was made under this key before, else what ``make`` makes."""
        found = self._memo.get(key)
        if found is None:
            if len(self._memo) > _MOST_PLANS:
                self._memo.clear()
            found = self._memo[key] = make()
        return found  # type: ignore[return-value]

    def grouping(self, names: Sequence[str], *, without: bool) -> Grouping:
        """The groups by these labels, or by all but these (and the metric name)."""
        key = ("group", without, tuple(sorted(set(names))))
        found: Grouping = self.remember(key, lambda: Grouping(self, key[2], without=without))
        found.follow()
        return found

    @property
    def named(self) -> Shape:
        """The same elements with the metric names that the result of the whole expression will not have."""
        return self

    def without_name(self) -> Shape:
        """The same elements with their metric name dropped."""
        return self.remember("nameless", lambda: Nameless(self))

    def changed(self, key: Hashable, change: Callable[[Labels], Labels]) -> Shape:
        """The same elements with labels changed, and their name dropped if it was; ``key`` says how."""
        return self.remember(("changed", key), lambda: Changed(self, change))

    def same(self) -> Integers | None:
        """For each position the first one with the same labels; None when all are different."""
        if self.distinct:
            return None
        found: Same = self.remember("same", lambda: Same(self))
        return found.follow()


class Changed(Shape):
    """A shape whose labels are another's, changed; worked out only where somebody asks for them."""

    def __init__(self, source: Shape, change: Callable[[Labels], Labels], *, distinct: bool = False) -> None:
        super().__init__([], distinct=distinct)
        self.source = source
        self._change = change
        self._known: dict[int, Labels] = {}

    def __len__(self) -> int:
        return len(self.source)

    def label(self, position: int) -> Labels:
        """The label set of an element."""
        found = self._known.get(position)
        if found is None:
            found = self._known[position] = self._change(self.source.label(position))
        return found


class Nameless(Changed):
    """A shape less the metric names. It groups as the one with names does, so both share a plan.

    Names are dropped in the end (Prometheus: delayed name removal): until then label_replace() can read them, a group
    by ``__name__`` is one of each metric, and elements that differ in nothing else are not the same.
    """

    def __init__(self, source: Shape) -> None:
        super().__init__(source, lambda labels: labels.without((METRIC_NAME,)), distinct=source.one_name)

    @property
    def named(self) -> Shape:
        """The elements with their names."""
        return self.source

    def without_name(self) -> Shape:
        """Itself."""
        return self

    def changed(self, key: Hashable, change: Callable[[Labels], Labels]) -> Shape:
        """The elements with labels changed, which ``change`` sees with their names, less the names."""
        return self.source.changed(key, change).without_name()

    def grouping(self, names: Sequence[str], *, without: bool) -> Grouping:
        """The groups of the source, whose names are dropped in the end."""
        if without or METRIC_NAME not in names:
            return self.source.grouping(names, without=without)
        key = ("group", without, tuple(sorted(set(names))))
        found: Grouping = self.remember(key, lambda: Grouping(self.source, key[2], without=False, nameless=True))
        found.follow()
        return found


class Grouping:
    """Groups of a shape's elements: ``ids[position]`` is the group, ``shape`` has the groups' labels."""

    def __init__(self, source: Shape, names: tuple[str, ...], *, without: bool, nameless: bool = False) -> None:
        self.ids: Integers = np.zeros(0, dtype=np.intp)
        self.keys: dict[Key, int] = {}
        self._source = source
        self._names = names
        self._without = without
        self._labels: list[Labels] = []
        self.shape = Shape(self._labels).without_name() if nameless else Shape(self._labels)

    def follow(self) -> None:
        """Take in the elements that the source has got since."""
        size = len(self._source)
        known = self.ids.size
        if known == size:
            return
        source, names, keys = self._source, self._names, self.keys
        dropped = frozenset(names) | {METRIC_NAME}
        ids = []
        for position in range(known, size):
            labels = source.label(position)
            key: Key
            if self._without:
                key = tuple(pair for pair in labels.pairs if pair[0] not in dropped)
            else:
                key = tuple(labels.get(name, "") for name in names)
            group = keys.get(key)
            if group is None:
                group = keys[key] = len(keys)
                self._labels.append(labels.without(dropped) if self._without else labels.only(names))
            ids.append(group)
        self.ids = np.concatenate([self.ids, np.array(ids, dtype=np.intp)])


class Pairing:
    """Which group of one grouping has the labels of which group of another: ``right_of[left group]``, or -1."""

    def __init__(self, left: Grouping, right: Grouping) -> None:
        self.left = left
        self.right = right
        self.right_of: Integers = np.zeros(0, dtype=np.intp)
        self._left_seen = 0
        self._right_seen = 0

    def follow(self) -> Pairing:
        """Take in the groups that either side has got since."""
        left, right = self.left.keys, self.right.keys
        if self._left_seen == len(left) and self._right_seen == len(right):
            return self
        pairs = np.full(len(left), -1, dtype=np.intp)
        pairs[: self.right_of.size] = self.right_of
        for key, group in list(left.items())[self._left_seen :]:
            pairs[group] = right.get(key, -1)
        for key, group in list(right.items())[self._right_seen :]:
            place = left.get(key)
            if place is not None:
                pairs[place] = group
        self.right_of = pairs
        self._left_seen, self._right_seen = len(left), len(right)
        return self


def pairing(left: Shape, right: Shape, names: Sequence[str], *, on: bool) -> Pairing:
    """How the elements of two shapes pair up by ``on`` these labels, or ignoring them."""
    left_groups = left.grouping(names, without=not on)
    right_groups = right.grouping(names, without=not on)
    made: Pairing = left.remember(("pair", left_groups, right_groups), lambda: Pairing(left_groups, right_groups))
    return made.follow()


class Same:
    """Positions of a shape that have the same labels."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._first: dict[Labels, int] = {}
        self._positions: Integers = np.zeros(0, dtype=np.intp)

    def follow(self) -> Integers | None:
        """The first position with the same labels, by position; None when all are different."""
        size = len(self._shape)
        known = self._positions.size
        if known < size:
            new = [self._first.setdefault(self._shape.label(at), at) for at in range(known, size)]
            self._positions = np.concatenate([self._positions, np.array(new, dtype=np.intp)])
        return self._positions if len(self._first) < size else None


class Union(Shape):
    """The elements of two shapes one after the other, as each grows: ``left[i]`` and ``right[i]`` are where the i-th
    element of either stands.
    """

    def __init__(self, left: Shape, right: Shape) -> None:
        self._both: list[Labels] = []
        super().__init__(self._both, distinct=False)
        self._left_shape, self._right_shape = left, right
        self.left: Integers = np.zeros(0, dtype=np.intp)
        self.right: Integers = np.zeros(0, dtype=np.intp)

    def follow(self) -> Union:
        """Take in the elements that either side has got since."""
        self.left = self._take(self._left_shape, self.left)
        self.right = self._take(self._right_shape, self.right)
        return self

    def _take(self, shape: Shape, places: Integers) -> Integers:
        known, size = places.size, len(shape)
        if known == size:
            return places
        first = len(self._both)
        self._both.extend(shape.label(position) for position in range(known, size))
        return np.concatenate([places, np.arange(first, len(self._both))])


class Table(Shape):
    """A shape that grows as label sets are asked for: results whose labels depend on values."""

    def __init__(self) -> None:
        self._all: list[Labels] = []
        super().__init__(self._all)
        self._positions: dict[Labels, int] = {}

    def position(self, labels: Labels) -> int:
        """Where a label set stands; a new one is added."""
        found = self._positions.get(labels)
        if found is None:
            found = self._positions[labels] = len(self._all)
            self._all.append(labels)
        return found


NO_LABELS = Shape([EMPTY_LABELS])

# What one shape remembers; beyond that (label_replace with ever new arguments) it starts anew.
_MOST_PLANS = 1024
