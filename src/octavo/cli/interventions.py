"""deployments approve, reject, hold, resume, advance, stop and start: what people do about what is under way."""

from typing import Annotated

import typer

from octavo.cli.options import Deployment, Json
from octavo.cli.output import emit_json, plain, say, show_table
from octavo.cli.session import Session, ask, open_session
from octavo.errors import InvalidRequest
from octavo.release.intervention_operations import (
    AdvanceRelease,
    ApproveRelease,
    HoldRelease,
    ListApprovals,
    PendingApproval,
    RejectRelease,
    ResumeRelease,
    StartDeployment,
    StopDeployment,
)
from octavo.release.operations import DeploymentSummary, ListDeployments
from octavo.release.releases import Release, ReleaseState

Id = Annotated[str, typer.Argument(metavar="ID", help="The release's id.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is kept.")]
NeededWhy = Annotated[str, typer.Option("--reason", help="Why; it is kept, and needed.")]


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    for command in (approvals, approve, reject, hold, resume, advance, stop, start):
        commands.command()(command)


def approvals(
    deployment: Annotated[str | None, typer.Option(help="Only of this deployment.")] = None, json: Json = False
) -> None:
    """Show the releases that wait for people, whose word they need, and what they go by.

    \b
    Example:
      octavo deployments approvals

    \b
    Next:
      octavo deployments approve ID --note "checked the slices"
      octavo deployments reject ID --reason "worse in the south"
    """
    found: tuple[PendingApproval, ...] = ask(ListApprovals(deployment=deployment))
    if json:
        emit_json(found)
        return
    show_table(
        ["release", "what", "needs", "?lacks", "?approved by", "?not by", "?gates", "?until"],
        (
            [
                one.release.id,
                f"{one.release.model} {one.release.version} to {one.release.deployment}",
                one.needs,
                one.lacking,
                tuple(word.by for word in one.given),
                one.authors,
                f"{sum(gate.passed for gate in one.gates)} of {len(one.gates)} passed",
                one.until,
            ]
            for one in found
        ),
        empty="No release waits for anybody. See what is under way: octavo deployments",
    )


def approve(
    release: Id, note: Annotated[str, typer.Option(help="What you looked at.")] = "", json: Json = False
) -> None:
    """Approve a release that waits for people; it goes on once it has all that it needs.

    Whoever asked for it, or had the version made, cannot approve it, by whatever token. `octavo deployments approvals`
    tells the ids.

    \b
    Example:
      octavo deployments approve 0198a3f2-7c11-7d3a-9c55-1f0e2b7a6d40

    \b
    Next:
      octavo deployments show NAME
    """
    approved: Release = ask(ApproveRelease(release=release, note=note))
    if json:
        emit_json(approved)
    elif approved.state is ReleaseState.APPROVED:
        say(f"Approved: {approved.model} {approved.version} goes on to {approved.deployment}.")
    else:
        say(f"Your word is kept: {plain(approved.history[-1].reason)}.")


def reject(release: Id, reason: NeededWhy, json: Json = False) -> None:
    """Reject a release that waits for people.

    \b
    Example:
      octavo deployments reject ID --reason "worse in the south"

    \b
    Next:
      octavo deployments
    """
    rejected: Release = ask(RejectRelease(release=release, reason=reason))
    if json:
        emit_json(rejected)
        return
    say(f"Rejected: {rejected.model} {rejected.version} does not come to {rejected.deployment}.")


def hold(deployment: Deployment, reason: Why = "", json: Json = False) -> None:
    """Hold the release in progress: it stays at its step, with the traffic that it has.

    Guards still take it back, and so does a rollback. The time that it is held does not count as watched.

    \b
    Example:
      octavo deployments hold eta --reason "it is Friday"

    \b
    Next:
      octavo deployments resume eta
    """
    held: Release = ask(HoldRelease(deployment=deployment, reason=reason))
    if json:
        emit_json(held)
        return
    say(f"Held: {held.model} {held.version} stays {_at(held)} in {deployment}.")


def resume(deployment: Deployment, reason: Why = "", json: Json = False) -> None:
    """Resume a release that was held.

    \b
    Example:
      octavo deployments resume eta

    \b
    Next:
      octavo deployments show eta
    """
    resumed: Release = ask(ResumeRelease(deployment=deployment, reason=reason))
    if json:
        emit_json(resumed)
        return
    say(f"Resumed: {resumed.model} {resumed.version} goes on from {_at(resumed)} in {deployment}.")


def advance(deployment: Deployment, reason: Why = "", json: Json = False) -> None:
    """Have the release in progress take its next step now, whether the time of this one is over or not.

    Where the rollout says bake="manual" each step waits for this.

    \b
    Example:
      octavo deployments advance eta --reason "the desk is content"

    \b
    Next:
      octavo deployments show eta
    """
    advanced: Release = ask(AdvanceRelease(deployment=deployment, reason=reason))
    if json:
        emit_json(advanced)
        return
    say(f"Advanced: {advanced.model} {advanced.version} is {_at(advanced)} in {deployment}.")


def stop(
    reason: NeededWhy,
    deployment: Annotated[str | None, typer.Argument(metavar="DEPLOYMENT", help="Its name.")] = None,
    model: Annotated[str | None, typer.Option(help="All deployments of this model instead.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All deployments of the project instead.")] = False,
    json: Json = False,
) -> None:
    """Stop a deployment: no model of it is asked, until it is started again.

    Callers get the constant that it declares (on_stop), or a 503 that says that it is stopped, and why. It works at
    once and needs no worker, outlives restarts, and is undone by nothing but `octavo deployments start`.

    \b
    Examples:
      octavo deployments stop eta --reason "wrong units since noon"
      octavo deployments stop --model arrival_delay --reason "a poisoned feed"
      octavo deployments stop --all --reason "a poisoned feed"

    \b
    Next:
      octavo deployments start eta
    """
    with open_session() as session:
        chosen = _chosen(session, deployment, model=model, everything=everything)
        stopped = [session.call(StopDeployment(deployment=name, reason=reason)) for name in chosen]
    if json:
        emit_json(stopped if deployment is None else stopped[0])
        return
    for name in chosen:
        say(f"Stopped: {name} asks no model until: octavo deployments start {name}")
    if not chosen:
        say("There is nothing that is not stopped already.")


def start(deployment: Deployment, reason: Why = "", json: Json = False) -> None:
    """Start a deployment that was stopped; a release that was in progress goes on.

    \b
    Example:
      octavo deployments start eta --reason "the feed is mended"

    \b
    Next:
      octavo deployments show eta
    """
    summary: DeploymentSummary = ask(StartDeployment(deployment=deployment, reason=reason))
    if json:
        emit_json(summary)
        return
    say(f"Started: {deployment} serves {summary.state.model} {summary.state.live or '-'}.")


def _chosen(session: Session, deployment: str | None, *, model: str | None, everything: bool) -> list[str]:
    """The deployments that are meant; of many those that are not stopped already."""
    if [deployment is not None, model is not None, everything].count(True) != 1:
        raise InvalidRequest("name a deployment, or --model, or --all", field="deployment", fix="say one of them")
    if deployment is not None:
        return [deployment]
    if model is not None:
        session.context.project.model(model)
    found: tuple[DeploymentSummary, ...] = session.call(ListDeployments())
    states = [one.state for one in found if one.state.stopped is None]
    return [state.deployment for state in states if everything or state.model == model]


def _at(release: Release) -> str:
    """Where a release is: ``in shadow``, ``a canary of 10 %``, ``waiting for approval``."""
    match release.state:
        case ReleaseState.SHADOW:
            return "in shadow"
        case ReleaseState.CANARY:
            return f"a canary of {release.percent} %"
        case _:
            return release.state.replace("_", " ")
