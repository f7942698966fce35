"""Points in columns, and what is to be seen of them without knowing their series. Instants are unix nanoseconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Nanoseconds = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

SECOND = 1_000_000_000
# Nobody counts so much within so short a time before it is first sent.
_MOMENT = SECOND // 10
_MOST_IN_A_MOMENT = 1_000_000
# Points of one series in one request: each is a pass over the columns.
_MOST_OF_ONE = 256


class Points(NamedTuple):
    """Points in columns: rows of their series, starts and times, values. ``weights`` is 1 for each point and 0 for what
    else comes of it.
    """

    rows: Rows
    starts: Nanoseconds
    times: Nanoseconds
    values: Floats
    weights: Floats

    def part(self, chosen: Rows | Mask) -> Points:
        """Some of them."""
        rows, starts, times, values, weights = self
        return Points(rows[chosen], starts[chosen], times[chosen], values[chosen], weights[chosen])


def found_there(points: Points) -> Mask:
    """Which of them were not counted since their start but found there, by a callback that reports a total.

    Python's SDK starts what it observes with the moment of its first collection. Reading that as a zero would turn the
    bytes that a machine has sent in a year into one huge increase, at each start of the application.
    """
    found: Mask = (points.times - points.starts < _MOMENT) & (points.values >= _MOST_IN_A_MOMENT)
    return found


def turns(points: Points) -> Iterator[Points]:
    """Parts in which no row is twice: the n-th point of each series, by time, is in the n-th."""
    rows = points.rows
    ordered = np.sort(rows)
    if not (ordered[1:] == ordered[:-1]).any():
        yield points
        return
    order = np.lexsort((points.times, rows))
    ordered = rows[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    first = np.maximum.accumulate(np.where(begins, np.arange(rows.size), 0))
    nth = np.arange(rows.size) - first
    by_nth = np.argsort(nth, kind="stable")
    ends = np.nonzero(np.diff(nth[by_nth]))[0] + 1
    for part in np.split(order[by_nth], ends[:_MOST_OF_ONE])[:_MOST_OF_ONE]:
        yield points.part(part)
