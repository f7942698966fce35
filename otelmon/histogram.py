"""Histogram: one native (exponential or custom-bucket) histogram value, as Prometheus 3 has it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """The populated buckets of one side of a histogram: strictly increasing indices and their (not summed) counts.

    Indices follow Prometheus: at scale s and base = 2**(2**-s), bucket i holds base**(i-1) < |v| <= base**i.
    OpenTelemetry's index of the same bucket is i - 1.
    """

    indices: tuple[int, ...] = ()
    counts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A distribution: ``count`` observations that add up to ``sum``.

    ``scale`` is the exponential scale (Prometheus: schema), -4 to 8 in Prometheus, up to 20 in OpenTelemetry.
    ``zero_count`` observations lie within ``zero_threshold`` of zero. With ``bounds`` the buckets are custom:
    bucket i holds bounds[i-1] < v <= bounds[i] (the first from -Inf, the one after the last bound up to +Inf),
    ``positive`` indexes them from 0 and ``scale`` has no meaning. A ``gauge`` histogram is no counter: its counts may
    fall without a reset (what rate() and subtraction return is one).
    """

    count: float
    sum: float
    scale: int = 0
    zero_count: float = 0.0
    zero_threshold: float = 0.0
    positive: Buckets = field(default_factory=Buckets)
    negative: Buckets = field(default_factory=Buckets)
    bounds: tuple[float, ...] | None = None
    gauge: bool = False
