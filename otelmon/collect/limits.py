"""What an ingest keeps at most, what it answers and what it raises."""

from __future__ import annotations

from dataclasses import dataclass


class MalformedError(ValueError):
    """A request that is not what OTLP says; the message says what is wrong and holds nothing of the content."""


class OverloadedError(Exception):
    """More is waiting for the engine than may; the client should send the same again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a request: data points taken and rejected, and why (OTLP: ExportMetricsPartialSuccess)."""

    points: int
    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestLimits:
    """Bounds of what is kept of clients, each there so that one client cannot take the server from the others."""

    series: int = 200_000
    """Series of all clients together."""
    series_per_sender: int = 50_000
    """Series of one resource."""
    share: float = 1.0
    """Of the series, metrics and resources, what one service may have at most."""
    tenant_share: float = 1.0
    """The same for one tenant, that is for whoever has one token."""
    attributes: int = 128
    """Attributes of a data point, and of a resource."""
    attribute_bytes: int = 8192
    """Bytes of all attributes of a data point, and of a resource, as they are sent."""
    name_length: int = 1024
    """Characters of the name and of the unit of a metric."""
    buckets: int = 1024
    """Buckets of a histogram."""
    senders: int = 10_000
    """Resources, of all clients together and of one request."""
    points: int = 250_000
    """Data points of a request, a histogram for five; metrics beyond are rejected. Others wait while it is read."""
    late_seconds: float = 600.0
    """A point that was measured longer ago is rejected."""
    ahead_seconds: float = 30.0
    """A point from further in the future is taken for one of now: its sender's clock is wrong."""
    waiting: int = 2_000_000
    """Samples that wait for the engine; beyond them requests are refused until it has collected."""
    forget_seconds: float = 3600.0
    """A series that was not sent for so long is a new one when it comes back."""
