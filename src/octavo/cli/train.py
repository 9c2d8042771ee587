"""train: from what is known now to a model version."""

from typing import Annotated

import typer

from octavo.cli.materialize import bring_up_to_date
from octavo.cli.measures import duration, number
from octavo.cli.models import show_gates
from octavo.cli.options import Json, Model
from octavo.cli.output import emit_json, plain, say
from octavo.cli.session import open_session, progress_bar
from octavo.loop.operations import TrainedVersion, TrainModel
from octavo.stores.ownership import online_lock
from octavo.wiring import config_here


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(train)


def train(
    model: Model,
    release: Annotated[
        bool, typer.Option("--release", help="Release the version to the model's deployments, if it passes its gates.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a model, judge it by its gates and register it as a version.

    The training set holds each case with its features as they were known when its decision was made. The last part of
    it, in time, is held out: the metrics, the baselines and the gates are judged by that part. The version is packed,
    signed and kept whether it passes or not; one that fails a gate cannot be released.

    \b
    Examples:
      octavo train arrival_delay
      octavo train arrival_delay --release

    \b
    Next:
      octavo models version arrival_delay 1
      octavo deployments release eta
    """
    if not online_lock(config_here()).is_taken():
        bring_up_to_date()
    with open_session() as session, progress_bar() as report:
        trained: TrainedVersion = session.call(TrainModel(model=model, release=release), progress=report)
    if json:
        emit_json(trained)
        return
    _show(trained)


def _show(trained: TrainedVersion) -> None:
    version, run = trained.version, trained.run
    metrics = ", ".join(f"{name} {number(value)}" for name, value in version.metrics.items())
    say(
        f"[bold]{version.model} {version.version}[/] was trained on {run.rows:,} rows in {duration(run.seconds)}; "
        f"held out: {metrics}."
    )
    show_gates(version.gates)
    for warning in trained.warnings:
        say(f"[yellow]Warning:[/] {plain(warning)}")
    say(f"Next: {_next(trained)}")


def _next(trained: TrainedVersion) -> str:
    version = trained.version
    if trained.release is not None:
        return "octavo deployments (the worker, octavo up, takes the release through its steps)"
    return f"octavo models version {version.model} {version.version}"
