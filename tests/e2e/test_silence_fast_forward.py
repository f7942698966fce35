"""When a service is silent, by fast-forwarded time: all killed is a page in time, and nothing else is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.collect.presence import INSTANCES
from otelmon.matching import Matcher, MatchOperator
from otelmon.paging.model import PageReason
from tests.e2e.fleet_simulation import ReplicaSimulation
from tests.e2e.test_fleet_fast_forward import MINUTE, TWO_INTERVALS, Town, well

# Only who sends is looked at, and what is over is over at once: a story has many ends.
CONFIG = """
instance: node
alerts:
  service_silent: {{keep_firing_for: 0s{tuned}}}
  error_rate: off
  route_error_rate: off
  response_time: off
  instance_silent: off
  telemetry_late: off
"""
INTERVAL = 15


def town_of(folder: Path, *names: str, tuned: str = "", sdk: bool = False) -> Town:
    path = folder / "otelmon.yaml"
    path.write_text(CONFIG.format(tuned=tuned), encoding="utf-8")
    town = Town(path)
    if names:
        town.replicas = {name: town.started(name) for name in names}
    for replica in town.replicas.values():
        replica.wire.says_interval = not sdk
    return town


def silences(town: Town) -> list[float]:
    """When it was paged that a service is silent."""
    assert {name for _, name in town.server.triggered} <= {"service_silent"}
    return [at for at, page in town.server.paged_at if page.reason in {PageReason.TRIGGERED, PageReason.REOPENED}]


@pytest.mark.parametrize("sdk", [False, True])
@pytest.mark.parametrize(
    "phases", [(0, 6, 11), pytest.param(range(INTERVAL), marks=pytest.mark.soak)], ids=["some", "each second"]
)
def test_all_killed_is_a_page_within_two_intervals_of_the_last_whenever_it_dies(
    tmp_path: Path, phases: tuple[int, ...], sdk: bool
) -> None:
    town = town_of(tmp_path, sdk=sdk)
    took = []
    for number, phase in enumerate(phases):
        town.run(9 * INTERVAL - town.moment % INTERVAL + phase, well)
        assert len(silences(town)) == number
        replicas, town.replicas = town.replicas, {}
        killed_at = town.clock.now()
        town.run(10 * INTERVAL, well, until=lambda: len(silences(town)) > number)  # noqa: B023
        took.append(town.clock.now() - killed_at)
        town.replicas = replicas
    print(f"paged {min(took):.0f} to {max(took):.0f} s after the last was killed, at an interval of {INTERVAL} s")
    assert max(took) <= TWO_INTERVALS
    assert min(took) > 10  # an interval from its last word is none


def test_one_of_one_is_missed_as_soon_as_five_of_five_and_by_the_rule_as_it_was_tuned(tmp_path: Path) -> None:
    for folder, tuned, least, most in (("as it is", "", 26, 30), ("tuned", ", threshold: 4", 60, 62)):
        (tmp_path / folder).mkdir()
        town = town_of(tmp_path / folder, "shop-1", tuned=tuned)
        town.run(2 * MINUTE + 1, well)  # it has sent just now
        killed_at = town.clock.now()
        town.replicas.clear()
        town.run(2 * MINUTE, well)
        (paged_at,) = silences(town)
        assert least <= paged_at - killed_at <= most
        assert f"{(paged_at - killed_at) / INTERVAL:.1f} of its intervals" in town.server.pages_text()[-1]


def test_a_rule_that_is_off_pages_nobody(tmp_path: Path) -> None:
    path = tmp_path / "otelmon.yaml"
    path.write_text("alerts: {service_silent: off, instance_silent: off}\n", encoding="utf-8")
    town = Town(path)
    town.run(MINUTE, well)
    town.replicas.clear()
    town.run(5 * MINUTE, well)
    assert silences(town) == []
    assert town.value(town.server, "otelmon_service_instances") == 0.0


@pytest.mark.parametrize("sdk", [False, True])
def test_a_send_that_is_lost_comes_at_the_second_try_and_pages_nobody(tmp_path: Path, sdk: bool) -> None:
    town = town_of(tmp_path, "shop-1", sdk=sdk)

    def losing(_name: str, replica: ReplicaSimulation) -> None:
        if not replica.wire.lose:
            replica.wire.lose = town.moment // INTERVAL % 2  # each second send, at its first try

    town.run(10 * MINUTE, losing)
    assert silences(town) == []


def test_a_server_that_was_stopped_for_minutes_pages_for_nobody_who_lives(tmp_path: Path) -> None:
    town = town_of(tmp_path, "shop-1")
    town.run(3 * MINUTE, well)
    for seconds in (8, 20, 31, 3 * MINUTE):
        town.clock.advance(seconds)
        town.server.turn()
        town.server.tick()
        town.run(2 * MINUTE, well)
    assert silences(town) == []
    town.replicas.clear()
    town.run(MINUTE, well)
    assert len(silences(town)) == 1


def test_when_the_last_one_stops_by_intent_those_that_crashed_just_before_are_missed_in_time(tmp_path: Path) -> None:
    town = town_of(tmp_path)
    town.run(3 * MINUTE, well)
    killed_at = town.clock.now()
    town.replicas = {"shop-5": town.replicas["shop-5"]}
    town.run(10, well)
    town.replicas.pop("shop-5").say_farewell()
    town.run(5 * MINUTE, well)
    (paged_at,) = silences(town)
    assert paged_at - killed_at <= TWO_INTERVALS


def test_when_the_last_one_stops_by_intent_those_that_were_silent_by_then_are_over_too(tmp_path: Path) -> None:
    town = town_of(tmp_path)
    town.run(3 * MINUTE, well)
    town.replicas = {"shop-5": town.replicas["shop-5"]}
    town.run(24, well)
    town.replicas.pop("shop-5").say_farewell()
    town.run(5 * MINUTE, well)
    assert silences(town) == []


def test_a_look_between_two_ticks_puts_off_no_tick(tmp_path: Path) -> None:
    town = town_of(tmp_path, "shop-1")
    town.run(3 * MINUTE, well)
    killed_at = town.clock.now()
    town.replicas.clear()
    town.run(2 * MINUTE, well)
    (paged_at,) = silences(town)
    assert paged_at % INTERVAL != killed_at % INTERVAL  # between two
    (series,) = town.server.window.select([Matcher(name="__name__", operator=MatchOperator.EQUAL, value=INSTANCES)])
    told_at = [float(at) for at in series.times if at > killed_at]
    assert told_at == [paged_at, *(killed_at + each * INTERVAL for each in range(1, 9))]
