"""artifacts collect: what nothing mentions any more, found and removed."""

from typing import Annotated

import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, note, say, show_table
from octavo.cli.session import open_session, progress_bar
from octavo.governance.collection import CollectArtifacts, Collected

_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(no_args_is_help=True)
    commands.callback()(artifacts)
    commands.command()(collect)
    app.add_typer(commands, name="artifacts")


def artifacts() -> None:
    """Find and remove artifacts that nothing mentions any more.

    \b
    Example:
      octavo artifacts collect

    \b
    Next:
      octavo artifacts collect --yes
    """


def collect(
    older_than: Annotated[
        str, typer.Option(metavar="WHILE", help="Only what was put longer ago than this; at least 1h.")
    ] = "7d",
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Also files of runs and logged models put away longer ago than that.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is found; without it, it is only shown.")] = False,
    json: Json = False,
) -> None:
    """Find artifacts that nothing mentions any more, and with --yes remove them.

    What stands in any record, in a published document or in an artifact that is alive itself stays. Everything that may
    mention others is read first, and nothing is removed unless all of it could be. With --deleted, a run that is
    restored comes back without its files.

    \b
    Examples:
      octavo artifacts collect
      octavo artifacts collect --older-than 30d --yes

    \b
    Next:
      octavo audit list --operation artifacts.
    """
    asked = CollectArtifacts(older_than=older_than, deleted=deleted, remove=yes)
    with open_session() as session, progress_bar() as report:
        collected: Collected = session.call(asked, progress=report)
    if json:
        emit_json(collected)
        return
    _show(collected, removing=yes)


def _show(collected: Collected, *, removing: bool) -> None:
    found = collected.found
    show_table(
        ["artifact", ">MB", "put"],
        ((one.digest, f"{one.size_bytes / 1e6:,.2f}", one.put_at) for one in found[:_SHOWN]),
        empty=f"All {collected.artifacts:,} artifacts are mentioned, or were put later than "
        f"{collected.put_before:%Y-%m-%d %H:%M} UTC.",
    )
    if len(found) > _SHOWN:
        note(f"[dim]These are the {_SHOWN} largest. --json has all.[/]")
    size = sum(one.size_bytes for one in found)
    if found and removing:
        say(f"Removed {collected.removed:,} of {collected.artifacts:,} artifacts, {_mb(collected.removed_bytes)}.")
    elif found:
        say(
            f"Nothing mentions {len(found):,} of {collected.artifacts:,} artifacts, {_mb(size)} of "
            f"{_mb(collected.size_bytes)}."
        )
    if collected.unfinished:
        halves = f"half-written files of processes that were killed: {collected.unfinished:,}"
        say(f"{'Removed' if removing else 'Besides,'} {halves}, {_mb(collected.unfinished_bytes)}.")
    if not removing and (found or collected.unfinished):
        note("[dim]Nothing was removed; --yes removes them.[/]")


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.2f} MB"
