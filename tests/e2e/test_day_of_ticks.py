"""A day of ticks with all sources on, while routes, workers, pools and operations come and go: nothing grows."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil
import pytest
import sqlalchemy
from opentelemetry.sdk.metrics import MeterProvider
from sqlalchemy.pool import QueuePool

from otelmon.collect.collector import Collector
from otelmon.collect.meter import OwnMeter
from otelmon.collect.reader import Reader
from otelmon.faults import Faults
from otelmon.instrument.host import HostSampler
from otelmon.instrument.model import Traffic
from otelmon.instrument.operations import Operation
from otelmon.instrument.probes import Rhythm
from otelmon.instrument.recorder import RequestRecorder
from otelmon.instrument.sources import Sources
from otelmon.paging.model import Outcome, OutcomeKind, OwedPage
from otelmon.runtime.siblings import FOLDER, Siblings
from otelmon.storage.lease import Moment
from otelmon.storage.sqlite import STATE_FILE, SqliteStorage
from otelmon.testing import FakeClock
from tests.e2e.simulation import Simulation

HOUR = 3600.0
INTERVAL = 15.0
ROUTES = 30
# A pool without a name gets the first that is free: how many there are at once is up to the garbage collector.
POOLS_AT_ONCE = 3
SERIES_OF_A_POOL = 32
ABOUT = {"job": "shop", "instance": "host"}


class Worker:
    """Another process of the service."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self._clock = clock
        self._recorder = RequestRecorder(start_at=clock.now())
        self.siblings = Siblings(
            folder, about=ABOUT, boot="boot", interval_seconds=INTERVAL, clock=clock, faults=Faults()
        )
        self._collector = Collector(None, recorder=self._recorder, **ABOUT, shared=self.siblings)

    def serve(self, route: str, status: int) -> None:
        lane = self._recorder.lane(Traffic.REQUEST, "GET", "http")
        lane.begin()
        lane.end(route, status, "", 0.03)

    def leave(self) -> None:
        self._collector.count(self._clock.now())
        self._collector.leave()


class Forgetful:
    """A channel that takes every page and keeps none: what it kept would grow."""

    name = "discord"

    def send(self, owed: OwedPage, at: datetime) -> Outcome:
        return Outcome(kind=OutcomeKind.DELIVERED, reason="taken", message_id=owed.page.id)

    def close(self) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the process and its state held at an instant."""

    memory: int
    objects: int
    series: int
    state_bytes: int
    files: int


class Day:
    """An app whose routes, workers, pools and jobs change all the time."""

    def __init__(self, folder: Path, simulation: Simulation, sources: Sources, clock: FakeClock) -> None:
        self.deployed_each = 10 * HOUR
        """How often the workers get a version with other routes."""
        self._folder = folder
        self._simulation = simulation
        self._sources = sources
        self._clock = clock
        self._workers: list[Worker] = []
        self.ticks = 0

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / INTERVAL)):
            self._clock.advance(INTERVAL)
            self.ticks += 1
            self._serve()
            self._sources.background.run_due(self._clock.monotonic())
            self._sources.background.wait(30.0)
            self._simulation.tick()
        self._sources.background.wait(30.0)

    def _serve(self) -> None:
        for number in range(5):
            self._simulation.request(f"/route{(self.ticks * 5 + number) % ROUTES}", times=4)
            for worker in self._workers:
                worker.serve(f"/v{self.ticks * INTERVAL // self.deployed_each:g}/items{number}", 200)
        self._simulation.request("/route0", 500)
        if self.ticks % 10 == 1:  # a worker ends, as with max_requests, and another one begins
            while len(self._workers) > 1:
                self._workers.pop(0).siblings.close()
            self._workers.append(Worker(self._folder, self._clock))
        for worker in self._workers:
            worker.leave()
        # A pool, an operation and a delayed job for each tick, the pool named by the application.
        engine = sqlalchemy.create_engine("sqlite://", poolclass=QueuePool)
        self._sources.pools.watch(engine, "reports" if self.ticks % 2 else None)
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("select 1"))
        engine.dispose()
        with Operation(self._sources.operations, f"upload{self.ticks % 10}") as operation:
            operation.add_bytes(100)
        self._sources.queues.started("mails", self._sources.queues.now() - self.ticks % 5)

    def held(self) -> Held:
        gc.collect()
        state = sum(path.stat().st_size for path in self._folder.glob(f"{STATE_FILE}*"))
        return Held(
            memory=psutil.Process().memory_info().rss,
            objects=len(gc.get_objects()),
            series=self._simulation.window.series_count,
            state_bytes=state,
            files=len(list((self._folder / FOLDER).iterdir())),
        )


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    (tmp_path / "otelmon.yaml").write_text("service: shop\nstorm_after: 5\n", encoding="utf-8")
    clock, faults = FakeClock(), Faults()
    reader = Reader(faults=faults)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    meter, sources = OwnMeter(provider, "otelmon"), Sources()
    host = HostSampler(meter, faults=faults)
    sources.probes.declare("payments", lambda: True, Rhythm())
    sources.queues.declare("mails", lambda: 3, lambda: 1.0)
    sources.begin(meter, faults)
    siblings = Siblings(tmp_path, about=ABOUT, boot="boot", interval_seconds=INTERVAL, clock=clock, faults=faults)
    disk = SqliteStorage(tmp_path / STATE_FILE)
    assert disk.take_lease(
        siblings.id, Moment(boot="boot", monotonic=clock.monotonic(), wall=clock.now()), 30 * 24 * HOUR
    )
    siblings.begin_term(disk)

    def sample() -> None:
        host.sample()
        sources.sample()

    simulation = Simulation(
        tmp_path / "otelmon.yaml",
        clock=clock,
        disk=disk,
        reader=reader,
        notifier=Forgetful(),
        sample=sample,
        shared=siblings,
    )
    yield Day(tmp_path, simulation, sources, clock)
    sources.end()
    siblings.close()
    provider.shutdown()
    assert not faults.counts, faults.counts
    assert not simulation.faults.counts, simulation.faults.counts


def stays_flat(early: Held, late: Held, *, memory: int, state_bytes: int) -> None:
    assert late.series <= early.series * 1.05 + POOLS_AT_ONCE * SERIES_OF_A_POOL, (early, late)
    assert late.objects <= early.objects * 1.02, (early, late)
    assert late.files <= early.files + 2, (early, late)
    assert late.memory - early.memory <= memory, (early, late)
    assert late.state_bytes - early.state_bytes <= state_bytes, (early, late)


def test_a_quarter_of_an_hour_of_ticks_leaves_no_more_than_its_first_half(day: Day) -> None:
    day.run(0.15 * HOUR)
    early = day.held()
    day.run(0.1 * HOUR)
    stays_flat(early, day.held(), memory=8_000_000, state_bytes=1_000_000)


@pytest.mark.soak
def test_a_day_of_ticks_with_deployments_leaves_no_more_than_three_hours(day: Day) -> None:
    """Three, because what ended an hour ago is kept for that long; both as long after a deployment."""
    day.deployed_each = 0.4 * HOUR
    day.run(3 * HOUR)
    early = day.held()
    day.run(53 * day.deployed_each)
    late = day.held()
    print(f"{day.ticks} ticks; after 3 h {early}; after 24 h {late}")
    stays_flat(early, late, memory=8_000_000, state_bytes=4_000_000)
