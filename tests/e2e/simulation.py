"""A whole engine on a clock that the test moves: real counting, collecting, evaluating, storing and delivering."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from otelmon.collect import pace
from otelmon.collect.collector import Collector, Shared
from otelmon.collect.reader import Reader
from otelmon.config.load import load_settings
from otelmon.config.settings import Settings
from otelmon.faults import Faults
from otelmon.instrument.model import Traffic
from otelmon.instrument.recorder import RequestRecorder
from otelmon.notify.notifier import Notifier
from otelmon.notify.pictures import Pictures
from otelmon.notify.worker import Worker
from otelmon.paging.model import Page, PageAction, PageReason
from otelmon.runtime.assemble import about, make_gatherer, window_for
from otelmon.runtime.changed import Notes
from otelmon.runtime.engine import Engine
from otelmon.runtime.evaluate import RuleRunner
from otelmon.runtime.journal import Journal
from otelmon.runtime.shifts import ShiftTeller
from otelmon.runtime.team import CurrentTeam
from otelmon.runtime.timekeeper import Timekeeper
from otelmon.storage.sqlite import MEMORY, SqliteStorage
from otelmon.storage.store import Storage
from otelmon.tenants import NOBODY, TENANT
from otelmon.testing.clock import FakeClock
from otelmon.testing.pages import CapturedPages
from tests.paging.build import fixed

OPEN: list[Simulation] = []
"""Those whose storages a test has not closed yet; it need not, its fixture does."""


@contextmanager
def unpaced() -> Iterator[None]:
    """Without the pauses of background work, which are for an application's threads: here is none, and on a busy
    machine each of the ten in a tick lasts as long as the rest of it.
    """
    before, pace._WORK_SECONDS = pace._WORK_SECONDS, float("inf")
    try:
        yield
    finally:
        pace._WORK_SECONDS = before


class Simulation:
    """One process of a watched app. ``second`` is called for each second of traffic and counts what it will."""

    def __init__(
        self,
        config: Path,
        *,
        clock: FakeClock | None = None,
        disk: Storage | None = None,
        reader: Reader | None = None,
        notifier: Notifier | None = None,
        environ: Mapping[str, str] | None = None,
        sample: Callable[[], None] = lambda: None,
        shared: Shared | None = None,
        pictures: Pictures | None = None,
        serves: bool = False,
    ) -> None:
        environ = {"OTEL_SERVICE_NAME": "shop", "OTELMON_STATE_DIR": str(config.parent), **(environ or {})}
        self.settings: Settings = load_settings(config, environ=environ, directory=config.parent, server=serves)
        tenants = self.settings.serve.tenants if serves else NOBODY
        self.clock = clock or FakeClock()
        self.faults = Faults()
        self._time = Timekeeper(self.clock, tolerance_seconds=30.0)
        self.recorder = RequestRecorder(start_at=self.clock.now())
        self.pages = CapturedPages("discord")
        self.disk = disk or SqliteStorage(MEMORY)
        self.memory = SqliteStorage(MEMORY)
        self.window = window_for(
            self.settings.groups,
            interval_seconds=self.settings.interval_seconds,
            max_series=self.settings.max_series,
        )
        self.engine = Engine(
            collector=Collector(
                reader, recorder=self.recorder, job="shop", instance="host", faults=self.faults, shared=shared
            ),
            window=self.window,
            rules=RuleRunner(
                self.settings.groups,
                interval_seconds=self.settings.interval_seconds,
                faults=self.faults,
                tenants=tenants,
            ),
            disk=self.disk,
            journal=Journal(self.disk, self.memory, self.faults),
            routing=replace(fixed(["discord"], self.settings.discord.mention), rules=self.settings.routes),
            about=about(self.settings, of_others=serves),
            faults=self.faults,
            sample_host=sample,
            current_team=CurrentTeam(self.settings.team, self.disk, self.faults),
            team=self.settings.team,
            shifts=ShiftTeller(self.settings.notices, self.faults),
            policy=self.settings.policy.apart(TENANT) if tenants else self.settings.policy,
            tenants=tenants,
        )
        self.notes = Notes(self.disk, self.faults)
        self.gatherer = make_gatherer(
            self.engine, self.settings, self.notes, pictures=pictures, clock=self.clock, faults=self.faults
        )
        self.engine.on_changes = self.gatherer.notice
        self.channels = {one.name: CapturedPages(one.name) for one in self.settings.notifiers}
        notifiers: dict[str, Notifier] = {"discord": notifier or self.pages, **self.channels}
        OPEN.append(self)
        self._workers = [Worker(each, notifiers, self.clock) for each in (self.disk, self.memory)]
        # Whether a tick that raises is passed over, as the loop of a running process does.
        self.guarded = False
        self.paged_at: list[tuple[float, Page]] = []
        self.engine.restore(self.clock.now())

    def close(self) -> None:
        """Give up the storages, also one that was given."""
        self.disk.close()
        self.memory.close()

    def request(self, route: str = "/items", status: int = 200, *, seconds: float = 0.02, times: int = 1) -> None:
        """Count requests that just ended."""
        lane = self.recorder.lane(Traffic.REQUEST, "GET", "http")
        for _ in range(times):
            lane.begin()
            lane.end(route, status, str(status) if status >= 500 else "", seconds)

    def run(self, seconds: float, second: Callable[[], None] = lambda: None, *, deliver: bool = True) -> None:
        """Let time pass: traffic each second, a tick each interval, pages delivered right after (or left owed)."""
        interval = self.settings.interval_seconds
        end = self.clock.monotonic() + seconds
        next_tick = self.clock.monotonic() + interval
        with unpaced():
            while self.clock.monotonic() < end:
                self.clock.advance(1.0)
                second()
                if self.clock.monotonic() >= next_tick:
                    next_tick += interval
                    self.tick(deliver=deliver)

    def tick(self, *, deliver: bool = True) -> None:
        """One tick now, and what it owes delivered."""
        reading = self._time.read()
        if reading.jumped_seconds:
            self.engine.shift(reading.jumped_seconds)
        try:
            self.engine.tick(reading.at)
        except ValueError:
            if not self.guarded:
                raise
        if deliver:
            self.deliver()

    def explain(self) -> None:
        """Gather the evidence that is asked for, and let the engine take it."""
        self.gatherer.gather()
        self.engine.take_requests(self._time.read().at)
        self.deliver()

    def deliver(self) -> None:
        """Deliver what is due."""
        before = len(self.pages.pages)
        for worker in self._workers:
            worker.deliver_due(datetime.fromtimestamp(self.clock.now(), UTC))
        self.paged_at += [(self.clock.now(), page) for page in self.pages.pages[before:]]

    @property
    def triggered(self) -> list[tuple[float, str]]:
        """When which alert was paged."""
        return [(at, self.alert_of(page)) for at, page in self.paged_at if page.reason is PageReason.TRIGGERED]

    @property
    def resolved(self) -> list[tuple[float, str]]:
        """When which alert was said to be resolved."""
        return [
            (at, self.alert_of(page))
            for at, page in self.paged_at
            if page.reason is PageReason.RESOLVED and page.action is PageAction.POST
        ]

    def alert_of(self, page: Page) -> str:
        """The name of the alert that a page is about."""
        incident = self.disk.incident(page.incident_id) or self.memory.incident(page.incident_id)
        return incident.alerts[0].name if incident is not None else page.incident_id
