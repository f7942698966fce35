"""Whatever happens while the channel is away: once it is back, who should be told is, and of nothing silenced."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from otelmon.incidents.model import Incident, IncidentState
from otelmon.incidents.step import IncidentStep
from otelmon.paging.model import Outcome, OutcomeKind, Page, PageAction, PageReason
from otelmon.rules.model import Severity
from otelmon.storage.sqlite import MEMORY, SqliteStorage
from tests.alerts.build import minute
from tests.incidents.test_telling_properties import Day, silenced, told_by

# Few alerts and short silences, so that they meet often; beyond three at once there is a storm.
ALERTS = [(name, Severity.CRITICAL, "/") for name in "abcd"] + [("a", Severity.CRITICAL, "/pay")]
QUIET = {"toggled": set(), "acknowledged": None, "resolved": None, "silenced": None, "expired": None}
MINUTES = st.fixed_dictionaries(
    {
        "toggled": st.just(set()) | st.sets(st.sampled_from(ALERTS), max_size=5),
        "acknowledged": st.none() | st.none() | st.integers(0, 2),
        "resolved": st.none(),
        "silenced": st.none() | st.tuples(st.sampled_from(["job=shop", "http_route=/pay", "a"]), st.integers(1, 3)),
        "expired": st.none() | st.integers(0, 1),
    }
)
AWAY = st.booleans()


def is_ping(page: Page) -> bool:
    return page.action is PageAction.POST and page.reason is not PageReason.RESOLVED


class Channel:
    """The outbox, and what of it arrived; a page that is refused is owed on."""

    def __init__(self) -> None:
        self.storage = SqliteStorage(MEMORY)
        self.arrived: set[str] = set()

    def save(self, number: int, made: IncidentStep, pages: list[Page]) -> None:
        self.storage.save(minute(number), alerts={}, changes=made.changes, pages=pages)

    def deliver(self, number: int, made: IncidentStep, *, away: bool) -> None:
        """One pass over what is due; nothing about an incident that is silenced wholly may be tried."""
        # An edit is due once its message is there, so it takes some passes.
        while claimed := self.storage.claim(minute(number), lease_seconds=60, limit=100):
            for owed in claimed:
                if is_ping(owed.page):
                    assert not is_silenced(made.incidents[owed.page.incident_id], made), owed.page.id
                later = Outcome(kind=OutcomeKind.RETRY, reason="500", retry_at=minute(number + 1))
                taken = Outcome(kind=OutcomeKind.DELIVERED, reason="200", message_id=owed.page.id)
                self.storage.record(owed.page.id, later if away else taken, minute(number))
                if not away:
                    self.arrived.add(owed.page.id)


def is_silenced(incident: Incident, made: IncidentStep) -> bool:
    about = [incident]
    if incident.is_storm:
        about = [each for each in made.incidents.values() if each.storm == incident.id]
        if any(each.state is IncidentState.ACKNOWLEDGED for each in about):
            return False  # somebody saw the storm's page
    return all(silenced(alert.labels, made) for each in about for alert in each.firing)


def shown(incident: Incident) -> set[str]:
    """The pages that show it."""
    return {
        f"{incident.id}.{telling.cause.name.lower()}.post.{telling.number}.discord" for telling in incident.shown_in
    }


@settings(max_examples=80, deadline=None, report_multiple_bugs=False)
@example(
    [
        (QUIET | {"toggled": {ALERTS[0]}}, True),
        (QUIET | {"silenced": ("job=shop", 1)}, True),
        (QUIET, False),
    ]
)
@given(day=st.lists(st.tuples(MINUTES, AWAY), max_size=10))
def test_what_is_owed_while_the_channel_is_away_is_told_or_overtaken(day: list[tuple[dict[str, object], bool]]) -> None:
    whole, channel = Day(), Channel()
    try:
        made, told = IncidentStep(incidents={}), 0
        for number, (what, away) in enumerate(day):
            made, _ = whole.minute(number, what)
            channel.save(number, made, whole.pages[told:])
            told = len(whole.pages)
            channel.deliver(number, made, away=away)
        channel.deliver(len(day) + 1, made, away=False)
        for incident in made.incidents.values():
            speaker = told_by(incident, made)
            if incident.visible and speaker.state is IncidentState.TRIGGERED and not incident.is_storm:
                assert shown(speaker) & channel.arrived, incident.id
    finally:
        channel.storage.close()
