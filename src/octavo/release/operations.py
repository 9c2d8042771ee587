"""What people and programs can do with releases and deployments."""

from dataclasses import dataclass

from octavo.errors import InvalidRequest, NotFound
from octavo.operations import Context, Operations
from octavo.registry.versions import ModelVersion
from octavo.release import lifecycle
from octavo.release.approvals import policy_of
from octavo.release.arms import arms_of
from octavo.release.experiments import StartedExperiment
from octavo.release.publish import publish_current
from octavo.release.releases import DeploymentState, Release
from octavo.release.shares import chances
from octavo.stores.ports import Transaction

operations = Operations()
_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRelease:
    """Release a version; the newest that passed its gates unless one is named."""

    deployment: str
    version: int | None = None


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
    """A version's part of a deployment's traffic.

    Attributes
    ----------
    percent : float
        Of all predictions; 0 for a shadow.
    model : str
        The deployment's own, except for arms of some experiments.
    group : str
        What its predictions are marked with, beside their role.
    sample : float
        For a shadow: the percentage of predictions that it sees.
    """

    role: str
    version: int
    percent: float
    model: str = ""
    group: str = ""
    sample: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSummary:
    """What a deployment serves, the release in progress and the experiment that runs."""

    state: DeploymentState
    arms: tuple[ArmView, ...]
    release: Release | None
    experiment: StartedExperiment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentDetails:
    """A deployment with its releases, the newest first.

    Attributes
    ----------
    steps : tuple of int
        The percentages that a rollout goes through.
    experiments : tuple of str
        Those that it declares, by name.
    shadow_steps : tuple of int
        The percentages of predictions that a shadow sees, one after the other.
    bake_s : int or None
        None if a person has each step go on.
    approval : str
        Whose word a release needs, in words; ``policy`` if nobody's.
    """

    summary: DeploymentSummary
    releases: tuple[Release, ...]
    steps: tuple[int, ...]
    shadow_s: int
    bake_s: int | None
    approval: str
    experiments: tuple[str, ...] = ()
    shadow_steps: tuple[int, ...] = (100,)


@operations.operation("releases.start", request=StartRelease, permission="releases:write", changes=True)
def start(request: StartRelease, context: Context) -> Release:
    """Release a model version to a deployment."""
    model = context.project.deployment(request.deployment).model.name
    version = _newest_passed(context, model) if request.version is None else request.version
    return lifecycle.request(context, request.deployment, version=version, cause=context.principal.name)


# A long operation: the manifest is published after the records are committed, so that it works without a worker.
@operations.operation("releases.rollback", request=RollBack, permission="releases:write", changes=True, long=True)
def roll_back(request: RollBack, context: Context) -> DeploymentSummary:
    """Roll a deployment back."""
    reason = f"rolled back by {context.principal.name}" + (f": {request.reason}" if request.reason else "")
    state = lifecycle.roll_back(context, request.deployment, reason=reason)
    publish_current(context, request.deployment)
    with context.transaction() as tx:
        return summary_of(tx, state)


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
    return lifecycle.release_of(context.transacted, request.release)


@operations.operation("deployments.list", request=ListDeployments, permission="deployments:read")
def list_deployments(request: ListDeployments, context: Context) -> tuple[DeploymentSummary, ...]:
    """List deployments with what they serve."""
    return tuple(summary_of(context.transacted, state) for state in context.transacted.find(DeploymentState))


@operations.operation("deployments.show", request=ShowDeployment, permission="deployments:read")
def show_deployment(request: ShowDeployment, context: Context) -> DeploymentDetails:
    """Show a deployment: its traffic, the release in progress and all earlier ones."""
    state = lifecycle.deployment_state(context.transacted, request.deployment)
    declared = context.project.deployment(request.deployment)
    rollout = declared.rollout
    releases = context.transacted.find(Release, newest_first=True, deployment=request.deployment)
    return DeploymentDetails(
        summary=summary_of(context.transacted, state),
        releases=tuple(releases),
        steps=rollout.steps,
        shadow_s=rollout.shadow_s,
        bake_s=rollout.bake_s,
        approval=policy_of(context.config, declared).words or "policy",
        experiments=tuple(experiment.name for experiment in declared.experiments),
        shadow_steps=rollout.shadow_steps,
    )


def _newest_passed(context: Context, model: str) -> int:
    with context.transaction() as tx:
        versions = [v.version for v in tx.find(ModelVersion, model=model) if v.passed]
    if not versions:
        raise NotFound(f"version of model {model!r} that passed its gates", "newest")
    return max(versions)


def summary_of(tx: Transaction, state: DeploymentState) -> DeploymentSummary:
    """What a deployment serves."""
    release = tx.get(Release, state.release) if state.release else None
    experiment = lifecycle.running_experiment(tx, state)
    shares = arms_of(state, release, experiment)
    arms = tuple(
        ArmView(
            role=share.role,
            version=share.version,
            percent=round(100 * chance, 4),
            model=share.model,
            group=share.group,
            sample=share.sample,
        )
        for share, chance in zip(shares, chances(shares), strict=True)
    )
    return DeploymentSummary(state=state, arms=arms, release=release, experiment=experiment)
