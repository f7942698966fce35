"""Celery (with Redis as its broker) and RQ: what waits, and when what was enqueued is started."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from otelmon.instrument.pools import imported
from otelmon.instrument.queues import Backlog, Queues

_STAMP = "otelmon_enqueued_at"
_HOOKED = "otelmon_hooked"
_UID = "otelmon"


def hook(queues: Callable[[], Queues | None]) -> None:
    """Time the jobs of the libraries that the application has imported by now; may be called again.

    ``queues`` gives those that are measured now. Celery: signals stamp a task when it is published (a header) and look
    at the stamp when it starts, in the process that runs the task. RQ: the worker's ``execute_job`` is hooked, which
    runs in the worker and not in the process that it forks for the job.
    """
    if imported("celery.app.base"):
        _hook_celery(queues)
    if imported("rq.worker"):
        for kind in (sys.modules["rq.worker"].Worker, sys.modules["rq.worker"].SimpleWorker):
            if not hasattr(kind.execute_job, _HOOKED):
                kind.execute_job = _timed(kind.execute_job, queues)


def watch_celery(queues: Queues, app: Any, name: str | None) -> None:
    """Watch one queue of a Celery application, or all that its configuration names."""
    for each in [name] if name else list(app.amqp.queues):
        queues.watch(each, _celery_reader(app, each, queues))


def watch_rq(queues: Queues, queue: Any, name: str | None) -> None:
    """Watch a queue of RQ, under its own name unless given."""

    def read() -> Backlog:
        depth = int(queue.count)
        first = next(iter(queue.get_job_ids(0, 1)), None)
        job = None if first is None else queue.fetch_job(first)
        age = None if job is None or job.enqueued_at is None else queues.now() - _unix(job.enqueued_at)
        return Backlog(depth=depth, oldest_age_seconds=0.0 if first is None else age)

    queues.watch(name or queue.name, read)


def _celery_reader(app: Any, name: str, queues: Queues) -> Callable[[], Backlog]:
    # A task without a stamp (its publisher has no otelmon) is as old as we have seen it wait at the head.
    seen: dict[str, float] = {}

    def read() -> Backlog:
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            if connection.transport.driver_type != "redis":
                return Backlog(depth=channel.queue_declare(queue=name, passive=True).message_count)
            # One list for each priority; tasks are taken from the right.
            keys = [channel._q_for_pri(name, step) for step in channel.priority_steps]  # noqa: SLF001
            depth = sum(channel.client.llen(key) for key in keys)
            heads = [head for key in keys if (head := channel.client.lindex(key, -1)) is not None]
        now = queues.now()
        found = [_told(head) for head in heads]
        first_seen = {task: seen.get(task, now) for task, stamp in found if stamp is None}
        seen.clear()
        seen.update(first_seen)
        ages = [now - (stamp if stamp is not None else first_seen[task]) for task, stamp in found]
        return Backlog(depth=depth, oldest_age_seconds=max(0.0, *ages) if ages else 0.0)

    return read


def _told(message: bytes | str) -> tuple[str, float | None]:
    """A task's id, and since when it may be started."""
    headers = json.loads(message).get("headers") or {}
    return str(headers.get("id")), _due(headers.get(_STAMP), headers.get("eta"))


def _due(stamp: Any, eta: Any) -> float | None:
    """When a task could have been started: once it was enqueued, and not before its eta."""
    if not isinstance(stamp, (int, float)):
        return None
    return max(float(stamp), _unix(datetime.fromisoformat(eta))) if isinstance(eta, str) else float(stamp)


def _unix(at: datetime) -> float:
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def _hook_celery(queues: Callable[[], Queues | None]) -> None:
    from celery import signals

    def stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
        current = queues()
        if current is not None and headers is not None:
            headers[_STAMP] = current.now()

    def started(task: Any = None, **_: Any) -> None:
        current = queues()
        request = getattr(task, "request", None)
        if current is None or request is None:
            return
        due = _due(getattr(request, _STAMP, None), getattr(request, "eta", None))
        if due is not None:
            current.started(str((request.delivery_info or {}).get("routing_key") or "celery"), due)

    # By this name each is connected once, however often we come here.
    signals.before_task_publish.connect(stamp, weak=False, dispatch_uid=_UID)
    signals.task_prerun.connect(started, weak=False, dispatch_uid=_UID)


def _timed(original: Any, queues: Callable[[], Queues | None]) -> Any:
    @wraps(original)
    def execute_job(self: Any, job: Any, queue: Any, *args: Any, **kwargs: Any) -> Any:
        current = queues()
        if current is not None and job.enqueued_at is not None:
            current.started(str(queue.name), job.enqueued_at)
        return original(self, job, queue, *args, **kwargs)

    setattr(execute_job, _HOOKED, True)
    return execute_job
