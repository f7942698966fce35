"""What every end-to-end test gives back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.simulation import OPEN


@pytest.fixture(autouse=True)
def _simulations_are_closed() -> Iterator[None]:
    """A connection that is left open is a ResourceWarning from Python 3.13 on."""
    yield
    while OPEN:
        OPEN.pop().close()
