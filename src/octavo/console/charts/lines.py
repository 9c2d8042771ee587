"""Values over time, with what changed and what was wrong meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from octavo.console.charts.scales import Scale, finite, tick_label, ticks, time_ticks
from octavo.console.charts.svg import element, figure, path
from octavo.console.formatting import number

WIDTH, HEIGHT = 880, 232
LEFT, RIGHT, TOP, BOTTOM = 52, 96, 26, 24
_LABEL_GAP = 13
_MOST_DOTS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A value at a moment, with the interval around it if one is known."""

    at: datetime
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A line.

    Attributes
    ----------
    style : str
        ``one`` to ``five``, which choose colour and dashes; ``reference`` is grey, and keeps each value until the next.
    """

    name: str
    points: Sequence[Point]
    style: str = "one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A bound that the values are held against.

    Attributes
    ----------
    points : sequence of Point
        Its values, each of which holds until the next.
    """

    label: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Something that changed at a moment: a version went live."""

    at: datetime
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch in which something was wrong: an incident; open if it has no end."""

    start: datetime
    end: datetime | None
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The scales of one chart."""

    x: Scale
    y: Scale
    start: datetime
    end: datetime

    def at(self, moment: datetime) -> float:
        return self.x(moment.timestamp())

    def shows(self, moment: datetime) -> bool:
        return self.start <= moment <= self.end


def line_chart(
    name: str,
    series: Sequence[Series],
    *,
    unit: str = "",
    threshold: Threshold | None = None,
    markers: Sequence[Marker] = (),
    spans: Sequence[Span] = (),
    from_zero: bool = True,
) -> Markup:
    """Lines over time.

    Parameters
    ----------
    from_zero : bool
        Whether the vertical axis starts at 0.
    """
    moments = [point.at for line in series for point in line.points]
    if not moments:
        return Markup("")
    values = finite(v for line in series for p in line.points for v in (p.value, p.low, p.high))
    values += finite(point.value for point in threshold.points) if threshold else []
    frame = _frame(min(moments), max(moments), values, from_zero=from_zero)
    parts = [
        *_spans(frame, spans),
        *_grid(frame, unit),
        *_threshold_line(frame, threshold),
        *_markers(frame, markers),
        *(part for line in series for part in _line(frame, line, unit)),
        *_threshold_label(frame, threshold),
        *_ends(frame, series),
    ]
    return figure(name, parts, width=WIDTH, height=HEIGHT)


def _frame(start: datetime, end: datetime, values: list[float], *, from_zero: bool) -> Frame:
    low = 0.0 if from_zero and min(values, default=0) >= 0 else min(values, default=0)
    marks = ticks(low, max(values, default=1))
    x = Scale(low=start.timestamp(), high=end.timestamp(), start=LEFT, end=WIDTH - RIGHT)
    y = Scale(low=marks[0], high=marks[-1], start=HEIGHT - BOTTOM, end=TOP)
    return Frame(x=x, y=y, start=start, end=end)


def _grid(frame: Frame, unit: str) -> list[Markup]:
    parts = []
    marks = ticks(frame.y.low, frame.y.high)
    for mark in marks:
        y = frame.y(mark)
        parts.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y))
        text = f"{tick_label(mark)} {unit}".rstrip() if mark == marks[-1] else tick_label(mark)
        parts.append(element("text", text, class_="tick end", x=LEFT - 8, y=y + 4))
    for at, label in time_ticks(frame.start, frame.end):
        parts.append(element("text", label, class_="tick middle", x=frame.at(at), y=HEIGHT - 6))
    return parts


def _threshold_line(frame: Frame, threshold: Threshold | None) -> list[Markup]:
    return [path(_steps(frame, threshold.points), class_="threshold")] if threshold else []


def _threshold_label(frame: Frame, threshold: Threshold | None) -> list[Markup]:
    places = _steps(frame, threshold.points) if threshold else []
    if threshold is None or not places:
        return []
    x, y = places[0]
    return [element("text", threshold.label, class_="tick threshold-label", x=x + 4, y=y - 5)]


def _steps(frame: Frame, points: Sequence[Point]) -> list[tuple[float, float]]:
    """Each value from its moment on to that of the next."""
    ends = [*(point.at for point in points[1:]), frame.end]
    places = []
    for point, end in zip(points, ends, strict=False):
        if point.value is not None:
            y = frame.y.inside(point.value)
            places += [(frame.at(max(point.at, frame.start)), y), (frame.at(end), y)]
    return places


def _markers(frame: Frame, markers: Sequence[Marker]) -> list[Markup]:
    parts, free_from = [], 0.0
    for marker in sorted(markers, key=lambda m: m.at):
        if not frame.shows(marker.at):
            continue
        x = frame.at(marker.at)
        parts.append(element("line", class_="marker", x1=x, x2=x, y1=TOP - 6, y2=HEIGHT - BOTTOM))
        if x >= free_from:
            parts.append(element("text", marker.label, class_="marker-label", x=x + 3, y=TOP - 10))
            free_from = x + 8 + 6.5 * len(marker.label)
    return parts


def _spans(frame: Frame, spans: Sequence[Span]) -> list[Markup]:
    parts = []
    for span in spans:
        end = span.end or frame.end
        if end < frame.start or span.start > frame.end:
            continue
        left, right = frame.at(max(span.start, frame.start)), frame.at(min(end, frame.end))
        box = element(
            "rect",
            element("title", span.label),
            class_="span",
            x=left,
            y=TOP,
            width=max(right - left, 2.0),
            height=HEIGHT - BOTTOM - TOP,
        )
        parts.append(box)
    return parts


def _line(frame: Frame, line: Series, unit: str) -> list[Markup]:
    if line.style == "reference":
        return [path(_steps(frame, line.points), class_="line reference")]

    def pixel(point: Point, value: float | None) -> tuple[float, float] | None:
        return (frame.at(point.at), frame.y.inside(value)) if finite([value]) and value is not None else None

    band = [(p, p.low, p.high) for p in line.points if finite([p.low]) and finite([p.high])]
    parts = []
    if len(band) > 1:
        outline = [pixel(p, high) for p, _, high in band] + [pixel(p, low) for p, low, _ in reversed(band)]
        parts.append(path(outline, class_=f"band {line.style}"))
    parts.append(path([pixel(p, p.value) for p in line.points], class_=f"line {line.style}"))
    small = " small" if len(line.points) > _MOST_DOTS else ""
    for point in line.points:
        place = pixel(point, point.value)
        if place is not None:
            text = f"{line.name}: {number(point.value, unit=unit)}, {point.at:%Y-%m-%d %H:%M}"
            dot = element("title", text)
            parts.append(element("circle", dot, class_=f"dot {line.style}{small}", cx=place[0], cy=place[1], r=3))
    return parts


def _ends(frame: Frame, series: Sequence[Series]) -> list[Markup]:
    """Names at the ends of the lines, moved apart where they would touch."""
    places = []
    for line in series:
        drawn = [p for p in line.points if finite([p.value])]
        if drawn and drawn[-1].value is not None:
            places.append((frame.y.inside(drawn[-1].value), line))
    places.sort(key=lambda place: place[0])
    parts, taken = [], HEIGHT - BOTTOM + _LABEL_GAP * 0.5
    for y, line in reversed(places):
        taken = min(y, taken - _LABEL_GAP)
        parts.append(element("text", line.name, class_=f"line-label {line.style}", x=WIDTH - RIGHT + 8, y=taken + 4))
    return parts
