"""Stories of silences and inhibitors: who is not paged, and when that ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from otelmon.alerts.model import Alert
from otelmon.incidents.inhibit import BUILT_IN, Inhibition, Inhibitor
from otelmon.incidents.model import Acknowledge, Cause, IncidentState
from otelmon.incidents.policy import Policy
from otelmon.incidents.shift import shift_silences
from otelmon.incidents.silence import AddSilence, ExpireSilence, Silence, meets, parse_matchers
from otelmon.incidents.step import IncidentStep
from otelmon.labels import Labels
from otelmon.paging.decide import Context, decide, decide_notices
from otelmon.paging.model import PageAction
from otelmon.rules.model import Severity
from tests.alerts.build import minute
from tests.incidents.test_step import Story, alert, fires, resolves
from tests.paging.build import fixed

ERRORS = alert(at=minute(0))


def silence(text: str = "error_rate", *, start: float = 0, end: float | None = 60, **more: object) -> AddSilence:
    ends_at = None if end is None else minute(end)
    made = Silence(
        id="S7KQ2",
        matchers=parse_matchers([text]),
        starts_at=minute(start),
        ends_at=ends_at,
        author="ada",
        created_at=minute(start),
        **more,
    )
    return AddSilence(silence=made)


def causes(made: IncidentStep) -> list[Cause]:
    return [change.cause for change in made.changes if change.cause is not None]


def test_a_silenced_alert_is_recorded_and_pages_nobody_and_pages_when_the_silence_ends() -> None:
    story = Story()
    made = story.at(0, [fires(ERRORS)], silence(comment="being moved"))
    assert causes(made) == []
    (incident,) = made.incidents.values()
    assert incident.state is IncidentState.TRIGGERED
    assert [event.kind.value for event in incident.timeline] == ["triggered", "muted"]
    assert "silenced by ada until 2026-03-01 13:00 UTC (S7KQ2): being moved" in incident.timeline[-1].text
    assert causes(story.at(59.9)) == []
    assert causes(story.at(60)) == [Cause.UNMUTED]
    assert causes(story.at(61)) == []


def test_a_silenced_alert_that_resolves_is_never_mentioned() -> None:
    story = Story()
    story.at(0, [fires(ERRORS)], silence())
    assert causes(story.at(5, [resolves(ERRORS, minute(5))])) == []
    assert causes(story.at(60)) == []


def test_what_was_paged_before_the_silence_is_paged_after_it_and_its_end_is_told() -> None:
    story = Story()
    story.at(0, [fires(ERRORS)])
    assert causes(story.at(1, [], silence(start=1, end=20))) == [Cause.REFRESHED]
    assert causes(story.at(20)) == [Cause.UNMUTED]
    assert causes(story.at(21, [resolves(ERRORS, minute(21))])) == [Cause.RESOLVED]


def test_who_acknowledged_is_left_alone_when_the_silence_ends() -> None:
    story = Story()
    (id_,) = story.at(0, [fires(ERRORS)]).incidents
    story.at(1, [], Acknowledge(incident_id=id_, by="ada"), silence(start=1, end=20))
    assert causes(story.at(20)) == [Cause.REFRESHED]


def test_a_silence_that_is_ended_by_hand_lets_its_alerts_page_at_once() -> None:
    story = Story()
    story.at(0, [fires(ERRORS)], silence())
    made = story.at(2, [], ExpireSilence(silence_id="s7kq2", by="grace"))
    assert causes(made) == [Cause.UNMUTED]
    assert [(each.ended_at, each.ended_by) for each in made.changed_silences] == [(minute(2), "grace")]
    assert len(story.at(3, [], ExpireSilence(silence_id="S7KQ2", by="grace")).refused) == 1


def test_until_resolved_ends_with_what_it_hides() -> None:
    story = Story()
    story.at(0, [fires(ERRORS)])
    story.at(1, [], silence(start=1, end=None, until_resolved=True))
    assert list(story.silences) == ["S7KQ2"]
    story.at(500)
    assert list(story.silences) == ["S7KQ2"]
    story.at(501, [resolves(ERRORS, minute(501))])
    assert story.silences == {}


def test_a_silence_to_come_mutes_nothing_yet() -> None:
    story = Story()
    assert causes(story.at(0, [fires(ERRORS)], silence(start=5))) == [Cause.TRIGGERED]
    assert causes(story.at(5)) == [Cause.REFRESHED]


def test_a_notice_comes_once_before_a_silence_ends_that_hides_something() -> None:
    story = Story()
    story.at(0, [fires(ERRORS)], silence(comment="@everyone"))
    assert story.at(44.9).notices == ()
    made = story.at(45)
    (notice,) = made.notices
    assert (notice.silence.id, notice.hidden) == ("S7KQ2", (ERRORS,))
    assert story.at(46).notices == ()
    (page,) = decide_notices([notice], routing=fixed(["discord"]), about=Context(service="shop"))
    assert page.message.title == "A silence ends in 15 min and hides what still fires"
    assert (page.message.mentions, page.due_at) == ((), minute(45))


def test_no_notice_where_nothing_is_hidden() -> None:
    story = Story()
    story.at(0, [], silence())
    assert story.at(50).notices == ()


def test_one_alert_of_an_incident_may_be_silent_while_another_pages() -> None:
    story = Story()
    other = replace(ERRORS, labels=ERRORS.labels.with_label("http_route", "/pay"))
    made = story.at(0, [fires(ERRORS), fires(other)], silence('http_route="/pay"', end=10))
    (incident,) = made.incidents.values()
    assert incident.visible == (ERRORS,)
    assert causes(made) == [Cause.TRIGGERED]
    assert causes(story.at(10)) == [Cause.JOINED]


@pytest.mark.parametrize(
    ("texts", "matches", "misses"),
    [
        (["error_rate"], {"alertname": "error_rate"}, {"alertname": "error"}),
        (["a=b"], {"a": "b"}, {}),
        (['{a="b, \\"c\\"", d!="e"}'], {"a": 'b, "c"'}, {"a": 'b, "c"', "d": "e"}),
        (["a=~b.*", "c!~d|e"], {"a": "bcd"}, {"a": "b", "c": "e"}),
        (['a="b",'], {"a": "b"}, {"a": "c"}),
    ],
)
def test_matchers_are_read_as_alertmanager_reads_them(
    texts: list[str], matches: dict[str, str], misses: dict[str, str]
) -> None:
    matchers = parse_matchers(texts)
    assert meets(Labels(matches), matchers)
    assert not meets(Labels(misses), matchers)


@pytest.mark.parametrize("text", ["", "a!=b", "=b", "a=~(", 'a="b" c="d"', "a==b c", "{}", 'a="b'])
def test_what_is_no_matcher_or_would_silence_everything_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_matchers([text])


def of(name: str, severity: Severity = Severity.CRITICAL, **labels: str) -> Alert:
    made = alert(name, at=minute(0), severity=severity)
    return replace(made, labels=made.labels.with_labels(labels))


def muted(alerts: list[Alert], *inhibitions: Inhibition, told: bool = True) -> list[str]:
    inhibitor = Inhibitor(inhibitions or BUILT_IN, alerts, lambda labels: told)
    return [each.name for each in alerts if inhibitor.muted_by(each) is not None]


def rule(source: str, target: str, *equal: str) -> Inhibition:
    return Inhibition(source=parse_matchers([source]), target=parse_matchers([target]), equal=equal)


def test_the_built_in_inhibitors_mute_what_follows_from_them_in_the_same_service() -> None:
    latency, queue = of("response_time", Severity.WARNING), of("queue_delay", Severity.WARNING)
    assert muted([of("health_check"), latency, queue]) == ["response_time"]
    assert muted([of("redis_connection"), latency, queue]) == ["queue_delay"]
    assert muted([of("health_check", job="other"), latency]) == []
    assert muted([of("error_rate"), of("route_error_rate")]) == []


def test_an_inhibitor_is_as_severe_and_was_paged_itself() -> None:
    weak, strong = of("a", Severity.WARNING), of("b")
    assert muted([weak, strong], rule("a", "b")) == []
    assert muted([strong, weak], rule("b", "a")) == ["a"]
    chain = [of("a"), of("b"), of("c")]
    rules = (rule("a", "b"), rule("b", "c"))
    assert muted(chain, *rules, told=False) == ["b"]  # b is muted and was never paged, so c pages
    assert muted(chain, *rules, told=True) == ["b", "c"]


def test_a_missing_label_equals_an_empty_one() -> None:
    assert muted([of("a"), of("b")], rule("a", "b", "zone")) == ["b"]
    assert muted([of("a", zone="1"), of("b")], rule("a", "b", "zone")) == []


def test_an_alert_that_meets_both_sides_mutes_no_other_such() -> None:
    both = rule('alertname=~"a|b"', 'alertname=~"a|b|c"')
    assert muted([of("a"), of("b"), of("c")], both) == ["c"]


def test_of_two_that_mute_each_other_one_pages() -> None:
    assert len(muted([of("a"), of("b")], rule("a", "b"), rule("b", "a"), told=False)) == 1


def test_an_inhibited_alert_pages_when_its_inhibitor_ends() -> None:
    story = Story()
    health, latency = of("health_check"), of("response_time", Severity.WARNING)
    made = story.at(0, [fires(latency), fires(health)])
    assert [(change.incident.lead.name, change.cause) for change in made.changes if change.cause] == [
        ("health_check", Cause.TRIGGERED)
    ]
    made = story.at(5, [resolves(health, minute(5))])
    assert sorted(causes(made)) == [Cause.RESOLVED, Cause.UNMUTED]
    assert causes(story.at(6)) == []


def test_what_was_paged_before_its_inhibitor_fired_is_not_paged_again_after_it() -> None:
    story = Story()
    health, latency = of("health_check"), of("response_time", Severity.WARNING)
    story.at(0, [fires(latency)])
    story.at(1, [fires(health)])
    assert causes(story.at(5, [resolves(health, minute(5))])) == [Cause.RESOLVED, Cause.REFRESHED]


def test_reminders_expiry_worsening_and_joining_page_once_each() -> None:
    story = Story()
    warning, critical = of("disk", Severity.WARNING, disk="a"), of("disk", disk="b")
    (id_,) = story.at(0, [fires(warning)]).incidents
    assert causes(story.at(239.9)) == []
    assert causes(story.at(240)) == [Cause.REMINDER]
    assert causes(story.at(241, [fires(of("disk", Severity.WARNING, disk="c"))])) == [Cause.REFRESHED]
    assert causes(story.at(242, [fires(critical)])) == [Cause.WORSENED]
    assert causes(story.at(271.9)) == []
    assert causes(story.at(272)) == [Cause.REMINDER]
    assert causes(story.at(273, [], Acknowledge(incident_id=id_, by="ada"))) == [Cause.ACKNOWLEDGED]
    assert causes(story.at(310)) == []
    assert causes(story.at(311, [fires(of("disk", disk="d"))])) == [Cause.JOINED]
    assert causes(story.at(333)) == [Cause.EXPIRED]
    assert story.open[id_].state is IncidentState.TRIGGERED
    assert causes(story.at(362.9)) == []
    assert causes(story.at(363)) == [Cause.REMINDER]


def test_a_storm_has_one_page_that_grows_and_is_taken_and_resolved_as_one() -> None:
    story, policy = Story(), Policy(repeat_every={})
    all_of = [of(f"rule_{number}", Severity.WARNING) for number in range(20)]
    pages = []

    def at(number: float, *asked: object) -> list[tuple[str, Cause]]:
        made = story.at(number, *asked, policy=policy)
        pages.extend(decide(made.changes, routing=fixed(["d"]), about=Context(service="shop")))
        return [(change.incident.lead.name, change.cause) for change in made.changes if change.cause]

    assert len(at(0, [fires(each) for each in all_of[:5]])) == 5
    assert at(0.5, [fires(each) for each in all_of[5:10]]) == [("alert_storm", Cause.TRIGGERED)]
    assert at(0.9, [fires(each) for each in all_of[10:]]) == [("alert_storm", Cause.REFRESHED)]
    assert len(story.open) == 21
    (storm,) = [each for each in story.open.values() if each.is_storm]
    assert storm.lead.annotations["title"] == "15 more incidents"
    assert pages[-1].message.title == "15 more incidents on shop"
    assert at(1.2, [fires(of("worse"))]) == [("alert_storm", Cause.WORSENED)]
    assert at(2, [], Acknowledge(incident_id=storm.id, by="ada")) == [
        ("alert_storm", Cause.ACKNOWLEDGED),
        ("alert_storm", Cause.REFRESHED),
    ]
    assert sum(each.acknowledged_by == "ada" for each in story.open.values()) == 17
    assert at(9, [fires(of("later"))]) == [("later", Cause.TRIGGERED)]
    over = [resolves(each, minute(10)) for each in (*all_of, of("worse"))]
    assert [cause for _, cause in at(10, over)] == [Cause.RESOLVED] * 6
    assert [each.lead.name for each in story.open.values()] == ["later"]
    posted = [page for page in pages if page.action is PageAction.POST]
    assert len(posted) == 5 + 1 + 1 + 1 + 6
    assert {each.storm for each in story.recent.values()} == {"", storm.id}


def test_a_jump_of_the_clock_leaves_a_silence_as_long() -> None:
    asked = silence().silence
    (moved,) = shift_silences({asked.id: asked}, 3600).values()
    assert moved.ends_at - asked.ends_at == moved.starts_at - asked.starts_at == timedelta(hours=1)
