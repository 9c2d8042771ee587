"""sweep: search good hyperparameters of a model."""

from typing import Annotated

import typer

from octavo.cli.materialize import bring_up_to_date
from octavo.cli.measures import duration, number
from octavo.cli.options import Json, Model
from octavo.cli.output import emit_json, note, plain, say, show_table
from octavo.cli.params import pairs_of
from octavo.cli.session import ask, open_session, progress_bar
from octavo.cli.trained import show_trained
from octavo.config import config_here
from octavo.loop.sweeps import SweepModel, SweptModel
from octavo.stores.ownership import online_lock
from octavo.training.runs import Run, RunStatus
from octavo.training.sweeps import SWEEP, SweepDone, Trial
from octavo.training.tracking.operations import ListRuns

_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sweep)


def sweep(
    model: Model,
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=RANGE", help="Where a hyperparameter is searched; may be given several times."),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="How many are tried; as declared, or 50.")] = None,
    metric: Annotated[str | None, typer.Option(help="By which they are judged; as declared, or the first.")] = None,
    timeout: Annotated[str | None, typer.Option(help="What a trial may take, such as 10m.")] = None,
    prune: Annotated[
        bool | None, typer.Option("--prune", help="End trials that report to be worse than most before.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed tries the same, one trial at a time.")] = None,
    parallel: Annotated[int, typer.Option(min=1, help="How many trials run at a time.")] = 1,
    resume: Annotated[str, typer.Option(metavar="ID", help="Go on with a sweep that was interrupted.")] = "",
    no_train: Annotated[bool, typer.Option("--no-train", help="Only search; train no version.")] = False,
    release: Annotated[
        bool, typer.Option("--release", help="Release the version to the model's deployments, if it passes its gates.")
    ] = False,
    json: Json = False,
) -> None:
    """Search good hyperparameters of a model, and train a version by the best ones.

    A hyperparameter is an argument of the training function with a default. A range is int:2..10, float:0.01..0.3,
    float:1e-4..1:log or choice:gbdt,dart. Each trial is a run in a process of its own: it learns from the rows before
    the stretch that lies before the held-out rows, and is judged by that stretch, so that the rows by which the version
    will be judged are never seen. Interrupted, a sweep can be gone on with: no trial is lost.

    \b
    Examples:
      octavo sweep arrival_delay --param depth=int:2..10 --trials 30
      octavo sweep arrival_delay --parallel 2 --release
      octavo sweep arrival_delay --resume 2b7a6d40

    \b
    Next:
      octavo runs show ID
    """
    asked = SweepModel(
        model=model,
        params=pairs_of(param),
        trials=trials,
        metric=metric,
        timeout=timeout,
        prune=prune,
        seed=seed,
        parallel=parallel,
        resume=resume,
        train=not no_train,
        release=release,
    )
    if not online_lock(config_here()).is_taken():
        bring_up_to_date()
    try:
        with open_session() as session, progress_bar() as report:
            swept: SweptModel = session.call(asked, progress=report)
    except KeyboardInterrupt:
        _note_how_to_go_on(model)
        raise
    if json:
        emit_json(swept)
        return
    _show(swept.sweep)
    if swept.trained is not None:
        show_trained(swept.trained, done="trained by the best parameters")


def _note_how_to_go_on(model: str) -> None:
    newest: tuple[Run, ...] = ask(ListRuns(where=f"tags.`{SWEEP}` = '{model}'", limit=1))
    if newest and newest[0].status is RunStatus.KILLED:
        note(f"what was tried is kept; go on with: octavo sweep {plain(model)} --resume {newest[0].id}")


def _show(done: SweepDone) -> None:
    best = done.best
    say(f"Best of {len(done.trials)} trials: {done.metric} {number(best.value or 0.0)} by {plain(_params(best))}.")
    known = sorted(done.trials, key=lambda trial: (trial.value is None, _rank(done, trial), trial.number))
    show_table(
        ["trial", f">{done.metric}", "parameters", "?status", "?>took"],
        ([t.number, t.value, _params(t), _status(t), duration(t.seconds)] for t in known[:_SHOWN]),
        empty="",
    )
    if len(known) > _SHOWN:
        say(f"and {len(known) - _SHOWN} more: octavo runs show {done.run.id}")


def _rank(done: SweepDone, trial: Trial) -> float:
    """Smaller is better, as the best one is known."""
    return abs((trial.value or 0.0) - (done.best.value or 0.0))


def _params(trial: Trial) -> str:
    return ", ".join(f"{name}={value}" for name, value in trial.params.items())


def _status(trial: Trial) -> str:
    return "pruned" if trial.pruned else str(trial.status)
