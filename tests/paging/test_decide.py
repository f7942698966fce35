"""Which message is owed for what happened, and what it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from otelmon.alerts.model import Alert, AlertState
from otelmon.incidents.model import Acknowledge, Change, Incident
from otelmon.labels import Labels
from otelmon.oncall.model import Mention, MentionKind
from otelmon.paging.decide import Context, decide
from otelmon.paging.model import Page, PageAction, PageReason
from otelmon.rules.model import Severity, Unit
from tests.alerts.build import minute
from tests.incidents.test_step import Story, fires, resolves
from tests.paging.build import fixed

ROLE = Mention(kind=MentionKind.ROLE, id="123456789012345678")
MENTIONS = {Severity.CRITICAL: (ROLE,)}
ABOUT = Context(service="shop", environment="production", instance="web-1")
ALERT = Alert(
    labels=Labels({"alertname": "error_rate", "job": "shop", "severity": "critical"}),
    annotations={"summary": "12.4 % of the requests fail"},
    severity=Severity.CRITICAL,
    state=AlertState.FIRING,
    active_at=minute(0),
    fired_at=minute(0),
    value=0.124,
    bound=0.05,
    operator=">",
    unit=Unit.RATIO,
    series=Labels({"job": "shop"}),
)


def changes(alert: Alert = ALERT, *, acknowledged: bool = True) -> list[Change]:
    story = Story()
    made = story.at(0, [fires(alert)])
    (id_,) = made.incidents
    happened = list(made.changes)
    if acknowledged:
        happened += story.at(2, [], Acknowledge(incident_id=id_, by="ada")).changes
    happened += story.at(6, [resolves(alert, minute(6))]).changes
    return happened


def pages(alert: Alert = ALERT, *, about: Context = ABOUT, acknowledged: bool = True) -> tuple[Page, ...]:
    return decide(changes(alert, acknowledged=acknowledged), routing=fixed(["discord"], MENTIONS), about=about)


def fields(page: Page) -> dict[str, str]:
    return {field.name: field.value for field in page.message.fields}


def test_triggered_posts_acknowledged_edits_resolved_edits_and_posts_one_line() -> None:
    triggered, acknowledged, edit, line = pages()
    assert [(page.reason, page.action) for page in (triggered, acknowledged, edit, line)] == [
        (PageReason.TRIGGERED, PageAction.POST),
        (PageReason.ACKNOWLEDGED, PageAction.EDIT),
        (PageReason.RESOLVED, PageAction.EDIT),
        (PageReason.RESOLVED, PageAction.POST),
    ]
    assert acknowledged.edits == edit.edits == line.follows == triggered.id
    assert [page.due_at for page in (triggered, acknowledged, edit, line)] == [minute(at) for at in (0, 2, 6, 6)]
    assert len({page.id for page in pages()}) == 4


def test_only_the_first_message_mentions_and_only_as_its_severity_asks() -> None:
    assert [page.message.mentions for page in pages()] == [(ROLE,), (), (), ()]
    warning = replace(ALERT, severity=Severity.WARNING)
    assert [page.message.mentions for page in pages(warning)] == [(), (), (), ()]


def test_the_title_says_value_limit_and_place() -> None:
    triggered, acknowledged, edit, line = (page.message.title for page in pages())
    assert triggered == acknowledged == edit == "Error rate 12.4 % (limit 5 %) on shop, production"
    assert line == "Error rate on shop, production after 6 min, acknowledged by ada"
    assert pages(acknowledged=False)[-1].message.title == "Error rate on shop, production after 6 min"


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"operator": "<"}, "Error rate 12.4 % (at least 5 % expected) on shop, production"),
        ({"operator": "=="}, "Error rate 12.4 % on shop, production"),
        ({"bound": None}, "Error rate 12.4 % on shop, production"),
        ({"bound": None, "unit": Unit.NONE}, "Error rate on shop, production"),
        (
            {"series": Labels({"__name__": "x", "job": "shop", "http_route": "/pay", "instance": "web-1"})},
            "Error rate 12.4 % (limit 5 %) for /pay on shop, production",
        ),
        ({"series": Labels(dict.fromkeys("abcd", "x"))}, "Error rate 12.4 % (limit 5 %) on shop, production"),
    ],
)
def test_the_title_says_no_more_than_is_known(change: dict[str, object], title: str) -> None:
    assert pages(replace(ALERT, **change))[0].message.title == title


@pytest.mark.parametrize(
    ("name", "spoken"),
    [
        ("error_rate", "Error rate"),
        ("HighErrorRate", "High error rate"),
        ("cpu_usage", "CPU usage"),
        ("KubePodCrashLooping", "Kube pod crash looping"),
        ("HTTPErrors", "HTTP errors"),
        ("_", "_"),
    ],
)
def test_a_rules_name_is_said_in_words(name: str, spoken: str) -> None:
    alert = replace(ALERT, labels=ALERT.labels.with_label("alertname", name), bound=None, unit=Unit.NONE)
    assert pages(alert)[0].message.title == f"{spoken} on shop, production"


def test_fields_say_where_it_is_and_how_it_is_acknowledged() -> None:
    alert = replace(ALERT, labels=ALERT.labels.with_label("team", "web"), context={"order": "17"})
    triggered, acknowledged, edit, line = pages(alert)
    (id_,) = {page.incident_id for page in (triggered, acknowledged, edit, line)}
    where = {"Service": "shop", "Environment": "production", "Instance": "web-1"}
    rest = {"order": "17", "team": "web"}
    assert fields(triggered) == where | {"Acknowledge": f"otelmon ack {id_}"} | rest
    assert fields(acknowledged) == where | {"Acknowledged by": "ada"} | rest
    assert fields(edit) == where | {"Lasted": "6 min", "Acknowledged by": "ada"} | rest
    assert line.message.fields == ()
    assert triggered.message.since_at == minute(0)
    assert triggered.message.footer.endswith(id_)


def test_the_alerts_own_service_and_instance_win() -> None:
    alert = replace(ALERT, labels=ALERT.labels.with_labels({"job": "worker", "instance": "db-7"}))
    (page, *_) = pages(alert)
    assert (fields(page)["Service"], fields(page)["Instance"]) == ("worker", "db-7")
    assert page.message.title.endswith("on worker, production")


def test_what_is_not_known_is_left_out() -> None:
    (page, *_) = pages(about=Context(service="shop"))
    assert "Environment" not in fields(page)
    assert page.message.title.endswith("on shop")


def test_the_edits_show_the_state() -> None:
    triggered, acknowledged, edit, line = (page.message for page in pages())
    assert [message.acknowledged_by for message in (triggered, acknowledged, edit, line)] == ["", "ada", "ada", "ada"]
    assert [message.resolved for message in (triggered, acknowledged, edit, line)] == [False, False, True, True]
    assert [message.short for message in (triggered, acknowledged, edit, line)] == [False, False, False, True]


def test_a_runbook_is_linked_or_its_first_steps_are_shown() -> None:
    def steps(name: str) -> tuple[str, ...]:
        return (f"Look at {name}.", "Roll back.", "Call ada.", "Sleep.")

    linked = pages(about=replace(ABOUT, runbooks="https://docs.test/runbooks/", first_steps=steps))[0].message
    assert linked.link == "https://docs.test/runbooks/error_rate"
    assert linked.description == "12.4 % of the requests fail"
    own = replace(ALERT, annotations={"runbook_url": "https://wiki.test/x", "description": "d"})
    assert pages(own, about=replace(ABOUT, runbooks="https://docs.test"))[0].message.link == "https://wiki.test/x"
    shown = pages(about=replace(ABOUT, first_steps=steps))[0].message
    assert shown.link == ""
    assert shown.description == (
        "12.4 % of the requests fail\n\nFirst steps:\n1. Look at error_rate.\n2. Roll back.\n3. Call ada."
    )


def test_every_target_gets_its_own_and_deciding_twice_gives_the_same() -> None:
    happened = changes()
    once = decide(happened, routing=fixed(["discord", "log"], MENTIONS), about=ABOUT)
    again = decide(happened, routing=fixed(["discord", "log"], MENTIONS), about=ABOUT)
    assert once == again
    assert [page.target for page in once] == ["discord", "log"] * 4
    assert len({page.id for page in once}) == len(once)
    for page in once:
        assert page.edits.endswith(f".{page.target}") or not page.edits


def test_no_targets_and_no_changes_owe_nothing() -> None:
    assert decide(changes(), routing=fixed([]), about=ABOUT) == ()
    assert decide([], routing=fixed(["discord"], MENTIONS), about=ABOUT) == ()


def test_a_page_links_to_where_it_is_acknowledged_until_somebody_has() -> None:
    seen = []

    def link(incident: Incident, at: datetime) -> str:
        seen.append((incident.rounds, at))
        return f"https://shop.example.com/otelmon/ack/{incident.id}"

    owed = pages(about=replace(ABOUT, acknowledge_link=link))
    assert [bool(page.message.acknowledge) for page in owed] == [True, False, False, False]
    assert seen == [(1, minute(0))]
    assert owed[0].message.acknowledge.endswith(owed[0].incident_id)
    # A terminal does too, where the app that serves the page is what is down.
    assert fields(owed[0])["Acknowledge"] == f"otelmon ack {owed[0].incident_id}"
    assert not any(page.message.acknowledge for page in pages())


def test_a_state_is_shown_without_its_number() -> None:
    alert = replace(ALERT, value=1.0, bound=0.0, unit=Unit.STATE)
    assert pages(alert)[0].message.title == "Error rate on shop, production"
