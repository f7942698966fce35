"""When a failed page is tried again."""

from __future__ import annotations

import pytest

from otelmon.notify.backoff import backoff_seconds


@pytest.mark.parametrize(
    ("attempts", "least", "most"),
    [(-1, 1, 2), (0, 1, 2), (1, 2, 4), (2, 4, 8), (3, 8, 16), (4, 15, 30), (20, 15, 30), (10**9, 15, 30)],
)
def test_the_wait_doubles_up_to_half_a_minute(attempts, least, most):
    for page in range(200):
        assert least <= backoff_seconds(f"page{page}", attempts) <= most


def test_the_wait_is_the_same_at_every_run_and_another_for_another_page():
    assert backoff_seconds("7KQ2", 3) == backoff_seconds("7KQ2", 3)
    assert len({backoff_seconds(f"page{page}", 3) for page in range(100)}) == 100
    assert backoff_seconds("\ud800", 0) >= 1
