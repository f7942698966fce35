"""Assemble: an engine and what delivers for it, from settings. Imports what only the evaluating process needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from otelmon.clock import Clock
from otelmon.collect.log_export import LogExport, log_export_from_environment
from otelmon.collect.pipeline import Pipeline, own_version
from otelmon.config.sentry import SENTRY
from otelmon.config.settings import DISCORD, LOG, NotifierKind, Settings
from otelmon.errors import StateError
from otelmon.faults import Faults
from otelmon.instrument.sources import SOURCES
from otelmon.labels import Labels
from otelmon.notify.discord import DiscordNotifier
from otelmon.notify.log import LogNotifier
from otelmon.notify.notifier import Notifier
from otelmon.notify.pause import Pause
from otelmon.notify.pictures import FONTS, Pictures, can_draw
from otelmon.notify.sentry import SentryNotifier
from otelmon.notify.webhook import WebhookNotifier
from otelmon.notify.worker import Worker
from otelmon.paging.routing import Route, RouteRule, Routing
from otelmon.paging.text import AcknowledgeLink, Context, no_link
from otelmon.rules.model import Group
from otelmon.rules.runbooks import first_steps
from otelmon.runtime.alert_events import AlertEvents
from otelmon.runtime.alert_states import AlertStates
from otelmon.runtime.breakdowns import BreakdownSource
from otelmon.runtime.changed import ChangedSource, Notes
from otelmon.runtime.charted import CourseSource
from otelmon.runtime.delivery import Delivery
from otelmon.runtime.diagnosed import DiagnosticSource
from otelmon.runtime.engine import Engine
from otelmon.runtime.evaluate import RuleRunner
from otelmon.runtime.evidence import Gatherer, Source
from otelmon.runtime.examples import ExampleSource
from otelmon.runtime.incident_metrics import IncidentMetrics
from otelmon.runtime.journal import Journal
from otelmon.runtime.member import Member
from otelmon.runtime.pages import served_runbook
from otelmon.runtime.retention import retention
from otelmon.runtime.shifts import ShiftTeller
from otelmon.runtime.team import CurrentTeam
from otelmon.runtime.tracking import newest_error
from otelmon.server.links import Links
from otelmon.storage.sqlite import MEMORY, SqliteStorage
from otelmon.storage.store import Storage
from otelmon.tenants import NOBODY, TENANT
from otelmon.window.window import Window

_Changed = TypeVar("_Changed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What evaluates and pages: an engine, what explains its pages, and the workers that deliver what it owes."""

    engine: Engine
    gatherer: Gatherer
    notes: Notes
    delivery: Delivery
    workers: Sequence[Worker]
    notifiers: Mapping[str, Notifier]
    events: AlertEvents
    pictures: Pictures | None
    states: AlertStates
    memory: Storage
    clock: Clock

    def close(self, timeout_seconds: float) -> None:
        """Deliver what is due within the time given, and let connections go."""
        deadline = self.clock.monotonic() + timeout_seconds
        if self.pictures is not None:
            self.pictures.close()
        self.states.close()
        for worker in self.workers:
            worker.drain(deadline)
        self.events.close(deadline - self.clock.monotonic())
        for notifier in self.notifiers.values():
            notifier.close()
        self.memory.close()


def assemble(
    settings: Settings,
    member: Member,
    *,
    pages: bool,
    pipeline: Pipeline,
    sample_host: Callable[[], None],
    clock: Clock,
    faults: Faults,
    at: float,
) -> Assembly:
    """An engine with the state of the last run restored, as of ``at`` (unix seconds). ``pages`` is whether it pages.

    The meter of ``pipeline`` makes the instruments of what is delivered and of how incidents were handled.
    """
    with ExitStack() as opened:
        memory = SqliteStorage(MEMORY)
        opened.callback(memory.close)
        pictures = make_pictures(settings) if pages else None
        notifiers = make_notifiers(settings, clock, pictures)
        journal = Journal(member.disk, memory, faults)
        tenants = settings.serve.tenants if member.serves else NOBODY
        engine = Engine(
            collector=member.collector,
            window=window_for(
                settings.groups, interval_seconds=settings.interval_seconds, max_series=settings.max_series
            ),
            rules=RuleRunner(
                settings.groups,
                interval_seconds=settings.interval_seconds,
                faults=faults,
                about=Labels({"job": settings.service, "instance": settings.instance}),
                tenants=tenants,
            ),
            disk=member.disk,
            journal=journal,
            routing=make_routing(settings) if pages else Routing(),
            about=about(settings, _acknowledge_link(settings, member.disk, faults), of_others=member.serves),
            faults=faults,
            sample_host=sample_host,
            current_team=CurrentTeam(settings.team, member.disk, faults),
            shifts=ShiftTeller(settings.notices, faults),
            policy=settings.policy.apart(TENANT) if tenants else settings.policy,
            continues=member.begin_term(),
            mutes=member.mutes,
            lookout=member.lookout,
            tenants=tenants,
        )
        figures = IncidentMetrics(pipeline.meter, lambda: engine.team.people, faults=faults)
        events = _events(pipeline, member.log_export, clock, faults)
        notes = Notes(member.disk, faults)
        notes.start(str(pipeline.resource.attributes.get("service.version", "")), at)
        gatherer = make_gatherer(
            engine, settings, notes, examples=member.examples, pictures=pictures, clock=clock, faults=faults
        )
        engine.on_changes = _each(figures.record, events.changes, *([gatherer.notice] if pages else []))
        states = AlertStates(pipeline.meter, lambda: engine.rules.alerts, monotonic=clock.monotonic, faults=faults)
        engine.on_transitions = _each(states.record, events.transitions)
        engine.restore(at)
        storages = list(journal.storages)
        workers = [
            Worker(storage, notifiers, clock, fallback=engine.routing.fallback, may_send=member.may_send)
            for storage in storages
        ]
        delivery = Delivery(list(notifiers), workers, storages)
        if pages:
            delivery.measure(pipeline.meter)
        opened.pop_all()  # from here on the assembly closes them
    return Assembly(
        engine=engine,
        gatherer=gatherer,
        notes=notes,
        delivery=delivery,
        workers=workers,
        notifiers=notifiers,
        events=events,
        pictures=pictures,
        states=states,
        memory=memory,
        clock=clock,
    )


def make_gatherer(
    engine: Engine,
    settings: Settings,
    notes: Notes,
    *,
    examples: Callable[[], Sequence[object]] = tuple,
    pictures: Pictures | None = None,
    clock: Clock,
    faults: Faults,
) -> Gatherer:
    """What gathers evidence for the pages of an engine.

    ``examples`` are those that other processes have left; with ``pictures`` there are charts.
    """
    sources: list[Source] = [
        BreakdownSource(engine, monotonic=clock.monotonic),
        ExampleSource(trace_url=settings.trace_url, messages=settings.exception_messages, others=examples),
        DiagnosticSource(SOURCES.diagnostics, monotonic=clock.monotonic),
        ChangedSource(engine, notes),
    ]
    course = CourseSource(notes, pictures)
    return Gatherer(engine, [*sources, course], closing=[course], pictures=pictures, clock=clock, faults=faults)


def _events(pipeline: Pipeline, export: LogExport | None, clock: Clock, faults: Faults) -> AlertEvents:
    """Where alerts are told of as log records; by our own export only where the pipeline is ours too."""
    version = own_version()
    if export is None and not pipeline.portable:
        export = log_export_from_environment(resource=pipeline.resource, version=version, faults=faults)
    return AlertEvents(export, version=version, monotonic=clock.monotonic, faults=faults)


def _each(*listeners: Callable[[Sequence[_Changed]], None]) -> Callable[[Sequence[_Changed]], None]:
    def told(changes: Sequence[_Changed]) -> None:
        for listener in listeners:
            listener(changes)

    return told


def make_notifiers(settings: Settings, clock: Clock, pictures: Pictures | None = None) -> dict[str, Notifier]:
    """Every notifier by its name, the log among them; where an address is not set, it is the log by that name.

    Those that show pictures look for them among ``pictures``.
    """
    drawn = None if pictures is None else pictures.ready
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
            pictures=drawn,
        )
    for one in settings.notifiers:
        url = "" if one.url is None else one.url.get_secret_value()
        if not url:
            found[one.name] = LogNotifier(one.name)
        elif one.kind is NotifierKind.DISCORD:
            found[one.name] = DiscordNotifier(
                one.name, url, clock=clock, global_pause=everywhere, forum=one.forum, tags=one.tags, pictures=drawn
            )
        else:
            token = "" if one.token is None else one.token.get_secret_value()
            found[one.name] = WebhookNotifier(one.name, url, token=token, clock=clock)
    if (dsn := settings.sentry.parsed()) is not None:
        environment = settings.sentry.environment or settings.environment or ""
        found[SENTRY] = SentryNotifier(SENTRY, dsn, environment=environment, instance=settings.instance, clock=clock)
    return found


def make_pictures(settings: Settings) -> Pictures | None:
    """What draws charts; None where no notifier shows any, or they cannot be drawn."""
    others = any(one.kind is NotifierKind.DISCORD and one.url is not None for one in settings.notifiers)
    shown = settings.discord.webhook_url is not None or others
    return Pictures(settings.state_dir / FONTS) if shown and can_draw() else None


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
        tracker="" if settings.sentry.dsn is None else SENTRY,
    )


def about(settings: Settings, acknowledge_link: AcknowledgeLink = no_link, *, of_others: bool = False) -> Context:
    """What pages say of where they come from. ``of_others``: what they are about does not run here."""
    return Context(
        service=settings.service,
        environment=settings.environment or "",
        instance="" if of_others else settings.instance,
        runbooks=settings.runbook_base_url or "",
        served_runbook=served_runbook(settings),
        first_steps=partial(first_steps, folder=settings.runbooks),
        acknowledge_link=acknowledge_link,
        repeat_every=settings.policy.repeat_every,
        newest_error=newest_error(settings),
        tenants=settings.serve.tenants if of_others else NOBODY,
    )


def window_for(groups: Sequence[Group], *, interval_seconds: float, max_series: int) -> Window:
    """An empty window that keeps samples as long as these rules look back."""
    seconds, lasting = retention(groups, interval_seconds)
    return Window(retention_seconds=seconds, max_series=max_series, lasting=lasting)


def _acknowledge_link(settings: Settings, disk: Storage | None, faults: Faults) -> AcknowledgeLink:
    """How pages link to where they are acknowledged: where the app is reached from outside, and keeps the secret."""
    if settings.public_url is None or disk is None:
        return no_link
    try:
        return Links(disk.link_secret(), settings.public_url).address
    except StateError as error:
        faults.add("state", f"pages have no link to acknowledge them by: {error}")
        return no_link
