"""train: from what is known now to a model version."""

from typing import Annotated

import typer

from octavo.cli.materialize import bring_up_to_date
from octavo.cli.options import Json, Model
from octavo.cli.output import emit_json
from octavo.cli.session import open_session, progress_bar
from octavo.cli.trained import show_trained
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
    show_trained(trained, done=f"trained on {trained.run.rows:,} rows")
