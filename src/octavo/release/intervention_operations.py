"""What people and programs can do about releases in progress, and to stop and start deployments."""

from dataclasses import dataclass
from datetime import datetime

from octavo.operations import Context, Operations
from octavo.registry.versions import GateResult, ModelVersion
from octavo.release import interventions
from octavo.release.approvals import counted, lacking, policy_of
from octavo.release.lifecycle import deployment_state
from octavo.release.operations import DeploymentSummary, summary_of
from octavo.release.publish import publish_current
from octavo.release.releases import Approval, DeploymentState, Release, ReleaseState

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveRelease:
    """Approve a release that waits for people."""

    release: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectRelease:
    """Reject a release that waits for people."""

    release: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListApprovals:
    """The releases that wait for people."""

    deployment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRelease:
    """Have a deployment's release in progress stay at its step."""

    deployment: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRelease:
    """Have a held release go on."""

    deployment: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceRelease:
    """Have a release leave the stage that it is in now."""

    deployment: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDeployment:
    """Have no model of a deployment asked any more."""

    deployment: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartDeployment:
    """Have the models of a stopped deployment asked again."""

    deployment: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingApproval:
    """A release that waits for people, and what they go by.

    Attributes
    ----------
    needs, lacking : str
        Whose word it needs, and whose it still lacks, in words.
    given : tuple of Approval
        Those that count now.
    authors : tuple of str
        Who cannot approve it, because they asked for it or had it made.
    live : int or None
        The version that it would replace.
    """

    release: Release
    tier: str
    needs: str
    lacking: str
    given: tuple[Approval, ...]
    authors: tuple[str, ...]
    until: datetime | None
    live: int | None
    digest: str
    metrics: dict[str, float]
    gates: tuple[GateResult, ...]


@operations.operation("releases.approve", request=ApproveRelease, permission="releases:approve", changes=True)
def approve(request: ApproveRelease, context: Context) -> Release:
    """Approve a release that waits for people."""
    return interventions.approve(context, request.release, note=request.note)


@operations.operation("releases.reject", request=RejectRelease, permission="releases:approve", changes=True)
def reject(request: RejectRelease, context: Context) -> Release:
    """Reject a release that waits for people."""
    return interventions.reject(context, request.release, reason=request.reason)


@operations.operation("releases.approvals", request=ListApprovals, permission="releases:read")
def approvals(request: ListApprovals, context: Context) -> tuple[PendingApproval, ...]:
    """List the releases that wait for people, with what they go by."""
    waiting = context.transacted.find(Release, state=ReleaseState.WAITING_FOR_APPROVAL)
    wanted = context.project.deployments.keys() if request.deployment is None else {request.deployment}
    return tuple(_pending(context, one) for one in waiting if one.deployment in wanted)


@operations.operation("releases.hold", request=HoldRelease, permission="releases:write", changes=True)
def hold(request: HoldRelease, context: Context) -> Release:
    """Hold a release: it stays at its step, with the traffic that it has."""
    return interventions.hold(context, request.deployment, reason=request.reason)


@operations.operation("releases.resume", request=ResumeRelease, permission="releases:write", changes=True)
def resume(request: ResumeRelease, context: Context) -> Release:
    """Resume a held release."""
    return interventions.resume(context, request.deployment, reason=request.reason)


# Long operations, like a rollback: the manifest is published after the records are committed, without a worker.
@operations.operation("releases.advance", request=AdvanceRelease, permission="releases:write", changes=True, long=True)
def advance(request: AdvanceRelease, context: Context) -> Release:
    """Advance a release to its next step, whether the time of this one is over or not."""
    release = interventions.advance(context, request.deployment, reason=request.reason)
    publish_current(context, request.deployment)
    return release


@operations.operation("deployments.stop", request=StopDeployment, permission="releases:write", changes=True, long=True)
def stop(request: StopDeployment, context: Context) -> DeploymentSummary:
    """Stop a deployment: no model is asked any more, until it is started."""
    return _published(context, interventions.stop(context, request.deployment, reason=request.reason))


@operations.operation(
    "deployments.start", request=StartDeployment, permission="releases:write", changes=True, long=True
)
def start(request: StartDeployment, context: Context) -> DeploymentSummary:
    """Start a stopped deployment."""
    return _published(context, interventions.start(context, request.deployment, reason=request.reason))


def _published(context: Context, state: DeploymentState) -> DeploymentSummary:
    publish_current(context, state.deployment)
    with context.transaction() as tx:
        return summary_of(tx, state)


def _pending(context: Context, release: Release) -> PendingApproval:
    tx, now = context.transacted, context.clock.now()
    policy = policy_of(context.config, context.project.deployment(release.deployment))
    version = tx.get(ModelVersion, f"{release.model}/{release.version}")
    digest = version.digest if version else ""
    return PendingApproval(
        release=release,
        tier=policy.tier,
        needs=policy.words,
        lacking=lacking(policy, release, digest=digest, now=now),
        given=counted(release, digest=digest, now=now),
        authors=tuple(sorted({release.author, version.author if version else ""} - {""})),
        until=release.waits_until,
        live=deployment_state(tx, release.deployment).live,
        digest=digest,
        metrics=dict(version.metrics) if version else {},
        gates=version.gates if version else (),
    )
