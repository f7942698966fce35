"""What a notifier does not take goes to the next of the fallback: once, saying why, and only while it matters."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.incidents.model import Acknowledge
from otelmon.paging.fallback import PATIENCE
from otelmon.paging.model import Outcome, OutcomeKind, Page, PageAction
from otelmon.rules.model import Severity
from otelmon.storage.sqlite import SqliteStorage
from otelmon.storage.store import Storage
from tests.alerts.build import minute
from tests.incidents.test_step import Story, fires, resolves
from tests.storage.build import firing, owed

FALLBACK = ("managers", "boss")
REJECTED = Outcome(kind=OutcomeKind.REJECTED, reason="HTTP 404 Unknown Webhook")
FAILED = Outcome(kind=OutcomeKind.RETRY, reason="HTTP 500", retry_at=minute(0))
TAKEN = Outcome(kind=OutcomeKind.DELIVERED, reason="HTTP 200", message_id="1001")


class Outbox:
    """An incident, and notifiers that take pages or do not: ``answers`` says what each does."""

    def __init__(self, storage: Storage, *targets: str, fallback: tuple[str, ...] = FALLBACK) -> None:
        self.storage = storage
        self.targets = targets or ("discord",)
        self.fallback = fallback
        self.answers: dict[str, Outcome] = {}
        self.sent: list[Page] = []
        self.story = Story()

    def _save(self, number: float, made: object) -> None:
        self.storage.save(minute(number), alerts={}, changes=made.changes, pages=owed(made.changes, *self.targets))

    def fires(self, number: float, severity: Severity = Severity.CRITICAL) -> None:
        self._save(number, self.story.at(number, [fires(firing("a", severity))]))

    def acknowledged(self, number: float) -> None:
        (id_,) = self.story.open
        self._save(number, self.story.at(number, [], Acknowledge(incident_id=id_, by="ada")))

    def resolves(self, number: float) -> None:
        self._save(number, self.story.at(number, [resolves(firing("a"), minute(number))]))

    def works(self, number: float) -> list[str]:
        """One pass of the worker; what was delivered, in short."""
        self.storage.pass_on_late(minute(number), fallback=self.fallback)
        delivered = []
        deferred: set[str] = set()
        while True:
            names = [name for name in (*self.targets, *self.fallback) if name not in deferred]
            pages = self.storage.claim(minute(number), lease_seconds=60, limit=1, targets=names)
            if not pages:
                return delivered
            page = pages[0].page
            outcome = self.answers.get(page.target, TAKEN)
            if outcome.kind is OutcomeKind.RETRY:
                outcome = Outcome(kind=outcome.kind, reason=outcome.reason, retry_at=minute(number + 0.5))
                deferred.add(page.target)
            self.storage.record(page.id, outcome, minute(number), fallback=self.fallback)
            if outcome.kind is OutcomeKind.DELIVERED:
                self.sent.append(page)
                delivered.append(short(page))


def short(page: Page) -> str:
    action = "" if page.action is PageAction.POST else " edit"
    return f"{page.reason.name.lower()}{action} to {page.target}"


@pytest.fixture
def outbox(storage: Storage) -> Outbox:
    return Outbox(storage)


def test_a_rejected_page_goes_to_the_fallback_and_says_so(outbox: Outbox) -> None:
    outbox.answers["discord"] = REJECTED
    outbox.fires(0)
    assert outbox.works(0) == ["triggered to managers"]
    assert outbox.sent[0].message.note == "Not delivered to discord: HTTP 404 Unknown Webhook"
    assert outbox.works(60) == []


def test_what_follows_a_page_that_was_passed_on_goes_to_the_fallback_too(outbox: Outbox) -> None:
    outbox.answers["discord"] = REJECTED
    outbox.fires(0)
    outbox.works(0)
    outbox.acknowledged(2)
    assert outbox.works(2) == ["acknowledged edit to managers"]
    assert outbox.sent[-1].edits == outbox.sent[0].id
    outbox.resolves(3)
    assert outbox.works(3) == ["resolved to managers", "resolved edit to managers"]
    assert outbox.works(60) == []


def test_without_a_fallback_a_rejected_page_is_rejected_and_can_be_read(storage: Storage) -> None:
    outbox = Outbox(storage, fallback=())
    outbox.answers["discord"] = REJECTED
    outbox.fires(0)
    assert outbox.works(0) == []
    (rejection,) = storage.rejections()
    assert (rejection.target, rejection.outcome, rejection.at) == ("discord", REJECTED.reason, minute(0))
    assert rejection.incident_id in outbox.story.open


def test_a_fallback_that_rejects_hands_on_to_the_next_and_then_nobody_is_left(outbox: Outbox) -> None:
    outbox.answers |= {"discord": REJECTED, "managers": REJECTED}
    outbox.fires(0)
    assert outbox.works(0) == ["triggered to boss"]
    note = "Not delivered to discord: HTTP 404 Unknown Webhook; Not delivered to managers: HTTP 404 Unknown Webhook"
    assert outbox.sent[0].message.note == note
    assert [each.target for each in outbox.storage.rejections()] == ["managers", "discord"]


@pytest.mark.parametrize("severity", Severity)
def test_a_page_that_is_late_goes_to_the_fallback_after_as_long_as_its_severity_bears(
    outbox: Outbox, severity: Severity
) -> None:
    patience = PATIENCE[severity].total_seconds() / 60
    outbox.answers["discord"] = FAILED
    outbox.fires(0, severity)
    assert [outbox.works(number) for number in (0, patience / 2, patience - 0.01)] == [[], [], []]
    assert outbox.works(patience) == ["triggered to managers"]
    assert "Not delivered to discord within" in outbox.sent[0].message.note
    assert outbox.works(patience + 1) == outbox.works(patience + 30) == []


def test_a_late_page_still_arrives_once_its_notifier_works_again_and_nobody_has_acknowledged(outbox: Outbox) -> None:
    outbox.answers["discord"] = FAILED
    outbox.fires(0)
    assert outbox.works(0) + outbox.works(2) == ["triggered to managers"]
    outbox.answers.clear()
    assert outbox.works(5) == ["triggered to discord"]
    assert outbox.works(10) == []
    outbox.resolves(12)
    assert sorted(outbox.works(12)) == [
        "resolved edit to discord",
        "resolved edit to managers",
        "resolved to discord",
        "resolved to managers",
    ]


def test_a_late_page_is_not_sent_any_more_once_somebody_acknowledged_what_the_fallback_said(outbox: Outbox) -> None:
    outbox.answers["discord"] = FAILED
    outbox.fires(0)
    outbox.works(0)
    outbox.works(2)
    outbox.acknowledged(3)
    outbox.answers.clear()
    assert outbox.works(5) == ["acknowledged edit to managers"]


def test_a_copy_that_was_not_sent_yet_is_dropped_when_the_page_arrives_after_all(outbox: Outbox) -> None:
    outbox.answers |= {"discord": FAILED, "managers": FAILED}
    outbox.fires(0)
    assert outbox.works(0) + outbox.works(2) == []
    outbox.answers.clear()
    assert outbox.works(4) == ["triggered to discord"]
    outbox.resolves(6)
    assert sorted(outbox.works(6)) == ["resolved edit to discord", "resolved to discord"]


@pytest.mark.parametrize("ends", ["acknowledged", "resolves"])
def test_what_is_over_or_acknowledged_meanwhile_is_not_passed_on(outbox: Outbox, ends: str) -> None:
    outbox.answers["discord"] = FAILED
    outbox.fires(0)
    outbox.works(0)
    getattr(outbox, ends)(1)
    outbox.answers["discord"] = REJECTED
    assert outbox.works(3) == []


def test_that_an_incident_is_over_is_passed_on_where_its_notifier_was_deleted_meanwhile(outbox: Outbox) -> None:
    outbox.fires(0)
    outbox.works(0)
    outbox.answers["discord"] = REJECTED
    outbox.resolves(5)
    assert outbox.works(5) == ["resolved to managers"]


def test_a_fallback_that_has_a_page_of_its_own_gets_no_second_one(storage: Storage) -> None:
    outbox = Outbox(storage, "discord", "managers", fallback=("managers",))
    outbox.answers["discord"] = REJECTED
    outbox.fires(0)
    assert outbox.works(0) == ["triggered to managers"]
    outbox.resolves(3)
    assert sorted(outbox.works(3)) == ["resolved edit to managers", "resolved to managers"]


def test_a_reopened_incident_tells_the_fallback_only_what_concerns_it(outbox: Outbox) -> None:
    outbox.answers["discord"] = REJECTED
    outbox.fires(0)
    outbox.works(0)
    outbox.resolves(2)
    outbox.works(2)
    outbox.answers.clear()
    outbox.fires(4)
    assert outbox.works(4) == ["reopened to discord"]
    outbox.resolves(6)
    assert sorted(outbox.works(6)) == ["resolved edit to discord", "resolved to discord"]


def test_the_copy_is_written_with_the_rejection_so_that_a_crash_between_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with SqliteStorage(path) as storage:
        outbox = Outbox(storage)
        outbox.fires(0)
        (page,) = storage.claim(minute(0), lease_seconds=60, limit=1)
        storage.record(page.page.id, REJECTED, minute(0), fallback=FALLBACK)
    with SqliteStorage(path) as storage:  # a later process; the same rejection said again changes nothing
        storage.record(page.page.id, REJECTED, minute(1), fallback=FALLBACK)
        (copy,) = storage.claim(minute(1), lease_seconds=60, limit=10)
        assert (copy.page.target, copy.page.instead_of) == ("managers", page.page.id)


def test_the_backlog_says_what_each_notifier_is_owed(outbox: Outbox) -> None:
    outbox.answers["discord"] = FAILED
    outbox.fires(0)
    outbox.works(0)
    backlog = outbox.storage.backlog(minute(1))["discord"]
    assert (backlog.owed, backlog.late, backlog.oldest_at) == (1, 0, minute(0))
    assert outbox.storage.backlog(minute(3))["discord"].late == 1
    outbox.answers.clear()
    outbox.works(3)
    assert outbox.storage.backlog(minute(3)) == {}
