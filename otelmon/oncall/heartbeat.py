"""Heartbeats: something that has to report at least every so often, and is missed when it does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What is expected to report at least once in every ``interval``; while ``muted`` it is never missed."""

    name: str
    interval: timedelta
    muted: bool = False


def missed(heartbeats: Iterable[Heartbeat], last_beat_at: Mapping[str, datetime], *, at: datetime) -> tuple[str, ...]:
    """The heartbeats whose last report is ``interval`` or longer ago, by name.

    One that never reported is not missed: when it was first expected is not known.
    """
    return tuple(
        sorted(
            one.name
            for one in heartbeats
            if not one.muted and one.name in last_beat_at and at - last_beat_at[one.name] >= one.interval
        )
    )
