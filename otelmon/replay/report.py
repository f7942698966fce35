"""What a backtest came to, as text for a terminal or a pipe, and as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any

from otelmon.labels import METRIC_NAME
from otelmon.paging.model import PageReason
from otelmon.paging.values import format_span, format_value
from otelmon.replay.backtest import Firing, Outcome

_MOST_LISTED = 20
_LONGEST_NAME = 24
_TICK_EVERY = 14
_NOT_SHOWN = frozenset({METRIC_NAME, "alertname", "severity"})
# In text that can only be ASCII.
_PLAIN = str.maketrans("█·", "#.")


def report(outcome: Outcome, *, width: int = 80, plain: bool = False) -> Iterator[str]:
    """The lines of a report: what was replayed, a picture of when alerts fired, each firing, pages a week.

    ``plain`` keeps to ASCII.
    """
    yield (
        f"{_when(outcome.start_at)} to {_when(outcome.end_at)} UTC ({format_span(outcome.seconds)}): "
        f"{outcome.evaluations} evaluations,"
    )
    yield f"{outcome.samples} samples, {outcome.most_series} series at most"
    fired = list(dict.fromkeys(name for name in outcome.alerts if any(each.name == name for each in outcome.firings)))
    if fired:
        yield ""
        for line in timeline(outcome, fired, width=width):
            yield line.translate(_PLAIN) if plain else line
    for name in fired:
        yield ""
        yield from _alert(outcome, name, width)
    yield ""
    for line in _summary(outcome, fired):
        yield from wrap(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def timeline(outcome: Outcome, names: Sequence[str], *, width: int = 80) -> Iterator[str]:
    """A row for each alert, from the recording's start to its end: █ where it fired, though only for a moment."""
    margin = min(_LONGEST_NAME, max(len(name) for name in names)) + 2
    columns = max(20, width - margin)
    seconds = max(outcome.seconds, 1.0)
    start = outcome.start_at
    for name in names:
        row = ["·"] * columns
        for firing in outcome.firings:
            if firing.name == name:
                ends = ((firing.fired_at, False), (firing.resolved_at or outcome.end_at, True))
                first, last = (_column((at - start).total_seconds() / seconds, columns) for at, _ in ends)
                row[first : last + 1] = "█" * (last + 1 - first)
        yield f"{_cut(name, margin - 2):<{margin}}{''.join(row)}"
    yield " " * margin + _scale(outcome, columns)


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain data: instants as ISO 8601, durations in seconds."""
    return {
        "start_at": outcome.start_at.isoformat(),
        "end_at": outcome.end_at.isoformat(),
        "evaluations": outcome.evaluations,
        "samples": outcome.samples,
        "most_series": outcome.most_series,
        "alerts": [
            {
                "name": firing.name,
                "labels": dict(firing.labels),
                "severity": firing.severity.value,
                "active_at": firing.active_at.isoformat(),
                "fired_at": firing.fired_at.isoformat(),
                "resolved_at": None if firing.resolved_at is None else firing.resolved_at.isoformat(),
                "seconds": outcome.firing_seconds(firing),
                "worst": firing.worst,
            }
            for firing in outcome.firings
        ],
        "pages": [
            {"at": page.at.isoformat(), "reason": page.reason.name.lower(), "alert": page.alert}
            for page in outcome.pages
        ],
        "pages_a_week": outcome.pages_a_week,
        "incidents": outcome.incidents,
        "set_back": outcome.set_back,
        "unmatched": list(outcome.unmatched),
        "problems": dict(outcome.problems),
    }


def _alert(outcome: Outcome, name: str, width: int) -> Iterator[str]:
    firings = [firing for firing in outcome.firings if firing.name == name]
    total = format_span(sum(outcome.firing_seconds(firing) for firing in firings))
    pages = sum(page.alert == name for page in outcome.pages)
    times = "once" if len(firings) == 1 else f"{len(firings)} times"
    yield f"{name} ({firings[0].severity}): fired {times}, {total} in all, {_count(pages, 'page')}"
    for firing in firings[:_MOST_LISTED]:
        labels = ", ".join(f'{key}="{value}"' for key, value in firing.labels.items() if key not in _NOT_SHOWN)
        lasted = format_span(outcome.firing_seconds(firing)) + ("" if firing.resolved_at else ", still firing")
        line = f"  {_when(firing.fired_at)}  {lasted:<14}  worst {_worst(firing):<10}  {labels}".rstrip()
        yield _cut(line, width)
    if len(firings) > _MOST_LISTED:
        yield f"  and {len(firings) - _MOST_LISTED} more; --json lists them all"


def _summary(outcome: Outcome, fired: Sequence[str]) -> Iterator[str]:
    week = f"{outcome.pages_a_week:.3g}" if outcome.pages_a_week < 1000 else f"{outcome.pages_a_week:.0f}"
    yield f"{_count(len(outcome.pages), 'page')} for {_count(outcome.incidents, 'incident')}, {week} pages a week"
    reminders = Counter(page.reason for page in outcome.pages)[PageReason.REMINDER]
    if reminders:
        yield f"of them {_count(reminders, 'reminder')}, which an acknowledgement would have spared"
    silent = [name for name in outcome.alerts if name not in fired and name not in outcome.unmatched]
    if silent:
        yield f"never fired: {', '.join(silent)}"
    if outcome.unmatched:
        yield f"no series in the recording: {', '.join(outcome.unmatched)}"
    if outcome.set_back:
        yield f"{_count(outcome.set_back, 'collection')} left out: their time goes back"
    for name, problem in outcome.problems.items():
        yield f"{name} could not always be evaluated: {problem}"


def _worst(firing: Firing) -> str:
    return format_value(firing.worst, firing.unit)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _column(share: float, columns: int) -> int:
    return min(columns - 1, max(0, int(share * columns)))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 2] + ".."


def _scale(outcome: Outcome, columns: int) -> str:
    """Instants below the columns at which they lie."""
    pattern = "%m-%d %H:%M" if outcome.seconds >= 86_400 else "%H:%M:%S" if outcome.seconds < 600 else "%H:%M"
    line = [" "] * columns
    for column in range(0, columns, _TICK_EVERY):
        at = outcome.start_at + (outcome.end_at - outcome.start_at) * (column / columns)
        text = f"|{at.strftime(pattern)}"
        if column + len(text) <= columns:
            line[column : column + len(text)] = text
    return "".join(line).rstrip()
