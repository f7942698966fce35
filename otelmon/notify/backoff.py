"""When to try again after a failed attempt."""

from __future__ import annotations

import hashlib
import math
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
"""As long as a fault that is no outage of the target is waited out."""
LONGEST_PAUSE_SECONDS = 24 * 3600.0
"""As long as a pause that is asked for is believed."""
_LONGEST_BACKOFF_SECONDS = 30.0
_MOST_DOUBLINGS = 16


def backoff_seconds(page_id: str, attempts: int) -> float:
    """How long to wait after attempt number ``attempts`` (from 0) of a page has failed: 1 to 30 s.

    Doubles from 2 s to 30 s, so that a page comes soon after an outage of its target, however long. Of that between a
    half and the whole is waited, so that many pages that failed together do not come back together. The share follows
    from the page and the attempt: the same at every run.
    """
    digest = hashlib.sha256(f"{page_id}\0{attempts}".encode("utf-8", "surrogatepass")).digest()
    share = 0.5 + 0.5 * int.from_bytes(digest[:4]) / 2**32
    longest = min(_LONGEST_BACKOFF_SECONDS, 2 * FIRST_SECONDS * 2.0 ** min(max(attempts, 0), _MOST_DOUBLINGS))
    return longest * share


def asked_seconds(value: Any, at: datetime | None = None) -> float | None:
    """How long the other side asks to wait, in JSON or a header; None where it is no such thing. At most a day.

    A number of seconds, or as Retry-After has it (RFC 9110) a date, from ``at`` on where that is given.
    """
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        if at is None or not isinstance(value, str):
            return None
        try:
            seconds = max(0.0, (parsedate_to_datetime(value) - at).total_seconds())
        except (TypeError, ValueError, OverflowError):
            return None
    return min(seconds, LONGEST_PAUSE_SECONDS) if math.isfinite(seconds) and seconds >= 0 else None
