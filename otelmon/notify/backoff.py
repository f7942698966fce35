"""When to try again after a failed attempt."""

from __future__ import annotations

import hashlib

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
"""How long a target may ask us to wait."""
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
