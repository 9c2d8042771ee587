"""Charts are valid XML with a name, hold what they are given, and let no text through as markup."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from octavo.console.charts.bars import Bucket, share_bar, split_bar, stacked_bars
from octavo.console.charts.curves import Curve, Mark, rate_chart, response_chart
from octavo.console.charts.histograms import distribution, histogram
from octavo.console.charts.intervals import calibration_chart, interval_chart
from octavo.console.charts.lines import HEIGHT, WIDTH, Marker, Point, Series, Span, Threshold, line_chart
from octavo.console.charts.scales import Scale, tick_label, ticks, time_ticks
from octavo.console.charts.svg import element
from octavo.training.reports import CurvePoint, Interval

NOON = datetime(2013, 5, 20, 12, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\"'"
WHISKER = Interval(value=2.0, low=1.0, high=3.0)


def points(*values: float | None) -> list[Point]:
    return [Point(at=NOON + timedelta(hours=place), value=value) for place, value in enumerate(values)]


CHARTS: dict[str, Callable[[], Markup]] = {
    "line": lambda: line_chart(
        HOSTILE,
        [
            Series(name=HOSTILE, points=points(1.0, None, math.nan, 3.0)),
            Series(name="b", points=points(2.0), style="two"),
        ],
        threshold=Threshold(label=HOSTILE, points=points(2.5, None, 2.0)),
        markers=[Marker(at=NOON + timedelta(hours=1), label=HOSTILE)],
        spans=[Span(start=NOON, end=None, label=HOSTILE)],
        unit=HOSTILE,
    ),
    "stacked bars": lambda: stacked_bars(HOSTILE, [Bucket(start=NOON, counts={HOSTILE: 3})], styles={HOSTILE: "one"}),
    "share": lambda: share_bar(0.3, name=HOSTILE),
    "split": lambda: split_bar([(HOSTILE, 90, "one"), ("b", 10, "two"), ("c", 0, "three")]),
    "histogram": lambda: histogram(HOSTILE, [0.2, 0.8], edges=[1.0], over=[0.5, 0.5]),
    "distribution": lambda: distribution(HOSTILE, [0.2, 0.5, 0.3], edges=[1.0, 4.0], value=99.0),
    "intervals": lambda: interval_chart(HOSTILE, [(HOSTILE, WHISKER, "one")]),
    "rates": lambda: rate_chart(
        HOSTILE,
        [Curve(name=HOSTILE, points=[(0.0, 0.0), (1.0, 1.0)], band=[(0.0, 0.0, 0.1), (1.0, 0.9, 1.0)])],
        x=HOSTILE,
        y=HOSTILE,
        diagonal=True,
        marks=[Mark(x=0.5, y=2.0, label=HOSTILE)],
    ),
    "response": lambda: response_chart(
        HOSTILE, Curve(name=HOSTILE, points=[(1.0, 5.0), (2.0, 5.0)]), x=HOSTILE, y=HOSTILE
    ),
    "response to words": lambda: response_chart(
        HOSTILE,
        Curve(name=HOSTILE, points=[(0.0, 5.0), (4.0, 7.0)], band=[(0.0, 4.0, 6.0), (4.0, 6.0, 8.0)]),
        x=HOSTILE,
        y=HOSTILE,
        words=[HOSTILE, "b"],
    ),
    "calibration": lambda: calibration_chart(HOSTILE, [CurvePoint(predicted=1.0, observed=WHISKER, rows=10)]),
}


@pytest.mark.parametrize("kind", CHARTS)
def test_a_chart_is_well_formed_and_has_a_name(kind: str) -> None:
    root = ET.fromstring(CHARTS[kind]())
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert HOSTILE in (root.get("aria-label") or "")


@pytest.mark.parametrize("kind", CHARTS)
def test_a_chart_holds_no_style_and_no_script(kind: str) -> None:
    elements = list(ET.fromstring(CHARTS[kind]()).iter())
    assert not any(e.tag == "script" or "style" in e.attrib for e in elements)


@pytest.mark.parametrize("kind", CHARTS)
def test_a_chart_draws_only_numbers(kind: str) -> None:
    assert "nan" not in CHARTS[kind]().replace("name", "")


def test_charts_of_nothing_are_nothing() -> None:
    assert line_chart("x", []) == stacked_bars("x", [], styles={}) == histogram("x", []) == ""
    assert interval_chart("x", []) == calibration_chart("x", []) == ""
    none = Curve(name="x", points=[])
    assert rate_chart("x", [none], x="x", y="y") == response_chart("x", none, x="x", y="y") == ""


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30), st.booleans())
def test_points_lie_inside_the_chart(values: list[float], from_zero: bool) -> None:
    drawn = line_chart("x", [Series(name="x", points=points(*values))], from_zero=from_zero)
    for circle in ET.fromstring(drawn).iter("circle"):
        assert 0 <= float(circle.attrib["cx"]) <= WIDTH
        assert 0 <= float(circle.attrib["cy"]) <= HEIGHT


def test_a_reference_keeps_each_value_until_the_next() -> None:
    drawn = line_chart("x", [Series(name="x", points=points(1.0, 3.0), style="reference")])
    [line] = [p for p in ET.fromstring(drawn).iter("path") if p.attrib["class"] == "line reference"]
    heights = [place.split()[-1] for place in line.attrib["d"].replace("h0", "").replace("M", "L").split("L")[1:]]
    assert heights[0] == heights[1] != heights[2] == heights[3]


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_round_and_cover_the_values(low: float, size: float) -> None:
    size = max(size, abs(low) * 1e-6)
    high = low + size
    marks = ticks(low, high)
    assert marks[0] <= low + size * 1e-6
    assert marks[-1] >= high - size * 1e-6
    assert 2 <= len(marks) <= 8
    assert marks == sorted(marks)


def test_a_distribution_is_drawn_to_scale_and_marks_within() -> None:
    drawn = ET.fromstring(distribution("x", [0.25, 0.5, 0.25], edges=[0.0, 4.0], value=99.0, width=120))
    widths = [float(bar.attrib["width"]) for bar in drawn.iter("rect")]
    assert widths == pytest.approx([19.5, 79.5, 19.5])
    assert [line.attrib["x1"] for line in drawn.iter("line") if line.attrib["class"] == "mark"] == ["120"]
    assert distribution("x", [1.0], edges=[]) == ""
    assert "<svg" in distribution("x", [0.5, 0.5], edges=[0.0])


def test_equal_values_have_a_scale_too() -> None:
    assert len(ticks(3.0, 3.0)) > 1
    assert len(ticks(0.0, 0.0)) > 1


def test_tick_labels_hold_no_idle_zeros() -> None:
    assert [tick_label(mark) for mark in (0.0, 0.25, 10.0, -2.5, 2e6)] == ["0", "0.25", "10", "−2.5", "2.00e6"]


@given(st.integers(1, 400 * 24))
def test_time_ticks_lie_within_and_are_few(hours: int) -> None:
    end = NOON + timedelta(hours=hours)
    found = time_ticks(NOON, end)
    assert all(NOON <= at <= end for at, _ in found)
    assert len(found) <= 9


def test_a_scale_keeps_values_within() -> None:
    scale = Scale(low=0, high=10, start=100, end=0)
    assert scale(5) == 50
    assert scale.inside(99) == 0
    assert Scale(low=1, high=1, start=0, end=10)(1) == 5


def test_what_stands_in_an_element_is_escaped() -> None:
    assert element("text", "<b>", title='"') == '<text title="&#34;">&lt;b&gt;</text>'
