"""What a server makes of a fleet, by fast-forwarded time: exact over all, one page, and silence where it is due."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from otelmon.promql.evaluation import Evaluation
from otelmon.promql.query import Query
from otelmon.testing.clock import FakeClock
from tests.e2e.fleet_simulation import ReplicaSimulation, ServerSimulation
from tests.e2e.simulation import Simulation

MINUTE = 60.0
TWO_INTERVALS = 30.0
RATIO = """
sum(rate(http_server_request_duration_seconds_count{http_response_status_code=~"5.."}[5m]))
/ sum(rate(http_server_request_duration_seconds_count[5m]))
"""
P95 = "histogram_quantile(0.95, sum by (job) (rate(http_server_request_duration_seconds[5m])))"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The rules as documented: nothing is tuned."""
    path = tmp_path / "otelmon.yaml"
    path.write_text("instance: node\n", encoding="utf-8")
    return path


class Town:
    """A server and five replicas that send once an interval."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.clock = FakeClock()
        self.server = ServerSimulation(config, clock=self.clock)
        self.moment = 0
        self.replicas = {name: self.started(name) for name in (f"shop-{number}" for number in range(1, 6))}

    def started(self, name: str) -> ReplicaSimulation:
        return ReplicaSimulation(self.server, self.config, name)

    def run(
        self,
        seconds: float,
        second: Callable[[str, ReplicaSimulation], None],
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Each second traffic to every replica that there is; each 15 s they send, and the server ticks."""
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
            self.moment += 1
            for name, replica in self.replicas.items():
                second(name, replica)
                if self.moment % 15 == int(name[-1]):  # not all at once
                    replica.send()
            if self.moment % 15 == 0:
                self.server.tick()
            self.server.turn()
            if until():
                return

    def value(self, of: Simulation, expr: str) -> float:
        found = Query(expr).evaluate(of.window, self.clock.now())
        assert isinstance(found, Evaluation)
        (element,) = found.vector
        assert isinstance(element.value, float)
        return element.value


def well(_name: str, replica: ReplicaSimulation) -> None:
    replica.request(times=4)


def test_one_fault_in_all_five_is_one_page_and_all_killed_another(config: Path) -> None:
    town = Town(config)
    town.run(2 * MINUTE, well)
    assert town.server.triggered == []

    def failing(_name: str, replica: ReplicaSimulation) -> None:
        replica.request(times=3)
        replica.request(status=500)

    town.run(2 * MINUTE, failing)
    ((_, name),) = town.server.triggered
    assert name == "error_rate"
    (text,) = town.server.pages_text()
    assert "on shop" in text
    killed_at = town.clock.now()
    town.replicas.clear()
    town.run(MINUTE, well)
    assert [name for _, name in town.server.triggered] == ["error_rate", "service_silent"]
    assert town.server.triggered[-1][0] - killed_at <= TWO_INTERVALS
    assert "instances missing: 5" in town.server.pages_text()[-1]
    town.run(5 * MINUTE, well)
    assert [name for _, name in town.server.triggered] == ["error_rate", "service_silent"]  # not five more


@pytest.mark.soak
def test_ratio_and_p95_over_all_are_those_of_one_process_that_had_served_it_all(config: Path) -> None:
    town = Town(config)
    alone = Simulation(config, clock=town.clock)
    count = 0

    def mixed(name: str, replica: ReplicaSimulation) -> None:
        nonlocal count
        for _ in range(int(name[-1])):
            count += 1
            how = {"status": 500 if count % 7 == 0 else 200, "seconds": 0.003 * (1 + count % 97)}
            replica.request(**how)
            alone.request(**how)

    for _ in range(28):
        for _ in range(15):
            town.clock.advance(1.0)
            for name, replica in town.replicas.items():
                mixed(name, replica)
        for replica in town.replicas.values():
            replica.send()
        town.server.tick()
        alone.tick()
    for expr in (RATIO, P95):
        assert town.value(town.server, expr) == pytest.approx(town.value(alone, expr), rel=1e-9)
    total = 'sum(http_server_request_duration_seconds_count{job="shop"})'
    assert town.value(town.server, total) == town.value(alone, total) == count


def test_one_bad_replica_is_named_by_the_page(config: Path) -> None:
    town = Town(config)
    town.run(6 * MINUTE, well)

    def third_fails(name: str, replica: ReplicaSimulation) -> None:
        replica.request(status=500 if name == "shop-3" else 200, times=4)

    town.run(3 * MINUTE, third_fails)
    assert [name for _, name in town.server.triggered] == ["error_rate"]
    assert "Worst instances: shop-3" in town.server.pages_text()[0]
    assert "shop-2" not in town.server.pages_text()[0]


@pytest.mark.soak
def test_a_slow_replica_is_named_by_the_page(config: Path) -> None:
    town = Town(config)

    def third_is_slow(name: str, replica: ReplicaSimulation) -> None:
        replica.request(seconds=2.5 if name == "shop-3" else 0.02, times=4)

    town.run(6 * MINUTE, third_is_slow)
    assert [name for _, name in town.server.triggered] == ["response_time"]
    assert "Slowest instances: shop-3" in town.server.pages_text()[0]


@pytest.mark.parametrize("farewell", [pytest.param(True, marks=pytest.mark.soak), False])
def test_a_rolling_restart_pages_nobody(config: Path, farewell: bool) -> None:
    town = Town(config)
    town.run(2 * MINUTE, well)
    for name in list(town.replicas):
        gone = town.replicas.pop(name)
        if farewell:
            gone.say_farewell()
        town.run(40, well)  # so long until the new one has started
        town.replicas[f"new-{name}"] = town.started(f"new-{name}")
        town.run(MINUTE, well)
    town.run(5 * MINUTE, well)
    assert not town.server.pages.pages
    assert town.value(town.server, "otelmon_service_instances") == 5.0


@pytest.mark.soak
def test_a_stop_of_all_by_intent_pages_nobody(config: Path) -> None:
    town = Town(config)
    town.run(5 * MINUTE, well)
    for replica in town.replicas.values():
        replica.say_farewell()
    town.replicas.clear()
    town.run(20 * MINUTE, well)
    assert not town.server.pages.pages


def test_one_killed_replica_is_a_warning_that_ends_with_its_successor(config: Path) -> None:
    town = Town(config)
    town.run(5 * MINUTE, well)
    del town.replicas["shop-2"]
    town.run(2.5 * MINUTE, well)
    assert town.server.triggered == []
    town.run(2 * MINUTE, well)
    assert [name for _, name in town.server.triggered] == ["instance_silent"]
    assert "shop-2 of shop" in town.server.pages_text()[0]
    assert "4 others of the service send" in town.server.pages_text()[0]
    town.replicas["shop-6"] = town.started("shop-6")
    town.run(5 * MINUTE, well)
    assert [name for _, name in town.server.resolved] == ["instance_silent"]


@pytest.mark.soak
def test_who_died_while_the_server_was_down_is_missed_and_who_lives_is_not(config: Path) -> None:
    town = Town(config)
    town.run(5 * MINUTE, well)
    town.replicas = {"shop-1": town.replicas["shop-1"]}
    town.clock.advance(5 * MINUTE)
    town.server = ServerSimulation(config, clock=town.clock, disk=town.server.disk)
    town.replicas["shop-1"].wire.server = town.server
    town.run(MINUTE, well)
    counted = town.value(town.server, "sum(increase(http_server_request_duration_seconds_count[1m]))")
    assert counted < 4 * 60 * 1.3  # what was counted before the restart is not counted again
    town.run(4 * MINUTE, well)
    assert {name for _, name in town.server.triggered} == {"instance_silent"}
    assert sum("shop-1 of shop" in text for text in town.server.pages_text()) == 0


@pytest.mark.soak
def test_two_services_with_one_fault_each_are_two_incidents(config: Path) -> None:
    town = Town(config)
    other = {f"blog-{number}": ReplicaSimulation(town.server, config, f"blog-{number}") for number in (1, 2)}
    for replica in other.values():
        replica.wire._job = "blog"
    town.replicas |= other

    def failing(_name: str, replica: ReplicaSimulation) -> None:
        replica.request(times=8)
        replica.request(status=500)

    town.run(5 * MINUTE, failing)
    pages = town.server.pages_text()
    assert [name for _, name in town.server.triggered] == ["error_rate", "error_rate"]
    assert sorted("blog" in text.splitlines()[0] for text in pages) == [False, True]
