"""What people and programs can do with experiments; `octavo.monitoring.operations` shows how they do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from octavo.errors import InvalidRequest
from octavo.operations import Context, Operations
from octavo.registry.registration import verify_version
from octavo.release import experiment_lifecycle as lifecycle
from octavo.release.experiments import StartedExperiment
from octavo.release.publish import publish_current

operations = Operations()
_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StartExperiment:
    """Start a declared experiment.

    Attributes
    ----------
    name : str
        As the deployment declares it.
    versions : dict of arm to version
        Of the arms beside the control; the newest that passed its gates where none is given.
    """

    deployment: str
    name: str
    versions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopExperiment:
    """End the experiment that runs in a deployment; the live version answers its units again."""

    deployment: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteExperiment:
    """End the experiment that runs in a deployment, and make the version of one of its arms the live one."""

    deployment: str
    arm: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListExperiments:
    """Experiments that run or have run, the newest first."""

    deployment: str | None = None
    limit: int = 50


# Long operations, as a rollback is: the manifest is published after the records are committed, without a worker too.
@operations.operation(
    "experiments.start", request=StartExperiment, permission="releases:write", changes=True, long=True
)
def start_experiment(request: StartExperiment, context: Context) -> StartedExperiment:
    """Start an experiment on a deployment's traffic."""
    started = lifecycle.start(
        context, request.deployment, request.name, versions=request.versions, refusal=verify_version
    )
    publish_current(context, request.deployment)
    return started


@operations.operation("experiments.stop", request=StopExperiment, permission="releases:write", changes=True, long=True)
def stop_experiment(request: StopExperiment, context: Context) -> StartedExperiment:
    """Stop the experiment that runs on a deployment's traffic."""
    stopped = lifecycle.stop(context, request.deployment, reason=_reason("stopped", request.reason, context))
    publish_current(context, request.deployment)
    return stopped


@operations.operation(
    "experiments.promote", request=PromoteExperiment, permission="releases:write", changes=True, long=True
)
def promote_experiment(request: PromoteExperiment, context: Context) -> StartedExperiment:
    """Make the version of an experiment's arm the live one, and end the experiment."""
    reason = _reason("promoted", request.reason, context)
    promoted = lifecycle.promote(context, request.deployment, arm=request.arm, reason=reason)
    publish_current(context, request.deployment)
    return promoted


@operations.operation("experiments.list", request=ListExperiments, permission="releases:read")
def list_experiments(request: ListExperiments, context: Context) -> tuple[StartedExperiment, ...]:
    """List experiments, the newest first."""
    if not 1 <= request.limit <= _MOST:
        raise InvalidRequest(f"limit {request.limit} is out of range", field="limit", fix=f"give 1 to {_MOST}")
    equal = {} if request.deployment is None else {"deployment": request.deployment}
    return tuple(context.transacted.find(StartedExperiment, newest_first=True, limit=request.limit, **equal))


def _reason(what: str, said: str, context: Context) -> str:
    return f"{what} by {context.principal.name}" + (f": {said}" if said else "")
