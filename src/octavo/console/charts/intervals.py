"""Values with the intervals around them, side by side or as a calibration curve."""

from collections.abc import Sequence

from markupsafe import Markup

from octavo.console.charts.scales import Scale, tick_label, ticks
from octavo.console.charts.svg import element, figure, path
from octavo.console.formatting import number
from octavo.training.reports import CurvePoint, Interval

WIDTH, ROW, LEFT, RIGHT = 520, 24, 96, 20
_CHARACTER = 5.6


def interval_chart(name: str, rows: Sequence[tuple[str, Interval, str]]) -> Markup:
    """One row per (label, interval, style): a dot and its whiskers on a common scale."""
    if not rows:
        return Markup("")
    marks = ticks(min(i.low for _, i, _ in rows), max(i.high for _, i, _ in rows))
    height = ROW * len(rows) + 24
    left = min(max(LEFT, 12 + _CHARACTER * max(len(label) for label, _, _ in rows)), WIDTH / 2)
    x = Scale(low=marks[0], high=marks[-1], start=left, end=WIDTH - RIGHT)
    parts = []
    for mark in marks:
        parts.append(element("line", class_="grid", x1=x(mark), x2=x(mark), y1=0, y2=height - 20))
        parts.append(element("text", tick_label(mark), class_="tick middle", x=x(mark), y=height - 6))
    for row, (label, interval, style) in enumerate(rows):
        y = row * ROW + ROW / 2
        text = f"{label}: {number(interval.value)}, 95 % interval {number(interval.low)} to {number(interval.high)}"
        parts.append(element("text", label, class_="tick end name", x=left - 12, y=y + 4))
        parts.append(element("line", class_=f"whisker {style}", x1=x(interval.low), x2=x(interval.high), y1=y, y2=y))
        parts.append(
            element("circle", element("title", text), class_=f"dot {style}", cx=x(interval.value), cy=y, r=4.5)
        )
    return figure(name, parts, width=WIDTH, height=height, kind="chart narrow")


def calibration_chart(name: str, curve: Sequence[CurvePoint]) -> Markup:
    """Predicted against observed, by tenths of the rows; on the diagonal they agree."""
    if not curve:
        return Markup("")
    size, left, top, bottom = 300, 48, 8, 34
    values = [v for p in curve for v in (p.predicted, p.observed.low, p.observed.high)]
    marks = ticks(min(values), max(values))
    x = Scale(low=marks[0], high=marks[-1], start=left, end=size - 8)
    y = Scale(low=marks[0], high=marks[-1], start=size - bottom, end=top)
    parts = []
    for mark in marks:
        parts.append(element("line", class_="grid", x1=left, x2=size - 8, y1=y(mark), y2=y(mark)))
        parts.append(element("text", tick_label(mark), class_="tick end", x=left - 6, y=y(mark) + 4))
        parts.append(element("text", tick_label(mark), class_="tick middle", x=x(mark), y=size - bottom + 15))
    diagonal = [(x(marks[0]), y(marks[0])), (x(marks[-1]), y(marks[-1]))]
    parts.append(path(diagonal, class_="line reference"))
    for point in curve:
        px, low, high = x(point.predicted), y(point.observed.low), y(point.observed.high)
        text = f"predicted {number(point.predicted)}, observed {number(point.observed.value)}, {point.rows} rows"
        parts.append(element("line", class_="whisker one", x1=px, x2=px, y1=low, y2=high))
        parts.append(
            element("circle", element("title", text), class_="dot one", cx=px, cy=y(point.observed.value), r=4)
        )
    parts.append(element("text", "predicted", class_="tick middle name", x=(left + size) / 2, y=size - 4))
    return figure(name, parts, width=size, height=size, kind="chart square")
