"""From what the metadata says to what predictors apply: the signed manifest of each deployment.

Metadata is the truth and a manifest follows from it, so publishing is idempotent: whoever finds the published one
behind publishes the current one, be it after a change, a crash or a restored backup.
"""

import msgspec

from octavo.errors import NotFound
from octavo.operations import Context
from octavo.registry.signing import Signer
from octavo.registry.versions import ModelVersion
from octavo.release.lifecycle import deployment_state
from octavo.release.manifests import Arm, DeploymentManifest, SignedManifest, document_name, encode
from octavo.release.releases import DeploymentState, Release, ReleaseState
from octavo.stores.ports import Artifacts, Transaction

PURPOSE = "octavo/deployment-manifest/v1"


def publish_current(context: Context, deployment: str) -> int:
    """Publish what the metadata says of a deployment, unless it is published already.

    Returns
    -------
    int
        The sequence that is now published; 0 if the deployment has never served. While nothing is live there is no
        manifest of that: predictors go on as they are.
    """
    unit = context.project.deployment(deployment).unit
    with context.transaction() as tx:
        # Inside the transaction, so that of two processes that publish the later state wins.
        state = deployment_state(tx, deployment)
        arms = _arms(tx, state)
        if not arms:
            return published_sequence(context.stores.artifacts, deployment)
        if state.sequence > published_sequence(context.stores.artifacts, deployment):
            manifest = DeploymentManifest(
                project=context.project.name,
                deployment=deployment,
                sequence=state.sequence,
                unit=unit,
                arms=arms,
                published_at_us=context.clock.now_us(),
            )
            context.stores.artifacts.publish(document_name(deployment), _signed(context, manifest))
    return state.sequence


def published_sequence(artifacts: Artifacts, deployment: str) -> int:
    """The sequence of the manifest that is published; 0 if none is."""
    document = artifacts.published(document_name(deployment))
    if document is None:
        return 0
    payload = msgspec.json.decode(document, type=SignedManifest).payload
    return msgspec.json.decode(payload, type=DeploymentManifest).sequence


def arms_of(state: DeploymentState, release: Release | None) -> tuple[tuple[str, str, int, int], ...]:
    """Role, model, version and percentage of each arm: the live version, and beside it the release in progress."""
    shared = 0
    beside: tuple[tuple[str, str, int, int], ...] = ()
    if release is not None and release.state is ReleaseState.SHADOW:
        beside = (("shadow", release.model, release.version, 0),)
    elif release is not None and release.state is ReleaseState.CANARY:
        shared = release.percent
        beside = (("canary", release.model, release.version, shared),)
    if state.live is None:
        return beside
    return (("live", state.model, state.live, 100 - shared), *beside)


def _arms(tx: Transaction, state: DeploymentState) -> tuple[Arm, ...]:
    release = tx.get(Release, state.release) if state.release else None
    return tuple(
        Arm(role=role, model=model, version=version, digest=_digest(tx, f"{model}/{version}"), percent=percent)
        for role, model, version, percent in arms_of(state, release)
    )


def _digest(tx: Transaction, key: str) -> str:
    version = tx.get(ModelVersion, key)
    if version is None:
        raise NotFound("model version", key)
    return version.digest


def _signed(context: Context, manifest: DeploymentManifest) -> bytes:
    payload = encode(manifest)
    signature = Signer(context.config.home / "keys" / "release.key").sign(PURPOSE, payload)
    return msgspec.json.encode(SignedManifest(payload=payload, signature=signature))
