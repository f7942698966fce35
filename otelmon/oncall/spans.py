"""Spans of time: half-open, in order, never overlapping within one sequence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

Span = tuple[datetime, datetime]
"""From an instant (included) to another (excluded), both in UTC."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same instants in as few spans as possible, in order; empty spans are dropped."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if found and start <= found[-1][1]:
            if end > found[-1][1]:
                found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def overlap(first: Sequence[Span], second: Sequence[Span]) -> timedelta:
    """For how long both hold. Each sequence is in order and without overlaps."""
    total = timedelta(0)
    left = right = 0
    while left < len(first) and right < len(second):
        start = max(first[left][0], second[right][0])
        end = min(first[left][1], second[right][1])
        if end > start:
            total += end - start
        if first[left][1] < second[right][1]:
            left += 1
        else:
            right += 1
    return total


def length(spans: Iterable[Span]) -> timedelta:
    """How long the spans are together."""
    return sum((end - start for start, end in spans), timedelta(0))


def without(spans: Sequence[Span], taken: Sequence[Span]) -> tuple[Span, ...]:
    """What is left of spans once others are taken out. Each sequence is in order and without overlaps."""
    left: list[Span] = []
    for start, end in spans:
        at = start
        for begin, finish in taken:
            if finish <= at:
                continue
            if begin >= end:
                break
            if begin > at:
                left.append((at, begin))
            at = max(at, finish)
        if at < end:
            left.append((at, end))
    return tuple(left)
