"""A chart as a PNG that is read on a phone: the value, its limit, when it fired, what was deployed.

Needs matplotlib (the extra ``charts``), which is imported when something is drawn: half a second of CPU and 50 MB. The
running monitor therefore draws in a process of its own (``otelmon.notify.drawing``). Nothing global of matplotlib is
used: no pyplot, no settings of the user's.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from otelmon.incidents.chart import Chart
from otelmon.paging.values import format_value
from otelmon.rules.model import Severity, Unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A phone of 400 px shows an embed's image on 300 of them: text of 10.5 pt is 11 px high there.
WIDTH, HEIGHT = 800, 440
"""Pixels of the picture."""
_DPI = 200
_TEXT, _SMALL = 10.5, 9
_FOOT, _TALL, _RIGHT = 0.175, 0.69, 0.94  # where the axes are, as parts of the picture

# One picture for Discord's dark and light theme: the dark one's ground, opaque, on which all below has a contrast of
# 4.5 or more.
BACKGROUND = "#2b2d31"
_INK, _FAINT, _GRID = "#f2f3f5", "#b5bac1", "#43464d"
_DEPLOY = "#4fd1c5"
COLOURS = {Severity.CRITICAL: "#ff6b6e", Severity.WARNING: "#f5b041", Severity.INFO: "#8ea1ff"}
"""Of the limit and of the spans of firing."""

_MOST_POINTS, _MOST_SPANS, _MOST_DEPLOYS = 240, 20, 6
_VERSION_LIMIT = 14
_STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
_TIMES = 4  # that fit below the axis
# A value that moves within so small a part of its height is shown larger: the axis does not begin at zero.
_NARROW = 0.25


def draw(chart: Chart) -> bytes:
    """The PNG, ``WIDTH`` by ``HEIGHT`` pixels. Raises ValueError where no value was measured."""
    picture = io.BytesIO()
    figure(chart).savefig(picture, format="png", backend="agg", metadata={"Software": None})
    return picture.getvalue()


def figure(chart: Chart) -> Figure:
    """The chart as matplotlib's Figure; what is in it carries a ``gid`` that names it (value, limit, firing, ...)."""
    from matplotlib.figure import Figure

    runs = list(_runs(chart.points[-_MOST_POINTS:]))
    if not runs:
        raise ValueError("there is nothing to draw: no value was measured")
    start, end = _start(chart), _end(chart)
    drawn = Figure(figsize=(WIDTH / _DPI, HEIGHT / _DPI), dpi=_DPI, facecolor=BACKGROUND)
    axes = drawn.add_axes((0.15, _FOOT, 0.8, _TALL), facecolor=BACKGROUND)
    axes.set_xlim(start, end)
    longest = _heights(axes, [value for run in runs for _, value in run], chart)
    left = min(0.4, max(0.17, 0.04 + 0.022 * longest))  # by eye: room for the longest label
    axes.set_position((left, _FOOT, _RIGHT - left, _TALL))
    _times(axes, start, end)
    _firing(axes, chart, end)
    _limit(axes, chart)
    _deploys(axes, chart, start, end)
    _value(axes, runs, chart)
    return drawn


def _start(chart: Chart) -> float:
    return chart.points[-_MOST_POINTS:][0][0]


def _end(chart: Chart) -> float:
    return max(chart.points[-1][0], _start(chart) + 60)


def _runs(points: Sequence[tuple[float, float | None]]) -> Iterator[list[tuple[float, float]]]:
    """What was measured without a gap, each time: no line leads over a gap."""
    run: list[tuple[float, float]] = []
    for at, value in points:
        if value is not None and math.isfinite(value):
            run.append((at, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _heights(axes: Axes, values: Sequence[float], chart: Chart) -> int:
    """The axis of values, with the limit on it, labelled as a person writes such values; the longest label's length."""
    from matplotlib.ticker import MaxNLocator

    shown = [*values, *([chart.bound] if chart.bound is not None and math.isfinite(chart.bound) else [])]
    low, high = min(shown), max(shown)
    if low >= 0 and high - low > _NARROW * high:
        low = 0.0
    room = 0.1 * (high - low) or 0.5 * abs(high) or 1.0
    bottom, top = (low if low == 0 else low - room), high + 2 * room  # above is the last value, in figures
    axes.set_ylim(bottom, top)
    scale = _scale(max(abs(low), abs(high)), chart.unit)
    found = MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(bottom / scale, top / scale)
    # Rounding leaves 3.0000000000000004 of a share, and -0.0.
    ticks = [float(f"{tick * scale:.12g}") + 0.0 for tick in found if bottom <= tick * scale <= top]
    labels = [format_value(tick, chart.unit) for tick in ticks]
    axes.set_yticks(ticks, labels)
    axes.tick_params(axis="y", length=0, pad=3, labelsize=_TEXT, labelcolor=_FAINT)
    axes.grid(axis="y", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    return max(map(len, labels), default=0)


def _scale(highest: float, unit: Unit) -> float:
    """What round numbers are round in: a tick of 5 MiB or of 5 min, not of 5,000,000 or of 400."""
    if unit is Unit.BYTES:
        return 1024.0 ** max(0, min(5, int(math.log2(highest) // 10))) if highest >= 1 else 1.0
    seconds = {Unit.SECONDS: 1.0, Unit.MILLISECONDS: 1e-3}.get(unit)
    if seconds is None:
        return 1.0
    for length in (86400.0, 3600.0, 60.0):
        if highest * seconds >= 2 * length:
            return length / seconds
    return 1.0


def _times(axes: Axes, start: float, end: float) -> None:
    """The axis of time: a few round times of day, in UTC."""
    span = end - start
    step = next((step for step in _STEPS if span / step <= _TIMES), _STEPS[-1] * math.ceil(span / _STEPS[-1] / _TIMES))
    first = math.ceil(start / step) * step
    ticks = [float(first + index * step) for index in range(int((end - first) // step) + 1)]
    axes.set_xticks(ticks, [f"{datetime.fromtimestamp(tick, UTC):%H:%M}" for tick in ticks])
    axes.tick_params(axis="x", length=3, color=_FAINT, pad=5, labelsize=_TEXT, labelcolor=_FAINT)
    axes.figure.text(0.012, 0.04, "UTC", fontsize=_SMALL, color=_FAINT, gid="utc", va="bottom")


def _firing(axes: Axes, chart: Chart, end: float) -> None:
    colour = COLOURS[chart.severity]
    for since, until in chart.firing[-_MOST_SPANS:]:
        left, right = max(since, axes.get_xlim()[0]), min(end if until is None else until, end)
        if right < left:
            continue
        axes.axvspan(left, right, color=colour, alpha=0.22, linewidth=0, gid="firing", zorder=0.5)
        # A bar below says it to whoever does not see the colour, and shows the shortest of spans.
        least = (end - axes.get_xlim()[0]) / 100
        axes.plot(
            [min(left, right - least), right],
            [0, 0],
            transform=axes.get_xaxis_transform(),
            color=colour,
            linewidth=3.5,
            solid_capstyle="butt",
            clip_on=False,
            gid="firing bar",
            zorder=3,
        )


def _limit(axes: Axes, chart: Chart) -> None:
    if chart.bound is None or not math.isfinite(chart.bound):
        return
    colour = COLOURS[chart.severity]
    axes.axhline(chart.bound, color=colour, linewidth=1.3, linestyle=(0, (4, 2)), gid="limit", zorder=2)
    low, high = axes.get_ylim()
    below = (chart.bound - low) / (high - low) > 0.8
    axes.annotate(
        f"limit {format_value(chart.bound, chart.unit)}",
        (0, chart.bound),
        xycoords=axes.get_yaxis_transform(),
        xytext=(3, -3 if below else 3),
        textcoords="offset points",
        ha="left",
        va="top" if below else "bottom",
        fontsize=_TEXT,
        color=colour,
        bbox={"facecolor": BACKGROUND, "edgecolor": "none", "pad": 1, "alpha": 0.75},
        gid="limit label",
        zorder=5,
    )


def _deploys(axes: Axes, chart: Chart, start: float, end: float) -> None:
    """A line for each deploy; its version above, of several close together the latest."""
    labelled_from = math.inf
    for at, version in reversed(chart.deploys[-_MOST_DEPLOYS:]):
        if not start <= at <= end:
            continue
        axes.axvline(at, color=_DEPLOY, linewidth=1.3, linestyle=(0, (1, 1.5)), gid="deploy", zorder=2.5)
        share = (at - start) / (end - start)
        text = _version(version)
        width = 0.035 * (len(text) + 2)  # of the axis, by eye
        left = share if share + width <= 1 else max(0.0, share - width)
        if left + width > labelled_from:
            continue
        labelled_from = left
        axes.annotate(
            f"▼ {text}" if left == share else f"{text} ▼",
            (at, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(-3.2 if left == share else 3.2, 2),
            textcoords="offset points",
            ha="left" if left == share else "right",
            va="bottom",
            fontsize=_TEXT,
            color=_DEPLOY,
            parse_math=False,
            gid="deploy label",
            zorder=5,
        )


def _version(version: str) -> str:
    """The version in characters that the font has, short enough to stand above the chart."""
    text = "".join(each if " " < each < "\x7f" else "?" for each in version.strip())
    return text if len(text) <= _VERSION_LIMIT else text[: _VERSION_LIMIT - 1] + "…"


def _value(axes: Axes, runs: Sequence[Sequence[tuple[float, float]]], chart: Chart) -> None:
    for run in runs:
        axes.plot(
            [at for at, _ in run],
            [value for _, value in run],
            color=_INK,
            linewidth=1.8,
            solid_joinstyle="round",
            solid_capstyle="round",
            marker="o" if len(run) == 1 else None,  # a line of one point is invisible
            markersize=3,
            gid="value",
            zorder=4,
        )
    at, value = runs[-1][-1]
    axes.plot([at], [value], marker="o", markersize=4.5, color=_INK, clip_on=False, gid="last", zorder=6)
    start, end = axes.get_xlim()
    low, high = axes.get_ylim()
    # Above the value, unless it would stand on the limit.
    below = chart.bound is not None and 0 <= chart.bound - value < 0.2 * (high - low) < value - low
    axes.annotate(
        format_value(value, chart.unit),
        (at, value),
        xytext=(4, -5 if below else 5),
        textcoords="offset points",
        ha="right" if at > start + 0.8 * (end - start) else "center",
        va="top" if below else "bottom",
        fontsize=_TEXT + 1,
        fontweight="bold",
        color=_INK,
        gid="last label",
        zorder=6,
    )
