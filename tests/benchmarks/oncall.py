"""What asking who is on call costs: ``python -m tests.benchmarks.oncall``.

A schedule with 4 layers (three of them restricted) and 50 overrides, asked at random instants of a year (the instants
of a restriction's days are kept, so the first question about a day is the dear one: see p99); and a year of its final
schedule. Exits 1 where a bound is not kept.
"""

from __future__ import annotations

import random
import statistics
import sys
import time as clock
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from otelmon.oncall.calendar import schedule_feed
from otelmon.oncall.layer import Layer
from otelmon.oncall.overrides import Override
from otelmon.oncall.restriction import Restriction
from otelmon.oncall.rotation import Rotation
from otelmon.oncall.schedule import Schedule

LISBON = ZoneInfo("Europe/Lisbon")
START = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
MOST_MICROSECONDS = 200.0
MOST_MILLISECONDS = 200.0


def schedule() -> Schedule:
    start = datetime(2026, 1, 5, 9, tzinfo=LISBON)
    hours = [("mon-fri", 9, 18), ("mon-thu", 18, 9), ("sat,sun", 0, 0)]
    layers = [Layer(rotation=Rotation([f"p{number}" for number in range(6)], "weekly", 1, start))]
    for unit, (days, begin, end) in zip(("daily", "weekly", "monthly"), hours, strict=True):
        only = (Restriction(days, time(begin), time(end), LISBON),)
        layers.append(Layer(rotation=Rotation(["p1", "p2", "p3"], unit, 1, start), only=only))
    overrides = [
        Override(
            start=START + week * YEAR / 50, end=START + week * YEAR / 50 + timedelta(days=2), person="p5", replaces="p1"
        )
        for week in range(50)
    ]
    return Schedule(name="backend", time_zone=LISBON, layers=layers, overrides=overrides)


def main() -> int:
    team = schedule()
    chance = random.Random(4)
    asked = [START + timedelta(seconds=chance.randrange(365 * 86400)) for _ in range(5000)]
    took = []
    for at in asked:
        began = clock.perf_counter()
        team.on_call(at)
        took.append((clock.perf_counter() - began) * 1e6)
    one = statistics.median(took)
    years = []
    feeds = []
    for _ in range(5):
        began = clock.perf_counter()
        shifts = team.shifts(START, START + YEAR)
        years.append((clock.perf_counter() - began) * 1e3)
        began = clock.perf_counter()
        schedule_feed(team, START, START + YEAR, at=START)
        feeds.append((clock.perf_counter() - began) * 1e3)
    year, feed = statistics.median(years), statistics.median(feeds)
    worst = statistics.quantiles(took, n=100)[98]
    print(f"on call at an instant   {one:8.1f} us (p99 {worst:.1f})   bound {MOST_MICROSECONDS:.0f} us")
    print(f"a calendar of a year    {year:8.1f} ms ({len(shifts)} shifts)   bound {MOST_MILLISECONDS:.0f} ms")
    print(f"the same as an iCal feed{feed:8.1f} ms")
    return 0 if one < MOST_MICROSECONDS and year < MOST_MILLISECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
