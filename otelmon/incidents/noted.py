"""What changed and may explain an incident: deploys and other configuration."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class NotedKind(StrEnum):
    """What changed. FIRST_SEEN is a version before which none is known: no change, but the next is told by it."""

    FIRST_SEEN = "version"
    DEPLOY = "deploy"
    RELOAD = "reload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A change and when it was noticed; ``text`` is the version that was deployed, or what was reloaded."""

    at: datetime
    kind: NotedKind
    text: str = ""


MOST_NOTED = 20
"""How many changes of a kind are kept."""


def with_noted(kept: tuple[Noted, ...], new: Noted) -> tuple[Noted, ...]:
    """The changes with one more; of each kind the latest are kept."""
    same = [each for each in kept if each.kind is new.kind]
    dropped = same[: max(0, len(same) + 1 - MOST_NOTED)]
    return (*(each for each in kept if each not in dropped), new)


def seen_version(kept: tuple[Noted, ...], version: str, at: datetime) -> Noted | None:
    """What a start with this version is; None where it is the version that was known last."""
    known = [each for each in kept if each.kind is not NotedKind.RELOAD]
    if known and known[-1].text == version:
        return None
    return Noted(at=at, kind=NotedKind.DEPLOY if known else NotedKind.FIRST_SEEN, text=version)
