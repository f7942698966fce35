"""The engines over which every test of storage runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otelmon.storage.sqlite import MEMORY, SqliteStorage
from otelmon.storage.store import Storage

ENGINES: dict[str, Callable[[Path], Storage]] = {
    "sqlite-file": lambda folder: SqliteStorage(folder / "state" / "state.db"),
    "sqlite-memory": lambda folder: SqliteStorage(MEMORY),
}


@pytest.fixture(params=ENGINES)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    opened = ENGINES[request.param](tmp_path)
    yield opened
    opened.close()
