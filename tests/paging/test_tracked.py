"""What a critical incident owes to where errors are tracked, beside the pages to people."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from otelmon.paging.decide import decide
from otelmon.paging.fallback import NEVER_PASSED_ON, WAITS
from otelmon.paging.model import Page, PageReason
from otelmon.rules.model import Severity
from tests.paging.build import fixed
from tests.paging.test_decide import ABOUT, ALERT, MENTIONS, changes, minute

ROUTING = replace(fixed(["discord"], MENTIONS), tracker="sentry")


def tracked(severity: Severity = Severity.CRITICAL) -> list[Page]:
    alert = replace(ALERT, severity=severity, labels=ALERT.labels.with_label("severity", severity.value))
    about = replace(ABOUT, acknowledge_link=lambda incident, at: "https://shop.example.com/ack/secret")
    return [page for page in decide(changes(alert), routing=ROUTING, about=about) if page.target == "sentry"]


def test_a_critical_incident_is_tracked_once_when_it_begins_and_once_when_it_is_over() -> None:
    began, over = tracked()
    assert {began.reason, over.reason} == {PageReason.TRACKED}
    assert (began.message.resolved, over.message.resolved) == (False, True)
    assert began.id != over.id
    assert began.message.alerts[0].labels["alertname"] == "error_rate"


def test_what_is_tracked_pings_nobody_and_has_no_link_to_acknowledge_by() -> None:
    for page in tracked():
        assert (page.message.mentions, page.message.acknowledge) == ((), "")


def test_a_warning_is_not_tracked() -> None:
    assert tracked(Severity.WARNING) == []


def test_without_a_tracker_nothing_is() -> None:
    pages = decide(changes(), routing=replace(ROUTING, tracker=""), about=ABOUT)
    assert {page.target for page in pages} == {"discord"}


def test_what_is_tracked_never_becomes_a_page_to_the_fallback() -> None:
    assert PageReason.TRACKED in NEVER_PASSED_ON & WAITS


def test_a_page_links_the_newest_error_of_its_time() -> None:
    asked = []

    def newest(since):
        asked.append(since)
        return "https://acme.sentry.io/issues/?query=1"

    page = decide(changes(), routing=ROUTING, about=replace(ABOUT, newest_error=newest))[0]
    (found,) = (field for field in page.message.fields if field.link)
    assert (found.name, found.link) == ("Newest error", "https://acme.sentry.io/issues/?query=1")
    assert set(asked) == {minute(0) - timedelta(minutes=15)}


def test_without_an_error_a_page_says_nothing_of_one() -> None:
    page = decide(changes(), routing=ROUTING, about=ABOUT)[0]
    assert "Newest error" not in {field.name for field in page.message.fields}
