"""Lineage drawn in columns: what a thing came of on its left, and what came of it on its right."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from markupsafe import Markup

from octavo.console.charts.svg import element
from octavo.console.formatting import plural, short
from octavo.governance.lineage.nodes import Lineage, LineageNode, NodeKind

BOX, GAP, LINE, ROW = 196, 54, 40, 52
"""The width of a box and of what lies between two, the height of a box and of a row."""

_LETTERS = 27
_MOST_DRAWN = 80


def lineage_drawing(found: Lineage, *, depth: int) -> Markup:
    """The graph as SVG, each box a link to the lineage of what it is; empty if it would be too large to read."""
    if len(found.nodes) > _MOST_DRAWN:
        return Markup("")
    columns = _columns(found)
    places = _places(columns)
    height = max(len(nodes) for nodes in columns.values()) * ROW
    width = len(columns) * (BOX + GAP) - GAP
    parts = [_edge(places[edge.source], places[edge.target]) for edge in found.edges]
    parts += [_box(node, places[node.node], depth=depth) for nodes in columns.values() for node in nodes]
    name = f"What came of what around {found.node}"
    return element(
        "svg",
        element("title", name),
        *parts,
        class_="chart lineage",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="group",
        aria_label=name,
    )


def address(node: str, *, depth: int) -> str:
    """The page of a thing's lineage."""
    return f"/lineage?{urlencode({'node': node, 'depth': depth})}"


def label(node: LineageNode) -> str:
    """What a thing is called where there is little room."""
    match node.kind:
        case NodeKind.RUN | NodeKind.PREDICTION:
            return short(node.name)
        case NodeKind.DATASET:
            return node.name.removeprefix("sha256:")[:12]
        case NodeKind.PREDICTIONS:
            return node.about or plural(0, "prediction")
        case _:
            return node.name if len(node.name) <= _LETTERS else f"{node.name[: _LETTERS - 1]}…"


def own_page(node: LineageNode) -> str:
    """The page that tells more of a thing; empty if it has none."""
    match node.kind:
        case NodeKind.SOURCE:
            return "/sources"
        case NodeKind.VIEW:
            return f"/features/{node.name}"
        case NodeKind.MODEL | NodeKind.VERSION:
            return f"/models/{node.name}"
        case NodeKind.RUN:
            return f"/runs/{node.name}"
        case NodeKind.DEPLOYMENT:
            return f"/deployments/{node.name}"
        case NodeKind.COMPOSITE:
            return f"/composites/{node.name}"
        case NodeKind.PREDICTION:
            return f"/predictions/{node.name}"
        case _:
            return ""


def _columns(found: Lineage) -> Mapping[int, Sequence[LineageNode]]:
    """The nodes by column, each near those that it is joined with in the columns before."""
    ranks = _ranks(found)
    rows: dict[str, float] = {}
    columns: dict[int, list[LineageNode]] = {}
    for rank in sorted(set(ranks.values())):
        nodes = [node for node in found.nodes if ranks[node.node] == rank]
        means = {node.node: _mean(node.node, found, rows) for node in nodes}
        nodes.sort(key=lambda node, means=means: (means[node.node], node.kind, node.node))  # type: ignore[misc]
        rows.update({node.node: place for place, node in enumerate(nodes)})
        columns[rank] = nodes
    return columns


def _ranks(found: Lineage) -> dict[str, int]:
    """The column of each node: behind all that it came of, and right before what came of it."""
    ranks = {node.node: 0 for node in found.nodes}
    for _ in found.nodes:
        late = [edge for edge in found.edges if ranks[edge.target] <= ranks[edge.source]]
        if not late:
            break
        for edge in late:
            ranks[edge.target] = max(ranks[edge.target], ranks[edge.source] + 1)
    for node in sorted(ranks, key=lambda one: -ranks[one]):
        after = [ranks[edge.target] for edge in found.edges if edge.source == node]
        if after:
            ranks[node] = max(ranks[node], min(after) - 1)
    return ranks


def _mean(node: str, found: Lineage, rows: Mapping[str, float]) -> float:
    joined = [
        rows[other]
        for edge in found.edges
        for own, other in ((edge.source, edge.target), (edge.target, edge.source))
        if own == node and other in rows
    ]
    return sum(joined) / len(joined) if joined else 0.0


def _places(columns: Mapping[int, Sequence[LineageNode]]) -> dict[str, tuple[int, float]]:
    highest = max(len(nodes) for nodes in columns.values())
    places = {}
    for column, nodes in enumerate(columns.values()):
        top = (highest - len(nodes)) * ROW / 2
        for row, node in enumerate(nodes):
            places[node.node] = (column * (BOX + GAP), top + row * ROW + (ROW - LINE) / 2)
    return places


def _box(node: LineageNode, place: tuple[int, float], *, depth: int) -> Markup:
    x, y = place
    style = f"node {node.kind}" + ("" if node.distance else " start")
    return element(
        "a",
        element("title", f"{node.node}{f', {node.about}' if node.about else ''}"),
        element("rect", x=x + 0.5, y=y + 0.5, width=BOX - 1, height=LINE - 1, rx=4),
        element("text", str(node.kind), class_="kind", x=x + 10, y=y + 15),
        element("text", label(node), class_="name", x=x + 10, y=y + 31),
        class_=style,
        href=address(node.node, depth=depth),
    )


def _edge(source: tuple[int, float], target: tuple[int, float]) -> Markup:
    """A curve from the right side of one box to the left side of another."""
    start, end = (source[0] + BOX, source[1] + LINE / 2), (target[0], target[1] + LINE / 2)
    bend = max((end[0] - start[0]) / 2, GAP / 2)
    points = (start, (start[0] + bend, start[1]), (end[0] - bend, end[1]), end)
    begin, *way = (f"{x:.1f} {y:.1f}" for x, y in points)
    return element("path", class_="flow", d=f"M{begin}C{' '.join(way)}")
