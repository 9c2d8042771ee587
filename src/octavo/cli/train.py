"""train: from what is known now to a model version."""

from typing import Annotated

import typer

from octavo.cli.materialize import bring_up_to_date
from octavo.cli.options import Json, Model
from octavo.cli.output import emit_json, say
from octavo.cli.params import Params, pairs_of
from octavo.cli.session import open_session, progress_bar
from octavo.cli.times import parse_time
from octavo.cli.trained import show_trained
from octavo.config import config_here
from octavo.errors import GateFailed
from octavo.loop.operations import TrainedVersion, TrainModel
from octavo.loop.steps import RunStep
from octavo.stores.ownership import online_lock
from octavo.training.runs import Run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(train)


def train(
    model: Model,
    release: Annotated[
        bool, typer.Option("--release", help="Release the version to the model's deployments, if it passes its gates.")
    ] = False,
    param: Params = None,
    as_of: Annotated[str | None, typer.Option(help="Only what was known before this moment; now unless given.")] = None,
    once: Annotated[
        str, typer.Option(help="What it is done for: what an earlier training for the same has made is taken.")
    ] = "",
    step: Annotated[
        int | None,
        typer.Option(min=0, help="Only run this step of it, from 0, as a scheduler does; a training takes its result."),
    ] = None,
    gates: Annotated[
        bool, typer.Option("--gates", help="It is an error if the version does not pass its gates.")
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
      octavo train arrival_delay --param depth=8 --param rate=0.05
      octavo train arrival_delay --as-of 2013-07-09T00:00:00Z --once nightly

    \b
    Next:
      octavo models version arrival_delay 1
      octavo deployments release eta
    """
    asked: TrainModel | RunStep = TrainModel(
        model=model, release=release, params=pairs_of(param), as_of=parse_time(as_of, option="as-of"), once=once
    )
    if step is not None:
        asked = RunStep(model=model, step=step, params=asked.params, as_of=asked.as_of, once=once)
    if not online_lock(config_here()).is_taken():
        bring_up_to_date()
    with open_session() as session, progress_bar() as report:
        made: TrainedVersion | Run = session.call(asked, progress=report)
    if json:
        emit_json(made)
    elif isinstance(made, Run):
        say(f"Step {step} of {model} is done: octavo runs show {made.id}")
    else:
        show_trained(made, done=f"trained on {made.run.rows:,} rows")
    if gates and isinstance(made, TrainedVersion) and not made.version.passed:
        failed = ", ".join(result.gate for result in made.version.gates if not result.passed)
        raise GateFailed(f"{model} {made.version.version} did not pass {failed}")
