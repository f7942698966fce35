"""Queues on a real Valkey: jobs that wait, in Celery, in RQ and in a queue of one's own."""

from __future__ import annotations

import logging
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import start_worker
from rq import Queue, SimpleWorker

import otelmon
from otelmon.instrument.queues import watch_library
from otelmon.instrument.sources import Sources
from tests.e2e.simulation import Simulation
from tests.instrument.recording import Recording, asking, recording, simulation
from tests.waiting import wait_until

DEPTH, AGE, DELAY = "otelmon.queue.depth", "otelmon.queue.oldest_age", "otelmon.queue.delay"


@pytest.fixture
def recorded() -> Iterator[Recording]:
    with recording(Sources()) as found:
        yield found


@pytest.fixture
def client(valkey: Any) -> Iterator[Any]:
    found = redis.Redis(port=valkey.port)
    yield found
    found.close()


def ask(recorded: Recording, at: float = 0.0) -> None:
    recorded.sources.background.run_due(at)
    recorded.sources.background.wait(10)


def follow(recorded: Recording, process: Simulation) -> None:
    """The queues' wall clock goes with the simulation's."""
    ahead = time.time() - process.clock.now()
    recorded.sources.queues.now = lambda: process.clock.now() + ahead


@contextmanager
def signals_kept() -> Iterator[None]:
    """A worker of RQ takes over the signals of its process, which here is pytest's."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A worker of Celery's takes over the root logger of its process, which is that of the tests."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    disabled = {name for name in root.manager.loggerDict if logging.getLogger(name).disabled}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in root.manager.loggerDict:
        logging.getLogger(name).disabled = name in disabled


def celery_app(valkey: Any) -> Celery:
    app = Celery(f"shop-{uuid.uuid4()}", broker=f"redis://127.0.0.1:{valkey.port}/0", set_as_current=False)
    app.conf.broker_connection_retry_on_startup = True

    @app.task(name="mail")
    def mail() -> None: ...

    return app


def test_a_queue_of_rq_is_read_and_a_job_that_waits_pages_once(
    recorded: Recording, client: Any, tmp_path: Path
) -> None:
    process = simulation(recorded, tmp_path)
    follow(recorded, process)
    queue = Queue("mails", connection=client)
    watch_library(recorded.sources.queues, queue, None)
    second = asking(recorded, process)
    process.run(30, second)
    assert recorded.value(DEPTH, otelmon__queue__name="mails") == 0
    assert recorded.value(AGE, otelmon__queue__name="mails") == 0
    queue.enqueue(time.monotonic)
    queue.enqueue(time.monotonic)
    process.run(240, second)
    assert recorded.value(DEPTH) == 2
    assert process.triggered == []
    process.run(150, second)
    ((_, name),) = process.triggered
    assert name == "queue_delay"
    assert "mails" in str(process.paged_at[0][1])
    with signals_kept():
        SimpleWorker([queue], connection=client).work(burst=True)
    assert recorded.value(DELAY, otelmon__queue__name="mails") == 2
    process.run(900, second)
    assert len(process.triggered) == 1
    assert [name for _, name in process.resolved] == ["queue_delay"]
    assert not recorded.faults.counts


def test_tasks_of_celery_are_stamped_read_and_timed(recorded: Recording, valkey: Any, tmp_path: Path) -> None:
    process = simulation(recorded, tmp_path)
    follow(recorded, process)
    app = celery_app(valkey)
    recorded.sources.sample()
    watch_library(recorded.sources.queues, app, None)
    app.send_task("mail")
    second = asking(recorded, process)
    process.run(200, second)
    app.send_task("mail", priority=9)
    process.run(15, second)
    assert recorded.value(DEPTH, otelmon__queue__name="celery") == 2
    age = recorded.value(AGE, otelmon__queue__name="celery")
    assert age == pytest.approx(210, abs=20)
    process.run(150, second)
    assert [name for _, name in process.triggered] == ["queue_delay"]
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=10, loglevel="error"):
        wait_until(lambda: recorded.value(DELAY, otelmon__queue__name="celery") == 2)
    process.run(900, second)
    assert len(process.triggered) == 1
    assert [name for _, name in process.resolved] == ["queue_delay"]
    app.close()


def test_a_task_that_is_to_wait_counts_from_its_eta_and_one_without_a_stamp_since_it_was_seen(
    recorded: Recording, valkey: Any, client: Any
) -> None:
    app = celery_app(valkey)
    watch_library(recorded.sources.queues, app, "celery")
    app.send_task("mail", eta=datetime.now(UTC) + timedelta(hours=1))
    ask(recorded)
    assert recorded.value(AGE) == 0
    client.flushall()
    recorded.sources.end()  # nobody stamps
    app.send_task("mail")
    recorded.sources.begin(recorded.meter, recorded.faults)
    began = time.time()
    recorded.sources.queues.now = lambda: began
    ask(recorded)
    assert recorded.value(AGE) == 0
    recorded.sources.queues.now = lambda: began + 500
    ask(recorded, 15.0)
    assert recorded.value(AGE) == 500
    app.close()


def test_any_queue_is_watched_by_functions_and_by_telling_of_starts(recorded: Recording) -> None:
    jobs = [5.0, 1.0]
    queue = recorded.sources.queues.declare(
        "emails", depth=lambda: len(jobs), oldest_age=lambda: max(jobs, default=None)
    )
    ask(recorded)
    assert recorded.value(DEPTH, otelmon__queue__name="emails") == 2
    assert recorded.value(AGE, otelmon__queue__name="emails") == 5
    jobs.clear()
    ask(recorded, 15.0)
    assert recorded.value(AGE, otelmon__queue__name="emails") == 0
    for at in (time.time() - 400, datetime.now(UTC), datetime.now(UTC).replace(tzinfo=None)):
        queue.started(at)
    (point,) = recorded.points(DELAY)
    assert point.count == 3
    assert 400 <= point.sum < 410


def test_a_broker_that_is_gone_is_no_value_and_one_fault_without_its_address(
    recorded: Recording, valkey: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = redis.Redis(port=valkey.port, password="s3cret", retry=None)
    watch_library(recorded.sources.queues, Queue("mails", connection=client), "renamed")
    port = str(valkey.port)
    valkey.terminate()
    for number in range(3):
        ask(recorded, 15.0 * number)
    assert recorded.points(DEPTH) == []
    assert recorded.faults.counts["queue.renamed"] == 3
    assert "the queue renamed cannot be read" in caplog.text
    assert "s3cret" not in caplog.text
    assert port not in caplog.text
    client.close()


def test_without_a_monitor_a_queue_is_silent_and_what_is_none_is_refused() -> None:
    otelmon.queue("emails").started(0.0)
    with pytest.raises(TypeError, match=r"takes a Celery application or a Queue of RQ, not builtins.list"):
        otelmon.watch_queue([])
