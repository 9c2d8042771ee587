"""models import: from a model directory of MLflow to a model version."""

from pathlib import Path
from typing import Annotated

import typer

from octavo.cli.materialize import bring_up_to_date
from octavo.cli.options import Json
from octavo.cli.output import emit_json
from octavo.cli.session import open_session, progress_bar
from octavo.cli.trained import show_trained
from octavo.config import config_here
from octavo.loop.imports import ImportModel
from octavo.loop.operations import TrainedVersion
from octavo.registry.formats.mlflow import read_directory
from octavo.stores.ownership import online_lock


def import_(
    path: Annotated[str, typer.Argument(metavar="PATH", help="The directory that MLflow's save_model wrote.")],
    model: Annotated[str, typer.Option("--model", help="The declared model that it becomes a version of.")],
    release: Annotated[
        bool, typer.Option("--release", help="Release the version to the model's deployments, if it passes its gates.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a version of a model that MLflow saved, judged like one that was trained here.

    Its columns must be the model's inputs, in their order. Flavours: sklearn, lightgbm, xgboost, catboost, onnx and
    pytorch, kept without pickles (serialization_format="skops", of pytorch "pt2").

    \b
    Example:
      octavo models import ./mlruns/1/models/m-1/artifacts --model arrival_delay

    \b
    Next:
      octavo models version arrival_delay 1
      octavo deployments release eta
    """
    config = config_here()
    files = read_directory(Path(path))
    if not online_lock(config).is_taken():
        bring_up_to_date()
    with open_session() as session, progress_bar() as report:
        made: TrainedVersion = session.call(ImportModel(model=model, files=files, release=release), progress=report)
    if json:
        emit_json(made)
        return
    show_trained(made, done="imported and judged")
