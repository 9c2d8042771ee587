"""Lineage: what came of what, step by step."""

from octavo.console.lineage import address, lineage_drawing, own_page
from octavo.console.rendering import render
from octavo.console.visits import Page, Reply, Visit
from octavo.errors import OctavoError
from octavo.governance.lineage.nodes import Lineage, LineageNode

_DEPTHS = (1, 2, 3, 5, 8)


def lineage(visit: Visit) -> Reply:
    """What a thing came of and what came of it, or where to begin."""
    node = visit.query.get("node", "").strip()
    given = visit.query.get("depth", "1")
    depth = int(given) if given in map(str, _DEPTHS) else 1
    found, problem = None, ""
    if node:
        try:
            found = visit.call("lineage.show", node=node, up=depth, down=depth)
        except OctavoError as error:
            problem = error.message
    return render(
        visit,
        "lineage.html",
        title="Lineage",
        node=node,
        depth=depth,
        depths=_DEPTHS,
        problem=problem,
        found=found,
        drawing=None if found is None else lineage_drawing(found, depth=depth),
        sides=() if found is None else _sides(found, depth),
        page=own_page(found.nodes[0]) if found else "",
        starts=() if found else _starts(visit),
    )


Row = tuple[int, LineageNode, str, str, str]


def _sides(found: Lineage, depth: int) -> tuple[tuple[str, list[Row]], ...]:
    """The list: distance, thing, its lineage, its page and how it is joined, for both directions."""
    sides = []
    for title, side in (("It came of", -1), ("Of it came", 1)):
        rows = [
            (abs(node.distance), node, address(node.node, depth=depth), own_page(node), _ways(found, node))
            for node in found.nodes
            if node.distance * side > 0
        ]
        sides.append((title, rows))
    return tuple(sides)


def _ways(found: Lineage, node: LineageNode) -> str:
    edges = [edge for edge in found.edges if (edge.source if node.distance < 0 else edge.target) == node.node]
    return "; ".join(dict.fromkeys(edge.how for edge in edges if edge.how))


def _starts(visit: Visit) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Things to begin with, by kind: name and address."""
    sources = visit.call_if_allowed("features:read", "sources.list") or ()
    models = visit.call("models.list")
    deployments = visit.call_if_allowed("deployments:read", "deployments.list") or ()
    kinds = (
        ("source", [one.name for one in sources]),
        ("model", [one.model for one in models]),
        ("deployment", [one.state.deployment for one in deployments]),
    )
    return tuple(
        (kind, tuple((name, address(f"{kind}:{name}", depth=1)) for name in names)) for kind, names in kinds if names
    )


PAGES = (Page(path="/lineage", permission="models:read", show=lineage),)
