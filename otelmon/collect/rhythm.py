"""Rhythm: how often somebody sends, who has not said so.

A sender with a timer is early or late by a part of its interval, once in a while very late, and never twice as often as
it is set to. So the mean of its gaps is its interval, closer than any one of them; where the gaps differ by more than
lateness explains (bursts, then a long wait) the long wait is what may be expected again.
"""

from __future__ import annotations

from collections.abc import Collection

GAPS = 8
"""So many of the last gaps tell the rhythm."""
DEFAULT_SECONDS = 60.0
"""What OpenTelemetry SDKs wait between two sends, until a sender's own rhythm is known."""
LONGEST_SECONDS = 3600.0
"""No rhythm is slower."""

# With so many gaps the longest of them is left out, an outage is no rhythm; with fewer it is what is known.
_ENOUGH = 4
# A gap longer than so many times the mean is more than lateness: an early send before it, a late one after it.
_LATE = 1.5


def rhythm(gaps: Collection[float], *, least: float) -> float:
    """Seconds between two sends, from the gaps between the last ones; at least ``least``."""
    if not gaps:
        return max(least, DEFAULT_SECONDS)
    ordered = sorted(gaps)
    found = ordered[-1]
    if len(ordered) >= _ENOUGH:
        ordered.pop()
        found, mean = ordered[-1], sum(ordered) / len(ordered)
        if found <= _LATE * mean:
            found = mean
    return min(max(least, found), LONGEST_SECONDS)
