"""From what the metadata says to what predictors apply: the signed manifest of each deployment."""

from octavo.errors import NotFound
from octavo.operations import Context
from octavo.registry.versions import ModelVersion
from octavo.release.arms import arms_of
from octavo.release.documents import publish, published_number
from octavo.release.experiments import StartedExperiment
from octavo.release.lifecycle import deployment_state, rules_of
from octavo.release.manifests import PURPOSE, Arm, DeploymentManifest, document_name
from octavo.release.releases import DeploymentState, Release
from octavo.stores.ports import Artifacts, Transaction


def publish_current(context: Context, deployment: str) -> int:
    """Publish what the metadata says of a deployment, unless it is published already.

    Returns
    -------
    int
        The sequence that is now published; 0 if the deployment has never served. While nothing is live there is no
        manifest of that: predictors go on as they are.
    """
    declared = rules_of(context.project.deployment(deployment))
    with context.transaction() as tx:
        # Inside the transaction, so that of two processes that publish the later state wins.
        state = deployment_state(tx, deployment)
        arms = _arms(tx, state)
        if not arms:
            return published_sequence(context.stores.artifacts, deployment)
        if state.sequence > published_sequence(context.stores.artifacts, deployment):
            rules = state.rules or declared
            manifest = DeploymentManifest(
                project=context.project.name,
                deployment=deployment,
                sequence=state.sequence,
                unit=rules.unit,
                on_unread=rules.on_unread,
                arms=arms,
                published_at_us=context.clock.now_us(),
            )
            publish(context, manifest, name=document_name(deployment), purpose=PURPOSE)
    return state.sequence


def published_sequence(artifacts: Artifacts, deployment: str) -> int:
    """The sequence of the manifest that is published; 0 if none is."""
    return published_number(artifacts, document_name(deployment))


def _arms(tx: Transaction, state: DeploymentState) -> tuple[Arm, ...]:
    release = tx.get(Release, state.release) if state.release else None
    experiment = tx.get(StartedExperiment, state.experiment) if state.experiment else None
    return tuple(
        Arm(
            role=arm.role,
            model=arm.model,
            version=arm.version,
            digest=_digest(tx, f"{arm.model}/{arm.version}"),
            percent=arm.percent,
            group=arm.group,
            sample=arm.sample,
        )
        for arm in arms_of(state, release, experiment)
    )


def _digest(tx: Transaction, key: str) -> str:
    version = tx.get(ModelVersion, key)
    if version is None:
        raise NotFound("model version", key)
    return version.digest
