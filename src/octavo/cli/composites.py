"""composites: what several deployments and functions answer together."""

from typing import Annotated

import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, say, show_table
from octavo.cli.session import ask
from octavo.release.composite_operations import (
    CompositeDetails,
    ListComposites,
    NodeView,
    RollBackComposite,
    ShowComposite,
)
from octavo.release.composites import CompositeState

Composite = Annotated[str, typer.Argument(metavar="COMPOSITE", help="Its name.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    for command in (show, rollback):
        commands.command()(command)
    app.add_typer(commands, name="composites")


def overview(context: typer.Context, json: Json = False) -> None:
    """Show the composites: deployments and functions that answer one call together.

    \b
    Examples:
      octavo composites
      octavo composites show offer

    \b
    Next:
      octavo composites show NAME
      octavo predict NAME
    """
    if context.invoked_subcommand is not None:
        return
    states: tuple[CompositeState, ...] = ask(ListComposites())
    if json:
        emit_json(states)
        return
    show_table(
        ["composite", ">live version", ">before"],
        ([state.composite, state.live, state.previous] for state in states),
        empty="No composite yet. Declare one with oc.Composite and put it into force: octavo apply",
    )


def show(composite: Composite, json: Json = False) -> None:
    """Show a composite: its nodes, in the order in which they are asked, and its versions.

    \b
    Example:
      octavo composites show offer

    \b
    Next:
      octavo deployments show NODE
      octavo predictions list offer
      octavo composites rollback offer
    """
    details: CompositeDetails = ask(ShowComposite(composite=composite))
    if json:
        emit_json(details)
        return
    say(f"[bold]{composite}[/] serves version {details.live.version}; the value of its last node is the answer.")
    say("")
    show_table(["node", "answers", "takes", "asked where"], map(_node, details.nodes), empty="It has no node.")
    say("")
    show_table(
        [">version", "since", "by", "digest"],
        ([one.version, one.applied_at, one.applied_by, one.digest[:19]] for one in details.versions),
        empty="It has no version.",
    )


def rollback(composite: Composite, json: Json = False) -> None:
    """Return to the version before the live one; once more, and the later one is live again.

    It works at once and needs no worker. The deployments of its nodes stay what they are.

    \b
    Example:
      octavo composites rollback offer

    \b
    Next:
      octavo composites show NAME
    """
    state: CompositeState = ask(RollBackComposite(composite=composite))
    if json:
        emit_json(state)
        return
    say(f"{composite} serves version {state.live}.")


def _node(node: NodeView) -> list[object]:
    return [node.name, _answering(node), ", ".join(node.takes), node.when]


def _answering(node: NodeView) -> str:
    if node.deployment is None:
        return "a function"
    state = node.deployment.state
    if state.stopped is not None:
        return "stopped"
    return "nothing released" if state.live is None else f"{state.model} {state.live}"
