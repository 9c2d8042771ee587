"""features: what is computed from events, and for whom."""

from typing import Annotated

import typer

from octavo.cli.measures import duration
from octavo.cli.options import Json
from octavo.cli.output import emit_json, say, show_facts, show_table
from octavo.cli.session import ask
from octavo.features.catalog import ViewSummary
from octavo.features.operations import ListFeatures, ShowFeatures


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    commands.command()(show)
    app.add_typer(commands, name="features")


def overview(context: typer.Context, json: Json = False) -> None:
    """Show the feature views, and which models take them.

    \b
    Examples:
      octavo features
      octavo features show plane_landings

    \b
    Next:
      octavo train MODEL
    """
    if context.invoked_subcommand is not None:
        return
    views: tuple[ViewSummary, ...] = ask(ListFeatures())
    if json:
        emit_json(views)
        return
    show_table(
        ["feature view", "source", "key", ">features", "models"],
        ([v.name, v.source, v.key, len(v.features), v.models] for v in views),
        empty="No feature view yet. Declare one with oc.FeatureView in the project's module.",
    )


def show(view: Annotated[str, typer.Argument(metavar="VIEW", help="The feature view.")], json: Json = False) -> None:
    """Show one feature view: its features, and the models that take it.

    \b
    Example:
      octavo features show plane_landings

    \b
    Next:
      octavo predictions show ID    (the values that a prediction was made from)
    """
    found: ViewSummary = ask(ShowFeatures(view=view))
    if json:
        emit_json(found)
        return
    show_facts(
        [
            ("feature view", found.name),
            ("source", found.source),
            ("key", found.key if found.key == found.source_key else f"{found.key} (in the source {found.source_key})"),
            ("models", found.models),
            ("owner", found.owner),
            ("description", found.description),
        ]
    )
    say("")
    show_table(
        ["feature", "operation", "of", "window"],
        ([f.name, f.operation, f.measure, _window(f.window_s, f.ttl_s)] for f in found.features),
        empty="It has no features.",
    )


def _window(window_s: int | None, ttl_s: int | None) -> str:
    if window_s is not None:
        return duration(window_s)
    return f"until {duration(ttl_s)} old" if ttl_s is not None else ""
