"""Who sends, tenant by tenant."""

from __future__ import annotations

import json
from collections.abc import Mapping

from otelmon.collect.presences import Presences
from otelmon.sample import is_stale
from otelmon.tenants import NOBODY, Tenants

EVERY = 15.0
TWO = Tenants(names=("bank", "shop"))


def heard(presences: Presences, tenants: tuple[str, ...], *, since: float = 0.0, times: int = 8) -> float:
    """One instance of the same name for each, a request an interval; the last instant."""
    for number in range(times):
        for tenant in tenants:
            presences.heard("web", "web-1", at=since + EVERY * number, tenant=tenant)
    return since + EVERY * (times - 1)


def values(presences: Presences, name: str, at: float) -> Mapping[str, float]:
    """By tenant."""
    return {
        str(sample.labels.get("tenant", "")): float(sample.value)  # type: ignore[arg-type]
        for sample in presences.samples(at)
        if sample.labels.metric_name == name and not is_stale(sample.value)  # type: ignore[arg-type]
    }


def test_one_that_falls_silent_is_missed_for_its_own_tenant() -> None:
    presences = Presences(interval_seconds=EVERY, tenants=TWO)
    at = heard(presences, ("bank", "shop"))
    at = heard(presences, ("shop",), since=at + EVERY)
    assert values(presences, "otelmon_instance_up", at) == {"bank": 0.0, "shop": 1.0}
    assert values(presences, "otelmon_service_instances", at) == {"bank": 0.0, "shop": 1.0}
    assert not presences.is_up("web", "web-1", tenant="bank")
    assert presences.is_up("web", "web-1", tenant="shop")


def test_a_farewell_is_of_one_tenant() -> None:
    presences = Presences(interval_seconds=EVERY, tenants=TWO)
    at = heard(presences, ("bank", "shop"))
    presences.left("web", "web-1", tenant="bank")
    assert values(presences, "otelmon_instance_up", at) == {"shop": 1.0}


def test_a_tenant_has_no_room_of_anothers() -> None:
    presences = Presences(interval_seconds=EVERY, most=1, tenants=TWO)
    presences.heard("web", "a", at=0.0, tenant="bank")
    presences.heard("web", "b", at=0.0, tenant="bank")
    presences.heard("web", "a", at=0.0, tenant="shop")
    assert presences.refused == 1
    assert presences.is_up("web", "a", tenant="shop")


def after(state: object, tenants: Tenants, at: float) -> Mapping[str, float]:
    again = Presences(interval_seconds=EVERY, tenants=tenants)
    again.restore(json.loads(json.dumps(state)), at=at)
    return values(again, "otelmon_instance_up", at)


def test_each_is_waited_for_after_a_restart() -> None:
    presences = Presences(interval_seconds=EVERY, tenants=TWO)
    at = heard(presences, ("bank", "shop"))
    assert after(presences.state(), TWO, at) == {"bank": 1.0, "shop": 1.0}
    # Of whoever has no token any more nobody is missed.
    assert after(presences.state(), Tenants(names=("bank", "new")), at) == {"bank": 1.0}


def test_who_was_heard_before_there_were_tenants_is_the_only_ones() -> None:
    presences = Presences(interval_seconds=EVERY)
    at = heard(presences, ("",))
    assert "tenant" not in presences.state()[0]
    assert after(presences.state(), Tenants(names=("apps",)), at) == {"apps": 1.0}
    assert after(presences.state(), TWO, at) == {}
    assert after(presences.state(), NOBODY, at) == {"": 1.0}
