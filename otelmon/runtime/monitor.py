"""Monitor: what `otelmon.start` returns. Light to import; the engine comes with the first traffic."""

from __future__ import annotations

import atexit
import logging
import math
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from otelmon.alerts.by_hand import ByHand
from otelmon.clock import Clock, SystemClock
from otelmon.config.files import find_config
from otelmon.config.load import load_settings
from otelmon.config.settings import PagingMode, Settings
from otelmon.errors import ConfigError, Problem
from otelmon.faults import Faults, logger
from otelmon.forks import FORKS
from otelmon.instrument.attach import attach, wrap
from otelmon.instrument.recorder import RequestRecorder
from otelmon.instrument.requests import RequestMiddleware
from otelmon.promql.analyze import condition
from otelmon.rules.model import AlertingRule, Severity
from otelmon.rules.runbooks import runbook_link
from otelmon.runtime.note import PROCESS_DOWN, is_run, leave_note
from otelmon.runtime.pages import own_pages, served_runbook
from otelmon.runtime.reload import RuleFiles
from otelmon.runtime.snapshot import Snapshot
from otelmon.runtime.startup import startup_line, startup_warnings
from otelmon.runtime.switch import PagingDecision, decide_paging, development_sign
from otelmon.runtime.ticks import Ticks
from otelmon.runtime.tracking import track_errors
from otelmon.runtime.watch import Watch

if TYPE_CHECKING:
    from otelmon.collect.pipeline import Pipeline
    from otelmon.incidents.model import Incident
    from otelmon.runtime.member import Member

# How long the first call that needs the engine waits for it (it loads numpy and the state), and a stop for the rest.
_READY_SECONDS = 5.0
# How old a forked child without an app becomes before it opens files: most are gone sooner.
_CHILD_SECONDS = 1.0
_STOP_SECONDS = 8.0

_Added = TypeVar("_Added")
# What a forked child has of its parent's watching: kept and never used, because letting go of a database connection
# would close it under SQLite's feet.
_inherited: list[Watch] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertInfo:
    """What a rule says of its alert. ``threshold`` is in the mission's unit; ``runbook`` is a link or a name."""

    name: str
    threshold: float
    severity: Severity
    runbook: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertCheck:
    """Whether a value would trigger an alert."""

    triggered: bool
    alert: AlertInfo


class Monitor:
    """The watching of this process: `snapshot`, `check_alert`, `process_alert`, `stop`."""

    def __init__(
        self,
        settings: Settings,
        paging: PagingDecision,
        *,
        clock: Clock | None = None,
        load: Callable[[], Settings] | None = None,
        widen: Callable[[Member, Pipeline], Member] | None = None,
    ) -> None:
        """``widen`` gives what evaluates another source to collect from."""
        self.settings = settings
        self._widen = widen
        self._rule_files = None if load is None or not settings.enabled else RuleFiles(settings, load)
        self.paging = paging
        self.faults = Faults()
        self._clock = clock or SystemClock()
        self.ticks = Ticks(
            interval_seconds=settings.interval_seconds, monotonic=self._clock.monotonic, faults=self.faults
        )
        self._recorder = RequestRecorder(start_at=self._clock.now())
        self._middlewares: list[RequestMiddleware] = []
        self._serving: set[object] = set()
        self._watch: Watch | None = None
        self._watch_process = 0
        self._own_pages = own_pages(settings, self._clock, self.faults) if paging.on else None
        self._lock = threading.Lock()
        self._stopped = False

    def attach(self, app: Any) -> None:
        """Watch the requests of an app; otelmon starts with the app's lifespan or its first request."""
        if self.settings.enabled:
            self._keep(attach(app, self._recorder, **self._hooks()).middleware)

    def wrap(self, app: Any) -> Any:
        """The same for any ASGI callable: returns the callable to serve instead."""
        if not self.settings.enabled:
            return app
        middleware = wrap(app, self._recorder, **self._hooks())
        self._keep(middleware)
        return middleware

    def _keep(self, middleware: RequestMiddleware) -> None:
        if middleware not in self._middlewares:
            self._middlewares.append(middleware)

    def _hooks(self) -> dict[str, Any]:
        app = object()
        return {
            "excluded": self.settings.exclude_paths,
            "on_start": partial(self._begin, app),
            "on_stop": partial(self._end, app),
            "faults": self.faults,
            "own_pages": self._own_pages,
        }

    def _begin(self, app: object) -> None:
        """An app has started."""
        with self._lock:
            if self._watch_process != os.getpid():
                self._serving.clear()  # those of the process that this one was forked from
            self._serving.add(app)
        self.run()
        with self._lock:
            if self._watch is not None:
                self._watch.add([each for each in self._middlewares if not each.lifecycle.pending])

    def _end(self, app: object) -> None:
        """An app has shut down; with the last one that serves the watching pauses, and its next lifespan goes on."""
        with self._lock:
            self._serving.discard(app)
            last = not self._serving
        if last:
            self._pause()

    def run(self) -> None:
        """Start evaluating in this process; returns soon, and does nothing where that is running already."""
        self._start()

    def _start(self, *, idle_seconds: float = 0.0) -> None:
        with self._lock:
            if self._stopped or not self.settings.enabled:
                return
            track_errors(self.settings, self._middlewares, clock=self._clock, faults=self.faults)
            if self._watch is not None and self._watch_process == os.getpid():
                return
            if self._watch is not None:
                _inherited.append(self._watch)
                if FORKS.cut:
                    self._watch, self._stopped = None, True
                    self.faults.add("fork", "a child is not watched: it was forked in the middle of a collection")
                    return
                self._watch.inherited()
            self._watch = Watch(
                self.settings,
                pages=self.paging.on,
                recorder=self._recorder,
                middlewares=self._middlewares,
                clock=self._clock,
                faults=self.faults,
                ticks=self.ticks,
                rule_files=self._rule_files,
                on_reload=self._adopt,
                idle_seconds=idle_seconds,
                widen=self._widen,
            )
            self._watch_process = os.getpid()
            if is_run(os.environ):
                # Whatever was said of the process before this one is over.
                self._watch.put(ByHand(name=PROCESS_DOWN, value=0.0))
            atexit.register(self._pause)

    def forked(self) -> None:
        """This is a new process, forked from one that may have watched; only the calling thread goes on in it.

        An app's traffic starts the watching here too. Where there is none to do so (`start()` in a runner of jobs), it
        starts at once, because a metric reader sees only what is recorded after it was made.
        """
        self._lock = threading.Lock()
        if self._watch is not None and not self._middlewares:
            try:
                self._start(idle_seconds=_CHILD_SECONDS)
            except Exception as error:  # noqa: BLE001 (whoever forked goes on)
                self.faults.add("fork", "a forked child is not watched", error)

    def _adopt(self, settings: Settings) -> None:
        """Other rules are evaluated now."""
        self.settings = settings

    def _pause(self) -> None:
        """Deliver what is due and end the threads; `run` starts them again."""
        with self._lock:
            watch, self._watch = self._watch, None
            if watch is not None and self._watch_process == os.getpid():
                watch.stop(_STOP_SECONDS)
            elif watch is not None:
                _inherited.append(watch)
        atexit.unregister(self._pause)

    def snapshot(self) -> Snapshot:
        """The app's vital signs over the last five minutes; a field is None where nothing was measured.

        The first call waits up to five seconds for the engine, which loads numpy and the state.
        """
        self.run()
        return Snapshot() if self._watch is None else self._watch.snapshot(wait_seconds=_READY_SECONDS)

    @property
    def incidents(self) -> Mapping[str, Incident]:
        """The open incidents, by their ids; none where another process of the service evaluates."""
        return {} if self._watch is None else self._watch.incidents

    def check_alert(self, name: str, value: float) -> AlertCheck:
        """Whether a value would trigger the alert of this name; pages nobody.

        ``value`` is in the mission's unit: a ratio for error_rate, milliseconds for response_time, percent for disk,
        memory, CPU and database connections. Raises ConfigError for a name that no rule has. Where otelmon is switched
        off no configuration is read, and nothing triggers, whatever the name: the threshold is infinite.
        """
        if not self.settings.enabled:
            never = AlertInfo(name=name, threshold=math.inf, severity=Severity.INFO, runbook="")
            return AlertCheck(triggered=False, alert=never)
        rule = self._rule(name)
        found = condition(rule.expr)
        if found is None:
            message = f"the rule {name} has no limit that a value could be compared with"
            raise ConfigError([Problem(message=message, hint="end its expression with a comparison, such as > 0.05")])
        info = AlertInfo(
            name=name,
            threshold=found.bound,
            severity=rule.severity,
            runbook=runbook_link(name, rule.annotations, self.settings.runbook_base_url, served_runbook(self.settings))
            or rule.annotations.get("runbook", ""),
        )
        return AlertCheck(triggered=found.holds(value), alert=info)

    def process_alert(self, name: str, value: float, context: Mapping[str, object] | None = None) -> None:
        """Put a value through the alert of this name by hand, as if a rule had measured it.

        Returns at once; the page leaves from another thread. The alert is a series of its own, resolved by a value
        that does not trigger it, or five minutes after the last one. ``context`` is shown in the page.
        """
        self.check_alert(name, value)
        if not math.isfinite(value):
            raise ConfigError([Problem(message=f"{value} for {name} is not a number", hint="pass a finite value")])
        self.run()
        if self._watch is not None:
            texts = {str(key): str(text) for key, text in (context or {}).items()}
            self._watch.put(ByHand(name=name, value=float(value), context=texts))

    def stop(self) -> None:
        """Stop watching for good: deliver what is due, within a few seconds, and end the threads."""
        self._stopped = True
        self._pause()
        forget(self)

    def _rule(self, name: str) -> AlertingRule:
        rules = self.settings.alerting_rules_named(name)
        if not rules:
            known = ", ".join(sorted({rule.name for rule in self.settings.alerting_rules()}))
            raise ConfigError([Problem(message=f"there is no alert {name!r}", hint=f"the alerts are {known}")])
        if len(rules) > 1:
            places = ", ".join(f"{rule.origin.file}:{rule.origin.line}" for rule in rules)
            hint = "give the one that you mean a name of its own"
            raise ConfigError([Problem(message=f"several rules are named {name!r} ({places})", hint=hint)])
        return rules[0]


_running: Monitor | None = None
_starting = threading.RLock()


def running() -> Monitor | None:
    """The monitor of this process, None where none runs."""
    return _running


def forget(monitor: Monitor) -> None:
    """Let the next `start` make a new monitor."""
    global _running  # noqa: PLW0603 (one monitor a process is the point)
    if _running is monitor:
        _running = None


def start_monitor(
    app: Any, add: Callable[[Monitor], _Added], *, config: str | Path | None, paging: str | None, beside: Path | None
) -> tuple[Monitor, _Added]:
    """The monitor of this process, and what ``add`` made of it.

    The first call makes it from configuration and environment; where ``add`` fails nothing is left running.
    ``beside`` is the folder of the module that called, where otelmon.yaml is looked for first, then the current one.
    """
    global _running  # noqa: PLW0603
    with _starting:
        if _running is not None:
            if config is not None or paging is not None:
                logger.warning("otelmon: it runs already; config= and paging= of this further call are not looked at")
            return _running, add(_running)
        settings, decided, load = _decide(app, config=config, paging=paging, beside=beside)
        monitor = Monitor(settings, decided, load=load)
        added = add(monitor)
        _running = monitor
        _say(monitor)
        leave_note(settings, decided, monitor.faults)
        return monitor, added


def _decide(
    app: Any, *, config: str | Path | None, paging: str | None, beside: Path | None
) -> tuple[Settings, PagingDecision, Callable[[], Settings]]:
    title = getattr(app, "title", None)
    here = Path.cwd()
    found_beside = beside is not None and find_config(None, environ={}, directory=beside) is not None
    load = partial(
        load_settings,
        config,
        environ=os.environ,
        directory=beside if beside is not None and found_beside else here,
        application=title if isinstance(title, str) else None,
    )
    settings = load()
    if paging is not None and paging not in set(PagingMode):
        message = f"paging={paging!r} is not known"
        raise ConfigError([Problem(message=message, hint='write "auto", "on" or "off"')])
    decided = decide_paging(
        settings.paging if paging is None else PagingMode(paging),
        environment=settings.environment,
        has_webhook=settings.has_webhook,
        development=development_sign(app, argv=sys.argv, environ=os.environ, modules=sys.modules),
    )
    return settings, decided, load


def _say(monitor: Monitor) -> None:
    settings = monitor.settings
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        # An app that configures no logging would otherwise never see the start-up line.
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s:     %(message)s"))
        # One that configures it later would see everything twice.
        handler.addFilter(lambda _: not logging.getLogger().handlers)
        logger.addHandler(handler)
    if not settings.enabled:
        logger.info("otelmon: switched off by %s", settings.disabled_by)
        return
    logger.info("otelmon: %s", startup_line(settings, monitor.paging))
    mounts = Path("/proc/mounts")
    text = mounts.read_text(encoding="utf-8", errors="replace") if mounts.exists() else ""
    for warning in startup_warnings(settings, monitor.paging, mounts=text):
        logger.warning("otelmon: %s", warning)


def _after_fork_in_child() -> None:
    global _starting  # noqa: PLW0603 (a thread of the parent may have held it)
    _starting = threading.RLock()
    if _running is not None:
        _running.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
