"""Assemble: an engine and what delivers for it, from settings. Imports what only the evaluating process needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from otelmon.clock import Clock
from otelmon.collect.collector import Collector
from otelmon.collect.export import OtlpExport, exporter_from_environment
from otelmon.collect.pipeline import Pipeline
from otelmon.config.settings import Settings
from otelmon.errors import StateError
from otelmon.faults import Faults
from otelmon.instrument.recorder import RequestRecorder
from otelmon.labels import Labels
from otelmon.notify.discord import DiscordNotifier
from otelmon.notify.log import LogNotifier
from otelmon.notify.notifier import Notifier
from otelmon.notify.worker import Worker
from otelmon.oncall.fixed import FixedOnCall
from otelmon.paging.text import Context
from otelmon.rules.model import Group
from otelmon.rules.runbooks import first_steps
from otelmon.runtime.engine import Engine
from otelmon.runtime.evaluate import RuleRunner
from otelmon.runtime.journal import Journal
from otelmon.runtime.retention import retention
from otelmon.storage.sqlite import MEMORY, STATE_FILE, SqliteStorage
from otelmon.storage.store import Storage
from otelmon.window.window import Window

DISCORD = "discord"
LOG = "log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """An engine, the workers that deliver what it owes, and the export to OTLP where one is configured."""

    engine: Engine
    workers: Sequence[Worker]
    notifier: Notifier
    export: OtlpExport | None
    storages: Sequence[Storage]
    clock: Clock

    def close(self, timeout_seconds: float) -> None:
        """Deliver what is due within the time given, and let files and connections go."""
        deadline = self.clock.monotonic() + timeout_seconds
        for worker in self.workers:
            worker.drain(deadline)
        latest = self.engine.collector.latest
        if self.export is not None:
            if latest is not None:
                self.export.export(latest)
            self.export.shutdown()
        self.notifier.close()
        for storage in self.storages:
            storage.close()


def assemble(
    settings: Settings,
    *,
    pages: bool,
    pipeline: Pipeline,
    recorder: RequestRecorder | None,
    sample_host: Callable[[], None],
    clock: Clock,
    faults: Faults,
    at: float,
) -> Assembly:
    """An engine with the state of the last run restored, as of ``at`` (unix seconds). ``pages`` is whether it pages."""
    disk, memory = _open_state(settings, faults), SqliteStorage(MEMORY)
    notifier = make_notifier(settings, clock)
    collector = Collector(
        pipeline.reader,
        recorder=recorder,
        job=settings.service,
        instance=settings.instance,
        resource=pipeline.resource,
        exponential=pipeline.exponential,
        max_series=settings.max_series,
        faults=faults,
    )
    journal = Journal(disk, memory, faults)
    engine = Engine(
        collector=collector,
        window=window_for(settings.groups, interval_seconds=settings.interval_seconds, max_series=settings.max_series),
        rules=RuleRunner(
            settings.groups,
            interval_seconds=settings.interval_seconds,
            faults=faults,
            about=Labels({"job": settings.service, "instance": settings.instance}),
        ),
        disk=disk,
        journal=journal,
        on_call=FixedOnCall(mentions=settings.discord.mention),
        targets=[notifier.name] if pages else [],
        about=about(settings),
        faults=faults,
        sample_host=sample_host,
        policy=settings.policy,
    )
    engine.restore(at)
    storages = list(journal.storages)
    return Assembly(
        engine=engine,
        workers=[Worker(storage, {notifier.name: notifier}, clock) for storage in storages],
        notifier=notifier,
        export=None if pipeline.portable else exporter_from_environment(faults=faults),
        storages=storages,
        clock=clock,
    )


def make_notifier(settings: Settings, clock: Clock) -> Notifier:
    """Discord where a webhook is set, else the log."""
    url = settings.discord.webhook_url
    return DiscordNotifier(DISCORD, url.get_secret_value(), clock=clock) if url is not None else LogNotifier(LOG)


def about(settings: Settings) -> Context:
    """What pages say of where they come from."""
    return Context(
        service=settings.service,
        environment=settings.environment or "",
        instance=settings.instance,
        runbooks=settings.runbook_base_url or "",
        first_steps=partial(first_steps, folder=settings.runbooks),
    )


def window_for(groups: Sequence[Group], *, interval_seconds: float, max_series: int) -> Window:
    """An empty window that keeps samples as long as these rules look back."""
    seconds, lasting = retention(groups, interval_seconds)
    return Window(retention_seconds=seconds, max_series=max_series, lasting=lasting)


def _open_state(settings: Settings, faults: Faults) -> Storage | None:
    try:
        return SqliteStorage(settings.state_dir / STATE_FILE)
    except StateError as error:
        faults.add("state", f"state cannot be kept, paging goes on from memory and a restart forgets it: {error}")
        return None
