"""How a column's values spread: training as a grey field, what is served now as outlined bars over it."""

from collections.abc import Sequence

from markupsafe import Markup

from octavo.console.charts.scales import Scale
from octavo.console.charts.svg import element, figure
from octavo.console.formatting import number, percent


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


def _bin(i: int, edges: Sequence[float]) -> str:
    if not edges:
        return f"bin {i + 1}"
    if i == 0:
        return f"below {number(edges[0])}"
    if i >= len(edges):
        return f"{number(edges[-1])} and more"
    return f"{number(edges[i - 1])} to {number(edges[i])}"
