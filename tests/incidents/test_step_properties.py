"""What holds for incidents whatever alerts and people do."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.incidents.model import Acknowledge
from tests.alerts.build import minute
from tests.incidents.test_step import Story, alert, fires, resolves

# Each minute: which of three alerts fire from now on (a set), and which open incident somebody acknowledges.
DAYS = st.lists(st.tuples(st.sets(st.sampled_from("abc")), st.none() | st.integers(0, 4)), max_size=20)


@settings(max_examples=120, deadline=None)
@given(day=DAYS)
def test_an_incident_is_triggered_once_and_reopened_only_after_it_was_resolved(
    day: list[tuple[set[str], int | None]],
) -> None:
    story, firing, seen, histories = Story(), {}, set(), {}
    for number, (now, pick) in enumerate(day):
        begun = {name: alert(name, at=minute(number)) for name in sorted(now - firing.keys())}
        over = [firing[name] for name in sorted(firing.keys() - now)]
        ids = sorted(story.open)
        requests = [Acknowledge(incident_id=ids[pick], by="ada")] if pick is not None and pick < len(ids) else []
        made = story.at(
            number,
            [resolves(which, minute(number)) for which in over] + [fires(which) for which in begun.values()],
            *requests,
        )
        firing = {name: which for name, which in firing.items() if name in now} | begun
        assert {incident.alerts[0].name for incident in made.incidents.values()} == now
        for change in made.changes:
            histories.setdefault(change.incident.id, []).append(change.event.kind.value)
            seen.add(change.incident.id)
            assert change.incident.timeline[-1] == change.event
    for id_, kinds in histories.items():
        assert kinds[0] == "triggered"
        assert (kinds[-1] == "resolved") == (id_ not in story.open)
        follows = {
            "triggered": {"acknowledged", "resolved"},
            "acknowledged": {"resolved"},
            "resolved": {"reopened"},
            "reopened": {"acknowledged", "resolved"},
        }
        assert all(after in follows[before] for before, after in pairwise(kinds))
