"""experiments: versions compared on the traffic itself."""

from typing import Annotated

import typer

from octavo.cli.measures import duration, interval
from octavo.cli.options import Deployment, Json, Limit
from octavo.cli.output import emit_json, plain, say, show_facts, show_table
from octavo.cli.session import ask
from octavo.errors import InvalidRequest
from octavo.monitoring.experiments import ArmResult, ExperimentReport
from octavo.monitoring.operations import ShowExperiment
from octavo.release.experiment_operations import (
    ListExperiments,
    PromoteExperiment,
    StartExperiment,
    StopExperiment,
)
from octavo.release.experiments import StartedExperiment

_COUNTED = ("arm", ">version", ">share", ">units", ">predictions", ">failed", ">outcomes")
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    for command in (start, show, stop, promote):
        commands.command()(command)
    app.add_typer(commands, name="experiments")


def overview(
    context: typer.Context,
    deployment: Annotated[str | None, typer.Option(help="Only those of this deployment.")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """Compare versions on the traffic itself: start, see and end experiments.

    A deployment declares its experiments: oc.Experiment("faster", arms={"control": 50, "challenger": 50}). Each unit
    (the deployment's `unit`, such as a customer) keeps its arm as long as the experiment lives. The control keeps the
    version that is live at the start.

    \b
    Examples:
      octavo experiments
      octavo experiments start eta faster --arm challenger=7
      octavo experiments show eta
      octavo experiments promote eta challenger --reason "0.4 minutes better"

    \b
    Next:
      octavo experiments show DEPLOYMENT
    """
    if context.invoked_subcommand is not None:
        return
    found: tuple[StartedExperiment, ...] = ask(ListExperiments(deployment=deployment, limit=limit))
    if json:
        emit_json(found)
        return
    show_table(
        ["deployment", "experiment", "state", "since", "due", "arms", "?why it ended"],
        ([e.deployment, e.name, e.state, e.started_at, e.due_at, _arms(e), e.reason] for e in found),
        empty="No experiment was started yet. Declare one with oc.Experiment, apply, and start it: "
        "octavo experiments start DEPLOYMENT NAME",
    )


def start(
    deployment: Deployment,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The experiment, as the deployment declares it.")],
    arm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VERSION",
            help="The version of an arm, for each beside the control; the newest that passed its gates unless given.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Start an experiment that the deployment declares.

    One runs at a time. Releases go on among the units that its arms leave; where they leave none, releases are refused
    until it has ended.

    \b
    Examples:
      octavo experiments start eta faster
      octavo experiments start eta faster --arm challenger=7

    \b
    Next:
      octavo experiments show eta
    """
    started: StartedExperiment = ask(
        StartExperiment(deployment=deployment, name=name, versions=dict(_version(one) for one in arm or ()))
    )
    if json:
        emit_json(started)
        return
    say(f"Started {started.name} in {deployment}: {_arms(started)}.")
    say(f"It can be judged on {started.due_at:%Y-%m-%d %H:%M}. Follow it: octavo experiments show {deployment}")


def show(
    deployment: Deployment,
    id: Annotated[str | None, typer.Option(help="Of an earlier experiment, by its id.")] = None,
    json: Json = False,
) -> None:
    """Show how the arms of an experiment did, by the outcomes known by now.

    The mean outcome and the model's metric of each arm, and how far they lie above the control's, with 95 % intervals.
    They are made for one look when the declared length is over: stopping at the first difference finds one too often.

    \b
    Example:
      octavo experiments show eta

    \b
    Next:
      octavo experiments promote eta ARM
      octavo experiments stop eta
    """
    report: ExperimentReport = ask(ShowExperiment(deployment=deployment, experiment=id))
    if json:
        emit_json(report)
        return
    _show(report)


def stop(deployment: Deployment, reason: Reason = "", json: Json = False) -> None:
    """Stop the experiment that runs: the live version answers its units again.

    It works at once and needs no worker.

    \b
    Example:
      octavo experiments stop eta --reason "no difference after two weeks"

    \b
    Next:
      octavo deployments show eta
    """
    stopped: StartedExperiment = ask(StopExperiment(deployment=deployment, reason=reason))
    if json:
        emit_json(stopped)
        return
    say(f"Stopped {stopped.name} in {deployment}.")


def promote(
    deployment: Deployment,
    arm: Annotated[str, typer.Argument(metavar="ARM", help="Whose version becomes the live one.")],
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Make the version of an arm the live one, and end the experiment.

    The version answers everything at once, without shadow and canary: it has answered its share already. A rollback
    returns to the version before.

    \b
    Example:
      octavo experiments promote eta challenger --reason "0.4 minutes better"

    \b
    Next:
      octavo deployments show eta
    """
    promoted: StartedExperiment = ask(PromoteExperiment(deployment=deployment, arm=arm, reason=reason))
    if json:
        emit_json(promoted)
        return
    [chosen] = [one for one in promoted.arms if one.name == arm]
    say(f"{deployment} serves {chosen.model} {chosen.version}; {promoted.name} has ended.")


def _version(given: str) -> tuple[str, int]:
    name, _, number = given.partition("=")
    if not name or not number.isdecimal():
        raise InvalidRequest(f"{given!r} gives no arm a version", field="arm", fix="write it as in challenger=7")
    return name, int(number)


def _arms(experiment: StartedExperiment) -> str:
    return ", ".join(f"{arm.name} {arm.version} {arm.percent:g} %" for arm in experiment.arms)


def _show(report: ExperimentReport) -> None:
    experiment = report.experiment
    served = (
        "not taken up by the predictor yet"
        if experiment.served_at is None
        else f"{experiment.served_at:%Y-%m-%d %H:%M}"
    )
    show_facts(
        [
            ("experiment", f"{experiment.name} in {experiment.deployment}, {experiment.state}"),
            ("served since", served),
            ("due", f"{experiment.due_at:%Y-%m-%d %H:%M}, {duration(_length_s(experiment))} after its start"),
            ("unit", experiment.unit or "each prediction"),
            ("ended", experiment.reason),
        ]
    )
    say("")
    metric = report.metric or "metric"
    show_table(
        [*_COUNTED, "mean outcome", "above control", metric, "?above control"],
        (_arm_row(arm) for arm in report.arms),
        empty="It has no arms.",
    )
    say("")
    if report.mismatch:
        say(f"[bold red]{plain(report.mismatch[:1].upper() + report.mismatch[1:])}.[/]")
    say(f"{plain(report.caution)}.")


def _arm_row(arm: ArmResult) -> list[object]:
    counts = [f"{count:,}" for count in (arm.units, arm.predictions, arm.failed, arm.outcomes)]
    measured = [arm.outcome, arm.outcome_difference, arm.metric, arm.metric_difference]
    return [arm.name, arm.version, f"{arm.percent:g} %", *counts, *map(interval, measured)]


def _length_s(experiment: StartedExperiment) -> float:
    return (experiment.due_at - experiment.started_at).total_seconds()
