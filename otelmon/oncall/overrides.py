"""Overrides: changes to who is on call, for a while."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from otelmon.oncall.wall import utc


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A change from ``start`` (included) to ``end`` (excluded).

    With ``person`` and ``replaces`` the one takes the other's place, where the other is on call; with ``person`` alone
    they are added, with ``replaces`` alone removed. ``reason`` and ``by`` say why and who made it.
    """

    start: datetime
    end: datetime
    person: str = ""
    replaces: str = ""
    reason: str = ""
    by: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", utc(self.start))
        object.__setattr__(self, "end", utc(self.end))
        if self.end <= self.start:
            raise ValueError("an override ends after it starts")
        if not self.person and not self.replaces:
            raise ValueError("an override names somebody: who is added, replaced or removed")


def apply(people: Iterable[str], overrides: Iterable[Override]) -> tuple[str, ...]:
    """Who is on call once overrides are applied, in their order: each person once, by name."""
    on_call = set(people)
    for override in overrides:
        if override.replaces:
            if override.replaces not in on_call:
                continue
            on_call.discard(override.replaces)
        if override.person:
            on_call.add(override.person)
    return tuple(sorted(on_call))
