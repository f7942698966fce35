"""Which notifiers an incident's pages go to, whom they mention, and what stays true when routes change."""

from __future__ import annotations

from dataclasses import replace

from otelmon.alerts.model import Alert
from otelmon.incidents.model import Acknowledge, Incident, IncidentState
from otelmon.incidents.silence import parse_matchers
from otelmon.labels import Labels
from otelmon.oncall.model import Mention, MentionKind
from otelmon.paging.decide import Context, decide
from otelmon.paging.model import Page, PageAction
from otelmon.paging.routing import DELIVERY_ALERT, Route, RouteRule, Routing, routed
from otelmon.rules.builtin import builtins
from otelmon.rules.model import Severity
from tests.alerts.build import minute
from tests.incidents.test_step import Story, fires, resolves
from tests.paging.test_decide import ABOUT, ALERT

ROLE = Mention(kind=MentionKind.ROLE, id="123456789012345678")
OTHER = Mention(kind=MentionKind.ROLE, id="456789012345678901")
DEFAULT = Route(targets=("discord",), mentions={Severity.CRITICAL: (ROLE,)})


def alert(**labels: str) -> Alert:
    return replace(ALERT, labels=ALERT.labels.with_labels(labels))


def rule(match: str, **more: object) -> RouteRule:
    return RouteRule(matchers=parse_matchers([match]) if match else (), **more)


def incident(one: Alert) -> Incident:
    return Incident(id="7KQ2", state=IncidentState.TRIGGERED, alerts=(one,), triggered_at=minute(0))


CHECKOUT = rule('team="checkout"', targets=("checkout",), mentions={Severity.CRITICAL: (OTHER,)}, escalation="backend")
ROUTING = Routing(
    default=DEFAULT,
    rules=(CHECKOUT, rule('team=~"check.*"', targets=("never",)), rule('severity="info"', targets=("log",))),
)


def test_the_first_route_that_matches_counts() -> None:
    found = ROUTING.route(incident(alert(team="checkout")))
    assert (found.targets, found.mentions, found.escalation) == (
        ("checkout",),
        {Severity.CRITICAL: (OTHER,)},
        "backend",
    )
    assert ROUTING.route(incident(alert(team="checkers"))).targets == ("never",)


def test_what_matches_no_route_goes_where_it_goes_without_routes() -> None:
    assert ROUTING.route(incident(alert(team="search"))) == DEFAULT
    assert Routing(default=DEFAULT).route(incident(alert())) == DEFAULT


def test_what_a_route_leaves_out_is_the_defaults() -> None:
    routing = replace(ROUTING, rules=(rule('team="checkout"', escalation="backend"),))
    found = routing.route(incident(alert(team="checkout")))
    assert (found.targets, found.mentions, found.escalation) == (DEFAULT.targets, DEFAULT.mentions, "backend")
    nobody = replace(ROUTING, rules=(rule("", mentions={}),))
    assert nobody.route(incident(alert())).mentions == {}


def test_with_paging_off_nothing_is_routed_anywhere() -> None:
    assert Routing(rules=(CHECKOUT,)).route(incident(alert(team="checkout"))).targets == ()
    assert not Routing(rules=(CHECKOUT,)).pages


def test_that_a_notifier_fails_is_told_by_another() -> None:
    assert DELIVERY_ALERT in builtins()
    failing = alert(alertname=DELIVERY_ALERT, notifier="discord")
    routing = Routing(default=DEFAULT, fallback=("discord", "managers"))
    assert routing.route(incident(failing)).targets == ("managers",)
    assert replace(routing, fallback=("discord",)).route(incident(failing)).targets == ("discord",)
    assert replace(routing, fallback=()).route(incident(failing)).targets == ("discord",)


class Told:
    """An incident, and the pages that it owes under the routing of the moment."""

    def __init__(self, routing: Routing, about: Context = ABOUT) -> None:
        self.routing = routing
        self.about = about
        self.story = Story()

    def at(self, number: float, transitions: list, *requests: object) -> list[Page]:
        made = routed(self.story.at(number, transitions, *requests), self.routing)
        self.story.open = dict(made.incidents)
        self.story.recent = dict(made.recent)
        return list(decide(made.changes, routing=self.routing, about=self.about))


def shown(pages: list[Page]) -> list[str]:
    return [f"{page.reason.name.lower()} {page.action} {page.target}" for page in pages]


def test_edits_and_the_last_word_go_where_the_message_is_also_after_the_routes_changed() -> None:
    told = Told(ROUTING)
    own = alert(team="checkout")
    assert shown(told.at(0, [fires(own)])) == ["triggered post checkout"]
    told.routing = replace(ROUTING, rules=())
    (id_,) = told.story.open
    assert shown(told.at(2, [], Acknowledge(incident_id=id_, by="ada"))) == ["acknowledged edit checkout"]
    assert shown(told.at(5, [resolves(own, minute(5))])) == ["resolved edit checkout", "resolved post checkout"]


def test_a_new_message_after_the_routes_changed_goes_to_the_new_ones_and_both_hear_the_end() -> None:
    told = Told(ROUTING)
    own = alert(team="checkout")
    told.at(0, [fires(own)])
    told.routing = replace(ROUTING, rules=())
    reminded = told.at(31, [])
    assert [page.target for page in reminded if page.action is PageAction.POST] == ["discord"]
    ended = told.at(40, [resolves(own, minute(40))])
    assert [page.target for page in ended if page.action is PageAction.POST] == ["checkout", "discord"]


def test_a_reopened_incident_begins_anew_under_the_routes_of_its_day() -> None:
    told = Told(ROUTING)
    own = alert(team="checkout")
    told.at(0, [fires(own)])
    told.at(2, [resolves(own, minute(2))])
    told.routing = replace(ROUTING, rules=())
    assert shown(told.at(4, [fires(own)])) == ["reopened post discord"]
    assert {page.target for page in told.at(6, [resolves(own, minute(6))])} == {"discord"}


def test_an_incident_from_before_there_were_routes_is_shown_at_the_default() -> None:
    told = Told(ROUTING)
    own = alert(team="checkout")
    told.at(0, [fires(own)])
    (id_,) = told.story.open
    told.story.open[id_] = replace(told.story.open[id_], targets=())
    assert {page.target for page in told.at(5, [resolves(own, minute(5))])} == {"discord"}


def test_programs_are_told_of_what_fires_and_of_what_is_over_and_of_nothing_else() -> None:
    told = Told(Routing(default=replace(DEFAULT, targets=("managers",)), machines=frozenset({"managers"})))
    one, other = alert(), replace(alert(http_route="/b"), severity=Severity.CRITICAL)
    (first,) = told.at(0, [fires(one), fires(other)])
    assert {each.labels for each in first.message.alerts} == {one.labels, other.labels}
    (id_,) = told.story.open
    assert told.at(1, [], Acknowledge(incident_id=id_, by="ada")) == []
    (refreshed,) = told.at(2, [resolves(one, minute(2))])
    over = {each.labels: each.ends_at for each in refreshed.message.alerts}
    assert (over[one.labels], over[other.labels]) == (minute(2), None)
    (last,) = told.at(3, [resolves(other, minute(3))])
    assert shown([last]) == ["resolved post managers"]
    assert {each.ends_at for each in last.message.alerts} == {minute(2), minute(3)}
    assert last.message.group == Labels({"job": "shop", "alertname": "error_rate"})


def test_people_alone_get_no_lists_for_programs() -> None:
    (page,) = Told(ROUTING).at(0, [fires(alert())])
    assert page.message.alerts == ()
