"""backup, restore: metadata and keys in a folder, and back."""

from pathlib import Path
from typing import Annotated

import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, note, plain, say
from octavo.cli.session import ask
from octavo.config import config_here
from octavo.loop.backups import BackUp, Backup, restore


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("backup")(back_up)
    app.command("restore")(bring_back)


def back_up(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Where to; it must not exist yet.")],
    json: Json = False,
) -> None:
    """Copy metadata and keys into a folder, while all goes on.

    The folder holds the project's private keys: keep it as you keep those. Copy the folders of tables and artifacts
    after it, before artifacts are collected the next time.

    \b
    Example:
      octavo backup /backups/2013-06-01

    \b
    Next:
      octavo restore /backups/2013-06-01
    """
    made: Backup = ask(BackUp(folder=folder))
    if json:
        emit_json(made)
        return
    say(f"{plain(folder)} holds {_told(made)}.")
    note(
        "[dim]It holds the project's private keys too. Tables and artifacts are not in it: copy their folders next.[/]"
    )


def bring_back(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="That octavo backup wrote.")],
    json: Json = False,
) -> None:
    """Bring metadata and keys back from a backup, to where there are none.

    They go where the settings say, so a backup also moves a project from SQLite to PostgreSQL, or back. The project
    must not run. Predictors then come back to what the backup says, whatever was released after it.

    \b
    Example:
      octavo restore /backups/2013-06-01

    \b
    Next:
      octavo audit verify
      octavo up
    """
    made = restore(config_here(), Path(folder))
    if json:
        emit_json(made)
        return
    say(f"Restored {_told(made)}.")


def _told(made: Backup) -> str:
    return (
        f"the metadata of {plain(made.project)} as they were at {made.made_at:%Y-%m-%d %H:%M} UTC: "
        f"{made.rows['records']:,} records, {made.audit_events:,} audit events"
    )
