"""Where the state of a service is kept."""

from __future__ import annotations

from pathlib import Path

from otelmon.config import Settings


def state_file(settings: Settings) -> Path:
    """The database in the state directory, which other processes (the command line) open as well."""
    return settings.state_dir / "otelmon.db"
