"""deployments: what serves, and how versions come and go."""

from collections.abc import Iterator
from typing import Annotated

import typer

from octavo.cli import interventions
from octavo.cli.measures import duration
from octavo.cli.options import Deployment, Json
from octavo.cli.output import emit_json, plain, say, show_table
from octavo.cli.session import ask
from octavo.release.operations import (
    ArmView,
    DeploymentDetails,
    DeploymentSummary,
    ListDeployments,
    RollBack,
    ShowDeployment,
    StartRelease,
)
from octavo.release.releases import Release, ReleaseState
from octavo.release.shares import SHADOW


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    for command in (show, release, rollback):
        commands.command()(command)
    interventions.register(commands)
    app.add_typer(commands, name="deployments")


def overview(context: typer.Context, json: Json = False) -> None:
    """Show what serves; release versions, approve, hold, roll back, stop.

    \b
    Examples:
      octavo deployments
      octavo deployments release eta
      octavo deployments rollback eta --reason "worse on Mondays"
      octavo deployments stop eta --reason "wrong units since noon"

    \b
    Next:
      octavo deployments show NAME
      octavo monitor show NAME
    """
    if context.invoked_subcommand is not None:
        return
    summaries: tuple[DeploymentSummary, ...] = ask(ListDeployments())
    if json:
        emit_json(summaries)
        return
    show_table(
        ["deployment", "model", ">live", "traffic", "release in progress"],
        ([s.state.deployment, s.state.model, s.state.live, _traffic(s), _progress(s.release)] for s in summaries),
        empty="No deployment yet. Declare one with oc.Deployment and put it into force: octavo apply",
    )


def show(deployment: Deployment, json: Json = False) -> None:
    """Show a deployment: its traffic, its rollout, and every release with its history.

    \b
    Example:
      octavo deployments show eta

    \b
    Next:
      octavo monitor show eta
      octavo deployments rollback eta
    """
    details: DeploymentDetails = ask(ShowDeployment(deployment=deployment))
    if json:
        emit_json(details)
        return
    state = details.summary.state
    live = "has no live version yet" if state.live is None else f"serves {state.model} {state.live}"
    say(f"[bold]{state.deployment}[/] {live}; traffic: {_traffic(details.summary) or 'none'}.")
    if state.stopped is not None:
        stopped, since = state.stopped, f"{state.stopped.at:%Y-%m-%d %H:%M}"
        say(f"It is stopped since {since} by {stopped.by} ({plain(stopped.reason)}): no model is asked.")
        say(f"Once that is mended: octavo deployments start {deployment}")
    say(f"A release goes through {_rollout(details)}.")
    if details.summary.experiment is not None:
        say(f"The experiment {details.summary.experiment.name} runs: octavo experiments show {deployment}")
    under_way = details.summary.release
    if under_way is not None and under_way.state is ReleaseState.WAITING_FOR_APPROVAL:
        say(f"Version {under_way.version} waits for {details.approval}: octavo deployments approve {under_way.id}")
    if under_way is not None and under_way.held:
        say(f"The release of version {under_way.version} is held: octavo deployments resume {deployment}")
    say("")
    show_table(
        ["version", "state", "since", "why"],
        (row for release in details.releases for row in _history(release)),
        empty=f"Nothing was released yet. Release the newest version: octavo deployments release {deployment}",
    )


def release(
    deployment: Deployment,
    version: Annotated[
        int | None, typer.Option(help="The version; the newest that passed its gates unless given.")
    ] = None,
    json: Json = False,
) -> None:
    """Release a version: verified, approved, shadow, canary steps, live.

    The worker (octavo up) takes the steps, and takes the release back if errors, latency or drift tell against it.

    \b
    Examples:
      octavo deployments release eta
      octavo deployments release eta --version 3

    \b
    Next:
      octavo deployments show eta
    """
    started: Release = ask(StartRelease(deployment=deployment, version=version))
    if json:
        emit_json(started)
        return
    say(f"Releasing {started.model} {started.version} to {deployment}. Follow it: octavo deployments show {deployment}")


def rollback(
    deployment: Deployment,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    json: Json = False,
) -> None:
    """End the release in progress, or return to the version before the live one.

    It works at once and needs no worker.

    \b
    Example:
      octavo deployments rollback eta --reason "worse on Mondays"

    \b
    Next:
      octavo deployments show eta
    """
    summary: DeploymentSummary = ask(RollBack(deployment=deployment, reason=reason))
    if json:
        emit_json(summary)
        return
    say(f"{deployment} serves {summary.state.model} {summary.state.live or '-'}.")


def _history(release: Release) -> Iterator[list[object]]:
    """What happened to a release, the newest first."""
    for step in reversed(release.history):
        state = step.what or step.state.replace("_", " ")
        has_share = step.percent and not step.what
        yield [release.version, f"{state} {step.percent} %" if has_share else state, step.at, step.reason]
    yield [release.version, "requested", release.requested_at, f"asked for by {release.cause}"]


def _traffic(summary: DeploymentSummary) -> str:
    arms = ", ".join(_arm(arm) for arm in summary.arms)
    return f"stopped ({arms})" if summary.state.stopped is not None else arms


def _arm(arm: ArmView) -> str:
    name = arm.group or arm.role
    if arm.role == SHADOW:
        return f"{name} {arm.version}" + (f" of {arm.sample:g} %" if arm.sample < 100 else "")
    return f"{name} {arm.version}" + (f" {arm.percent:g} %" if arm.percent else "")


def _progress(release: Release | None) -> str:
    if release is None:
        return ""
    held = ", held" if release.held else ""
    return f"version {release.version}: {release.state.replace('_', ' ')} {release.percent} %{held}"


def _rollout(details: DeploymentDetails) -> str:
    sampled = details.shadow_steps != (100,)
    shares = f" of {', '.join(map(str, details.shadow_steps))} % of the predictions" if sampled else ""
    shadow = [f"{duration(details.shadow_s)} in shadow{shares}"] if details.shadow_s else []
    each = "until a person has each go on" if details.bake_s is None else f"{duration(details.bake_s)} each"
    steps = [f"{', '.join(str(step) for step in details.steps)} % of the traffic, {each}"]
    return ", then ".join(shadow + steps)
