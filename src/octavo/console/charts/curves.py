"""One number against another: rates of a classifier, and what a model answers as an input moves."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from octavo.console.charts.scales import Scale, tick_label, ticks
from octavo.console.charts.svg import element, figure, path
from octavo.console.formatting import number

SQUARE, WIDE, HIGH = 300, 320, 200
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 26, 36
_MOST_DOTS, _MOST_LETTERS = 14, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A line through points (x, y), by rising x.

    Attributes
    ----------
    band : sequence of (x, low, high)
        What is shaded around it.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str = "one"
    band: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point that is named."""

    x: float
    y: float
    label: str


def rate_chart(
    name: str, curves: Sequence[Curve], *, x: str, y: str, diagonal: bool = False, marks: Sequence[Mark] = ()
) -> Markup:
    """Curves within 0 and 1.

    Parameters
    ----------
    x, y : str
        What the axes measure.
    diagonal : bool
        Whether to draw what a guess would do.
    """
    if not any(curve.points for curve in curves):
        return Markup("")
    across = Scale(low=0.0, high=1.0, start=LEFT, end=SQUARE - RIGHT)
    up = Scale(low=0.0, high=1.0, start=SQUARE - BOTTOM, end=TOP)
    parts = _grid(across, up, [0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 0.25, 0.5, 0.75, 1.0])
    if diagonal:
        parts.append(path([(across(0), up(0)), (across(1), up(1))], class_="line reference"))
    parts += [part for curve in curves for part in _curve(curve, across, up)]
    for mark in marks:
        place = {"cx": across.inside(mark.x), "cy": up.inside(mark.y)}
        parts.append(element("circle", element("title", mark.label), class_="dot two", r=4.5, **place))
    parts += _names(across, x=x, y=y, high=SQUARE)
    return figure(name, parts, width=SQUARE, height=SQUARE, kind="chart square")


def response_chart(name: str, curve: Curve, *, x: str, y: str, words: Sequence[str] = ()) -> Markup:
    """What is answered as one input moves, with a band.

    Parameters
    ----------
    words : sequence of str
        Of a category, in place of the numbers on the axis: one a point.
    """
    if not curve.points:
        return Markup("")
    spread = [value for _, low, high in curve.band for value in (low, high)]
    sideways = [float(place) for place in range(len(curve.points))] if words else [at for at, _ in curve.points]
    up_marks = ticks(min([*spread, *(y for _, y in curve.points)]), max([*spread, *(y for _, y in curve.points)]))
    low, high = min(sideways), max(sideways)
    across = Scale(low=low, high=high, start=LEFT + (14 if words else 0), end=WIDE - RIGHT - (14 if words else 0))
    up = Scale(low=up_marks[0], high=up_marks[-1], start=HIGH - BOTTOM, end=TOP)
    across_marks = [] if words else [mark for mark in ticks(low, high, count=4) if low <= mark <= high]
    parts = _grid(across, up, across_marks, up_marks)
    if words:
        parts += _whiskers(curve, across, up, words)
    else:
        parts += _curve(curve, across, up)
    parts += _names(across, x=x, y=y, high=HIGH)
    return figure(name, parts, width=WIDE, height=HIGH, kind="chart square")


def _grid(across: Scale, up: Scale, across_marks: Sequence[float], up_marks: Sequence[float]) -> list[Markup]:
    parts = []
    left, right = min(across.start, LEFT), across.end
    for mark in up_marks:
        parts.append(element("line", class_="grid", x1=left, x2=right, y1=up(mark), y2=up(mark)))
        parts.append(element("text", tick_label(mark), class_="tick end", x=left - 6, y=up(mark) + 4))
    labels = (
        element("text", tick_label(mark), class_="tick middle", x=across(mark), y=up.start + 15)
        for mark in across_marks
    )
    return [*parts, *labels]


def _curve(curve: Curve, across: Scale, up: Scale) -> list[Markup]:
    parts = []
    if len(curve.band) > 1:
        above = [(across(x), up.inside(high)) for x, _, high in curve.band]
        below = [(across(x), up.inside(low)) for x, low, _ in reversed(curve.band)]
        parts.append(path([*above, *below], class_=f"band {curve.style}"))
    parts.append(path([(across(x), up.inside(y)) for x, y in curve.points], class_=f"line {curve.style}"))
    small = " small" if len(curve.points) > _MOST_DOTS else ""
    for x, y in curve.points:
        title = element("title", f"{curve.name}: {number(x)}, {number(y)}")
        parts.append(element("circle", title, class_=f"dot {curve.style}{small}", cx=across(x), cy=up.inside(y), r=3))
    return parts


def _whiskers(curve: Curve, across: Scale, up: Scale, words: Sequence[str]) -> list[Markup]:
    parts = []
    bands = {x: (low, high) for x, low, high in curve.band}
    for place, (word, (x, y)) in enumerate(zip(words, curve.points, strict=True)):
        at, (low, high) = across(float(place)), bands.get(x, (y, y))
        title = element("title", f"{word}: {number(y)}, {number(low)} to {number(high)}")
        parts.append(element("line", class_=f"whisker {curve.style}", x1=at, x2=at, y1=up(low), y2=up(high)))
        parts.append(element("circle", title, class_=f"dot {curve.style}", cx=at, cy=up(y), r=4))
        if len(words) <= 6:
            short = word if len(word) <= _MOST_LETTERS else f"{word[: _MOST_LETTERS - 1]}…"
            parts.append(element("text", short, class_="tick middle", x=at, y=up.start + 15))
    return parts


def _names(across: Scale, *, x: str, y: str, high: int) -> list[Markup]:
    return [
        element("text", x, class_="tick middle name", x=(across.start + across.end) / 2, y=high - 3),
        element("text", y, class_="tick name", x=4, y=TOP - 14),
    ]
