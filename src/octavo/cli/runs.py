"""runs: trainings, and what came of each."""

from typing import Annotated

import typer

from octavo.cli.measures import duration, number
from octavo.cli.options import Json, Limit, Model
from octavo.cli.output import emit_json, say, show_facts, show_table
from octavo.cli.session import ask
from octavo.loop.operations import RequestTraining
from octavo.training.operations import ListRuns, ShowRun
from octavo.training.runs import Run


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    commands.command()(show)
    commands.command()(request)
    app.add_typer(commands, name="runs")


def overview(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Show trainings, those that failed too.

    \b
    Examples:
      octavo runs
      octavo runs --model arrival_delay
      octavo runs show ID

    \b
    Next:
      octavo models show MODEL
    """
    if context.invoked_subcommand is not None:
        return
    runs: tuple[Run, ...] = ask(ListRuns(model=model, limit=limit))
    if json:
        emit_json(runs)
        return
    show_table(
        ["run", "model", "status", ">version", "?started", "?>took", "?>rows", "?because of"],
        ([r.id, r.model, r.status, r.version, r.started_at, _took(r), f"{r.rows:,}", r.trigger] for r in runs),
        empty="Nothing was trained yet. Train a model: octavo train MODEL",
    )


def show(run: Annotated[str, typer.Argument(metavar="ID", help="The run's id.")], json: Json = False) -> None:
    """Show one training: what it used, and what came of it.

    \b
    Example:
      octavo runs show 0198a3f2-7c11-7d3a-9c55-1f0e2b7a6d40

    \b
    Next:
      octavo models version MODEL VERSION
    """
    found: Run = ask(ShowRun(run=run))
    if json:
        emit_json(found)
        return
    metrics = ", ".join(f"{name} {number(value)}" for name, value in found.metrics.items())
    show_facts(
        [
            ("run", found.id),
            ("model", found.model),
            ("status", found.status),
            ("because of", found.trigger),
            ("known until", found.as_of),
            ("started", found.started_at),
            ("took", _took(found)),
            ("rows", f"{found.rows:,}"),
            ("training set", found.dataset),
            ("code", found.code),
            ("held out", metrics),
            ("version", found.version),
            ("error", found.error),
        ]
    )


def request(
    model: Model,
    trigger: Annotated[str, typer.Option(help="Why, for the record.")] = "user",
    json: Json = False,
) -> None:
    """Have the worker train a model, and release what passes its gates.

    It returns at once; the worker (octavo up) does it. `octavo train` does it here and now instead.

    \b
    Example:
      octavo runs request arrival_delay

    \b
    Next:
      octavo runs
    """
    asked: Run = ask(RequestTraining(model=model, trigger=trigger))
    if json:
        emit_json(asked)
        return
    say(f"Asked for a training of {asked.model}. Follow it: octavo runs show {asked.id}")


def _took(run: Run) -> str:
    return duration(run.seconds) if run.finished_at else ""
