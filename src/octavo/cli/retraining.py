"""retraining: what starts trainings by itself, how it has done, and whether it goes on."""

from typing import Annotated

import typer

from octavo.cli.options import Json, Model
from octavo.cli.output import emit_json, plain, say, show_table
from octavo.cli.session import ask
from octavo.loop.policies import RetrainPolicy
from octavo.loop.retraining_operations import ListRetraining, PolicyView, ResumeRetraining, SuspendRetraining


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    for command in (suspend, resume):
        commands.command()(command)
    app.add_typer(commands, name="retraining")


def overview(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    json: Json = False,
) -> None:
    """Show what retrains models by itself, and suspend or resume it.

    A trigger that fails too often in a row is suspended: its training failed, its version did not pass a gate, or was
    taken back. That a version is no better than the live one is no failure.

    \b
    Examples:
      octavo retraining
      octavo retraining resume arrival_delay

    \b
    Next:
      octavo runs
      octavo incidents --open
    """
    if context.invoked_subcommand is not None:
        return
    found: tuple[PolicyView, ...] = ask(ListRetraining(model=model))
    if json:
        emit_json(found)
        return
    show_table(
        ["model", "trigger", "state", ">failures", "?last training", "?why"],
        (
            [
                one.policy.model,
                one.policy.trigger,
                _state(one.policy),
                f"{one.policy.failures} of {one.give_up_after}",
                one.last_at,
                one.policy.reason,
            ]
            for one in found
        ),
        empty="No model is retrained by itself. Declare it: @oc.model(..., retrain=[oc.cron('0 3 * * *')])",
    )


def suspend(
    model: Model,
    trigger: Annotated[str, typer.Option(help="Its name, or its kind: cron, drift, new_rows, ...")],
    reason: Annotated[str, typer.Option(help="Why; it is kept, and needed.")],
    json: Json = False,
) -> None:
    """Have a trigger of a model start no trainings, until it is resumed.

    \b
    Example:
      octavo retraining suspend eta --trigger cron --reason "labels are late"

    \b
    Next:
      octavo retraining resume arrival_delay
    """
    suspended: RetrainPolicy = ask(SuspendRetraining(model=model, trigger=trigger, reason=reason))
    if json:
        emit_json(suspended)
        return
    say(f"Suspended: {plain(suspended.trigger)} of {model} starts no trainings.")


def resume(
    model: Model,
    trigger: Annotated[str | None, typer.Option(help="Its name or kind; all that are suspended unless given.")] = None,
    reason: Annotated[str, typer.Option(help="What was mended; it is kept.")] = "",
    json: Json = False,
) -> None:
    """Have suspended triggers of a model start trainings again.

    \b
    Example:
      octavo retraining resume arrival_delay --reason "the feed is back"

    \b
    Next:
      octavo retraining
    """
    resumed: tuple[RetrainPolicy, ...] = ask(ResumeRetraining(model=model, trigger=trigger, reason=reason))
    if json:
        emit_json(resumed)
        return
    names = ", ".join(one.trigger for one in resumed)
    say(f"Resumed: {plain(names)} of {model}." if names else f"Nothing of {model} was suspended.")


def _state(policy: RetrainPolicy) -> str:
    if policy.suspended_at is None:
        return "training" if policy.runs else "ready"
    return f"suspended by {policy.suspended_by}" if policy.suspended_by else "suspended"
