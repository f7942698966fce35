"""What a file of rule unit tests says (promtool test rules). Durations and instants are seconds, from the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from otelmon.labels import Labels
from otelmon.replay.series import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAlert:
    """A firing alert: all its labels and all its annotations."""

    labels: Labels
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertCase:
    """Which alerts of a name fire at an instant; of one group only where ``group`` is not empty."""

    line: int
    at: float
    name: str
    group: str
    expected: tuple[ExpectedAlert, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExprCase:
    """What an expression gives at an instant."""

    line: int
    at: float
    text: str
    expected: tuple[tuple[Labels, Value], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One entry of ``tests``: series, and what the rules make of them.

    ``start_at`` is the unix second of the first sample. Samples lie ``interval_seconds`` apart.
    """

    name: str
    line: int
    interval_seconds: float
    start_at: float = 0.0
    series: tuple[tuple[Labels, tuple[Value | None, ...]], ...] = ()
    alerts: tuple[AlertCase, ...] = ()
    expressions: tuple[ExprCase, ...] = ()
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFile:
    """A whole file. ``unmatched`` are entries of ``rule_files`` that name no file."""

    __test__ = False  # pytest would take it for tests

    name: str
    rule_files: tuple[Path, ...]
    unmatched: tuple[str, ...]
    evaluation_interval_seconds: float
    fuzzy_compare: bool
    group_order: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
