"""Tenants are kept apart: no incident, storm or inhibition has alerts of two of them."""

from __future__ import annotations

from dataclasses import replace

from otelmon.incidents.inhibit import Inhibition
from otelmon.incidents.policy import Policy
from otelmon.incidents.silence import parse_matchers
from otelmon.labels import Labels
from otelmon.paging.decide import decide_notices
from otelmon.paging.routing import RouteRule
from otelmon.paging.text import Context
from otelmon.rules.model import Severity
from tests.incidents.test_muting import of, silence
from tests.incidents.test_step import Story, fires
from tests.paging.build import fixed

APART = Policy().apart("tenant")


def test_the_same_alert_of_two_tenants_is_two_incidents_however_they_are_grouped() -> None:
    both = [fires(of("error_rate", job="web", tenant=tenant)) for tenant in ("a", "b")]
    for group_by in (("job", "alertname"), ("alertname",), ("alertname", "tenant")):
        policy = Policy(group_by=group_by).apart("tenant")
        assert policy.group_by.count("tenant") == 1
        assert len(Story().at(0, both, policy=policy).incidents) == 2
    assert len(Story().at(0, both, policy=Policy()).incidents) == 1


def test_a_storm_of_one_tenant_leaves_the_pages_of_another_alone() -> None:
    story = Story()
    made = story.at(
        0, [fires(of(f"rule_{n}", Severity.WARNING, job="web", tenant="a")) for n in range(8)], policy=APART
    )
    (storm,) = [each for each in made.incidents.values() if each.is_storm]
    assert storm.lead.labels == Labels({"alertname": "alert_storm", "job": "web", "tenant": "a"})
    made = story.at(0.5, [fires(of("rule_1", Severity.WARNING, job="web", tenant="b"))], policy=APART)
    assert [each.storm for each in made.incidents.values() if each.lead.labels["tenant"] == "b"] == [""]


def test_a_service_that_is_silent_mutes_the_instances_of_its_own_tenant() -> None:
    story = Story()
    service = fires(of("service_silent", job="web", tenant="a"))
    instances = [fires(of("instance_silent", Severity.WARNING, job="web", tenant=t, instance="i")) for t in ("a", "b")]
    story.at(0, [service, *instances], policy=APART)
    muted = {each.lead.labels["tenant"] for each in story.open.values() if each.muted}
    assert muted == {"a"}


def test_an_inhibition_of_ones_own_crosses_no_tenant() -> None:
    rule = Inhibition(source=parse_matchers(["up"]), target=parse_matchers(["down"]))
    story, policy = Story(), Policy(inhibitions=(rule,)).apart("tenant")
    story.at(0, [fires(of("up", tenant="a")), fires(of("down", tenant="b"))], policy=policy)
    assert not any(each.muted for each in story.open.values())


def test_a_silence_that_hides_alerts_of_two_is_announced_to_each_with_its_own() -> None:
    story = Story()
    both = [fires(of("error_rate", job=f"web-of-{tenant}", tenant=tenant)) for tenant in ("a", "b")]
    story.at(0, both, silence(), policy=APART)
    (notice,) = story.at(45, policy=APART).notices
    rules = tuple(RouteRule(matchers=parse_matchers([f"tenant={each}"]), targets=(each,)) for each in ("a", "b"))
    pages = decide_notices([notice], routing=replace(fixed(["d"]), rules=rules), about=Context(service="otelmon"))
    assert {page.target: page.message.description.partition("web-of-")[2] for page in pages} == {"a": "a", "b": "b"}
