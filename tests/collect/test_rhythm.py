"""How often somebody sends, from when it sent."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelmon.collect.rhythm import GAPS, LONGEST_SECONDS, rhythm

LEAST = 15.0


@pytest.mark.parametrize(
    ("gaps", "seconds"),
    [
        ([], 60.0),  # what SDKs do unless told
        ([20.0], 20.0),
        ([5.0, 60.0], 60.0),  # a first send at the start, then the timer's
        ([20.0] * 8, 20.0),
        ([1.0] * 8, LEAST),
        ([1e6] * 8, LONGEST_SECONDS),
        ([20.0] * 7 + [3600.0], 20.0),  # an outage
        ([20.0] * 3 + [60.0], 20.0),  # it may be one
        ([20.0] * 6 + [60.0, 60.0], 60.0),  # it is none: this one has become slower
        ([60.0] * 7 + [20.0], 55.0),  # this one may have become quicker
        ([16.0, 16.0, 60.0] * 2 + [16.0, 16.0], 60.0),  # bursts: the wait between them is no silence
    ],
)
def test_a_rhythm_is_what_goes_on(gaps: list[float], seconds: float) -> None:
    assert rhythm(gaps, least=LEAST) == pytest.approx(seconds, rel=0.02)


@given(every=st.floats(16.0, 300.0), late=st.lists(st.floats(0.0, 0.25), min_size=GAPS + 1, max_size=GAPS + 1))
def test_sends_that_are_late_by_up_to_a_quarter_tell_the_interval_within_a_tenth(
    every: float, late: list[float]
) -> None:
    sent_at = [(number + each) * every for number, each in enumerate(late)]
    gaps = [after - before for before, after in pairwise(sent_at)]
    found = rhythm(gaps, least=LEAST)
    assert 0.9 * every < found < 1.1 * every or found == LEAST
