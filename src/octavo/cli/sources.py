"""sources: where events come from, and what reads them."""

import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, show_table
from octavo.cli.session import ask
from octavo.features.catalog import SourceSummary
from octavo.features.operations import ListSources


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sources)


def sources(json: Json = False) -> None:
    """Show the sources of events, and what reads them.

    \b
    Example:
      octavo sources

    \b
    Next:
      octavo ingest FILE --source NAME
    """
    summaries: tuple[SourceSummary, ...] = ask(ListSources())
    if json:
        emit_json(summaries)
        return
    show_table(
        ["source", ">columns", "known at", "feature views", "label of"],
        ([s.name, len(s.columns), s.available_at, s.views, s.labels_of] for s in summaries),
        empty="No source yet. Declare one with oc.Source in the project's module.",
    )
