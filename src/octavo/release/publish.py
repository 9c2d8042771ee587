"""From what the metadata says to what predictors apply: the signed manifest of each deployment."""

from dataclasses import replace

import msgspec

from octavo.definitions.types import seconds
from octavo.errors import ConfigurationError, InvalidDefinition, NotFound
from octavo.operations import Context
from octavo.registry.bundles import PLAN, decode_manifest
from octavo.registry.signing import Signer
from octavo.registry.unsafe import unsafe_approvers
from octavo.registry.versions import ModelVersion
from octavo.release.arms import arms_of
from octavo.release.documents import publish, published_number
from octavo.release.experiments import StartedExperiment
from octavo.release.history import note_traffic
from octavo.release.lifecycle import deployment_state, rules_of
from octavo.release.manifests import PURPOSE, Arm, DeploymentManifest, SignedDocument, document_name
from octavo.release.releases import DeploymentState, Release
from octavo.release.statements import ReleaseStatement, first_expiry, with_statement
from octavo.stores.ports import Artifacts, Transaction

_RENEWED_AFTER = 1 / 3
_NEVER = "never"


def publish_current(context: Context, deployment: str) -> int:
    """Publish what the metadata says of a deployment, unless it is published already and long valid.

    Returns
    -------
    int
        The sequence that is now published; 0 if the deployment has never served. While nothing is live there is no
        manifest of that: predictors go on as they are.
    """
    declared = rules_of(context.project.deployment(deployment))
    artifacts, name = context.stores.artifacts, document_name(deployment)
    with context.transaction() as tx:
        # Inside the transaction, so that of two processes that publish the later state wins.
        state = deployment_state(tx, deployment)
        arms = _arms(tx, state)
        if not arms:
            return published_sequence(artifacts, deployment)
        published = published_sequence(artifacts, deployment)
        if state.sequence == published and _is_due(context, artifacts.published(name)):
            renewed = replace(state, sequence=state.sequence + 1)
            tx.replace(state, renewed)
            state = renewed
        if state.sequence > published:
            rules = state.rules or declared
            manifest = DeploymentManifest(
                project=context.project.name,
                deployment=deployment,
                sequence=state.sequence,
                unit=rules.unit,
                on_unread=rules.on_unread,
                stopped="" if state.stopped is None else state.stopped.reason,
                on_stop=rules.on_stop,
                arms=_stated(context, tx, arms, deployment=deployment, counter=state.sequence),
                published_at_us=context.clock.now_us(),
            )
            publish(context, manifest, name=name, purpose=PURPOSE)
        note_traffic(tx, artifacts.published(name))
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
            digest=_version(tx, f"{arm.model}/{arm.version}").digest,
            percent=arm.percent,
            group=arm.group,
            sample=arm.sample,
        )
        for arm in arms_of(state, release, experiment)
    )


def _stated(
    context: Context, tx: Transaction, arms: tuple[Arm, ...], *, deployment: str, counter: int
) -> tuple[Arm, ...]:
    """The arms with what is signed about each."""
    signer = Signer(context.config.home / "keys" / "release.key")
    now_us, lifetime_us = context.clock.now_us(), _lifetime_us(context)
    stated = []
    for arm in arms:
        release = _release_of(tx, arm, deployment=deployment)
        approvals = () if release is None else release.approvals
        statement = ReleaseStatement(
            project=context.project.name,
            deployment=deployment,
            model=arm.model,
            version=arm.version,
            digest=arm.digest,
            schema=_schema(context.stores.artifacts, _version(tx, f"{arm.model}/{arm.version}")),
            stage=arm.role,
            approvers=tuple(sorted({one.by for one in approvals if one.digest in ("", arm.digest)})),
            unsafe_by=unsafe_approvers(tx, model=arm.model, version=arm.version, digest=arm.digest),
            policy="" if release is None else release.policy,
            counter=counter,
            issued_at_us=now_us,
            expires_at_us=None if lifetime_us is None else now_us + lifetime_us,
        )
        stated.append(with_statement(arm, statement, signer))
    return tuple(stated)


def _release_of(tx: Transaction, arm: Arm, *, deployment: str) -> Release | None:
    """The release by which a version came into a deployment; an experiment's versions may have none."""
    found = tx.find(Release, newest_first=True, limit=1, deployment=deployment, model=arm.model, version=arm.version)
    return found[0] if found else None


def _schema(artifacts: Artifacts, version: ModelVersion) -> str:
    """Digest of a version's plan; of versions of before it was kept, as the bundle says."""
    if version.schema:
        return version.schema
    try:
        data = artifacts.get(version.digest)
    except NotFound:  # no predictor can fetch it either, and each says so
        return ""
    return decode_manifest(data, digest=version.digest).files[PLAN].digest


def _is_due(context: Context, document: bytes | None) -> bool:
    """Whether the statements of the published manifest are to be renewed; those of before there were any are."""
    lifetime_us = _lifetime_us(context)
    if document is None:
        return False
    signed = msgspec.json.decode(document, type=SignedDocument)
    expiry_us = first_expiry(msgspec.json.decode(signed.payload, type=DeploymentManifest).arms)
    if expiry_us is None or lifetime_us is None:
        return (expiry_us is None) != (lifetime_us is None)
    return context.clock.now_us() > expiry_us - lifetime_us * (1 - _RENEWED_AFTER)


def _lifetime_us(context: Context) -> int | None:
    given = context.config.signing.statements
    if given == _NEVER:
        return None
    try:
        return seconds(given, what="time") * 1_000_000
    except InvalidDefinition as error:
        raise ConfigurationError(
            f"[signing] statements: {error.message}, or {_NEVER!r}", setting="signing.statements"
        ) from error


def _version(tx: Transaction, key: str) -> ModelVersion:
    version = tx.get(ModelVersion, key)
    if version is None:
        raise NotFound("model version", key)
    return version
