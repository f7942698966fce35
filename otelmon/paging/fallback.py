"""A page that its notifier did not take, as it goes to the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from otelmon.paging.model import Page, PageReason
from otelmon.rules.model import Severity

PATIENCE: Mapping[Severity, timedelta] = {
    Severity.CRITICAL: timedelta(minutes=2),
    Severity.WARNING: timedelta(minutes=10),
    Severity.INFO: timedelta(minutes=30),
}
"""How long a page may be owed before the fallback gets it too.

Outages of a minute or two (a restart, a rate limit, a minute and a half of 500s) are bridged by trying again: at 2 min
some seven attempts have failed. A person answers a critical page within 5 to 15 min, so that 2 min cost a fraction of
that. A warning is nothing that anybody gets up for: 10 min keep an outage of Discord from paging others for it.
"""

NEVER_PASSED_ON = frozenset(
    {
        PageReason.TEST,
        PageReason.SILENCE_ENDING,
        PageReason.HANDOVER,
        PageReason.SHIFT_NEAR,
        PageReason.SHIFTS_CHANGED,
        PageReason.TRACKED,
    }
)
"""What is for its own notifier only: what a silence hid pages for itself once it ends, shifts are in a calendar, and of
what is tracked people were told by pages."""

WAITS = frozenset({PageReason.RESOLVED, *NEVER_PASSED_ON})
"""What is not passed on for being late: that something is over wakes nobody, so it may wait for its own notifier."""

_MARK = "~"


def copy_id(page_id: str, target: str) -> str:
    """The id of the page that stands for another at a fallback."""
    return f"{page_id}{_MARK}{target}"


def passed_on(page: Page, target: str, *, why: str, at: datetime, edits: str = "", follows: str = "") -> Page:
    """The page as ``target`` gets it: the same message, with a note of why it comes this way.

    A page that was passed on before stands for the same first page. ``edits`` and ``follows`` are pages at ``target``.
    """
    first = page.instead_of or page.id
    note = "; ".join(part for part in (page.message.note, why) if part)
    return replace(
        page,
        id=copy_id(first, target),
        target=target,
        message=replace(page.message, note=note),
        edits=edits,
        follows=follows,
        instead_of=first,
        due_at=at,
    )
