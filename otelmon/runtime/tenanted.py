"""What the engine of a server does for each tenant: its part of the window, its rules, and its state of earlier times.

An upgrade, and the first token of a server that had none, find alerts in the state that were evaluated over everybody's
series. They become those of whoever they can only be about, so that nobody is paged anew for what goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from otelmon.alerts.model import Alert
from otelmon.incidents.model import Incident
from otelmon.labels import Labels
from otelmon.matching import Matcher, MatchOperator
from otelmon.rules.model import Rule
from otelmon.rules.tenanted import of_tenant
from otelmon.sample import Sample
from otelmon.storage.store import Restored
from otelmon.tenants import TENANT, Tenants
from otelmon.window.view import Readable
from otelmon.window.window import Window

_OF_TENANT = re.compile(r"\}(?:#[0-9]+)?@[A-Za-z0-9._-]*")


def part_of(window: Window, tenant: str | None) -> Readable:
    """What is looked at for a tenant, or for what has none (""); for None everything."""
    if tenant is None:
        return window
    return window.within(Matcher(name=TENANT, operator=MatchOperator.EQUAL, value=tenant))


def parts(key: str, rule: Rule, tenants: Tenants) -> Iterator[tuple[str, Rule, str | None]]:
    """The rules that stand for one rule, each with the key under which its state is kept and its tenant."""
    if not tenants:
        yield key, rule, None
        return
    for tenant in (*tenants.names, ""):
        own = of_tenant(rule, tenant)
        if own is not None:
            yield f"{key}@{tenant}", own, tenant


def shared(samples: Iterable[Sample], tenants: Tenants, *, own_job: str, alerts: Iterable[str]) -> Iterator[Sample]:
    """The samples of a state in which those of before there were tenants are the only one's, or nobody's: left out.

    They would else be taken for the server's own, whose job is ``own_job``. What has no job may be its own where the
    keys of the state's ``alerts`` say that there were tenants before.
    """
    jobless = own_job if any(map(_is_of_tenant, alerts)) else ""
    known: dict[Labels, Labels | None] = {}
    for sample in samples:
        labels = sample.labels
        if labels not in known:
            is_old = TENANT not in labels and labels.get("job", jobless) != own_job
            known[labels] = labels if not is_old else _of_only(labels, tenants)
        now = known[labels]
        if now is labels:
            yield sample
        elif now is not None:
            yield replace(sample, labels=now)


def parted(
    restored: Restored, tenants: Tenants, *, own_job: str, window: Window
) -> tuple[Restored, Mapping[str, Mapping[Labels, Alert]]]:
    """The state with each alert under the rule of its tenant, and of these by their new keys those that it was not
    under; ``window`` has the series of the state, ``own_job`` is that of the server.
    """
    kept: dict[str, Mapping[Labels, Alert]] = {}
    given: dict[str, dict[Labels, Alert]] = {}
    tenant_of = partial(_whose, tenants=tenants, own_job=own_job, window=window)
    for key, alerts in restored.alerts.items() if tenants else ():
        kept[key] = alerts
        if not _is_of_tenant(key):
            kept[key] = {}
            for alert in alerts.values():
                tenant = tenant_of(alert.labels)
                moved = replace(alert, labels=alert.labels.with_label(TENANT, tenant))
                given.setdefault(f"{key}@{tenant}", {})[moved.labels] = moved
    if not given:
        return restored, {}
    taken = frozenset(labels.without((TENANT,)) for alerts in given.values() for labels in alerts)
    now = replace(
        restored,
        alerts={**kept, **given},
        incidents={id_: _given(each, taken, tenant_of) for id_, each in restored.incidents.items()},
        recent={id_: _given(each, taken, tenant_of) for id_, each in restored.recent.items()},
    )
    return now, given


def _given(incident: Incident, taken: Collection[Labels], tenant_of: Callable[[Labels], str]) -> Incident:
    found = {tenant_of(alert.labels) for alert in incident.alerts}
    if len(found) > 1 or not any(alert.labels.without((TENANT,)) in taken for alert in incident.alerts):
        return incident
    (tenant,) = found

    def own(labels: Labels) -> Labels:
        return labels.with_label(TENANT, tenant)

    return replace(
        incident,
        alerts=tuple(replace(alert, labels=own(alert.labels)) for alert in incident.alerts),
        group=own(incident.group),
        told=frozenset(map(own, incident.told)),
        muted={own(labels): why for labels, why in incident.muted.items()},
    )


def _is_of_tenant(key: str) -> bool:
    return _OF_TENANT.fullmatch(key[max(0, key.rfind("}")) :]) is not None


def _of_only(labels: Labels, tenants: Tenants) -> Labels | None:
    return None if tenants.several else labels.with_label(TENANT, tenants.names[0])


def _whose(labels: Labels, tenants: Tenants, *, own_job: str, window: Window) -> str:
    """Whose an alert is that was evaluated over everybody's series; "" for the server's, and where nobody can tell."""
    job = str(labels.get("job", ""))
    if labels.get(TENANT) in tenants.names:
        return str(labels[TENANT])
    if job == own_job:
        return ""
    if not tenants.several:
        return tenants.names[0]
    with_job = Matcher(name="job", operator=MatchOperator.EQUAL, value=job)
    found = {str(each.get(TENANT, "")) for each in window.selection((with_job,)).labels} if job else set[str]()
    return found.pop() if len(found) == 1 else ""
