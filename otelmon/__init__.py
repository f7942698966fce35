"""otelmon: OpenTelemetry metrics for Python ASGI applications that page the person on call.

    import otelmon
    from fastapi import FastAPI

    app = FastAPI()
    otelmon.start(app)

The way of the data; each stage is a package of its own, and imports earlier ones only:

    instrument -> collect -> window -> promql -> rules -> alerts -> incidents -> oncall -> paging => notify
    what the app   OTel       recent    expr ->   rule     pending,   grouped,    who is     what is    Discord,
    measures       data ->    samples   vector    files    firing,    acked       on call    owed to    log:
                   samples                                 resolved                          whom       delivered

Around them: `runtime` (the one loop), `storage` (what survives a restart), `server` (the page where incidents are
acknowledged), `cli` (the `otelmon` command), `document` (YAML with a place for everything in it), `config` (the
settings in otelmon.yaml), `replay` (unit tests of rules), `testing` (a stand-in for Discord and a clock for your own
tests). The modules beside this one, such as `sample`, `labels` and `duration`, know no stage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from otelmon.instrument.operations import Operation
    from otelmon.instrument.queues import Queue
    from otelmon.runtime.health import Health
    from otelmon.runtime.monitor import AlertCheck, Monitor
    from otelmon.runtime.snapshot import Snapshot
    from otelmon.runtime.ticks import Ticks

__all__ = [
    "check_alert",
    "diagnostic",
    "health",
    "operation",
    "probe",
    "process_alert",
    "queue",
    "snapshot",
    "start",
    "stop",
    "watch_pool",
    "watch_queue",
    "watch_redis",
    "wrap",
]


_Function = TypeVar("_Function", bound=Callable[[], Any])


def start(app: Any = None, *, config: str | Path | None = None, paging: str | None = None) -> Monitor:
    """Watch this process, and the requests of ``app`` if one is given.

    ``app`` is a FastAPI, Starlette, Litestar or Quart application; for a bare ASGI callable or Django use `wrap`.
    ``config`` is the path of an otelmon.yaml (default: OTELMON_CONFIG, else the file beside the caller or in the
    current folder, if there is one). ``paging`` is "auto", "on" or "off" and outweighs configuration and environment.

    Raises ConfigError, naming file, line and what to write instead, before anything is started. A second call adds
    its app to the monitor that runs already.
    """
    from otelmon.runtime.monitor import start_monitor

    def add(monitor: Monitor) -> None:
        if app is None:
            monitor.run()
        else:
            monitor.attach(app)

    return start_monitor(app, add, config=config, paging=paging, beside=_folder_of_caller())[0]


def wrap(app: Any, *, config: str | Path | None = None, paging: str | None = None) -> Any:
    """Watch any ASGI application: ``app = otelmon.wrap(app)``. Takes and raises what `start` does."""
    from otelmon.runtime.monitor import start_monitor

    beside = _folder_of_caller()
    return start_monitor(app, lambda monitor: monitor.wrap(app), config=config, paging=paging, beside=beside)[1]


def snapshot() -> Snapshot:
    """The vital signs of the running monitor; see ``Monitor.snapshot``."""
    return _running().snapshot()


def check_alert(name: str, value: float) -> AlertCheck:
    """Whether a value would trigger an alert of the running monitor; see ``Monitor.check_alert``."""
    return _running().check_alert(name, value)


def process_alert(name: str, value: float, context: Mapping[str, object] | None = None) -> None:
    """Put a value through an alert of the running monitor by hand; see ``Monitor.process_alert``."""
    _running().process_alert(name, value, context)


def health() -> Health:
    """An ASGI app that says whether otelmon watches: ``app.add_route("/otelmon/health", otelmon.health())``.

    It answers 200 once the next tick has ended and was good, 503 with the reason where ticks fail or are late (the last
    one ended two intervals and 5 s ago), or where otelmon does not run in this process. Whoever asks has to wait for as
    long. Its requests are not counted.
    """
    from otelmon.runtime.health import Health
    from otelmon.runtime.monitor import running

    def ticks() -> Ticks | None:
        monitor = running()
        return None if monitor is None or not monitor.settings.enabled else monitor.ticks

    return Health(ticks)


def operation(name: str) -> Operation:
    """Watch a piece of work: ``with otelmon.operation("video-upload") as op:``, ``async with``, or as a decorator.

    Counts attempts, failures by error type, duration and, by ``op.add_bytes(n)``, bytes. The alerts upload_failures
    (names with "upload" in them) and operation_failures look at them. Names are few and fixed: not one for each file.
    """
    from otelmon.instrument.operations import Operation
    from otelmon.instrument.sources import SOURCES

    return Operation(SOURCES.operations, name)


def probe(
    name: str, *, interval: str | float = 15.0, timeout: str | float = 5.0, failures: int = 3, successes: int = 2
) -> Callable[[_Function], _Function]:
    """Ask a function again and again whether all is well: ``@otelmon.probe("licence", interval="1m")``.

    The function takes no arguments and may be a coroutine function. It runs in a thread (and a loop) of its own; an
    exception, False, or more than ``timeout`` is a failure. Down after ``failures`` in a row, up after ``successes``;
    the alert health_check looks at it. Durations are seconds, or texts such as "30s"; an interval is 1 s at least.
    """
    from otelmon.duration import parse_duration
    from otelmon.instrument.probes import Rhythm
    from otelmon.instrument.sources import SOURCES

    interval_seconds, timeout_seconds = (
        parse_duration(each) if isinstance(each, str) else float(each) for each in (interval, timeout)
    )
    rhythm = Rhythm(
        interval_seconds=max(1.0, interval_seconds),
        timeout_seconds=timeout_seconds,
        failures=failures,
        successes=successes,
    )

    def declare(function: _Function) -> _Function:
        SOURCES.probes.declare(name, function, rhythm)
        return function

    return declare


def diagnostic(alert: str, name: str | None = None) -> Callable[[_Function], _Function]:
    """Let a function say more when an alert fires: ``@otelmon.diagnostic("database_connections")``.

    The function takes no arguments and may be a coroutine function. It runs in a thread (and a loop) of its own, within
    2 s, after the page was sent, and what it returns (text, a mapping, a list) is edited into the page under ``name``
    (default: the function's), cut and escaped.
    """
    from otelmon.instrument.sources import SOURCES

    def declare(function: _Function) -> _Function:
        SOURCES.diagnostics.add(alert, function, name)
        return function

    return declare


def queue(
    name: str, *, depth: Callable[[], int] | None = None, oldest_age: Callable[[], float | None] | None = None
) -> Queue:
    """Watch a queue of your own: ``emails = otelmon.queue("emails", depth=..., oldest_age=...)``.

    ``depth`` returns how many jobs wait, ``oldest_age`` how many seconds the oldest has; both are called in a thread of
    the background every 15 s. ``emails.started(enqueued_at)`` records how long a job has waited. The alert queue_delay
    looks at both. For Celery and RQ see `watch_queue`.
    """
    from otelmon.instrument.sources import SOURCES

    return SOURCES.queues.declare(name, depth, oldest_age)


def watch_pool(pool_or_engine: Any, name: str | None = None) -> None:
    """Watch a pool of database connections from the start, under a name of your choice.

    Without it the pools of SQLAlchemy, psycopg_pool and asyncpg are found when they are first used, and named by host
    and database. Takes a SQLAlchemy Engine, AsyncEngine or Pool, or a pool of psycopg_pool or asyncpg; raises
    TypeError for anything else.
    """
    from otelmon.instrument.sources import SOURCES

    SOURCES.pools.watch(pool_or_engine, name)


def watch_queue(celery_app_or_rq_queue: Any, name: str | None = None) -> None:
    """Watch what waits in the queues of a Celery application (Redis as its broker), or in a queue of RQ.

    ``name`` is one queue of the Celery application (default: all that it is configured with), or another name for that
    of RQ. How long jobs wait until they start is recorded without this call, in the workers where otelmon runs. Raises
    TypeError for anything else.
    """
    from otelmon.instrument.queues import watch_library
    from otelmon.instrument.sources import SOURCES

    watch_library(SOURCES.queues, celery_app_or_rq_queue, name)


def watch_redis(client_or_url: Any, name: str | None = None) -> None:
    """Watch a Redis or Valkey server: PING by a connection of our own, its clients, its memory, the client's pool.

    Takes a redis:// address, or a client of redis-py or valkey-py, blocking or asyncio (not of a cluster); raises
    TypeError for anything else. The name is host:port/database unless given. The alert redis_connection looks at it.
    """
    from otelmon.instrument.sources import SOURCES

    SOURCES.redis.watch(client_or_url, name)


def stop() -> None:
    """Stop the running monitor; nothing happens where none runs."""
    from otelmon.runtime.monitor import running

    monitor = running()
    if monitor is not None:
        monitor.stop()


def _running() -> Monitor:
    from otelmon.errors import NotRunningError
    from otelmon.runtime.monitor import running

    monitor = running()
    if monitor is None:
        raise NotRunningError("otelmon does not run in this process; call otelmon.start() first")
    return monitor


def _folder_of_caller() -> Path | None:
    """The folder of the module that called `start` or `wrap`; None for an interactive one."""
    file = sys._getframe(2).f_globals.get("__file__")  # noqa: SLF001 (the documented way to find the caller)
    return Path(file).resolve().parent if isinstance(file, str) else None
