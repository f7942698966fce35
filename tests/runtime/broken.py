"""A storage that refuses to write while it is told to."""

from __future__ import annotations

from typing import Any

from otelmon.errors import StateError
from otelmon.storage.sqlite import MEMORY, SqliteStorage


class BreakingStorage(SqliteStorage):
    """In memory; ``broken`` makes each save fail."""

    def __init__(self) -> None:
        super().__init__(MEMORY)
        self.broken = False

    def save(self, *arguments: Any, **named: Any) -> None:
        if self.broken:
            raise StateError("the disk is full")
        super().save(*arguments, **named)
