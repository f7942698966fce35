"""Reads ``process:`` of otelmon.yaml: what becomes of data points before they are evaluated and forwarded."""

from __future__ import annotations

from dataclasses import dataclass

from otelmon.matching import Matcher

REDACTED = "[redacted]"
"""What stands for a value that is redacted where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Points that meet all matchers go."""

    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Points that do not meet all matchers go."""

    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameMetric:
    """A metric gets another name, in OpenTelemetry's spelling."""

    metric: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameLabel:
    """A label of the points that meet all matchers gets another name."""

    matchers: tuple[Matcher, ...]
    label: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redact:
    """The values of these labels are replaced in the points that meet all matchers, wherever they stand."""

    matchers: tuple[Matcher, ...]
    labels: tuple[str, ...]
    replacement: str = REDACTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """These attributes of the resource become labels of all its points that have none of that name."""

    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A metric has at most so many series, of those that meet the matchers; points of further ones go."""

    matchers: tuple[Matcher, ...]
    series: int


Step = Drop | Keep | RenameMetric | RenameLabel | Redact | Promote | Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """The steps, in the order in which they are done."""

    steps: tuple[Step, ...] = ()
