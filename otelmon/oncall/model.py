"""Who can be mentioned in a page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MentionKind(StrEnum):
    """What a mention pings."""

    USER = "user"
    ROLE = "role"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A Discord user or role by its id (a snowflake: 17 to 20 digits); as text, ``role 123456789012345678``."""

    kind: MentionKind
    id: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.id}"
