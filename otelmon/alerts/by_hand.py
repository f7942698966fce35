"""A value that somebody puts through an alert by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """A value put in by ``process_alert``, in the mission's unit, and the context that the page shows."""

    name: str
    value: float
    context: Mapping[str, str] = field(default_factory=dict)
