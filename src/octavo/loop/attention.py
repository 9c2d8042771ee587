"""What needs a person now: what is stopped, refused by a predictor, waits, is held or suspended."""

from octavo.loop.policies import RetrainPolicy
from octavo.operations import Context
from octavo.processes import PREDICTOR, find_running
from octavo.release.acknowledgement import complaints
from octavo.release.releases import DeploymentState, Release, ReleaseState


def needs_attention(context: Context) -> tuple[str, ...]:
    """Each thing that does not go on without a person, with the command that has it go on."""
    found = []
    with context.transaction() as tx:
        states = [one for one in tx.find(DeploymentState) if one.deployment in context.project.deployments]
        for state in states:
            name = state.deployment
            if (stopped := state.stopped) is not None:
                since = f"{stopped.at:%Y-%m-%d %H:%M}"
                why = f"by {stopped.by} ({stopped.reason})"
                found.append(f"{name} is stopped since {since} {why}: octavo deployments start {name}")
            release = tx.get(Release, state.release) if state.release else None
            if release is not None and release.held:
                found.append(
                    f"the release of version {release.version} in {name} is held: octavo deployments resume {name}"
                )
            elif release is not None and release.state is ReleaseState.WAITING_FOR_APPROVAL:
                found.append(
                    f"version {release.version} waits for approval in {name}: octavo deployments approve {release.id}"
                )
        for policy in tx.find(RetrainPolicy):
            model = context.project.models.get(policy.model)
            is_declared = model is not None and any(one.name == policy.trigger for one in model.retrain)
            if policy.suspended_at is not None and is_declared:
                found.append(
                    f"{policy.trigger} retrains {policy.model} no more ({policy.reason}): "
                    f"octavo retraining resume {policy.model}"
                )
    if find_running(context.config.home, PREDICTOR) is not None:
        for name, reason in sorted(complaints(context.config).items()):
            found.append(f"a predictor refuses what is published for {name}, and goes on as before: {reason}")
    return tuple(found)
