"""Escalations are there after a restart, as they were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otelmon.oncall.escalation import Escalation, Waiting
from otelmon.storage.escalations import decode, encode
from otelmon.storage.store import Storage
from tests.alerts.build import minute
from tests.storage.build import INSTANTS, MAYBE, TEXTS

NAMES = st.lists(TEXTS, max_size=3).map(tuple)
ESCALATIONS = st.builds(
    Escalation,
    policy=TEXTS,
    step=st.integers(0, 9),
    round=st.integers(0, 5),
    due_at=MAYBE,
    reached=st.booleans(),
    acknowledged_at=MAYBE,
    acknowledged_by=NAMES,
    asked=NAMES,
    waiting=st.lists(st.builds(Waiting, person=TEXTS, paged_at=INSTANTS, done=st.integers(0, 3)), max_size=2).map(
        tuple
    ),
    began_at=MAYBE,
    held=st.booleans(),
    paged=NAMES,
    webhooks=NAMES,
)


@given(ESCALATIONS)
def test_any_escalation_comes_back_as_it_was(escalation: Escalation) -> None:
    assert decode(encode(escalation)) == escalation


def test_what_changed_is_written_and_what_is_over_is_gone(storage: Storage) -> None:
    one, two = Escalation(policy="default", due_at=minute(1)), Escalation(policy="\udcff\0", due_at=None)
    storage.save(minute(0), alerts={}, escalations={"7KQ2": one, "7KQ3": one})
    storage.save(minute(1), alerts={}, escalations={"7KQ2": two})
    assert storage.restore().escalations == {"7KQ2": two, "7KQ3": one}
    storage.save(minute(2), alerts={})
    storage.save(minute(3), alerts={}, escalations={"7KQ2": None, "none": None})
    assert storage.restore().escalations == {"7KQ3": one}
