"""What people and programs can do with releases and deployments."""

from dataclasses import dataclass

from octavo.errors import InvalidRequest, NotFound
from octavo.operations import Context, Operations
from octavo.registry.versions import ModelVersion
from octavo.release import lifecycle
from octavo.release.publish import arms_of, publish_current
from octavo.release.releases import DeploymentState, Release

operations = Operations()
_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRelease:
    """Release a version; the newest that passed its gates unless one is named."""

    deployment: str
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveRelease:
    """Approve a release that waits for a person."""

    release: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBack:
    """End a deployment's release in progress, or return to the version before the live one."""

    deployment: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReleases:
    """Releases, the newest first."""

    deployment: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowRelease:
    release: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDeployments:
    """All deployments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowDeployment:
    deployment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmView:
    """A version's part of a deployment's traffic."""

    role: str
    version: int
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSummary:
    """What a deployment serves, and the release in progress."""

    state: DeploymentState
    arms: tuple[ArmView, ...]
    release: Release | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentDetails:
    """A deployment with its releases, the newest first.

    Attributes
    ----------
    steps : tuple of int
        The percentages that a rollout goes through.
    """

    summary: DeploymentSummary
    releases: tuple[Release, ...]
    steps: tuple[int, ...]
    shadow_s: int
    bake_s: int
    approval: str


@operations.operation("releases.start", request=StartRelease, permission="releases:write", changes=True)
def start(request: StartRelease, context: Context) -> Release:
    """Release a model version to a deployment."""
    model = context.project.deployment(request.deployment).model.name
    version = _newest_passed(context, model) if request.version is None else request.version
    return lifecycle.request(context, request.deployment, version=version, cause=context.principal.name)


@operations.operation("releases.approve", request=ApproveRelease, permission="releases:approve", changes=True)
def approve(request: ApproveRelease, context: Context) -> Release:
    """Approve a release that waits for a person."""
    return lifecycle.approve(context, request.release)


# A long operation: the manifest is published after the records are committed, so that it works without a worker.
@operations.operation("releases.rollback", request=RollBack, permission="releases:write", changes=True, long=True)
def roll_back(request: RollBack, context: Context) -> DeploymentSummary:
    """Roll a deployment back."""
    reason = f"rolled back by {context.principal.name}" + (f": {request.reason}" if request.reason else "")
    state = lifecycle.roll_back(context, request.deployment, reason=reason)
    publish_current(context, request.deployment)
    return _summary(state, None)


@operations.operation("releases.list", request=ListReleases, permission="releases:read")
def list_releases(request: ListReleases, context: Context) -> tuple[Release, ...]:
    """List releases, the newest first."""
    if not 1 <= request.limit <= _MOST:
        raise InvalidRequest(f"limit {request.limit} is out of range", field="limit", fix=f"give 1 to {_MOST}")
    equal = {} if request.deployment is None else {"deployment": request.deployment}
    return tuple(context.transacted.find(Release, newest_first=True, limit=request.limit, **equal))


@operations.operation("releases.show", request=ShowRelease, permission="releases:read")
def show_release(request: ShowRelease, context: Context) -> Release:
    """Show a release with its history."""
    release = context.transacted.get(Release, request.release)
    if release is None:
        raise NotFound("release", request.release)
    return release


@operations.operation("deployments.list", request=ListDeployments, permission="deployments:read")
def list_deployments(request: ListDeployments, context: Context) -> tuple[DeploymentSummary, ...]:
    """List deployments with what they serve."""
    return tuple(_summary(state, _in_progress(context, state)) for state in context.transacted.find(DeploymentState))


@operations.operation("deployments.show", request=ShowDeployment, permission="deployments:read")
def show_deployment(request: ShowDeployment, context: Context) -> DeploymentDetails:
    """Show a deployment: its traffic, the release in progress and all earlier ones."""
    state = lifecycle.deployment_state(context.transacted, request.deployment)
    rollout = context.project.deployment(request.deployment).rollout
    releases = context.transacted.find(Release, newest_first=True, deployment=request.deployment)
    return DeploymentDetails(
        summary=_summary(state, _in_progress(context, state)),
        releases=tuple(releases),
        steps=rollout.steps,
        shadow_s=rollout.shadow_s,
        bake_s=rollout.bake_s,
        approval=rollout.approval,
    )


def _newest_passed(context: Context, model: str) -> int:
    with context.transaction() as tx:
        versions = [v.version for v in tx.find(ModelVersion, model=model) if v.passed]
    if not versions:
        raise NotFound(f"version of model {model!r} that passed its gates", "newest")
    return max(versions)


def _in_progress(context: Context, state: DeploymentState) -> Release | None:
    return context.transacted.get(Release, state.release) if state.release else None


def _summary(state: DeploymentState, release: Release | None) -> DeploymentSummary:
    arms = tuple(
        ArmView(role=role, version=version, percent=percent) for role, _, version, percent in arms_of(state, release)
    )
    return DeploymentSummary(state=state, arms=arms, release=release)
