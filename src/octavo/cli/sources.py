"""sources: where events come from, and what reads them."""

from typing import Annotated

import typer

from octavo.cli.materialize import bring_up_to_date
from octavo.cli.options import Json
from octavo.cli.output import emit_json, plain, say, show_facts, show_table
from octavo.cli.session import ask
from octavo.config import config_here
from octavo.errors import NotFound
from octavo.features.catalog import SourceSummary
from octavo.features.events.derived import Refreshed
from octavo.features.operations import ListSources
from octavo.loop.refreshes import RefreshSource
from octavo.stores.ownership import online_lock


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(sources)
    commands.command()(show)
    commands.command()(refresh)
    app.add_typer(commands, name="sources")


def sources(context: typer.Context, json: Json = False) -> None:
    """Show the sources of events, and what reads them.

    \b
    Examples:
      octavo sources
      octavo sources show landings

    \b
    Next:
      octavo ingest FILE --source NAME
    """
    if context.invoked_subcommand is not None:
        return
    summaries: tuple[SourceSummary, ...] = ask(ListSources())
    if json:
        emit_json(summaries)
        return
    show_table(
        ["source", ">columns", "known at", "feature views", "label of"],
        ([s.name, len(s.columns), s.available_at, s.views, s.labels_of] for s in summaries),
        empty="No source yet. Declare one with oc.Source in the project's module.",
    )


def show(source: Annotated[str, typer.Argument(metavar="SOURCE", help="Its name.")], json: Json = False) -> None:
    """Show the columns of a source, when its events happened and could be known, and who reads them.

    \b
    Example:
      octavo sources show landings

    \b
    Next:
      octavo ingest FILE --source NAME
    """
    summaries: dict[str, SourceSummary] = {each.name: each for each in ask(ListSources())}
    if (found := summaries.get(source)) is None:
        raise NotFound("source", source, summaries)
    if json:
        emit_json(found)
        return
    show_facts(
        [
            ("source", found.name),
            ("description", found.description),
            ("owner", found.owner),
            ("happened at", found.event_time),
            ("known at", found.available_at),
            ("identified by", found.id),
            ("read by", found.views),
            ("label of", found.labels_of),
        ]
    )
    say("")
    show_table(["column", "type"], found.columns.items(), empty="")


def refresh(source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source.")], json: Json = False) -> None:
    """Run the SQL of a source over what is known now, and take what is new as events.

    The worker does so by itself at the source's interval.

    \b
    Example:
      octavo sources refresh daily_spend

    \b
    Next:
      octavo sources
    """
    if not online_lock(config_here()).is_taken():
        bring_up_to_date()
    done: Refreshed = ask(RefreshSource(source=source))
    if json:
        emit_json(done)
        return
    say(f"Selected {done.rows:,} rows of {plain(done.source)}; {done.events:,} are new or have changed.")
