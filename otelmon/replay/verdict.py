"""What a test found: whether it holds, and where not, what differs, line by line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from otelmon.histogram import Histogram
from otelmon.labels import Labels
from otelmon.replay.model import ExpectedAlert
from otelmon.replay.series import Value, histogram_text, same_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One thing that does not hold: where it is written, what it is about, and the difference.

    In ``difference``, ``-`` marks what was expected and is not there, ``+`` what is there and was not expected.
    """

    file: str
    line: int
    about: str
    difference: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.file}:{self.line}: {self.about}", *(f"    {line}" for line in self.difference)])


def alert_difference(expected: Iterable[ExpectedAlert], found: Iterable[ExpectedAlert]) -> tuple[str, ...]:
    """How the alerts differ; nothing where they are the same."""
    missing, unexpected = list(expected), []
    for alert in found:
        if alert in missing:
            missing.remove(alert)
        else:
            unexpected.append(alert)
    lines: list[str] = []
    for alert in sorted(missing, key=_order):
        close = [other for other in unexpected if other.labels == alert.labels]
        if close:
            # The same alert with other words: only the annotations that differ are worth reading.
            unexpected.remove(close[0])
            lines.append(f"  {alert.labels}")
            lines += _annotation_difference(alert.annotations, close[0].annotations)
        else:
            lines += _alert_lines("-", alert)
    for alert in sorted(unexpected, key=_order):
        lines += _alert_lines("+", alert)
    return tuple(lines)


def _order(alert: ExpectedAlert) -> tuple[tuple[str, str], ...]:
    return alert.labels.pairs


def _alert_lines(mark: str, alert: ExpectedAlert) -> list[str]:
    words = [f"{mark}     {name}: {text}" for name, text in sorted(alert.annotations.items())]
    return [f"{mark} {alert.labels}", *words]


def _annotation_difference(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    for name in sorted({*expected, *found}):
        if expected.get(name) == found.get(name):
            continue
        if name in expected:
            lines.append(f"-     {name}: {expected[name]}")
        if name in found:
            lines.append(f"+     {name}: {found[name]}")
    return lines


def sample_difference(
    expected: Iterable[tuple[Labels, Value]], found: Iterable[tuple[Labels, Value]], *, fuzzy: bool
) -> tuple[str, ...]:
    """How the samples differ; nothing where they are the same."""
    missing, unexpected = list(expected), []
    for labels, value in found:
        same = [one for one in missing if one[0] == labels and same_value(one[1], value, fuzzy=fuzzy)]
        if same:
            missing.remove(same[0])
        else:
            unexpected.append((labels, value))
    marked = [("-", *sample) for sample in missing] + [("+", *sample) for sample in unexpected]
    marked.sort(key=lambda line: (line[1].pairs, line[0] == "+"))
    return tuple(f"{mark} {labels} {_value_text(value)}" for mark, labels, value in marked)


def _value_text(value: Value) -> str:
    return histogram_text(value) if isinstance(value, Histogram) else repr(float(value))
