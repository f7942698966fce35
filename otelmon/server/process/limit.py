"""How many series a metric has, and by which label there are so many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

# A series that nobody has sent for so long makes room.
_FORGET_SECONDS = 900.0
_LOOK_SECONDS = 60.0
# What is counted exactly of a label's values, and of how many labels.
_MOST_VALUES = 10_000
_MOST_LABELS = 64
# Beyond them the one that came first is forgotten.
_MOST_METRICS = 10_000
# Series of which is known that their labels are counted, though they were refused.
_MOST_NOTED = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Offender:
    """A metric that has more series than it may, and the label with the most values; ``refused`` counts points."""

    metric: str
    limit: int
    refused: int
    label: str
    values: int

    def __str__(self) -> str:
        many = f"{self.values:,} or more" if self.values >= _MOST_VALUES else f"{self.values:,}"
        blame = f"; {self.label} has {many} values" if self.label else ""
        return f"{self.metric} has more than {self.limit:,} series{blame}"


@dataclass(slots=True)
class _Metric:
    refused: int = 0
    looked_at: float = 0.0
    series: dict[int, float] = field(default_factory=dict)
    values: dict[str, set[int]] = field(default_factory=dict)
    noted: set[int] = field(default_factory=set)


class SeriesLimit:
    """Bounds the series of each metric to ``series``: the first that come stay, for as long as they are sent."""

    def __init__(self, series: int) -> None:
        self._limit = series
        self._metrics: dict[str, _Metric] = {}

    def admits(
        self, metric: str, series: Sequence[int], labels_at: Callable[[int], Mapping[str, str]], at: float
    ) -> list[bool]:
        """Which points may pass at ``at`` (unix seconds), by a number that stands for the series of each.

        ``labels_at`` says what the labels of the point at an index are; it is asked for new series only.
        """
        known = self._metrics.get(metric)
        if known is None:
            if len(self._metrics) >= _MOST_METRICS:
                self._metrics.pop(next(iter(self._metrics)))
            known = self._metrics[metric] = _Metric()
        passing = known.series
        admitted = []
        for index, key in enumerate(series):
            if key in passing:
                passing[key] = at
                admitted.append(True)
            else:
                admitted.append(self._admits_new(known, key, partial(labels_at, index), at))
                passing = known.series
        return admitted

    def _admits_new(self, known: _Metric, key: int, labels: Callable[[], Mapping[str, str]], at: float) -> bool:
        if key not in known.noted:
            self._note(known, labels())
        if len(known.series) >= self._limit and at - known.looked_at >= _LOOK_SECONDS:
            known.looked_at = at
            known.series = {each: seen for each, seen in known.series.items() if at - seen < _FORGET_SECONDS}
        if len(known.series) >= self._limit:
            known.refused += 1
            if len(known.noted) < _MOST_NOTED:
                known.noted.add(key)
            return False
        known.series[key] = at
        return True

    def offenders(self) -> list[Offender]:
        """The metrics that were ever refused a series, the worst first."""
        found = [self._offender(name, metric) for name, metric in self._metrics.items() if metric.refused]
        return sorted(found, key=lambda each: (-each.refused, each.metric))

    def _note(self, metric: _Metric, labels: Mapping[str, str]) -> None:
        for name, value in labels.items():
            values = metric.values.get(name)
            if values is None:
                if len(metric.values) >= _MOST_LABELS:
                    continue
                values = metric.values[name] = set()
            if len(values) < _MOST_VALUES:
                values.add(hash(value))

    def _offender(self, name: str, metric: _Metric) -> Offender:
        label = max(metric.values, key=lambda each: len(metric.values[each]), default="")
        values = len(metric.values.get(label, ()))
        return Offender(metric=name, limit=self._limit, refused=metric.refused, label=label, values=values)
