"""events: those that could not be taken, and what is done about them."""

from typing import Annotated

import typer

from octavo.cli.options import Json, Limit
from octavo.cli.output import emit_json, plain, say, show_table
from octavo.cli.session import ask
from octavo.features.events.dead_letters import LetterState
from octavo.features.events.letter_operations import (
    DeadLetters,
    DiscardDeadLetters,
    Discarded,
    ListDeadLetters,
    ReplayDeadLetters,
)
from octavo.features.events.letters import Replayed

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="The source.")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="Only this dead letter; may be given several times.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    commands.command()(dead)
    commands.command()(replay)
    commands.command()(discard)
    app.add_typer(commands, name="events")


def overview(context: typer.Context, json: Json = False) -> None:
    """Show how many events could not be taken, and what to do about them.

    \b
    Examples:
      octavo events
      octavo events dead departures

    \b
    Next:
      octavo events dead SOURCE
    """
    if context.invoked_subcommand is not None:
        return
    found: DeadLetters = ask(ListDeadLetters(limit=1))
    if json:
        emit_json(found.waiting)
        return
    show_table(
        ["source", ">dead letters that wait"],
        ([source, f"{waiting:,}"] for source, waiting in found.waiting.items()),
        empty="No event waits that could not be taken.",
    )


def dead(
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="The source; all unless given.")] = None,
    reason: Annotated[str, typer.Option(help="Only those whose reason contains this.")] = "",
    state: Annotated[LetterState, typer.Option(help="Only those that stand so.")] = LetterState.WAITING,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Show events that could not be taken, and why.

    \b
    Examples:
      octavo events dead departures
      octavo events dead --reason "does not have"
      octavo events dead departures --json    (with the events as they were sent)

    \b
    Next:
      octavo events replay SOURCE    (once the schema is mended)
      octavo events discard SOURCE --reason "..."
    """
    found: DeadLetters = ask(ListDeadLetters(source=source, reason=reason, state=state, limit=limit))
    if json:
        emit_json(found)
        return
    show_table(
        ["dead letter", "source", "received", "?reason"],
        ([letter.id, letter.source, letter.received_at, letter.reason] for letter in found.letters),
        empty=f"No dead letter is {state}.",
    )


def replay(source: Source, id: Ids = None, json: Json = False) -> None:
    """Try again to take events that could not be taken.

    They are checked against the source as the project now declares it. One that was taken before counts once. What
    still cannot be taken waits on, with its new reason.

    \b
    Example:
      octavo events replay departures

    \b
    Next:
      octavo events dead SOURCE
    """
    done: Replayed = ask(ReplayDeadLetters(source=source, ids=tuple(id or ())))
    if json:
        emit_json(done)
        return
    say(f"Replayed {done.replayed:,} events of {plain(done.source)}; {done.refused:,} wait on.")
    if done.reasons:
        show_table([">events", "?reason"], ([f"{n:,}", reason] for reason, n in done.reasons.items()), empty="")


def discard(
    source: Source,
    reason: Annotated[str, typer.Option(help="Why they are not wanted; kept with them.")],
    id: Ids = None,
    json: Json = False,
) -> None:
    """Give up events that could not be taken; they are kept with the reason.

    \b
    Example:
      octavo events discard departures --reason "sent by a test"

    \b
    Next:
      octavo events dead SOURCE --state discarded
    """
    done: Discarded = ask(DiscardDeadLetters(source=source, reason=reason, ids=tuple(id or ())))
    if json:
        emit_json(done)
        return
    say(f"Discarded {done.discarded:,} events of {plain(done.source)}.")
