"""What being on call came to: hours, nights, weekends and pages for each person, and how much was covered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import combinations
from zoneinfo import ZoneInfo

from otelmon.oncall.restriction import Restriction
from otelmon.oncall.spans import Span, length, overlap
from otelmon.oncall.sweep import Piece, person_spans
from otelmon.oncall.wall import utc

NIGHT = (time(22), time(6))
"""From when to when a night is, by the schedule's wall clock."""

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paged:
    """A page that pinged somebody."""

    person: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one person carried. ``night`` (22:00 to 06:00) and ``weekend`` (Saturday and Sunday) are parts of ``total``.

    ``shifts`` counts stretches on call without a break, ``pages`` those that pinged the person.
    """

    person: str
    total: timedelta
    night: timedelta
    weekend: timedelta
    shifts: int
    pages: int = 0

    @property
    def hours(self) -> float:
        """Hours on call."""
        return self.total / _HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Who carried what from ``start`` to ``end``. ``covered`` and ``uncovered`` add up to that time exactly.

    ``shared`` is what people carried together, counted once for each person beyond the first: the totals of ``loads``
    add up to ``covered`` and ``shared``. ``off_on_purpose`` is the part of ``uncovered`` in turns of "nobody".
    """

    start: datetime
    end: datetime
    loads: tuple[Load, ...]
    covered: timedelta
    uncovered: timedelta
    off_on_purpose: timedelta
    shared: timedelta

    @property
    def coverage(self) -> float:
        """The share of the time in which somebody was on call, 0 to 1; 1 for no time at all."""
        whole = self.end - self.start
        return self.covered / whole if whole else 1.0

    @property
    def balance(self) -> float:
        """How evenly the hours are spread, 0 to 1: the mean over pairs of people of the lesser over the greater.

        As Grafana OnCall computes it; 1 for less than two people.
        """
        totals = [load.total for load in self.loads if load.total]
        pairs = [min(one, other) / max(one, other) for one, other in combinations(totals, 2)]
        return sum(pairs) / len(pairs) if pairs else 1.0

    @property
    def quality(self) -> float:
        """The mean of coverage and balance, 0 to 1 (Grafana OnCall's quality score)."""
        return (self.coverage + self.balance) / 2


def make_report(
    pieces: Sequence[Piece], start: datetime, end: datetime, zone: ZoneInfo, pages: Iterable[Paged] = ()
) -> Report:
    """The report of pieces that fill the time from ``start`` to ``end``. Pages outside of it do not count."""
    spans: dict[str, list[Span]] = {}
    for begin, person, finish in sorted(person_spans(pieces)):
        spans.setdefault(person, []).append((begin, finish))
    counted = Counter(page.person for page in pages if start <= utc(page.at) < end)
    nights = Restriction("every day", *NIGHT, zone).spans(start, end)
    weekends = Restriction("sat,sun", time(0), time(0), zone).spans(start, end)
    loads = tuple(
        Load(
            person=person,
            total=length(spans.get(person, ())),
            night=overlap(spans.get(person, ()), nights),
            weekend=overlap(spans.get(person, ()), weekends),
            shifts=len(spans.get(person, ())),
            pages=counted[person],
        )
        for person in sorted({*spans, *counted})
    )
    covered = length((piece.start, piece.end) for piece in pieces if piece.people)
    return Report(
        start=start,
        end=end,
        loads=loads,
        covered=covered,
        uncovered=length((piece.start, piece.end) for piece in pieces if not piece.people),
        off_on_purpose=length((piece.start, piece.end) for piece in pieces if piece.on_purpose),
        shared=sum((load.total for load in loads), timedelta(0)) - covered,
    )
