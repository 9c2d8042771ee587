"""From a trained model to a version in the registry: packed, judged, signed, recorded."""

from dataclasses import replace
from pathlib import Path

import msgspec

from octavo.errors import OctavoError, Unavailable
from octavo.operations import Context
from octavo.registry.bundles import REPORT, decode_manifest
from octavo.registry.champions import bring_in
from octavo.registry.gates import judge
from octavo.registry.packing import Packed, pack
from octavo.registry.signing import Signature, Signer, Verifier
from octavo.registry.versions import GateResult, ModelVersion
from octavo.stores.ports import Transaction
from octavo.training.fit import TRAINED, TrainedModel
from octavo.training.runs import Run

PURPOSE = "octavo/model-version/v1"


def register(context: Context, trained: TrainedModel, *, champion: ModelVersion | None) -> ModelVersion:
    """Make a version of what was trained.

    A version that fails a gate is kept, with the evidence, and can never be released. A run makes one version, however
    often it is registered.

    Parameters
    ----------
    champion : ModelVersion or None
        The live version of the model.

    Raises
    ------
    TrainingFailed
        If the model cannot be packed.
    """
    model, holdout = trained.model, trained.training_set.holdout
    context.progress(TRAINED, f"packing {model.name}")
    packed = pack(context, trained)
    context.progress(0.9, f"judging {model.name}")
    beside = bring_in(context.stores.artifacts, champion, holdout, task=model.task) if champion else None
    results = judge(trained, predictions=packed.predictions, champion=beside)
    with context.transaction() as tx:
        known = tx.find(ModelVersion, model=model.name, run=trained.run.id)
        version = known[0] if known else _record(context, tx, trained, packed, results)
        tx.put(replace(tx.get(Run, trained.run.id) or trained.run, version=version.version))
    context.progress(1.0, f"registered {model.name} {version.version}")
    return version


def verify_version(context: Context, version: ModelVersion) -> str:
    """Why a version must not be released; empty if it may be.

    Its signature must be of this project's key and bind this name, number and digest; every byte of its bundle must be
    what the digest says, and the bundle must be of this model and hold the version's report.

    Raises
    ------
    Unavailable
        If the artifacts cannot be reached, so that nothing can be said.
    """
    artifacts = context.stores.artifacts
    try:
        statement = _statement(context.project.name, version.model, version.version, version.digest)
        Verifier.load(_key(context).with_suffix(".pub")).verify(PURPOSE, statement, version.signature)
        manifest = decode_manifest(artifacts.get(version.digest), digest=version.digest)
        for entry in manifest.files.values():
            artifacts.get(entry.digest)
    except Unavailable:
        raise
    except OctavoError as error:
        return error.message
    if manifest.files[REPORT].digest != version.report:
        return f"bundle {version.digest} holds another report than version {version.version} has"
    if (manifest.project, manifest.model) != (context.project.name, version.model):
        return f"bundle {version.digest} is of model {manifest.model!r} in project {manifest.project!r}"
    return ""


def _record(
    context: Context, tx: Transaction, trained: TrainedModel, packed: Packed, results: tuple[GateResult, ...]
) -> ModelVersion:
    model = trained.model.name
    number = 1 + max((found.version for found in tx.find(ModelVersion, model=model)), default=0)
    version = ModelVersion(
        model=model,
        version=number,
        digest=packed.digest,
        signature=_sign(context, _statement(context.project.name, model, number, packed.digest)),
        run=trained.run.id,
        report=packed.report,
        created_at=context.clock.now(),
        trained_until=trained.learned_until,
        metrics={name: found.value for name, found in trained.report.metrics.items()},
        gates=results,
        trigger=trained.run.trigger,
    )
    tx.add(version)
    return version


def _statement(project: str, model: str, version: int, digest: str) -> bytes:
    """What a version's signature is over: canonical JSON of what must not be exchanged."""
    bound = {"project": project, "model": model, "version": version, "digest": digest}
    return msgspec.json.encode(bound, order="deterministic")


def _sign(context: Context, statement: bytes) -> Signature:
    return Signer(_key(context)).sign(PURPOSE, statement)


def _key(context: Context) -> Path:
    return context.config.home / "keys" / "release.key"
