"""From a trained model to a version in the registry: packed, judged, signed, recorded."""

from dataclasses import replace
from pathlib import Path

import msgspec

from octavo.errors import OctavoError, Unavailable
from octavo.operations import Context
from octavo.principals import SYSTEM_KIND
from octavo.registry.bundles import REPORT, decode_manifest
from octavo.registry.champions import bring_in
from octavo.registry.comparisons import compare, encode_comparison
from octavo.registry.gates.candidates import Candidate
from octavo.registry.gates.judging import judge
from octavo.registry.gates.served import ServedLog
from octavo.registry.jail.opening import Jail
from octavo.registry.packing import Packed, pack
from octavo.registry.readiness import unsaid
from octavo.registry.signed_versions import check_signature, sign_if_possible
from octavo.registry.signing import Signature, Signer, Verifier
from octavo.registry.unsafe import unsafe_without_word
from octavo.registry.versions import GateResult, ModelVersion
from octavo.stores.ports import Transaction
from octavo.training.fit import TRAINED, TrainedModel
from octavo.training.runs import Run

PURPOSE = "octavo/model-version/v1"


def register(
    context: Context, trained: TrainedModel, *, champion: ModelVersion | None, served: ServedLog | None = None
) -> ModelVersion:
    """Make a version of what was trained.

    A version that fails a gate is kept, with the evidence, and not released unless the gate is waived. A run makes one
    version, however often it is registered.

    Parameters
    ----------
    champion : ModelVersion or None
        The live version of the model.
    served : ServedLog or None
        What is known of predictions that were served, for the gates that ask.

    Raises
    ------
    TrainingFailed
        If the model cannot be packed.
    """
    model, holdout = trained.model, trained.training_set.holdout
    context.progress(TRAINED, f"packing {model.name}")
    packed = pack(context, trained)
    context.progress(0.9, f"judging {model.name}")
    jail, artifacts = Jail.of(context.config), context.stores.artifacts
    beside = bring_in(artifacts, champion, holdout, task=model.task, jail=jail) if champion else None
    candidate = Candidate(
        trained=trained,
        predictions=packed.predictions,
        champion=beside,
        artifacts=artifacts,
        digest=packed.digest,
        served=served,
        jail=jail,
    )
    results = judge(candidate)
    compared = compare(candidate)
    comparison = "" if compared is None else context.stores.artifacts.put(encode_comparison(compared))
    with context.transaction() as tx:
        known = tx.find(ModelVersion, model=model.name, run=trained.run.id)
        version = known[0] if known else _record(context, tx, trained, packed, results, comparison)
        tx.put(replace(tx.get(Run, trained.run.id) or trained.run, version=version.version))
    if not version.oms:
        version = sign_if_possible(context, version)
    context.progress(1.0, f"registered {model.name} {version.version}")
    return version


def verify_version(context: Context, version: ModelVersion) -> str:
    """Why a version must not be released; empty if it may be.

    Its signature must be of this project's key and bind this name, number and digest; every byte of its bundle must be
    what the digest says, and the bundle must be of this model and hold the version's report; a model signature must
    hold; whose model it is, what for and at what risk must be declared; and if it is a pickle, that must be allowed and
    approved.

    Raises
    ------
    Unavailable
        If the artifacts cannot be reached, so that nothing can be said.
    """
    artifacts = context.stores.artifacts
    try:
        verify_release_signature(context, version)
        manifest = decode_manifest(artifacts.get(version.digest), digest=version.digest)
        for entry in manifest.files.values():
            artifacts.get(entry.digest)
        if version.oms:
            check_signature(context.config, artifacts, version)
    except Unavailable:
        raise
    except OctavoError as error:
        return error.message
    if manifest.files[REPORT].digest != version.report:
        return f"bundle {version.digest} holds another report than version {version.version} has"
    if (manifest.project, manifest.model) != (context.project.name, version.model):
        return f"bundle {version.digest} is of model {manifest.model!r} in project {manifest.project!r}"
    declared = context.project.models.get(version.model)
    return (unsaid(declared) if declared is not None else "") or unsafe_without_word(context, version, manifest)


def verify_release_signature(context: Context, version: ModelVersion) -> str:
    """By which key the project binds a version's name, number and digest together.

    Raises
    ------
    IntegrityError
        If it does not.
    """
    verifier = Verifier.load(_key(context).with_suffix(".pub"))
    statement = _statement(context.project.name, version.model, version.version, version.digest)
    verifier.verify(PURPOSE, statement, version.signature)
    return f"by key {verifier.key_id}, over project, model, version and digest"


def _record(
    context: Context,
    tx: Transaction,
    trained: TrainedModel,
    packed: Packed,
    results: tuple[GateResult, ...],
    comparison: str,
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
        schema=packed.schema,
        author=_author(context, trained),
        comparison=comparison,
    )
    tx.add(version)
    return version


def _author(context: Context, trained: TrainedModel) -> str:
    """Who had it made; a worker works for whoever asked for the run."""
    principal = context.principal
    return trained.run.by if principal.kind == SYSTEM_KIND else principal.subject


def _statement(project: str, model: str, version: int, digest: str) -> bytes:
    """What a version's signature is over: canonical JSON of what must not be exchanged."""
    bound = {"project": project, "model": model, "version": version, "digest": digest}
    return msgspec.json.encode(bound, order="deterministic")


def _sign(context: Context, statement: bytes) -> Signature:
    return Signer(_key(context)).sign(PURPOSE, statement)


def _key(context: Context) -> Path:
    return context.config.home / "keys" / "release.key"
