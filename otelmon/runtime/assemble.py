"""Assemble: an engine and what delivers for it, from settings. Imports what only the evaluating process needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otelmon.clock import Clock
from otelmon.config.settings import Settings
from otelmon.faults import Faults
from otelmon.labels import Labels
from otelmon.notify.discord import DiscordNotifier
from otelmon.notify.log import LogNotifier
from otelmon.notify.notifier import Notifier
from otelmon.notify.worker import Worker
from otelmon.oncall.fixed import FixedOnCall
from otelmon.paging.text import Context
from otelmon.promql.analyze import lookback_seconds
from otelmon.rules.runbooks import first_steps
from otelmon.runtime.engine import Engine
from otelmon.runtime.evaluate import RuleRunner, rule_lookback_seconds
from otelmon.runtime.journal import Journal
from otelmon.runtime.member import Member
from otelmon.runtime.snapshot import VIEWS
from otelmon.storage.sqlite import MEMORY, SqliteStorage
from otelmon.storage.store import Storage
from otelmon.window.window import Window

DISCORD = "discord"
LOG = "log"
# Views and snapshots look back five minutes, whatever the rules do.
_LEAST_LOOKBACK_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What evaluates and pages: an engine, and the workers that deliver what it owes."""

    engine: Engine
    workers: Sequence[Worker]
    notifier: Notifier
    memory: Storage
    clock: Clock

    def close(self, timeout_seconds: float) -> None:
        """Deliver what is due within the time given, and let connections go."""
        deadline = self.clock.monotonic() + timeout_seconds
        for worker in self.workers:
            worker.drain(deadline)
        self.notifier.close()
        self.memory.close()


def assemble(
    settings: Settings,
    member: Member,
    *,
    pages: bool,
    sample_host: Callable[[], None],
    clock: Clock,
    faults: Faults,
    at: float,
) -> Assembly:
    """An engine with the state of the last run restored, as of ``at`` (unix seconds). ``pages`` is whether it pages."""
    disk, memory = member.disk, SqliteStorage(MEMORY)
    notifier = make_notifier(settings, clock)
    journal = Journal(disk, memory, faults)
    engine = Engine(
        collector=member.collector,
        window=Window(retention_seconds=retention_seconds(settings), max_series=settings.max_series),
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
        continues=member.begin_term(),
    )
    engine.restore(at)
    return Assembly(
        engine=engine,
        workers=[
            Worker(storage, {notifier.name: notifier}, clock, may_send=member.may_send) for storage in journal.storages
        ],
        notifier=notifier,
        memory=memory,
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
        first_steps=first_steps,
    )


def retention_seconds(settings: Settings) -> float:
    """How long samples are kept: as far as any rule looks back, and two intervals more."""
    from otelmon.promql.parse import parse

    lookbacks = [rule_lookback_seconds(rule) for group in settings.groups for rule in group.rules]
    lookbacks += [lookback_seconds(parse(text)) for text in VIEWS.values()]
    return max(_LEAST_LOOKBACK_SECONDS, *lookbacks) + 2 * settings.interval_seconds
