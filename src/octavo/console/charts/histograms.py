"""How a column's values spread: training as a grey field, what is served now over it."""

from collections.abc import Sequence

from markupsafe import Markup

from octavo.console.charts.scales import Scale
from octavo.console.charts.svg import element, figure
from octavo.console.formatting import number, percent

_TAIL = 0.25


def histogram(
    name: str,
    shares: Sequence[float],
    *,
    edges: Sequence[float] = (),
    over: Sequence[float] | None = None,
    width: int = 132,
    height: int = 30,
) -> Markup:
    """Bins of equal width on paper, whatever their width in values.

    Parameters
    ----------
    shares : sequence of float
        Share of each bin in the reference.
    edges : sequence of float
        Inner edges of the bins: one fewer than shares.
    over : sequence of float or None
        Share of each bin now.
    """
    if not shares:
        return Markup("")
    tallest = max([*shares, *(over or [])]) or 1.0
    y = Scale(low=0, high=tallest, start=height - 1, end=1)
    step = width / len(shares)
    parts = [element("line", class_="axis", x1=0, x2=width, y1=height - 0.5, y2=height - 0.5)]
    for i, share in enumerate(shares):
        now = f", now {percent(over[i])}" if over is not None else ""
        title = element("title", f"{_bin(i, edges)}: {percent(share)}{now}")
        top = y(share)
        parts.append(
            element("rect", title, class_="field", x=i * step + 0.5, y=top, width=step - 1, height=height - 1 - top)
        )
    if over is not None:
        for i, share in enumerate(over):
            top = y(share)
            parts.append(
                element("rect", class_="over", x=i * step + 2, y=top, width=max(step - 4, 1), height=height - 1 - top)
            )
    return figure(name, parts, width=width, height=height, kind="inline-chart histogram")


def distribution(
    name: str,
    shares: Sequence[float],
    *,
    edges: Sequence[float],
    value: float | None = None,
    width: int = 132,
    height: int = 30,
) -> Markup:
    """The density of values, to scale but for the tails, which are cut.

    Parameters
    ----------
    shares, edges
        As of `histogram`.
    value : float or None
        One to be marked where it lies.
    """
    borders = _borders(edges)
    if not borders:
        return Markup("")
    densities = [share / (high - low) for share, low, high in zip(shares, borders[:-1], borders[1:], strict=True)]
    x = Scale(low=borders[0], high=borders[-1], start=0, end=width)
    y = Scale(low=0, high=max(densities) or 1.0, start=height - 1, end=1)
    parts = [element("line", class_="axis", x1=0, x2=width, y1=height - 0.5, y2=height - 0.5)]
    for i, density in enumerate(densities):
        left, right, top = x(borders[i]), x(borders[i + 1]), y(density)
        title = element("title", f"{_bin(i, edges)}: {percent(shares[i])}")
        size = {"width": max(right - left - 0.5, 0.5), "height": height - 1 - top}
        parts.append(element("rect", title, class_="field", x=left, y=top, **size))
    if value is not None:
        place = x.inside(value)
        parts.append(element("line", class_="mark", x1=place, x2=place, y1=0, y2=height))
    return figure(name, parts, width=width, height=height, kind="inline-chart histogram")


def _borders(edges: Sequence[float]) -> list[float]:
    """The edges with somewhat of both tails; nothing where they span nothing."""
    if not edges:
        return []
    span = edges[-1] - edges[0] or abs(edges[0]) or 1.0
    return [edges[0] - _TAIL * span, *edges, edges[-1] + _TAIL * span]


def _bin(i: int, edges: Sequence[float]) -> str:
    if not edges:
        return f"bin {i + 1}"
    if i == 0:
        return f"below {number(edges[0])}"
    if i >= len(edges):
        return f"{number(edges[-1])} and more"
    return f"{number(edges[i - 1])} to {number(edges[i])}"
