"""Tenants: those who share a server and must see nothing of each other.

Each bearer token of `otelmon serve` is somebody's, and the label ``tenant`` of all series that come with it says whose.
The server's own series have no tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TENANT = "tenant"
"""The label that says whose a series, an alert or an incident is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """Who has a token, by name. Nobody where there are no tokens: then a label ``tenant`` is a label like any other."""

    names: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def several(self) -> bool:
        """Whether it needs saying whose something is."""
        return len(self.names) > 1

    def of(self, labels: Mapping[str, str]) -> str:
        """Whose something with these labels is; "" for the server's own, and for everything where there are none."""
        return str(labels.get(TENANT, "")) if self.names else ""


NOBODY = Tenants()
"""No tokens, no tenants."""
