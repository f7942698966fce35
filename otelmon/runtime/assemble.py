"""Assemble: an engine and what delivers for it, from settings. Imports what only the evaluating process needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from otelmon.clock import Clock
from otelmon.collect.collector import Collector
from otelmon.collect.export import OtlpExport, exporter_from_environment
from otelmon.collect.pipeline import Pipeline
from otelmon.config.settings import DISCORD, LOG, NotifierKind, Settings
from otelmon.errors import StateError
from otelmon.faults import Faults
from otelmon.incidents.model import Change
from otelmon.instrument.recorder import RequestRecorder
from otelmon.instrument.sources import SOURCES
from otelmon.labels import Labels
from otelmon.notify.discord import DiscordNotifier
from otelmon.notify.log import LogNotifier
from otelmon.notify.notifier import Notifier
from otelmon.notify.pause import Pause
from otelmon.notify.webhook import WebhookNotifier
from otelmon.notify.worker import Worker
from otelmon.paging.routing import Route, RouteRule, Routing
from otelmon.paging.text import AcknowledgeLink, Context, no_link
from otelmon.promql.analyze import lookback_seconds
from otelmon.rules.runbooks import first_steps
from otelmon.runtime.breakdowns import BreakdownSource, CourseSource
from otelmon.runtime.changed import ChangedSource, Notes
from otelmon.runtime.delivery import Delivery
from otelmon.runtime.diagnosed import DiagnosticSource
from otelmon.runtime.engine import Engine
from otelmon.runtime.evaluate import RuleRunner, rule_lookback_seconds
from otelmon.runtime.evidence import Gatherer, Source
from otelmon.runtime.examples import ExampleSource
from otelmon.runtime.incident_metrics import IncidentMetrics
from otelmon.runtime.journal import Journal
from otelmon.runtime.shifts import ShiftTeller
from otelmon.runtime.snapshot import view_texts
from otelmon.runtime.team import CurrentTeam
from otelmon.server.links import Links
from otelmon.storage.sqlite import MEMORY, STATE_FILE, SqliteStorage
from otelmon.storage.store import Storage
from otelmon.window.window import Window

# Views and snapshots look back five minutes, whatever the rules do.
_LEAST_LOOKBACK_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """An engine, the workers that deliver what it owes, and the export to OTLP where one is configured."""

    engine: Engine
    gatherer: Gatherer
    notes: Notes
    delivery: Delivery
    workers: Sequence[Worker]
    notifiers: Mapping[str, Notifier]
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
        for notifier in self.notifiers.values():
            notifier.close()
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
    with ExitStack() as opened:
        disk, memory = _open_state(settings, faults), SqliteStorage(MEMORY)
        for storage in (disk, memory):
            if storage is not None:
                opened.callback(storage.close)
        assembly = _assembled(
            settings,
            disk,
            memory,
            pages=pages,
            pipeline=pipeline,
            recorder=recorder,
            sample_host=sample_host,
            clock=clock,
            faults=faults,
            at=at,
        )
        assembly.engine.restore(at)
        opened.pop_all()  # from here on the assembly closes them
    return assembly


def _assembled(
    settings: Settings,
    disk: Storage | None,
    memory: Storage,
    *,
    pages: bool,
    pipeline: Pipeline,
    recorder: RequestRecorder | None,
    sample_host: Callable[[], None],
    clock: Clock,
    faults: Faults,
    at: float,
) -> Assembly:
    notifiers = make_notifiers(settings, clock)
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
        window=Window(retention_seconds=retention_seconds(settings), max_series=settings.max_series),
        rules=RuleRunner(
            settings.groups,
            interval_seconds=settings.interval_seconds,
            faults=faults,
            about=Labels({"job": settings.service, "instance": settings.instance}),
        ),
        disk=disk,
        journal=journal,
        routing=make_routing(settings) if pages else Routing(),
        about=about(settings, _acknowledge_link(settings, disk, faults)),
        faults=faults,
        sample_host=sample_host,
        current_team=CurrentTeam(settings.team, disk, faults),
        shifts=ShiftTeller(settings.notices, faults),
        policy=settings.policy,
    )
    measured = IncidentMetrics(pipeline.meter, lambda: engine.team.people, faults=faults).record
    notes = Notes(disk, faults)
    notes.start(str(pipeline.resource.attributes.get("service.version", "")), at)
    gatherer = make_gatherer(engine, settings, notes, clock=clock, faults=faults)

    def on_changes(changes: Sequence[Change]) -> None:
        measured(changes)
        if pages:
            gatherer.notice(changes)

    engine.on_changes = on_changes
    storages = list(journal.storages)
    fallback = engine.routing.fallback
    workers = [Worker(storage, notifiers, clock, fallback=fallback) for storage in storages]
    delivery = Delivery(list(notifiers), workers, storages)
    if pages:
        delivery.measure(pipeline.meter)
    return Assembly(
        engine=engine,
        gatherer=gatherer,
        notes=notes,
        delivery=delivery,
        workers=workers,
        notifiers=notifiers,
        export=None if pipeline.portable else exporter_from_environment(faults=faults),
        storages=storages,
        clock=clock,
    )


def make_gatherer(engine: Engine, settings: Settings, notes: Notes, *, clock: Clock, faults: Faults) -> Gatherer:
    """What gathers evidence for the pages of an engine."""
    sources: list[Source] = [
        BreakdownSource(engine, monotonic=clock.monotonic),
        ExampleSource(trace_url=settings.trace_url, messages=settings.exception_messages),
        DiagnosticSource(SOURCES.diagnostics, monotonic=clock.monotonic),
        ChangedSource(engine, notes),
        CourseSource(),
    ]
    return Gatherer(engine, sources, clock=clock, faults=faults)


def make_notifiers(settings: Settings, clock: Clock) -> dict[str, Notifier]:
    """Every notifier by its name, the log among them; where an address is not set, it is the log by that name."""
    everywhere = Pause()  # Discord's global limit holds for all webhooks of an address
    found: dict[str, Notifier] = {LOG: LogNotifier(LOG)}
    discord = settings.discord
    if discord.webhook_url is not None:
        found[DISCORD] = DiscordNotifier(
            DISCORD,
            discord.webhook_url.get_secret_value(),
            clock=clock,
            global_pause=everywhere,
            forum=discord.forum,
            tags=discord.tags,
        )
    for one in settings.notifiers:
        url = "" if one.url is None else one.url.get_secret_value()
        if not url:
            found[one.name] = LogNotifier(one.name)
        elif one.kind is NotifierKind.DISCORD:
            found[one.name] = DiscordNotifier(
                one.name, url, clock=clock, global_pause=everywhere, forum=one.forum, tags=one.tags
            )
        else:
            token = "" if one.token is None else one.token.get_secret_value()
            found[one.name] = WebhookNotifier(one.name, url, token=token, clock=clock)
    return found


def default_notifier(settings: Settings) -> str:
    """Discord where a webhook is set, else the log."""
    return LOG if settings.discord.webhook_url is None else DISCORD


def make_routing(settings: Settings) -> Routing:
    """The configured routes; where they name `discord` and no webhook is set, they mean the log."""
    default = default_notifier(settings)

    def named(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(default if name == DISCORD else name for name in names))

    def rule(written: RouteRule) -> RouteRule:
        return written if written.targets is None else replace(written, targets=named(written.targets))

    machines = {one.name for one in settings.notifiers if one.kind is NotifierKind.WEBHOOK and one.url is not None}
    return Routing(
        default=Route(targets=(default,), mentions=settings.discord.mention),
        rules=tuple(map(rule, settings.routes)),
        fallback=named(settings.fallback),
        machines=frozenset(machines),
    )


def about(settings: Settings, acknowledge_link: AcknowledgeLink = no_link) -> Context:
    """What pages say of where they come from."""
    return Context(
        service=settings.service,
        environment=settings.environment or "",
        instance=settings.instance,
        runbooks=settings.runbook_base_url or "",
        first_steps=partial(first_steps, folder=settings.runbooks),
        acknowledge_link=acknowledge_link,
        repeat_every=settings.policy.repeat_every,
    )


def retention_seconds(settings: Settings) -> float:
    """How long samples are kept: as far as any rule looks back, and two intervals more."""
    from otelmon.promql.parse import parse

    lookbacks = [rule_lookback_seconds(rule) for group in settings.groups for rule in group.rules]
    lookbacks += [lookback_seconds(parse(text)) for text in view_texts()]
    return max(_LEAST_LOOKBACK_SECONDS, *lookbacks) + 2 * settings.interval_seconds


def _acknowledge_link(settings: Settings, disk: Storage | None, faults: Faults) -> AcknowledgeLink:
    """How pages link to where they are acknowledged: where the app is reached from outside, and keeps the secret."""
    if settings.public_url is None or disk is None:
        return no_link
    try:
        return Links(disk.link_secret(), settings.public_url).address
    except StateError as error:
        faults.add("state", f"pages have no link to acknowledge them by: {error}")
        return no_link


def _open_state(settings: Settings, faults: Faults) -> Storage | None:
    try:
        return SqliteStorage(settings.state_dir / STATE_FILE)
    except StateError as error:
        faults.add("state", f"state cannot be kept, paging goes on from memory and a restart forgets it: {error}")
        return None
