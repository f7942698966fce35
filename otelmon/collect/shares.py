"""Shares: what each service and each tenant has of something that all use, so that none can take it from the rest."""

from __future__ import annotations

from collections import Counter

from otelmon.collect.limits import IngestLimits


class Shares:
    """Counts one thing, of which there are ``most``. Not for several threads at once.

    A service is the job of a tenant: others may not use up what it has by taking its name.
    """

    def __init__(self, most: int, limits: IngestLimits) -> None:
        self._of_service = int(most * limits.share)
        self._of_tenant = int(most * limits.tenant_share)
        self._services: Counter[tuple[str, str]] = Counter()
        self._tenants: Counter[str] = Counter()

    def has_room(self, tenant: str, job: str, more: int = 1) -> bool:
        """Whether so many more are within the share of both."""
        within = self._services[tenant, job] + more <= self._of_service
        return within and self._tenants[tenant] + more <= self._of_tenant

    def add(self, tenant: str, job: str, count: int = 1) -> None:
        """So many more are had."""
        self._services[tenant, job] += count
        self._tenants[tenant] += count

    def clear(self) -> None:
        """Nobody has anything: what there is will be added anew."""
        self._services.clear()
        self._tenants.clear()
