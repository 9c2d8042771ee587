"""Values over steps: the histories of a metric in some runs, and small ones for tables."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from octavo.console.charts.scales import Scale, tick_label, ticks
from octavo.console.charts.svg import element, figure, path
from octavo.console.formatting import number, whole

WIDTH, HEIGHT = 880, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 96, 14, 24
_LABEL_GAP, _LONGEST = 13, 13
MOST_DRAWN = 300
STYLES = ("one", "two", "three", "four", "five")
"""Of the lines; further ones have that of references."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A metric of one run: pairs of step and value, in order of the steps."""

    name: str
    points: Sequence[tuple[int, float]]


def step_chart(name: str, curves: Sequence[Curve]) -> Markup:
    """Curves over their common steps; nothing where none has a value that can be drawn."""
    shown = [(curve, thinned(curve.points)) for curve in curves]
    places = [(step, value) for _, points in shown for step, value in points if math.isfinite(value)]
    if not places:
        return Markup("")
    steps, values = [float(step) for step, _ in places], [value for _, value in places]
    marks = ticks(min(values), max(values))
    x = Scale(low=min(steps), high=max(steps), start=LEFT, end=WIDTH - RIGHT)
    y = Scale(low=marks[0], high=marks[-1], start=HEIGHT - BOTTOM, end=TOP)
    parts = _grid(marks, y)
    for step in sorted({min(steps), max(steps)}):
        parts.append(element("text", whole(int(step)), class_="tick middle", x=x(step), y=HEIGHT - 6))
    ends: list[tuple[float, str, str]] = []
    for place, (curve, points) in enumerate(shown):
        style = STYLES[place] if place < len(STYLES) else "reference"
        parts.append(path(_pixels(points, x, y), class_=f"line {style}"))
        last = next(((s, v) for s, v in reversed(points) if math.isfinite(v)), None)
        if last is not None:
            title = element("title", f"{curve.name}: {number(last[1])} at step {whole(last[0])}")
            parts.append(element("circle", title, class_=f"dot {style}", cx=x(last[0]), cy=y(last[1]), r=3))
            ends.append((y(last[1]), curve.name, style))
    parts += _names(ends) if len(curves) > 1 else []
    return figure(name, parts, width=WIDTH, height=HEIGHT)


def sparkline(name: str, points: Sequence[tuple[int, float]], *, width: int = 110, height: int = 22) -> Markup:
    """A curve as large as a word."""
    drawn = thinned(points, most=width)
    finite = [(step, value) for step, value in drawn if math.isfinite(value)]
    if len(finite) < 2:
        return Markup("")
    x = Scale(low=finite[0][0], high=finite[-1][0], start=2, end=width - 2)
    y = Scale(low=min(v for _, v in finite), high=max(v for _, v in finite), start=height - 3, end=3)
    line = path(_pixels(drawn, x, y), class_="line one")
    return figure(name, [line], width=width, height=height, kind="inline-chart")


def thinned(points: Sequence[tuple[int, float]], *, most: int = MOST_DRAWN) -> list[tuple[int, float]]:
    """At most about so many points: of each stretch its lowest and its highest, so that no peak is lost."""
    if len(points) <= most:
        return list(points)
    stretches = most // 2
    kept: dict[int, tuple[int, float]] = {0: points[0], len(points) - 1: points[-1]}
    for place in range(stretches):
        start, end = place * len(points) // stretches, (place + 1) * len(points) // stretches
        finite = [i for i in range(start, end) if math.isfinite(points[i][1])]
        for i in (min(finite, key=lambda i: points[i][1]), max(finite, key=lambda i: points[i][1])) if finite else ():
            kept[i] = points[i]
    return [kept[i] for i in sorted(kept)]


def _pixels(points: Sequence[tuple[int, float]], x: Scale, y: Scale) -> list[tuple[float, float] | None]:
    return [(x(step), y(value)) if math.isfinite(value) else None for step, value in points]


def _names(ends: Sequence[tuple[float, str, str]]) -> list[Markup]:
    """What each curve is called, at its end's height, moved apart where they would touch."""
    parts, taken = [], HEIGHT - BOTTOM + _LABEL_GAP * 0.5
    for y, name, style in sorted(ends, reverse=True):
        taken = min(y, taken - _LABEL_GAP)
        text = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
        parts.append(element("text", text, class_=f"line-label {style}", x=WIDTH - RIGHT + 8, y=taken + 4))
    return parts


def _grid(marks: Sequence[float], y: Scale) -> list[Markup]:
    parts = []
    for mark in marks:
        parts.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y(mark), y2=y(mark)))
        parts.append(element("text", tick_label(mark), class_="tick end", x=LEFT - 8, y=y(mark) + 4))
    return parts
