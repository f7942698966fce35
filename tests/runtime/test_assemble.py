"""What is opened for an engine that cannot be made is closed again."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.collect.pipeline import open_pipeline
from otelmon.config.load import load_settings
from otelmon.faults import Faults
from otelmon.runtime import assemble as module
from otelmon.runtime.member import join
from otelmon.storage.sqlite import SqliteStorage
from otelmon.testing.clock import FakeClock


def test_the_storages_of_an_engine_that_cannot_be_made_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    class Watched(SqliteStorage):
        def __init__(self, path: Path | str) -> None:
            super().__init__(path)
            events.append("opened")

        def close(self) -> None:
            super().close()
            events.append("closed")

    def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(module, "SqliteStorage", Watched)
    monkeypatch.setattr(module, "make_notifiers", broken)
    settings = load_settings(
        None, environ={"HOME": "/", "OTELMON_STATE_DIR": str(tmp_path), "OTEL_SERVICE_NAME": "shop"}, directory=tmp_path
    )
    faults, clock = Faults(), FakeClock()
    pipeline = open_pipeline(service_name="shop", host="h", environment=None, faults=faults)
    member = join(settings, pipeline=pipeline, recorder=None, clock=clock, faults=faults)
    try:
        with pytest.raises(RuntimeError, match="a fault of ours"):
            module.assemble(
                settings,
                member,
                pages=True,
                pipeline=pipeline,
                sample_host=lambda: None,
                clock=clock,
                faults=faults,
                at=clock.now(),
            )
    finally:
        member.close()
        pipeline.close()
    assert events == ["opened", "closed"]
