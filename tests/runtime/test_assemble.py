"""What is opened for an engine that cannot be made is closed again; what is optional is made where it is of use."""

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

_URL = "https://discord.com/api/webhooks/1180000000000000001/" + 8 * "no-token-"


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


@pytest.mark.parametrize(
    ("lines", "draws", "made"),
    [
        ("", True, False),
        ("discord: {webhook_url: '${URL}'}", True, True),
        ("discord: {webhook_url: '${URL}'}", False, False),
        ("notifiers: {checkout: {discord: '${URL}'}}", True, True),
        ("notifiers: {checkout: {discord: '${NOT_SET:-}'}}", True, False),
        ("notifiers: {managers: {webhook: 'https://example.com/'}}", True, False),
    ],
)
def test_charts_are_drawn_where_somebody_shows_them_and_they_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, *, draws: bool, made: bool
) -> None:
    (tmp_path / "otelmon.yaml").write_text(f"service: shop\n{lines}\n")
    settings = load_settings(
        tmp_path / "otelmon.yaml", environ={"HOME": str(tmp_path), "URL": _URL}, directory=tmp_path
    )
    monkeypatch.setattr(module, "can_draw", lambda: draws)
    assert (module.make_pictures(settings) is not None) == made
