"""Which page goes out when, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otelmon.incidents.model import Acknowledge
from otelmon.incidents.policy import Policy
from otelmon.incidents.silence import AddSilence, Silence, parse_matchers
from otelmon.paging.model import Outcome, OutcomeKind, OwedPage, Page, PageReason
from otelmon.paging.text import with_alerts
from otelmon.rules.model import Severity
from otelmon.storage.codec import decode_page, encode_page
from otelmon.storage.sqlite import SqliteStorage
from otelmon.storage.store import Depth, Storage
from tests.alerts.build import minute
from tests.incidents.test_step import Story, fires, resolves
from tests.storage.build import firing, owed

REJECTED = Outcome(kind=OutcomeKind.REJECTED, reason="404")


def delivered(message_id: str = "1001") -> Outcome:
    return Outcome(kind=OutcomeKind.DELIVERED, reason="200", message_id=message_id)


def retry(at: float, *, uncertain: bool = False) -> Outcome:
    return Outcome(kind=OutcomeKind.RETRY, reason="500", retry_at=minute(at), uncertain=uncertain)


class Outbox:
    """An incident whose pages are owed to targets, as it goes along."""

    def __init__(self, storage: Storage, *targets: str) -> None:
        self.storage = storage
        self.targets = targets or ("discord",)
        self.story = Story()

    def _saved(self, number: float, made: object) -> None:
        pages = owed(made.changes, *self.targets)
        self.storage.save(minute(number), alerts={}, changes=made.changes, pages=pages)

    def fires(self, number: float, name: str = "a", severity: Severity = Severity.CRITICAL) -> None:
        self._saved(number, self.story.at(number, [fires(firing(name, severity))]))

    def acknowledged(self, number: float) -> None:
        (id_,) = self.story.open
        self._saved(number, self.story.at(number, [], Acknowledge(incident_id=id_, by="ada")))

    def silenced(self, number: float, until: float) -> None:
        asked = Silence(
            id="S7KQ2",
            matchers=parse_matchers(["a"]),
            starts_at=minute(number),
            ends_at=minute(until),
            author="ada",
            created_at=minute(number),
        )
        self._saved(number, self.story.at(number, [], AddSilence(silence=asked)))

    def passes(self, number: float) -> None:
        self._saved(number, self.story.at(number))

    def resolves(self, number: float, name: str = "a") -> None:
        self._saved(number, self.story.at(number, [resolves(firing(name), minute(number))]))

    def claim(self, number: float, limit: int = 10, *, lease: float = 60, **more: object) -> list[OwedPage]:
        return self.storage.claim(minute(number), lease_seconds=lease, limit=limit, **more)

    def claimed(self, number: float, **more: object) -> list[str]:
        """What is claimed, in short: "triggered post"."""
        return [short(page.page) for page in self.claim(number, **more)]

    def send(self, number: float, outcome: Outcome) -> list[str]:
        """Claims one page and records the outcome."""
        pages = self.claim(number, 1)
        for page in pages:
            self.storage.record(page.page.id, outcome, minute(number))
        return [short(page.page) for page in pages]

    def depth(self, number: float) -> dict[str, int]:
        found = self.storage.depth(minute(number))
        names = ("due", "waiting", "sending", "delivered", "rejected", "dropped")
        return {name: getattr(found, name) for name in names if getattr(found, name)}


def short(page: Page) -> str:
    return f"{page.reason.name.lower()} {page.action}"


@pytest.fixture
def outbox(storage: Storage) -> Outbox:
    return Outbox(storage)


def test_a_page_is_claimed_once_and_delivered_once(outbox: Outbox) -> None:
    outbox.fires(0)
    (page,) = outbox.claim(0)
    assert (short(page.page), page.attempts, page.edited_message_id) == ("triggered post", 0, "")
    assert outbox.claim(0.5) == []
    assert outbox.depth(0.5) == {"sending": 1}
    outbox.storage.record(page.page.id, delivered(), minute(1))
    assert outbox.claim(60) == []
    assert outbox.depth(1) == {"delivered": 1}


def test_deciding_twice_owes_once(outbox: Outbox) -> None:
    made = Story().at(0, [fires(firing("a"))])
    for _ in range(2):
        outbox.storage.save(minute(0), alerts={}, changes=made.changes, pages=owed(made.changes) * 2)
    assert outbox.claimed(0) == ["triggered post"]
    outbox.storage.save(minute(0), alerts={}, changes=made.changes, pages=owed(made.changes))
    assert outbox.claimed(0) == []


def test_a_lease_that_ended_makes_the_page_due_again(outbox: Outbox) -> None:
    outbox.fires(0)
    outbox.claim(0, lease=60)
    assert outbox.claim(0.9) == []
    (page,) = outbox.claim(1)
    assert page.attempts == 1


def test_a_page_to_be_tried_again_waits_for_its_time(outbox: Outbox) -> None:
    outbox.fires(0)
    assert outbox.send(0, retry(5)) == ["triggered post"]
    assert outbox.claim(4.9) == []
    assert outbox.depth(4.9) == {"waiting": 1}
    (page,) = outbox.claim(5)
    assert page.attempts == 1


def test_a_page_whose_incident_is_silenced_meanwhile_is_not_sent_and_one_after_the_silence_is(outbox: Outbox) -> None:
    outbox.fires(0)
    assert outbox.send(0, retry(2)) == ["triggered post"]
    outbox.silenced(1, until=5)
    assert outbox.claim(3) == []
    assert outbox.depth(3) == {"dropped": 2}  # with the edit that shows it muted
    outbox.passes(5)
    assert outbox.claimed(5) == ["unmuted post"]


def test_a_silence_that_is_over_again_before_the_page_is_sent_leaves_one_message(outbox: Outbox) -> None:
    outbox.fires(0)
    assert outbox.send(0, retry(7)) == ["triggered post"]
    outbox.silenced(1, until=5)
    outbox.passes(5)
    assert outbox.claimed(8) == ["unmuted post"]


def test_a_silence_over_some_alerts_of_an_incident_keeps_no_page_back(outbox: Outbox) -> None:
    outbox.fires(0)
    other = replace(firing("a"), labels=firing("a").labels.with_label("alertname", "b"))
    outbox._saved(0, outbox.story.at(0, [fires(other)], policy=Policy(group_by=("severity",))))
    outbox.silenced(1, until=5)
    assert "triggered post" in outbox.claimed(2)


def test_an_edit_waits_for_the_message_it_edits_and_knows_its_id(outbox: Outbox) -> None:
    outbox.fires(0)
    (first,) = outbox.claim(0, lease=600)
    outbox.acknowledged(1)
    assert outbox.claim(1) == []
    assert outbox.depth(1) == {"sending": 1, "waiting": 1}
    outbox.storage.record(first.page.id, delivered("1001"), minute(1))
    (edit,) = outbox.claim(1)
    assert (short(edit.page), edit.edited_message_id) == ("acknowledged edit", "1001")


def test_resolved_waits_for_the_first_message_and_posts_before_it_edits(outbox: Outbox) -> None:
    outbox.fires(0)
    (first,) = outbox.claim(0, lease=600)
    outbox.resolves(5)
    assert outbox.claim(5) == []
    outbox.storage.record(first.page.id, delivered(), minute(5))
    assert outbox.claimed(5) == ["resolved post", "resolved edit"]


@pytest.mark.parametrize("over", ["acknowledged", "resolves"])
def test_a_page_whose_incident_is_over_before_it_was_sent_is_dropped_with_what_follows(
    outbox: Outbox, over: str
) -> None:
    outbox.fires(0)
    getattr(outbox, over)(1)
    assert outbox.claim(1) == []
    assert outbox.depth(1) == {"dropped": 2 if over == "acknowledged" else 3}
    if over == "acknowledged":
        outbox.resolves(2)
        assert outbox.claim(2) == []
        assert outbox.depth(2) == {"dropped": 4}


def test_a_page_that_was_refused_for_certain_and_whose_incident_is_over_is_dropped(outbox: Outbox) -> None:
    outbox.fires(0)
    outbox.send(0, retry(5))
    outbox.resolves(1)
    assert outbox.claim(5) == []
    assert outbox.depth(5) == {"dropped": 3}


@pytest.mark.parametrize("lost", ["answer", "process"])
def test_a_page_that_may_have_arrived_is_not_sent_again_once_its_incident_is_over_but_resolved_is(
    outbox: Outbox, lost: str
) -> None:
    outbox.fires(0)
    if lost == "answer":
        outbox.send(0, retry(2, uncertain=True))
    else:
        outbox.claim(0, lease=60)
    outbox.resolves(1)
    assert outbox.claimed(2) == ["resolved post"]
    assert outbox.depth(2) == {"sending": 1, "dropped": 2}


def test_a_rejected_page_is_not_tried_again_nor_edited_yet_resolved_is_said(outbox: Outbox) -> None:
    outbox.fires(0)
    outbox.send(0, REJECTED)
    outbox.acknowledged(1)
    assert outbox.claim(1) == []
    outbox.resolves(2)
    assert outbox.claimed(2) == ["resolved post"]
    assert outbox.depth(2) == {"sending": 1, "rejected": 1, "dropped": 2}


def test_of_two_edits_only_the_later_is_sent(outbox: Outbox) -> None:
    outbox.fires(0)
    outbox.send(0, delivered())
    outbox.acknowledged(1)
    assert outbox.send(1, retry(9)) == ["acknowledged edit"]
    outbox.resolves(2)
    assert outbox.claimed(2) == ["resolved post", "resolved edit"]
    assert outbox.claim(9, lease=3600) != []  # the leases of minute 2 ended; the older edit is not among them
    assert outbox.depth(9) == {"sending": 2, "delivered": 1, "dropped": 1}


def test_two_edits_of_a_message_are_never_under_way_at_once(outbox: Outbox) -> None:
    outbox.fires(0)
    outbox.send(0, delivered())
    outbox.acknowledged(1)
    (edit,) = outbox.claim(1, lease=600)
    outbox.resolves(2)
    assert outbox.claimed(2, lease=600) == ["resolved post"]
    outbox.storage.record(edit.page.id, delivered(), minute(3))
    assert outbox.claimed(3) == ["resolved edit"]


def test_what_was_delivered_stays_delivered(outbox: Outbox) -> None:
    outbox.fires(0)
    (page,) = outbox.claim(0)
    for outcome in (delivered("1001"), retry(1), REJECTED, delivered("1002")):
        outbox.storage.record(page.page.id, outcome, minute(1))
    assert outbox.depth(1) == {"delivered": 1}
    outbox.acknowledged(2)
    assert [edit.edited_message_id for edit in outbox.claim(2)] == ["1001"]


def test_each_target_is_served_by_itself(storage: Storage) -> None:
    outbox = Outbox(storage, "discord", "log")
    outbox.fires(0)
    (page,) = outbox.claim(0, targets=["log"])
    assert page.page.target == "log"
    outbox.storage.record(page.page.id, delivered(), minute(0))
    outbox.resolves(1)
    assert {(owed.page.target, short(owed.page)) for owed in outbox.claim(1)} == {
        ("log", "resolved post"),
        ("log", "resolved edit"),
    }
    assert outbox.depth(1) == {"sending": 2, "delivered": 1, "dropped": 3}


def test_resolved_is_sent_also_where_the_first_message_is_not_known_here(storage: Storage) -> None:
    # When a full disk makes paging go on from memory, the first message was owed elsewhere.
    outbox = Outbox(storage)
    opened = outbox.story.at(0, [fires(firing("a"))])
    assert opened.changes
    outbox.resolves(5)
    assert outbox.claimed(5) == ["resolved post"]
    assert outbox.depth(5) == {"sending": 1, "dropped": 1}


def test_critical_goes_before_warning_and_new_before_resolved_before_edits(storage: Storage) -> None:
    outbox = Outbox(storage)
    outbox.fires(0, "old")
    outbox.send(0, delivered())
    outbox.fires(1, "slow", Severity.WARNING)
    outbox.fires(1, "note", Severity.INFO)
    outbox.resolves(2, "old")
    outbox.fires(3, "new")
    found = [(page.page.message.severity.value, short(page.page)) for page in outbox.claim(3)]
    assert found == [
        ("critical", "triggered post"),
        ("critical", "resolved post"),
        ("critical", "resolved edit"),
        ("warning", "triggered post"),
        ("info", "triggered post"),
    ]


def test_a_page_of_a_test_needs_no_incident(storage: Storage) -> None:
    outbox = Outbox(storage)
    outbox.fires(0)
    (page,) = outbox.claim(0)
    test = Page(
        id="test", incident_id="", reason=PageReason.TEST, target="discord", message=page.page.message, due_at=minute(1)
    )
    storage.save(minute(1), alerts={}, pages=[test])
    assert [found.page for found in outbox.claim(0.9)] == []
    assert [found.page.id for found in outbox.claim(1)] == [page.page.id, "test"]
    storage.record("test", delivered(), minute(1))
    storage.prune(samples_before=0, finished_before=minute(2))
    assert outbox.depth(1) == {"sending": 1}


def test_pages_that_wait_do_not_hold_up_those_behind_them(storage: Storage) -> None:
    outbox = Outbox(storage)
    for number in range(40):
        outbox.fires(0, f"rule_{number}")
        outbox.send(0, retry(30))
        outbox.resolves(1, f"rule_{number}")
    outbox.fires(2, "slow", Severity.WARNING)
    (page,) = outbox.claim(2, 1)
    assert page.page.message.severity is Severity.WARNING


def test_a_jump_of_the_clock_moves_what_is_owed(storage: Storage) -> None:
    outbox = Outbox(storage)
    outbox.fires(120)
    outbox.send(120, retry(125))
    storage.shift(-7200)
    assert outbox.claim(4.9) == []
    assert len(outbox.claim(5)) == 1


def test_the_oldest_page_that_is_owed_is_known(storage: Storage) -> None:
    outbox = Outbox(storage)
    assert storage.depth(minute(0)) == Depth()
    outbox.fires(3)
    outbox.fires(5, "b")
    assert storage.depth(minute(9)).oldest_due_at == minute(3)
    for _ in range(2):
        outbox.send(9, delivered())
    assert storage.depth(minute(9)).oldest_due_at is None


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["fire", "resolve", "acknowledge", "deliver", "retry", "lose", "reject"]), st.integers(0, 2)
    ),
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(actions=ACTIONS)
@example(actions=[("fire", 0), ("fire", 1), ("lose", 0), ("resolve", 0)])  # a drop sets free what is more urgent
def test_whatever_happens_nothing_is_sent_out_of_turn_and_nothing_is_left(actions: list[tuple[str, int]]) -> None:
    with SqliteStorage(":memory:") as storage:
        outbox, seen, number = Outbox(storage), _Seen(), 0.0
        severities = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
        for what, which in actions:
            number += 2  # longer than a lease
            name = f"rule_{which}"
            ids = {incident.alerts[0].name: id_ for id_, incident in outbox.story.open.items()}
            if what == "fire" and name not in ids:
                made = outbox.story.at(number, [fires(firing(name, severities[which], at=number))])
                outbox._saved(number, made)
            elif what == "resolve" and name in ids:
                (alert,) = outbox.story.open[ids[name]].alerts
                outbox._saved(number, outbox.story.at(number, [resolves(alert, minute(number))]))
            elif what == "acknowledge" and name in ids:
                outbox._saved(number, outbox.story.at(number, [], Acknowledge(incident_id=ids[name], by="ada")))
            elif what in ("deliver", "retry", "lose", "reject"):
                seen.send(outbox, number, what)
        for _ in range(100):
            number += 60
            if not seen.send(outbox, number, "deliver"):
                break
        depth = storage.depth(minute(number))
        assert (depth.due, depth.waiting, depth.sending) == (0, 0, 0)
        for incident in storage.incidents():
            posts = seen.triggered.get(incident.id, 0)
            if incident.state.value == "triggered":
                # Once, and once more each time that it was reopened.
                assert posts >= 1
                assert seen.told(incident.id) or incident.id in seen.rejected


class _Seen:
    """What a target saw."""

    def __init__(self) -> None:
        self.triggered: dict[str, int] = {}
        self.over: set[str] = set()
        self.rejected: set[str] = set()
        self.messages: dict[str, str] = {}

    def told(self, incident_id: str) -> bool:
        return any(
            page_id.startswith((f"{incident_id}.triggered", f"{incident_id}.reopened")) for page_id in self.messages
        )

    def send(self, outbox: Outbox, number: float, what: str) -> list[OwedPage]:
        claimed = outbox.claim(number, 3, lease=60)
        order = [outbox_rank(page.page) for page in claimed]
        assert order == sorted(order)
        for owed_page in claimed:
            page = owed_page.page
            incident = outbox.storage.incident(page.incident_id)
            if page.reason is PageReason.TRIGGERED:
                assert incident.state.value == "triggered"
            if page.edits:
                assert owed_page.edited_message_id == self.messages[page.edits]
            if what == "lose":
                continue
            if what == "retry":
                outbox.storage.record(page.id, retry(number + 1), minute(number))
            elif what == "reject":
                outbox.storage.record(page.id, REJECTED, minute(number))
                self.rejected.add(page.incident_id)
                self.triggered[page.incident_id] = self.triggered.get(page.incident_id, 0) + (
                    page.reason in {PageReason.TRIGGERED, PageReason.REOPENED}
                )
            else:
                assert page.id not in self.messages
                self.messages[page.id] = f"m{len(self.messages)}"
                outbox.storage.record(page.id, delivered(self.messages[page.id]), minute(number))
                self.triggered[page.incident_id] = self.triggered.get(page.incident_id, 0) + (
                    page.reason in {PageReason.TRIGGERED, PageReason.REOPENED}
                )
        return claimed


def outbox_rank(page: Page) -> tuple[int, int]:
    kind = 2 if page.edits else 1 if page.reason is PageReason.RESOLVED else 0
    return (-page.message.severity.rank, kind)


def test_what_follows_in_an_incident_goes_into_its_thread_and_an_edit_into_that_of_its_message(outbox: Outbox) -> None:
    opened = Outcome(kind=OutcomeKind.DELIVERED, reason="200", message_id="1001", thread_id="1001")
    outbox.fires(0)
    (first,) = outbox.claim(0)
    assert first.thread_id == ""
    outbox.storage.record(first.page.id, opened, minute(0))
    outbox.resolves(5)
    pages = outbox.claim(5)
    assert {(page.page.action.value, page.thread_id) for page in pages} == {("post", "1001"), ("edit", "1001")}


def test_a_page_that_an_earlier_version_stored_can_still_be_read() -> None:
    made = Story().at(0, [fires(firing("a"))])
    (page,) = owed(made.changes)
    plain = encode_page(page)
    for name in ("note", "group", "alerts", "left_out"):
        del plain["message"][name]
    del plain["instead_of"]
    assert decode_page(plain) == page


def test_a_page_for_programs_is_kept_with_its_alerts() -> None:
    made = Story().at(0, [fires(firing("a"))])
    (page,) = owed(made.changes)
    message = with_alerts(page.message, made.changes[0].incident)
    whole = replace(page, message=replace(message, note="Not delivered to discord", left_out=2), instead_of="x")
    assert whole.message.alerts
    assert decode_page(encode_page(whole)) == whole
