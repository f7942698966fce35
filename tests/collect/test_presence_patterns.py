"""Whatever the pattern of sends: late or sent twice is no silence, and the end of all is seen within two intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.collect.presence import SILENT_INTERVALS, UP, Presence
from otelmon.sample import is_stale

LEAST = 15.0
TURN = 1.0
PATIENCE = TURN + LEAST / 4
SENDS = 14
# The interval of who sends, and whether it says so. One that does not say it is first taken for one of a minute.
SENDERS = st.tuples(st.floats(LEAST, 80.0), st.booleans())
QUARTER = st.lists(st.floats(0.0, 0.25), min_size=SENDS, max_size=SENDS)


@dataclass(kw_only=True)
class Watching:
    """A server that turns each second and ticks each 15 s; what it has found by then."""

    presence: Presence = field(default_factory=lambda: Presence(interval_seconds=LEAST))
    fallen_at: list[float] = field(default_factory=list)
    down_at: list[float] = field(default_factory=list)

    def run(self, arrivals: Sequence[tuple[float, str, float | None]], until: float, *, stopped: Any = None) -> None:
        """Let what was sent arrive, at its time; the server does nothing from ``stopped[0]`` to ``stopped[1]``."""
        waiting = sorted(arrivals, reverse=True)
        at, tick_at = 0.0, 0.0
        while at < until:
            while waiting and waiting[-1][0] <= at:
                when, name, told = waiting.pop()
                self.presence.heard("shop", name, at=when, interval_seconds=told)
            self.turn(at)
            if at >= tick_at:
                tick_at += LEAST
                found = self.presence.samples(at)
                ups = [each.value for each in found if each.labels.metric_name == UP and not is_stale(each.value)]  # type: ignore[arg-type]
                if ups and not any(ups):
                    self.down_at.append(at)
            at = min(max(at + TURN, 0.0), max(at + 0.1, self.presence.look_at))
            if stopped is not None and stopped[0] < at < stopped[1]:
                at = stopped[1]

    def turn(self, at: float) -> None:
        self.presence.awake(at, patience_seconds=PATIENCE)
        if at >= self.presence.look_at and self.presence.fall_silent({SILENT_INTERVALS}, at=at):
            self.fallen_at.append(at)


def sent(interval: float, late: Sequence[float], *, begin: float = 1.0) -> list[float]:
    return [begin + (number + part) * interval for number, part in enumerate(late)]


@settings(max_examples=60, deadline=None)
@given(sender=SENDERS, late=QUARTER, retried=st.integers(4, SENDS - 1), again=st.floats(0.0, 0.35))
def test_sends_that_are_late_by_a_quarter_and_one_that_came_at_the_second_try_are_no_silence(
    sender: tuple[float, bool], late: list[float], retried: int, again: float
) -> None:
    interval, says = sender
    late[retried] = max(late[retried], 0.15) + again
    watching = Watching()
    told = interval if says else None
    arrivals = [(at, "a", told) for at in sent(interval, late)]
    watching.run(arrivals, until=arrivals[-1][0])
    assert watching.fallen_at == watching.down_at == []


@settings(max_examples=60, deadline=None)
@given(
    senders=st.lists(st.tuples(st.floats(0.0, 1.0), QUARTER, st.integers(9, SENDS)), min_size=1, max_size=4),
    sender=SENDERS,
)
def test_when_the_last_one_is_dead_it_is_seen_within_two_intervals_of_its_last_word_and_not_before(
    senders: list[tuple[float, list[float], int]], sender: tuple[float, bool]
) -> None:
    interval, says = sender
    told = interval if says else None
    arrivals = [
        (at, f"shop-{number}", told)
        for number, (phase, late, lived) in enumerate(senders)
        for at in sent(interval, late[:lived], begin=1.0 + phase * interval)
    ]
    last = max(at for at, _, _ in arrivals)
    watching = Watching()
    watching.run(arrivals, until=last + 3 * interval)
    (fallen_at,) = watching.fallen_at
    assert last + 1.5 * interval < fallen_at < last + 1.9 * interval
    assert min(watching.down_at) > fallen_at - TURN


@settings(max_examples=60, deadline=None)
@given(
    sender=SENDERS,
    late=st.lists(st.floats(0.0, 0.1), min_size=SENDS, max_size=SENDS),
    began=st.floats(4.0, 8.0),
    lasted=st.floats(0.0, 4.0),
)
def test_a_server_that_was_stopped_itself_finds_nobody_silent(
    sender: tuple[float, bool], late: list[float], began: float, lasted: float
) -> None:
    interval, says = sender
    stop, resume = 1.0 + began * interval, 1.0 + (began + lasted) * interval
    arrivals = []
    for at in sent(interval, late):
        if not stop < at < resume:
            arrivals.append((at, "a", interval if says else None))
        elif resume - at < 0.7 * interval:  # the client is patient so long, with its second try
            arrivals.append((resume, "a", interval if says else None))
    watching = Watching()
    watching.run(arrivals, until=arrivals[-1][0], stopped=(stop, resume))
    assert watching.fallen_at == watching.down_at == []
