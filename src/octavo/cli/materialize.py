"""materialize: tables and online features up to date, while no worker keeps them so."""

from typing import Annotated

import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, show_table
from octavo.cli.session import open_session, progress_bar
from octavo.features.online.materialize import Materialized
from octavo.features.operations import MaterializeFeatures
from octavo.loop.carrier import bring_events_into_tables


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(materialize)


def materialize(
    views: Annotated[
        list[str] | None, typer.Argument(metavar="VIEW", help="Only these feature views; all unless given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build anew also what is up to date.")] = False,
    json: Json = False,
) -> None:
    """Bring what was sent into tables and online features, while no worker does.

    A running worker (octavo up) does this all the time, so this is refused while one runs. Views that are up to date
    with their definition are left as they are. Interrupted, it goes on where it was when it is run again.

    \b
    Examples:
      octavo materialize
      octavo materialize plane_landings --force

    \b
    Next:
      octavo train MODEL
    """
    bring_up_to_date()
    with open_session(writes_online=True) as session, progress_bar() as report:
        done: tuple[Materialized, ...] = session.call(
            MaterializeFeatures(views=tuple(views or ()), force=force), progress=report
        )
    if json:
        emit_json(done)
        return
    show_table(
        ["feature view", ">entities", ""],
        ([d.view, f"{d.entities:,}", "built" if d.entities else "up to date"] for d in done),
        empty="No feature view yet. Declare one with oc.FeatureView in the project's module.",
    )


def bring_up_to_date() -> None:
    """Bring all events into tables and online features, and let the next who writes them do so.

    Raises
    ------
    Conflict
        If a worker runs, which does it.
    """
    with open_session(writes_online=True) as session, progress_bar() as report:
        report(0.0, "bringing events into tables")
        bring_events_into_tables(session.context)
