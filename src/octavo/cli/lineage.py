"""lineage: what came of what."""

from collections.abc import Iterator
from typing import Annotated

import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, note, plain, say, show_table
from octavo.cli.session import ask
from octavo.governance.lineage.nodes import Lineage, LineageNode
from octavo.governance.lineage.operations import ShowLineage

_STEPS = 2


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(lineage)


def lineage(
    node: Annotated[
        str, typer.Argument(metavar="NODE", help="Such as landings, arrival_delay/3, eta, or a prediction's id.")
    ],
    up: Annotated[bool, typer.Option("--up", help="Only what it came of.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what came of it.")] = False,
    depth: Annotated[int, typer.Option(min=1, max=20, help="How many steps.")] = _STEPS,
    json: Json = False,
) -> None:
    """Show what a thing came of and what came of it, from events to predictions.

    A NODE is a name that only one thing has, or kind:name. Kinds are source, view, model, dataset, run, version
    (MODEL/NUMBER), bundle, deployment, composite, prediction, and predictions (DEPLOYMENT/MODEL/NUMBER) for those of a
    version together.

    \b
    Examples:
      octavo lineage source:flights --down --depth 5
      octavo lineage arrival_delay/1 --up --depth 4
      octavo lineage 0198a3f2-7c11-7d3a-9c55-1f0e2b7a6d40

    \b
    Next:
      octavo models version MODEL VERSION
    """
    both = up == down
    found: Lineage = ask(ShowLineage(node=node, up=depth if up or both else 0, down=depth if down or both else 0))
    if json:
        emit_json(found)
        return
    start = found.nodes[0]
    say(f"[bold]{plain(start.node)}[/]" + (f" [dim]{plain(start.about)}[/]" if start.about else ""))
    for title, side in (("came of", -1), ("and of it came", 1)):
        nodes = sorted((n for n in found.nodes if n.distance * side > 0), key=lambda n: abs(n.distance))
        if nodes:
            say("")
            show_table([">step", title, "how", "?about"], _rows(found, nodes, side), empty="")
    if len(found.nodes) == 1:
        say("Nothing is on record that it came of, or that came of it.")
    if found.has_more:
        note("[dim]There is more than is shown; begin nearer to it, or take fewer steps.[/]")


def _rows(found: Lineage, nodes: list[LineageNode], side: int) -> Iterator[list[object]]:
    for node in nodes:
        ways = [
            f"{edge.how} {_name(edge.target if side < 0 else edge.source)}".strip()
            for edge in found.edges
            if (edge.source if side < 0 else edge.target) == node.node
        ]
        yield [abs(node.distance), _short(node.node), "; ".join(ways), node.about]


def _name(node: str) -> str:
    return f"({_short(node)})"


def _short(node: str) -> str:
    """A node with a digest as short as people write it."""
    kind, _, name = node.partition(":")
    return f"{kind}:{name[:19]}" if name.startswith("sha256:") else node
