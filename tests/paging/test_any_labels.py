"""Whatever a label holds, the page about it is taken by Discord and pings nobody but the configured."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from otelmon.incidents.model import Acknowledge
from otelmon.labels import Labels
from otelmon.oncall.model import Mention, MentionKind
from otelmon.paging.decide import Context, decide
from otelmon.paging.discord import edit_payload, payload
from otelmon.paging.model import PageAction
from otelmon.rules.model import Severity
from otelmon.testing.discord_rules import check, pings
from tests.alerts.build import minute
from tests.incidents.test_step import Story, alert, fires, resolves
from tests.paging.build import fixed

ROLE = "123456789012345678"
ROUTING = fixed(["discord"], {Severity.CRITICAL: (Mention(kind=MentionKind.ROLE, id=ROLE),)})
HOSTILE = (
    "@everyone @here <@1> <@&999999999999999999> <#2>",
    "**bold** _x_ ~~y~~ ||z|| `c` ```b``` [a](http://evil) > q\n# h\n- l",
    "@\u200beveryone <\u200d@&1> \ufeff\u2060",
    "\u202eenoyreve@ \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "x" * 10_000,
    "\U0001f600" * 5_000,
    "\x00\ud800\r\n\t",
    "",
)
VALUES = st.sampled_from(HOSTILE) | st.text(st.characters(), max_size=60)
NAMES = st.sampled_from(["http_route", "job", "instance", "alertname", "error_type", "customer"])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    labels=st.dictionaries(NAMES, VALUES), annotations=st.dictionaries(st.sampled_from(["title", "summary"]), VALUES)
)
@example(labels=dict.fromkeys(["http_route", "job", "instance", "customer"], HOSTILE[0]), annotations={})
@example(labels={"alertname": ""}, annotations={})
@example(labels=dict.fromkeys(["http_route", "job", "alertname"], HOSTILE[4]), annotations={"summary": HOSTILE[5]})
def test_any_labels_make_messages_that_are_taken_and_ping_only_the_configured(
    labels: dict[str, str], annotations: dict[str, str]
) -> None:
    plain = alert(at=minute(0))
    merged = {**plain.labels, **labels}
    merged["alertname"] = merged["alertname"] or plain.name  # an alert has a name
    fired = replace(plain, labels=Labels(merged), annotations=annotations)
    story = Story()
    changes = [*story.at(0, [fires(fired)]).changes]
    (id_,) = story.open
    changes += story.at(1, [], Acknowledge(incident_id=id_, by=labels.get("customer", "ada"))).changes
    changes += story.at(2, [resolves(fired, minute(2))]).changes
    pages = decide(changes, routing=ROUTING, about=Context(service="shop"))
    assert len(pages) == 4
    shown = payload(pages[0].message)
    for page in pages:
        if page.action is PageAction.EDIT:
            body = edit_payload(page.message)
            assert check(body, earlier=shown) is None
            assert pings(body) == ()
        else:
            body = payload(page.message)
            assert check(body) is None
            assert {ping.id for ping in pings(body)} == ({ROLE} if page is pages[0] else set())
