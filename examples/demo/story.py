"""What happens in the demo and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass

from examples.demo.evidence import fullest_mount


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One fault: switched on and off at these seconds, and the alert that must page and resolve meanwhile.

    ``title`` is how the page's title begins; ``acknowledged`` asks for `otelmon ack` once the page is there. The page
    has a field ``breakdown`` that begins with ``cause``; where ``trace`` is named, a field of that name has the id of a
    trace.
    """

    fault: str
    alert: str
    title: str
    on_at: float
    off_at: float
    breakdown: str
    cause: str
    trace: str = ""
    acknowledged: bool = False


HEALTHY_SECONDS = 20.0
ACTS = (
    Act(
        fault="errors", alert="error_rate", title="Error rate", on_at=20, off_at=34,
        breakdown="Routes", cause="POST /checkout: 100 % of the errors", trace="Trace of an error",
    ),
    Act(
        fault="slow", alert="response_time", title="Response time", on_at=36, off_at=50,
        breakdown="Routes", cause="GET /products/{product_id}: 100 % of the slow time",
        trace="Trace of the slowest request",
    ),
    Act(
        fault="disk", alert="disk_nearly_full", title="Disk nearly full", on_at=54, off_at=68, acknowledged=True,
        breakdown="Fullest mounts", cause=f"{fullest_mount()}: ",
    ),
)  # fmt: skip
# By now every alert must be resolved; the demo ends earlier when it is.
END_SECONDS = 90.0
REQUESTS_PER_SECOND = 50
