"""Rules of several tenants on one window: what each gets is what it would get alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.alerts.model import Alert, AlertState, Transition
from otelmon.faults import Faults
from otelmon.incidents.model import Incident, IncidentState
from otelmon.labels import METRIC_NAME, Labels
from otelmon.promql.evaluation import Evaluation
from otelmon.promql.query import Query
from otelmon.rules.load import load_rules
from otelmon.rules.model import Group
from otelmon.runtime.evaluate import RuleRunner
from otelmon.runtime.tenanted import part_of, parted, shared
from otelmon.sample import Sample
from otelmon.storage.store import Restored
from otelmon.tenants import NOBODY, TENANT, Tenants
from otelmon.window.window import Window

INTERVAL = 15.0
START = 1_767_614_400.0
NAMES = ("bank", "shop")
RULES = """\
groups:
  - name: all
    rules:
      - record: job:errors:rate1m
        expr: sum by (job) (rate(errors_total[1m]))
      - alert: Errors
        expr: job:errors:rate1m / on (job) sum by (job) (rate(requests_total[1m])) > 0.2
        keep_firing_for: 30s
        annotations:
          summary: '{{ range printf "sum(requests_total{job=%q})" $labels.job | query }}{{ .Value }}{{ end }}'
      - alert: Deep
        expr: depth > 3
        for: 30s
        annotations: {otelmon_resolve_when: '1', otelmon_no_data: keep}
      - alert: Shallow
        expr: depth > 5
        annotations: {otelmon_resolve_when: 'sum by (job) (depth) < 2'}
      - {alert: Absent, expr: 'absent(depth{job="a"})'}
      - {alert: Count, expr: (count(depth) or vector(0)) < 2}
      - {alert: Share, expr: 'depth / scalar(sum(depth)) > 0.7'}
      - alert: Nothing
        expr: sum(requests_total) > 1e9
        annotations: {otelmon_no_data: alert}
      - {alert: Watchdog, expr: vector(1)}
"""
GROUPS: tuple[Group, ...] = tuple(load_rules(RULES, name="rules.yml"))


def series(name: str, job: str, tenant: str = "") -> Labels:
    return Labels({METRIC_NAME: name, "job": job, "instance": "i", TENANT: tenant})


class Server:
    """Rules on a window, for these tenants."""

    def __init__(self, tenants: Tenants = NOBODY, groups: tuple[Group, ...] = GROUPS) -> None:
        self.window = Window(retention_seconds=300.0)
        self.faults = Faults()
        self.rules = RuleRunner(groups, interval_seconds=INTERVAL, faults=self.faults, tenants=tenants)
        self.ticks = 0

    def tick(self, samples: Iterable[tuple[Labels, float]]) -> tuple[Transition, ...]:
        at = START + INTERVAL * self.ticks
        self.ticks += 1
        self.window.append([Sample(labels=labels, at=at, value=value) for labels, value in samples])
        return self.rules.run(self.window, at).transitions

    @property
    def alerts(self) -> list[Alert]:
        return [alert for each in self.rules.alerts.values() for alert in each.values()]

    def value(self, expr: str, tenant: str | None = None) -> list[tuple[Labels, object]]:
        found = Query(expr).evaluate(part_of(self.window, tenant), START + INTERVAL * (self.ticks - 1))
        assert isinstance(found, Evaluation)
        return [(element.labels, element.value) for element in found.vector]


def plain(alert: Alert) -> tuple[object, ...]:
    """All that an alert says, less whose it is."""
    series = alert.series.without((TENANT,))
    value = "nan" if math.isnan(alert.value) else alert.value
    return (
        alert.labels.without((TENANT,)), series, alert.state, alert.active_at, alert.fired_at, alert.resolved_at,
        alert.stopped_at, alert.ended, value, alert.bound, tuple(sorted(alert.annotations.items())),
    )  # fmt: skip


def said(transitions: Iterable[Transition]) -> list[object]:
    return sorted((repr(plain(each.alert)), each.before or "", each.at, each.reason.value) for each in transitions)


# What is measured of a service at one instant: errors and requests since the last, and a depth; None sends nothing.
MEASURED = st.none() | st.tuples(st.integers(0, 5), st.integers(0, 9), st.none() | st.integers(0, 8))
STORY = st.lists(st.fixed_dictionaries({(t, j): MEASURED for t in NAMES for j in "ab"}), min_size=1, max_size=14)


@settings(max_examples=30, deadline=None)
@given(STORY)
def test_tenants_together_are_alerted_as_each_would_be_by_a_server_of_its_own(
    story: list[Mapping[tuple[str, str], tuple[int, int, int | None] | None]],
) -> None:
    together, alone = Server(Tenants(names=NAMES)), {name: Server() for name in NAMES}
    totals = {(kind, *who): 0 for kind in ("errors_total", "requests_total") for who in story[0]}
    for instant in story:
        sent: list[tuple[str, Labels, float]] = []
        for (tenant, job), measured in instant.items():
            if measured is None:
                continue
            for kind, more in zip(("errors_total", "requests_total"), measured[:2], strict=True):
                totals[kind, tenant, job] += more
                sent.append((tenant, series(kind, job), totals[kind, tenant, job]))
            if measured[2] is not None:
                sent.append((tenant, series("depth", job), measured[2]))
        own = (series("depth", "otelmon"), 9.0)
        happened = together.tick([own, *((labels.with_label(TENANT, name), value) for name, labels, value in sent)])
        for tenant, server in alone.items():
            expected = server.tick([(labels, value) for name, labels, value in sent if name == tenant])
            assert said(each for each in happened if each.alert.labels.get(TENANT) == tenant) == said(expected)
            found = [alert for alert in together.alerts if alert.labels.get(TENANT) == tenant]
            assert sorted(repr(plain(each)) for each in found) == sorted(repr(plain(each)) for each in server.alerts)
            recorded = [
                (labels.without((TENANT,)), value) for labels, value in together.value("job:errors:rate1m", tenant)
            ]
            assert sorted(recorded, key=repr) == sorted(server.value("job:errors:rate1m"), key=repr)
    assert {alert.labels.get(TENANT) for alert in together.alerts} <= {*NAMES, None}
    nobodys = {alert.name for alert in together.alerts if TENANT not in alert.labels}
    assert nobodys <= {"Deep", "Shallow", "Share", "Absent", "Count"}  # of depth, which the server itself has
    assert together.faults.counts.total() == sum(each.faults.counts.total() for each in alone.values())


def one_rule(text: str) -> tuple[Group, ...]:
    return tuple(load_rules(f"groups: [{{name: g, rules: [{text}]}}]", name="rules.yml"))


@pytest.mark.parametrize(
    "rule",
    [
        "{alert: A, expr: vector(1), labels: {tenant: shop}}",
        "{alert: A, expr: 'absent(depth{tenant=\"shop\"})'}",
        "{alert: A, expr: 'vector(1) unless depth{tenant=~\"s.*\"}'}",
    ],
)
def test_a_rule_that_names_a_tenant_is_that_tenants_alone(rule: str) -> None:
    server = Server(Tenants(names=NAMES), one_rule(rule))
    server.tick([(series("depth", "a", "bank"), 1.0), (series("depth", "otelmon"), 1.0)])
    assert [alert.labels.get(TENANT) for alert in server.alerts] == ["shop"]


def test_a_rule_cannot_give_its_alerts_to_another_tenant() -> None:
    server = Server(
        Tenants(names=NAMES), one_rule('{alert: A, expr: \'label_replace(depth, "tenant", "shop", "", "")\'}')
    )
    server.tick([(series("depth", "a", "bank"), 1.0)])
    assert [alert.labels.get(TENANT) for alert in server.alerts] == ["bank"]


def test_what_only_tenants_send_is_not_missed_among_what_the_server_measures_itself() -> None:
    server = Server(Tenants(names=("apps",)), one_rule("{alert: A, expr: absent(depth)}"))
    server.tick([(series("depth", "a", "apps"), 1.0), (series("other", "otelmon"), 1.0)])
    assert server.alerts == []


def test_templates_find_whose_it_is() -> None:
    server = Server(
        Tenants(names=NAMES),
        one_rule("{alert: A, expr: sum(depth) > 0, annotations: {summary: 'of {{ $labels.tenant }}'}}"),
    )
    server.tick([(series("depth", "a", "bank"), 1.0)])
    assert [alert.annotations["summary"] for alert in server.alerts] == ["of bank"]


def test_without_tokens_a_tenant_is_a_label_like_any_other() -> None:
    server = Server(groups=one_rule("{alert: A, expr: sum(depth) > 0}"))
    server.tick([(series("depth", "a", "x"), 1.0), (series("depth", "a", "y"), 1.0)])
    assert [(alert.labels, alert.value) for alert in server.alerts] == [(Labels({"alertname": "A"}), 2.0)]


def test_a_fault_of_one_tenants_rule_is_counted_for_that_one() -> None:
    clash = '{alert: A, expr: \'label_replace({__name__=~"x|y"}, "job", "", "", "") > 0\'}'
    server = Server(Tenants(names=NAMES), one_rule(clash))
    for _ in range(2):
        server.tick([(series("x", "a", "bank"), 1.0), (series("y", "a", "bank"), 1.0), (series("x", "a", "shop"), 1.0)])
    assert dict(server.faults.counts) == {"rule.A.bank": 2}
    assert [alert.labels[TENANT] for alert in server.alerts] == ["shop"]


AT = datetime.fromtimestamp(START, UTC)


def of_before(job: str) -> Restored:
    """A state of a server that had no tenants, or knew no difference between them."""
    server = Server(groups=one_rule("{alert: A, expr: sum by (job) (depth) > 0}"))
    server.tick([(series("depth", job), 1.0)])
    (alert,) = server.alerts
    incident = Incident(
        id="ABCD", state=IncidentState.TRIGGERED, alerts=(alert,), triggered_at=AT, group=alert.labels,
        told=frozenset({alert.labels}), muted={alert.labels: "why"},
    )  # fmt: skip
    return Restored(alerts=server.rules.alerts, incidents={"ABCD": incident}, saved_at=AT)


@pytest.mark.parametrize(
    ("names", "senders", "job", "tenant"),
    [
        (("apps",), (), "shop", "apps"),
        (("apps",), (), "otelmon", ""),
        (("apps", "bank"), ("bank",), "shop", "bank"),
        (("apps", "bank"), ("bank", "apps"), "shop", ""),
        (("apps", "bank"), (), "shop", ""),
    ],
)
def test_an_alert_of_before_is_whose_it_can_only_be(
    names: tuple[str, ...], senders: tuple[str, ...], job: str, tenant: str
) -> None:
    before, server = (
        of_before(job),
        Server(Tenants(names=names), one_rule("{alert: A, expr: sum by (job) (depth) > 0}")),
    )
    server.tick([(series("depth", "shop", sender), 1.0) for sender in senders])
    after, given_ = parted(before, Tenants(names=names), own_job="otelmon", window=server.window)
    ((key, alerts),) = given_.items()
    assert key == f"A{{}}@{tenant}"
    ((labels, alert),) = alerts.items()
    assert labels == alert.labels == Labels({"alertname": "A", "job": job, TENANT: tenant})
    incident = after.incidents["ABCD"]
    assert incident.alerts == (alert,)
    assert incident.group == labels
    assert incident.told == set(incident.muted) == {labels}
    # And it is done once: what is saved then is left as it is, the server's own too.
    assert parted(after, Tenants(names=names), own_job="otelmon", window=server.window)[1] == {}
    server.rules.restore(after.alerts, saved_at=AT, at=START + 1)
    (taken_up,) = server.alerts if not senders else [each for each in server.alerts if each.restored]
    assert (taken_up.labels, taken_up.state, taken_up.fired_at) == (labels, AlertState.FIRING, AT)


def test_without_tenants_a_state_stays_as_it_is() -> None:
    before = of_before("shop")
    assert parted(before, NOBODY, own_job="otelmon", window=Server().window) == (before, {})


def test_samples_of_before_are_the_only_tenants_and_nobodys_among_several() -> None:
    own, old, new, total = series("up", "otelmon"), series("up", "shop"), series("up", "shop", "bank"), series("up", "")
    samples = [Sample(labels=labels, at=START, value=1.0) for labels in (own, old, new, total)]

    def left(*names: str, alerts: str = "A{}") -> list[Labels]:
        found = shared(samples, Tenants(names=names), own_job="otelmon", alerts=[alerts])
        return [each.labels for each in found]

    assert left("apps", "bank") == [own, new]
    assert left("bank") == [own, new, new, series("up", "", "bank")]
    assert left("bank", alerts="A{}@bank") == [own, new, new, total]


def test_a_reload_leaves_the_alerts_of_every_tenant_alone() -> None:
    server = Server(Tenants(names=NAMES))
    for _ in range(3):
        server.tick([(series("depth", "a", name), 4.0 + index) for index, name in enumerate(NAMES)])
    before = sorted(map(repr, server.alerts))
    results = server.rules.replace(GROUPS, window=server.window, at=START + 46)
    assert results.transitions == ()
    assert sorted(map(repr, server.alerts)) == before
