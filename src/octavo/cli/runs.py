"""runs: trainings and what else was logged, and what came of each."""

from typing import Annotated

import typer

from octavo.cli import run_files, run_views
from octavo.cli.measures import number
from octavo.cli.options import Json, Model
from octavo.cli.output import emit_json, plain, say, show_table
from octavo.cli.reproduce import reproduce
from octavo.cli.run_views import took
from octavo.cli.session import ask
from octavo.loop.operations import RequestTraining
from octavo.training.runs import Run
from octavo.training.tracking.experiment_operations import ListExperiments
from octavo.training.tracking.experiments import Experiment
from octavo.training.tracking.operations import DeleteRun, ListRuns, RestoreRun

OfModel = Annotated[str | None, typer.Option("--model", help="Only of this model.")]
OfExperiment = Annotated[str | None, typer.Option("--experiment", help="Only of this experiment.")]
Where = Annotated[str, typer.Option(help="Such as: metrics.auc > 0.9 and params.depth = 6 and status = 'succeeded'")]
Sort = Annotated[str, typer.Option(help="Such as: -metrics.auc, started. The newest first unless given.")]
Deleted = Annotated[bool, typer.Option("--deleted", help="Those that were put away.")]
Most = Annotated[int, typer.Option("--limit", "-n", min=1, max=50_000, help="How many at most.")]
RunId = Annotated[str, typer.Argument(metavar="ID", help="The run's id, or the end of it.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    commands.command("list")(list_)
    for command in (run_views.show, run_views.compare, run_files.download, request, experiments, delete, restore):
        commands.command()(command)
    commands.command()(run_files.deliver)
    commands.command()(reproduce)
    app.add_typer(commands, name="runs")


def overview(
    context: typer.Context,
    model: OfModel = None,
    experiment: OfExperiment = None,
    where: Where = "",
    sort: Sort = "",
    limit: Most = 20,
    deleted: Deleted = False,
    json: Json = False,
) -> None:
    """Show trainings and other runs, those that failed too.

    A run of your own is logged with: with octavo.run("name") as run: ...

    \b
    Examples:
      octavo runs
      octavo runs --model arrival_delay
      octavo runs list --where "metrics.mae < 20" --sort metrics.mae
      octavo runs show ID
      octavo runs compare ID OTHER

    \b
    Next:
      octavo runs show ID
    """
    if context.invoked_subcommand is None:
        _show(model, experiment, where, sort, limit, deleted, json)


def list_(
    model: OfModel = None,
    experiment: OfExperiment = None,
    where: Where = "",
    sort: Sort = "",
    limit: Most = 20,
    deleted: Deleted = False,
    json: Json = False,
) -> None:
    """Show runs that fulfil conditions, in an order.

    Conditions are joined by "and". They compare metrics.NAME, params.NAME, tags.NAME or a field of the run (name,
    status, model, experiment, parent, by, rows, seconds, version, started, finished and others) by = != < <= > >=,
    like, ilike, in (...), not in (...), is null or is not null. Text stands in quotes, names with other signs than
    letters and digits in backticks.

    \b
    Examples:
      octavo runs list --where "metrics.auc > 0.9 and params.depth = 6"
      octavo runs list --where "name like 'grid%' and status != 'failed'"
      octavo runs list --sort -metrics.auc --limit 5 --json

    \b
    Next:
      octavo runs compare ID OTHER
    """
    _show(model, experiment, where, sort, limit, deleted, json)


def _show(
    model: str | None, experiment: str | None, where: str, sort: str, limit: int, deleted: bool, json: bool
) -> None:
    wanted = ListRuns(
        model=model,
        experiments=(experiment,) if experiment else (),
        where=where,
        sort=sort,
        limit=limit,
        show="deleted" if deleted else "active",
    )
    found: tuple[Run, ...] = ask(wanted)
    if json:
        emit_json(found)
        return
    narrowed = model or experiment or where or deleted
    show_table(
        ["run", "name", "of", "status", "?>version", "?started", "?>took", "?metrics", "?started by"],
        (
            [r.id, r.name, r.belongs_to, r.status, r.version, r.started_at, took(r), _metrics(r), _trigger(r)]
            for r in found
        ),
        empty="No run is like that."
        if narrowed
        else "Nothing was trained or logged yet. Train a model: octavo train MODEL",
    )


def _trigger(run: Run) -> str:
    return f"{run.trigger} ({run.error})" if run.error else run.trigger


def _metrics(run: Run) -> str:
    shown = [f"{name} {number(value)}" for name, value in list(run.metrics.items())[:3]]
    return ", ".join(shown) + (f" and {len(run.metrics) - 3} more" if len(run.metrics) > 3 else "")


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


def experiments(deleted: Deleted = False, json: Json = False) -> None:
    """Show the experiments that runs belong to; each model has one of its name.

    \b
    Example:
      octavo runs experiments

    \b
    Next:
      octavo runs list --experiment NAME
    """
    found: tuple[Experiment, ...] = ask(ListExperiments(show="deleted" if deleted else "active"))
    if json:
        emit_json(found)
        return
    show_table(
        ["experiment", "id", "made"],
        ([one.name, one.id, one.created_at] for one in found),
        empty='There is none yet. One is made by the first run: octavo.run("name", experiment="...")',
    )


def delete(run: RunId, json: Json = False) -> None:
    """Put a run away: it is not listed any more, and can be restored.

    The run that made a model version stays: it is the version's record.

    \b
    Example:
      octavo runs delete 7a6d40

    \b
    Next:
      octavo runs --deleted
    """
    gone: Run = ask(DeleteRun(run=run))
    if json:
        emit_json(gone)
        return
    say(f"Run {plain(gone.id)} is put away. Have it back: octavo runs restore {gone.id}")


def restore(run: RunId, json: Json = False) -> None:
    """Have a run back that was put away.

    \b
    Example:
      octavo runs restore 7a6d40

    \b
    Next:
      octavo runs show ID
    """
    back: Run = ask(RestoreRun(run=run))
    if json:
        emit_json(back)
        return
    say(f"Run {plain(back.id)} is back.")
