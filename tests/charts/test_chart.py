"""What a chart shows, by its structure, and beside pictures that people have looked at on a phone's width."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest

from otelmon.incidents.chart import Chart, chart_from
from otelmon.rules.model import Severity, Unit
from tests.charts.charts import GAP, KEPT, PICTURES, START, TWICE, minutes

pytest.importorskip("matplotlib", reason="matplotlib (the extra `charts`) is not installed")

from otelmon.notify import chart as drawing


def named(figure, gid):
    """The parts of a figure that carry a name."""
    return figure.findobj(lambda part: part.get_gid() == gid)


def texts(figure, gid):
    return [part.get_text() for part in named(figure, gid)]


def axis(figure):
    (axes,) = figure.axes
    return axes


def spans(figure):
    """Where it is drawn as firing, in minutes since the start."""
    edges = [(part.get_x(), part.get_x() + part.get_width()) for part in named(figure, "firing")]
    return [(round((left - START) / 60, 3), round((right - START) / 60, 3)) for left, right in edges]


def runs(figure):
    """The lines of the value, as (first minute, last minute)."""
    found = []
    for line in named(figure, "value"):
        at = line.get_xdata()
        found.append((round((at[0] - START) / 60), round((at[-1] - START) / 60)))
    return found


def test_a_gap_is_a_gap_and_a_value_alone_in_it_is_seen():
    figure = drawing.figure(GAP)
    assert runs(figure) == [(0, 14), (27, 35), (37, 37), (39, 60)]
    assert [line.get_marker() for line in named(figure, "value")] == ["None", "None", "o", "None"]
    assert spans(figure) == [(49, 60)]


def test_each_time_of_firing_is_marked_and_one_that_goes_on_reaches_the_edge():
    figure = drawing.figure(TWICE)
    assert spans(figure) == [(17, 26), (52, 60)]
    assert len(named(figure, "firing bar")) == 2
    assert runs(figure) == [(0, 60)]


def test_the_limit_the_last_value_and_the_axes_are_in_units_of_people():
    figure = drawing.figure(GAP)
    axes = axis(figure)
    assert texts(figure, "limit label") == ["limit 5 %"]
    assert texts(figure, "last label") == ["12.4 %"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0 %", "5 %", "10 %"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["12:00", "12:15", "12:30", "12:45", "13:00"]
    assert texts(figure, "utc") == ["UTC"]
    assert axes.get_xlim() == (START, START + 3600)
    assert axes.get_ylim() == pytest.approx((0, 0.1488))
    assert texts(drawing.figure(TWICE), "limit label") == ["limit 1 s"]


@pytest.mark.parametrize(
    ("unit", "values", "labels"),
    [
        (Unit.BYTES, (1.2e9, 3.2e9), ["0 B", "1 GiB", "2 GiB", "3 GiB"]),
        (Unit.SECONDS, (0, 1200), ["0 s", "5 min", "10 min", "15 min", "20 min"]),
        (Unit.MILLISECONDS, (0, 80), ["0 s", "20 ms", "40 ms", "60 ms", "80 ms"]),
        (Unit.PERCENT, (86, 93), ["86 %", "88 %", "90 %", "92 %", "94 %"]),  # so narrow that zero would hide it
        (Unit.NONE, (-2, 2), ["-2", "0", "2"]),
    ],
)
def test_the_axis_has_a_few_round_values(unit, values, labels):
    low, high = values
    points = minutes(lambda minute: low + (high - low) * minute / 60)
    figure = drawing.figure(Chart(points=points, unit=unit, severity=Severity.INFO))
    shown = [label.get_text() for label in axis(figure).get_yticklabels()]
    assert shown == labels


def test_deploys_carry_their_version_and_of_close_ones_the_latest_does():
    figure = drawing.figure(TWICE)
    assert [round((line.get_xdata()[0] - START) / 60) for line in named(figure, "deploy")] == [58, 2]
    assert texts(figure, "deploy label") == ["v2.0.0 ▼", "▼ 2026.01.05-rc1"]
    close = replace(TWICE, deploys=((START + 1200, "v1"), (START + 1260, "v2"), (START - 9, "before"), (0.0, "old")))
    figure = drawing.figure(close)
    assert (len(named(figure, "deploy")), texts(figure, "deploy label")) == (2, ["▼ v2"])


@pytest.mark.parametrize("version", ["$x^", "日本\n\x1b[31m", "a" * 500, "", "%s {}"])
def test_any_version_can_be_drawn(version):
    chart = replace(GAP, deploys=((START + 60, version),))
    assert drawing.draw(chart).startswith(b"\x89PNG")
    assert all(len(text) <= 16 for text in texts(drawing.figure(chart), "deploy label"))


@pytest.mark.parametrize("severity", Severity)
def test_limit_and_firing_have_the_colour_of_the_severity(severity):
    from matplotlib.colors import to_hex

    figure = drawing.figure(replace(GAP, severity=severity))
    for gid in ("limit", "firing bar"):
        assert [to_hex(part.get_color()) for part in named(figure, gid)] == [drawing.COLOURS[severity]]


@pytest.mark.parametrize(
    "colour", [*drawing.COLOURS.values(), drawing._INK, drawing._FAINT, drawing._DEPLOY], ids=lambda colour: colour
)
def test_what_is_written_stands_out_from_the_ground(colour):
    """WCAG 2 asks for a contrast of 4.5; the ground is opaque, so it holds in Discord's dark and light theme."""

    def luminance(hex_):
        parts = [int(hex_[index : index + 2], 16) / 255 for index in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert (luminance(colour) + 0.05) / (luminance(drawing.BACKGROUND) + 0.05) >= 4.5


def test_at_a_phone_s_width_no_text_is_small_cut_or_on_top_of_other_text():
    for chart in (*KEPT.values(), replace(GAP, unit=Unit.SECONDS, points=minutes(lambda minute: 4000.0 * minute))):
        figure = drawing.figure(chart)
        figure.canvas.draw()
        parts = [part for part in figure.findobj(_is_text) if part.get_text() and part.get_visible()]
        boxes = [part.get_window_extent() for part in parts]
        assert all(
            box.x0 >= 0 and box.y0 >= 0 and box.x1 <= drawing.WIDTH and box.y1 <= drawing.HEIGHT for box in boxes
        )
        # The height of letters in pixels, where a phone shows the whole on 300 of its 400.
        assert all(part.get_fontsize() * 200 / 72 * 300 / drawing.WIDTH >= 9 for part in parts)
        for index, box in enumerate(boxes):
            met = [parts[other].get_text() for other in range(index) if box.overlaps(boxes[other])]
            assert not met, (parts[index].get_text(), met)


def _is_text(part):
    from matplotlib.text import Text

    return isinstance(part, Text)


@pytest.mark.parametrize("name", KEPT)
def test_it_looks_like_the_picture_that_was_kept(name):
    """In 20 by 11 fields, whose mean colours may differ by what another version of a font or a rasteriser changes."""
    drawn = _fields(drawing.draw(KEPT[name]))
    assert abs(drawn - _fields((PICTURES / f"{name}.png").read_bytes())).max() < 0.06


def test_the_comparison_tells_other_charts_apart():
    kept = _fields((PICTURES / "gap.png").read_bytes())
    bridged = replace(GAP, points=minutes(lambda minute: GAP.points[minute][1] or 0.06))
    for other in (TWICE, bridged, replace(GAP, firing=()), replace(GAP, deploys=())):
        assert abs(_fields(drawing.draw(other)) - kept).max() > 0.06


def _fields(picture):
    from matplotlib.image import imread

    pixels = imread(io.BytesIO(picture), format="png")[..., :3]
    assert pixels.shape == (drawing.HEIGHT, drawing.WIDTH, 3)
    return pixels.reshape(11, 40, 20, 40, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("unit", Unit)
def test_any_values_can_be_drawn_within_the_limit(unit):
    points = minutes(lambda minute: 10.0 ** (minute % 300 - 100), 400)
    chart = Chart(points=points, unit=unit, severity=Severity.WARNING, bound=0.5, firing=((START, None),) * 50)
    picture = drawing.draw(chart)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 100_000


@pytest.mark.parametrize(
    "points",
    [
        minutes(lambda _: 0.0),
        minutes(lambda _: 7.0, 1),
        minutes(lambda _: -3.0, 2),
        ((START, None), (START + 60, math.inf), (START + 120, math.nan), (START + 180, 1.0)),
    ],
    ids=["nothing", "one", "negative", "not finite"],
)
def test_few_values_are_drawn_too(points):
    drawn = drawing.draw(Chart(points=points, unit=Unit.RATIO, severity=Severity.WARNING, bound=math.inf))
    assert drawn.startswith(b"\x89PNG")


def test_without_a_value_there_is_nothing_to_draw():
    with pytest.raises(ValueError, match="no value"):
        drawing.draw(replace(GAP, points=minutes(lambda _: None)))


@pytest.mark.parametrize("chart", KEPT.values(), ids=KEPT)
def test_a_chart_goes_through_json(chart):
    assert chart_from(chart.plain()) == chart


@pytest.mark.parametrize("plain", [None, {}, {"points": 1}, {**GAP.plain(), "unit": "parsec"}, {"points": [[1]]}])
def test_what_is_no_chart_is_none(plain):
    assert chart_from(plain) is None
