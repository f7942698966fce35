"""Presences: who sends to a server, tenant by tenant, so that what one sends or leaves off is no other's matter."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from otelmon.collect.presence import Presence
from otelmon.sample import Sample
from otelmon.tenants import NOBODY, TENANT, Tenants


class Presences:
    """One `Presence` for each tenant; without tenants one for all. Any thread may call it, as those."""

    def __init__(
        self,
        *,
        interval_seconds: float,
        forget_seconds: float = 86_400.0,
        most: int = 10_000,
        tenants: Tenants = NOBODY,
    ) -> None:
        """As of `Presence`; there are ``most`` instances of each tenant at most."""
        self._each = {
            tenant: Presence(interval_seconds=interval_seconds, forget_seconds=forget_seconds, most=most, tenant=tenant)
            for tenant in tenants.names or ("",)
        }

    @property
    def refused(self) -> int:
        """How many requests came of instances for which there was no room."""
        return sum(each.refused for each in self._each.values())

    @property
    def look_at(self) -> float:
        """See `Presence`: the first such instant of any tenant."""
        return min(each.look_at for each in self._each.values())

    def heard(
        self,
        job: str,
        instance: str,
        *,
        at: float,
        newest_at: float | None = None,
        interval_seconds: float | None = None,
        tenant: str = "",
    ) -> None:
        """See `Presence.heard`."""
        self._each[tenant].heard(job, instance, at=at, newest_at=newest_at, interval_seconds=interval_seconds)

    def left(self, job: str, instance: str, *, tenant: str = "") -> None:
        """See `Presence.left`."""
        self._each[tenant].left(job, instance)

    def is_up(self, job: str, instance: str, *, tenant: str = "") -> bool:
        """Whether an instance sends."""
        each = self._each.get(tenant)
        return each is not None and each.is_up(job, instance)

    def samples(self, at: float) -> Sequence[Sample]:
        """See `Presence.samples`."""
        return [sample for each in self._each.values() for sample in each.samples(at)]

    def awake(self, at: float, *, patience_seconds: float) -> None:
        """See `Presence.awake`."""
        for each in self._each.values():
            each.awake(at, patience_seconds=patience_seconds)

    def fall_silent(self, bounds: Collection[float], *, at: float) -> bool:
        """See `Presence.fall_silent`: a service of any tenant."""
        # Each is asked, since each notes that it was.
        found = [each.fall_silent(bounds, at=at) for each in self._each.values()]
        return any(found)

    def shift(self, seconds: float) -> None:
        """The wall clock jumped by so much."""
        for each in self._each.values():
            each.shift(seconds)

    def state(self) -> list[dict[str, Any]]:
        """All of it as JSON has it, for `restore`."""
        return [
            {**instance, TENANT: tenant} if tenant else instance
            for tenant, each in self._each.items()
            for instance in each.state()
        ]

    def restore(self, state: Sequence[Mapping[str, Any]], *, at: float) -> None:
        """See `Presence.restore`. Of a tenant that is no more nobody is waited for.

        What was heard before there were tenants is that of the only one, where there is one only.
        """
        (only,) = self._each if len(self._each) == 1 else (None,)
        of_each: dict[str, list[Mapping[str, Any]]] = {tenant: [] for tenant in self._each}
        for instance in state:
            of_each.get(instance.get(TENANT, "") if only is None else only, []).append(instance)
        for tenant, each in self._each.items():
            each.restore(of_each[tenant], at=at)
