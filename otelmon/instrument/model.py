"""What the request middleware has counted, as it is handed to collect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

# Exponential scale of the sparse buckets: base 2**(1/32), 2.2 % wide, so a quantile is within 1.1 % of the truth.
SCALE = 5
# Boundaries in seconds that the semantic conventions advise for http.server.request.duration.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# The status of a request whose client left before a response was started. Nothing was sent then, and semconv has no
# status for it; but an absent status means a failed handler to the rules, and leaving the request out would hide an
# app so slow that every client gives up. 499 is what nginx writes and what OpenTelemetry's CANCELLED maps to in HTTP:
# in the durations and the total, and no error.
CLIENT_CLOSED_REQUEST = 499
# The error type of a handler that returned without completing its response.
INCOMPLETE_RESPONSE = "incomplete_response"


class Traffic(StrEnum):
    """Which kind of exchange a cell counts; each becomes a metric of its own."""

    REQUEST = "request"
    EVENT_STREAM = "event_stream"
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCell:
    """All exchanges with the same attributes, counted since ``RequestSnapshot.start_at``.

    ``route`` is the route's template, empty where none matched; ``status`` is 0 where no response was started;
    ``error_type`` is empty for a success. ``sum`` is in seconds. ``exponential`` counts by OpenTelemetry bucket index
    at SCALE, ``explicit`` by BOUNDS (one more for what is above the last). ``overflow`` marks the one cell of a kind
    that takes what is beyond the cap on cells (attribute ``otel.metric.overflow``).
    """

    traffic: Traffic
    method: str
    route: str
    status: int
    error_type: str
    scheme: str
    count: int
    sum: float
    zero_count: int
    exponential: Mapping[int, int]
    explicit: tuple[int, ...]
    overflow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveCell:
    """Exchanges in flight now, by method and scheme."""

    traffic: Traffic
    method: str
    scheme: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSnapshot:
    """A consistent copy of the counts. ``start_at`` is when counting began, in unix seconds.

    ``cells`` may be made anew each time they are iterated.
    """

    start_at: float
    cells: Sequence[RequestCell] = ()
    active: tuple[ActiveCell, ...] = field(default=())
