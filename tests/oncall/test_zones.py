"""The guarantees of rotations and restrictions, in every zone."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from otelmon.oncall.wall import first_instant, last_instant, wall_time
from tests.oncall import zones

# In parts, so that a long run shows how far it is, can be spread over cores, and taken up where it was left
# (``-k "part7of30"``).
PARTS = 30


def every_zone(test: Callable[[int], None]) -> Callable[[int], None]:
    """A long test that goes through all zones, one part after the other."""
    parts = pytest.mark.parametrize("part", range(PARTS), ids=[f"part{number}of{PARTS}" for number in range(PARTS)])
    return pytest.mark.soak(parts(test))


def moments(name: str, chance: random.Random, most: int) -> list[datetime]:
    changes = zones.changes(ZoneInfo(name)) or [zones.any_instant(chance)]
    return chance.sample(changes, min(most, len(changes)))


def check(name: str, chance: random.Random, near: datetime) -> None:
    zone = ZoneInfo(name)
    rotation = zones.any_rotation(chance, zone, near)
    zones.check_rotation(rotation, near)
    zones.check_restriction(zones.any_restriction(chance, zone), near)


@pytest.mark.parametrize("name", zones.NAMED)
def test_the_guarantees_hold_where_clocks_are_odd(name: str) -> None:
    chance = random.Random(name)
    for near in moments(name, chance, 20):
        check(name, chance, near)


def test_the_guarantees_hold_in_a_sample_of_zones() -> None:
    chance = random.Random(4)
    for name in chance.sample(zones.ZONES, 40):
        check(name, chance, zones.any_instant(chance))


@every_zone
def test_the_guarantees_hold_in_every_zone(part: int) -> None:
    for name in zones.ZONES[part::PARTS]:
        chance = random.Random(name)
        for near in [*moments(name, chance, 1000), *(zones.any_instant(chance) for _ in range(20))]:
            check(name, chance, near)


def check_wall(name: str, at: datetime) -> None:
    """Around a change: both instants of a wall time against a search of every minute."""
    zone = ZoneInfo(name)
    minutes = [at + timedelta(minutes=number) for number in range(-27 * 60, 27 * 60)]
    shown = [wall_time(minute, zone) for minute in minutes]
    centre = wall_time(at, zone)
    before = None
    for offset in range(-120, 121, 15):
        wall = centre + timedelta(minutes=offset)
        first = next(minute for minute, clock in zip(minutes, shown, strict=True) if clock >= wall)
        last = next(minute for minute, clock in zip(reversed(minutes), reversed(shown), strict=True) if clock <= wall)
        assert timedelta(0) <= first - first_instant(wall, zone) < timedelta(minutes=1)
        skipped = wall_time(first_instant(wall, zone), zone) != wall
        assert skipped or timedelta(0) <= last_instant(wall, zone) - last < timedelta(minutes=1)
        assert not skipped or first_instant(wall, zone) == last_instant(wall, zone)
        assert before is None or before <= first_instant(wall, zone)
        before = first_instant(wall, zone)


@pytest.mark.parametrize("name", zones.NAMED)
def test_a_wall_time_is_found_as_by_looking_at_the_clock_each_minute(name: str) -> None:
    for at in moments(name, random.Random(name), 2):
        check_wall(name, at)


@every_zone
def test_a_wall_time_is_found_in_every_zone(part: int) -> None:
    for name in zones.ZONES[part::PARTS]:
        for at in moments(name, random.Random(name), 10):
            check_wall(name, at)


def test_tzdata_has_what_the_tests_are_about() -> None:
    assert len(zones.ZONES) > 400
    assert len(zones.changes(ZoneInfo("Europe/Lisbon"))) > 100
    assert zones.changes(ZoneInfo("Pacific/Apia"))[0] > datetime(2010, 1, 1, tzinfo=UTC)
