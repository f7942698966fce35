"""What the application names is watched by a running monitor, whatever was said first, and shown in the snapshot."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy

import otelmon
from otelmon.instrument.sources import SOURCES, Sources
from otelmon.runtime import watch
from otelmon.runtime.snapshot import OperationStatus, PoolStatus, QueueStatus, Snapshot
from tests.instrument.endpoint import served


@pytest.fixture(autouse=True)
def sources(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sources]:
    """Sources of the test's own in place of the process's."""
    own = Sources()
    monkeypatch.setattr(watch, "SOURCES", own)
    monkeypatch.setattr("otelmon.instrument.sources.SOURCES", own)
    yield own
    otelmon.stop()
    own.end()


def until(holds: Callable[[Snapshot], bool]) -> Snapshot:
    deadline = time.monotonic() + 60
    while not holds(found := otelmon.snapshot()):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_pools_probes_redis_queues_and_operations_named_before_the_start_are_in_the_snapshot(
    configure: Callable[[str], Path], tmp_path: Path
) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'shop.db'}", pool_size=4, max_overflow=0)
    otelmon.watch_pool(engine, "shop")
    otelmon.queue("mails", depth=lambda: 3, oldest_age=lambda: 7.0)

    @otelmon.probe("licence", interval=1)
    def licence() -> None: ...

    with served() as endpoint:
        configure(f"interval: 1s\nprobes: {{health: {{url: '{endpoint.url}', json: {{status: ok}}}}}}\n")
        monitor = otelmon.start()
        with otelmon.operation("video-upload"), engine.connect():
            found = until(
                lambda now: (
                    bool(now.queues)
                    and len(now.probes) == 2
                    and now.pools == {"shop": PoolStatus(usage=25.0, pending=0)}
                )
            )
        assert found.queues == {"mails": QueueStatus(depth=3, oldest_age=7)}
        assert found.probes == {"licence": True, "health": True}
        assert found.redis == {}
        until(lambda now: now.operations == {"video-upload": OperationStatus(attempts=1.0, failures=0.0)})
        assert json.loads(json.dumps(monitor.snapshot().as_dict()))["pools"] == {"shop": {"usage": 0.0, "pending": 0.0}}
        assert not monitor.faults.counts
    engine.dispose()


def test_where_otelmon_is_switched_off_everything_may_be_named_and_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, sources: Sources
) -> None:
    monkeypatch.setenv("OTELMON_ENABLED", "false")
    otelmon.watch_redis("redis://127.0.0.1:1/0")
    otelmon.queue("mails", depth=lambda: 1).started(0.0)
    otelmon.start()
    engine = sqlalchemy.create_engine("sqlite://")
    otelmon.watch_pool(engine)
    with otelmon.operation("upload"), engine.connect():
        pass
    assert not sources.background._jobs
    assert SOURCES is not sources
    assert otelmon.snapshot() == Snapshot()
    engine.dispose()
