"""Waiting for what other threads and processes do, on a machine that may have a lot else to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LOOK_SECONDS = 0.02
# Only a test that fails waits so long.
PATIENCE_SECONDS = 60.0


def wait_until(
    condition: Callable[[], object], words: str = "it did not come to be", *, timeout: float = PATIENCE_SECONDS
) -> float:
    """Look until the condition holds; the seconds that it took."""
    began = time.monotonic()
    pace = threading.Event()
    while not condition():
        assert time.monotonic() - began < timeout, f"{words} (within {timeout:g} s)"
        pace.wait(LOOK_SECONDS)
    return time.monotonic() - began
