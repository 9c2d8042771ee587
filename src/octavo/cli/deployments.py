"""deployments: what serves, and how versions come and go."""

from typing import Annotated

import typer

from octavo.cli.output import Json, emit_json, say, show_table
from octavo.cli.session import open_session
from octavo.release.operations import (
    ApproveRelease,
    DeploymentDetails,
    DeploymentSummary,
    ListDeployments,
    RollBack,
    ShowDeployment,
    StartRelease,
)
from octavo.release.releases import Release

Name = Annotated[str, typer.Argument(help="The deployment.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    commands = typer.Typer(invoke_without_command=True, help="What serves, and how versions come and go.")
    commands.callback()(overview)
    commands.command()(show)
    commands.command()(release)
    commands.command()(approve)
    commands.command()(rollback)
    app.add_typer(commands, name="deployments")


def overview(context: typer.Context, json: Json = False) -> None:
    """What serves, and how versions come and go. Without a command: all deployments."""
    if context.invoked_subcommand is not None:
        return
    summaries: tuple[DeploymentSummary, ...] = open_session().call(ListDeployments())
    if json:
        emit_json(summaries)
        return
    show_table(
        ["deployment", "model", ">live", "traffic", "release in progress"],
        ([s.state.deployment, s.state.model, s.state.live, _traffic(s), _progress(s.release)] for s in summaries),
        empty="No deployment yet. Declare one with oc.Deployment and put it into force: octavo apply",
    )


def show(deployment: Name, json: Json = False) -> None:
    """A deployment: its traffic, its rollout, and every release with its history."""
    details: DeploymentDetails = open_session().call(ShowDeployment(deployment=deployment))
    if json:
        emit_json(details)
        return
    state = details.summary.state
    say(
        f"[bold]{state.deployment}[/] serves {state.model} {state.live or '-'}; {_traffic(details.summary) or 'no traffic'}"
    )
    show_table(
        ["version", "state", "since", "why"],
        ([r.version, r.state.replace("_", " "), t.at, t.reason] for r in details.releases for t in reversed(r.history)),
        empty=f"Nothing was released yet. Release the newest version: octavo deployments release {deployment}",
    )


def release(
    deployment: Name,
    version: Annotated[
        int | None, typer.Option(help="The version; the newest that passed its gates unless given.")
    ] = None,
    json: Json = False,
) -> None:
    """Release a version: verified, approved, shadow, canary steps, live. The worker (octavo up) takes the steps."""
    started: Release = open_session().call(StartRelease(deployment=deployment, version=version))
    if json:
        emit_json(started)
        return
    say(f"Releasing {started.model} {started.version} to {deployment}. Follow it: octavo deployments show {deployment}")


def approve(release: Annotated[str, typer.Argument(help="The release's id.")], json: Json = False) -> None:
    """Approve a release that waits for a person."""
    approved: Release = open_session().call(ApproveRelease(release=release))
    emit_json(approved) if json else say(
        f"Approved: {approved.model} {approved.version} goes on to {approved.deployment}."
    )


def rollback(
    deployment: Name,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    json: Json = False,
) -> None:
    """End the release in progress, or return to the version before the live one. Needs no worker."""
    summary: DeploymentSummary = open_session().call(RollBack(deployment=deployment, reason=reason))
    emit_json(summary) if json else say(f"{deployment} serves {summary.state.model} {summary.state.live or '-'}.")


def _traffic(summary: DeploymentSummary) -> str:
    return ", ".join(f"{arm.role} {arm.version}" + (f" {arm.percent} %" if arm.percent else "") for arm in summary.arms)


def _progress(release: Release | None) -> str:
    return (
        "" if release is None else f"version {release.version}: {release.state.replace('_', ' ')} {release.percent} %"
    )
