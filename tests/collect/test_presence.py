"""Who sends and who has stopped: a crash is told from a stop, a restart and a replacement, in the sender's own time."""

from __future__ import annotations

import json
import math

import pytest

from otelmon.collect.presence import DELAY, INSTANCES, LAST_SEEN, SILENCE, UP, Presence
from otelmon.sample import is_stale

EVERY = 15.0


class Town:
    """A server that ticks each 15 s, and instances that send once an interval."""

    def __init__(self, presence: Presence | None = None, at: float = 1_000_000.0) -> None:
        self.presence = presence or Presence(interval_seconds=EVERY)
        self.at = at
        self.found: dict[tuple[str, ...], float] = {}

    def tick(self, *senders: str, ticks: int = 1, job: str = "shop", delay: float = 0.0) -> None:
        for _ in range(ticks):
            self.at += EVERY
            for name in senders:
                self.presence.heard(job, name, at=self.at - 1, newest_at=self.at - 1 - delay)
            self.found = {}
            for sample in self.presence.samples(self.at):
                labels = sample.labels
                key = tuple(filter(None, (labels.metric_name, labels["job"], labels.get("instance"))))
                assert isinstance(sample.value, float)
                self.found[key] = sample.value

    def up(self, job: str = "shop") -> dict[str, bool]:
        """Who is watched, and whether it is up."""
        return {
            key[2]: value == 1.0 for key, value in self.found.items() if key[:2] == (UP, job) and not is_stale(value)
        }

    def ended(self) -> set[str]:
        return {key[2] for key, value in self.found.items() if key[0] == UP and is_stale(value)}


def test_an_instance_is_up_while_it_sends_and_silent_after_two_of_its_intervals() -> None:
    town = Town()
    town.tick("a", "b", ticks=4)
    assert town.up() == {"a": True, "b": True}
    assert town.found[SILENCE, "shop", "a"] == pytest.approx(1 / EVERY)
    assert town.found[LAST_SEEN, "shop", "a"] == town.at - 1
    town.tick("b", ticks=2)
    assert town.up() == {"a": False, "b": True}  # 31 s without a word
    assert town.found[SILENCE, "shop", "a"] == pytest.approx(31 / EVERY)
    assert town.found[INSTANCES, "shop"] == 1.0
    town.tick("a", "b")
    assert town.up() == {"a": True, "b": True}


def test_silence_counts_in_the_intervals_of_whoever_is_silent() -> None:
    town = Town()
    for number in range(16):
        town.tick("quick", *(["slow"] if number % 4 == 0 else []))  # each 15 s, each 60 s
    town.tick(ticks=3)
    assert town.up() == {"quick": False, "slow": True}
    town.tick(ticks=4)
    assert town.up() == {"quick": False, "slow": False}


def test_one_that_was_heard_of_once_has_the_interval_of_sdks_by_default() -> None:
    town = Town()
    town.tick("new")
    town.tick(ticks=6)
    assert town.up() == {"new": True}  # 91 s
    town.tick()
    assert town.up() == {"new": False}


def test_several_requests_in_an_interval_and_one_long_outage_are_not_taken_for_the_rhythm() -> None:
    town = Town()
    for _ in range(4):
        town.presence.heard("shop", "a", at=town.at + EVERY - 3)
        town.tick("a")
    town.tick(ticks=40)  # ten minutes of silence
    town.tick("a", ticks=2)
    town.tick(ticks=2)
    assert town.up() == {"a": False}


def test_one_that_sends_much_more_often_than_the_server_looks_is_silent_as_soon_as_any() -> None:
    town = Town()
    for _ in range(200):
        town.presence.heard("shop", "a", at=town.at)
        town.at += 0.3
    town.tick(ticks=3)
    assert town.up() == {"a": False}


def test_a_farewell_ends_the_series_and_nobody_is_missed() -> None:
    town = Town()
    town.tick("a", "b", ticks=3)
    town.presence.left("shop", "a")
    town.tick("b")
    assert town.ended() == {"a"}
    assert town.up() == {"b": True}
    town.presence.left("shop", "b")
    town.tick(ticks=1)
    assert town.ended() == {"b"}
    assert is_stale(town.found[INSTANCES, "shop"])
    town.tick(ticks=5)
    assert town.found == {}


def test_with_the_last_farewell_those_that_had_crashed_before_are_over_too() -> None:
    town = Town()
    town.tick("a", "b", ticks=3)
    town.tick("b", ticks=20)
    assert town.up() == {"a": False, "b": True}
    town.presence.left("shop", "b")
    town.tick()
    assert town.up() == {}


def test_a_new_instance_takes_the_place_of_one_that_fell_silent_and_of_no_second() -> None:
    town = Town()
    town.tick("a", "b", "c", ticks=20)
    town.tick("c", ticks=10)
    assert town.up() == {"a": False, "b": False, "c": True}
    town.tick("c", "d")
    assert town.up() == {"b": False, "c": True, "d": True}


def test_a_rolling_restart_under_new_names_is_never_a_silence() -> None:
    town = Town()
    old, new = ["a1", "b1", "c1"], ["a2", "b2", "c2"]
    town.tick(*old, ticks=10)
    for number in range(1, 4):
        for _ in range(4):  # the new one starts, then the old one ends; neither says a word
            town.tick(*old[number - 1 :], *new[:number])
        for _ in range(4):
            town.tick(*old[number:], *new[:number])
            assert all(town.up().values())
    assert town.up() == dict.fromkeys(new, True)


def test_a_crash_after_a_rolling_restart_with_farewells_is_not_taken_for_a_part_of_it() -> None:
    town = Town()
    town.tick("a1", "b1", ticks=10)
    for letter in ("a", "b"):
        town.presence.left("shop", f"{letter}1")
        town.tick(*[f"{other}{2 if other <= letter else 1}" for other in ("a", "b")])
    town.tick("a2", "b2", ticks=2)
    town.tick("b2", ticks=3)
    assert town.up() == {"a2": False, "b2": True}


def test_all_that_fall_silent_at_once_are_missed_all() -> None:
    town = Town()
    town.tick(*"abcde", ticks=3)
    town.tick(ticks=3)
    assert town.up() == dict.fromkeys("abcde", False)
    assert town.found[INSTANCES, "shop"] == 0.0


def test_what_is_late_says_by_how_much_and_nothing_once_it_is_silent() -> None:
    town = Town()
    town.tick("a", ticks=3, delay=90.0)
    assert town.found[DELAY, "shop", "a"] == pytest.approx(90.0)
    town.tick(ticks=4)
    assert is_stale(town.found[DELAY, "shop", "a"])


def test_a_restarted_server_gives_who_was_up_time_and_keeps_who_was_silent() -> None:
    town = Town()
    town.tick("a", "b", "sdk", ticks=5)
    town.presence.heard("shop", "b", at=town.at, interval_seconds=EVERY)
    town.tick("b", "sdk", ticks=4)
    kept = json.loads(json.dumps(town.presence.state()))
    again = Presence(interval_seconds=EVERY)
    again.restore(kept, at=town.at + 600)  # down for ten minutes
    later = Town(again, at=town.at + 600)
    later.tick()
    assert later.up() == {"a": False, "b": True, "sdk": True}
    assert later.found[SILENCE, "shop", "a"] > 40
    assert later.found[LAST_SEEN, "shop", "b"] == town.at - 1
    later.tick(ticks=2)
    assert later.up() == {"a": False, "b": False, "sdk": True}  # otelmon's client would have tried again by now
    later.tick(ticks=6)
    assert later.up() == {"a": False, "b": False, "sdk": True}  # an SDK waits up to two minutes where it lost a server
    later.tick(ticks=2)
    assert later.up() == {"a": False, "b": False, "sdk": False}


def test_after_a_short_restart_everybody_is_heard_of_soon() -> None:
    town = Town()
    town.tick("sdk", ticks=5)
    again = Presence(interval_seconds=EVERY)
    again.restore(town.presence.state(), at=town.at + 4)
    later = Town(again, at=town.at + 4)
    later.tick(ticks=2)
    assert later.up() == {"sdk": True}
    later.tick()
    assert later.up() == {"sdk": False}


def test_one_that_says_how_often_it_sends_is_believed_from_the_first_and_within_bounds() -> None:
    town = Town()
    for name, seconds in (("told", 20.0), ("hasty", 0.1), ("sleepy", 1e9)):
        town.presence.heard("shop", name, at=town.at, interval_seconds=seconds)
    town.tick(ticks=2)
    assert town.up() == {"told": True, "hasty": False, "sleepy": True}
    town.tick()
    assert town.up() == {"told": False, "hasty": False, "sleepy": True}
    town.tick(ticks=2 * 240)
    assert town.up() == {"told": False, "hasty": False, "sleepy": False}


def test_a_server_that_was_stopped_takes_its_own_pause_for_nobodys_silence() -> None:
    town = Town()
    town.presence.awake(town.at, patience_seconds=EVERY + 1)
    town.tick("a", ticks=5)
    town.at += 10 * EVERY  # nothing runs; what was sent meanwhile is lost
    town.tick()
    assert town.up() == {"a": True}
    town.tick()
    assert town.up() == {"a": True}
    town.tick("a")
    town.tick(ticks=2)
    assert town.up() == {"a": False}


def test_a_service_falls_silent_when_its_last_instance_has_and_once() -> None:
    presence = Presence(interval_seconds=EVERY)
    for name, at in (("a", 0.0), ("b", 5.0)):
        presence.heard("shop", name, at=at, interval_seconds=EVERY)
    presence.heard("blog", "c", at=10.0, interval_seconds=60.0)
    bounds = {1.75, 4.0}
    assert not presence.fall_silent(bounds, at=10.0)
    assert presence.look_at == pytest.approx(5.0 + 1.75 * EVERY, abs=0.01)
    assert not presence.fall_silent(bounds, at=0.0 + 1.75 * EVERY + 1)  # one of two
    assert presence.fall_silent(bounds, at=presence.look_at)
    assert not presence.fall_silent(bounds, at=presence.look_at - 1)
    assert not presence.fall_silent(bounds, at=5.0 + 4.0 * EVERY - 1)
    assert presence.fall_silent(bounds, at=5.0 + 4.0 * EVERY + 1)
    assert presence.fall_silent(bounds, at=10.0 + 1.75 * 60.0 + 1)  # the other service


def test_when_the_last_one_that_sends_leaves_the_next_to_fall_silent_is_looked_for_at_once() -> None:
    presence = Presence(interval_seconds=EVERY)
    presence.heard("shop", "crashed", at=0.0, interval_seconds=EVERY)
    presence.heard("shop", "leaves", at=14.0, interval_seconds=EVERY)
    assert not presence.fall_silent({1.75}, at=15.0)
    presence.left("shop", "leaves")
    assert presence.look_at < 16.0
    assert not presence.fall_silent({1.75}, at=16.0)
    assert presence.look_at == pytest.approx(1.75 * EVERY, abs=0.01)
    assert presence.fall_silent({1.75}, at=1.75 * EVERY + 0.1)


def test_the_silent_are_forgotten_after_a_day_and_there_are_only_so_many() -> None:
    town = Town(Presence(interval_seconds=EVERY, forget_seconds=3600.0, most=2))
    town.tick("a", "b", "c", ticks=2)
    assert town.up() == {"a": True, "b": True}
    assert town.presence.refused == 2
    town.tick("b", ticks=245)
    assert town.up() == {"b": True}


def test_a_clock_that_jumps_makes_nobody_silent() -> None:
    town = Town()
    town.tick("a", ticks=3)
    town.presence.shift(3600.0)
    town.at += 3600.0
    town.tick()
    assert town.up() == {"a": True}
    assert math.isfinite(town.found[SILENCE, "shop", "a"])


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_one_that_is_heard_of_before_the_jump_of_the_clock_is_known_is_missed_as_soon_as_any(seconds: float) -> None:
    town = Town()
    town.tick("a", ticks=5)
    town.presence.heard("shop", "a", at=town.at + seconds, interval_seconds=EVERY)
    town.presence.shift(seconds)
    town.at += seconds
    town.tick(ticks=3)
    assert town.up() == {"a": False}
    assert town.found[LAST_SEEN, "shop", "a"] <= town.at
