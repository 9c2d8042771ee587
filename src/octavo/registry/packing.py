"""Packing: a trained model, its compiled form and all that must travel with them, as a bundle among the artifacts."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import plan_lookup
from octavo.errors import IntegrityError, TrainingFailed
from octavo.operations import Context
from octavo.registry.bundles import (
    CARD,
    ENVIRONMENT,
    FORMS,
    GOLDEN,
    ONNX,
    PLAN,
    PROVENANCE,
    REPORT,
    BundleFile,
    BundleManifest,
    Golden,
    digest_of,
    is_safe_name,
)
from octavo.registry.cards import model_card
from octavo.registry.choosing import choose_forms
from octavo.registry.compiled import CompiledModel
from octavo.registry.formats import Format, Outputs
from octavo.registry.formats.choice import format_of
from octavo.registry.forms import Form, Forms, encode_forms
from octavo.registry.golden import choose_rows, encode_golden
from octavo.registry.parity import TOLERANCE, Parity, Trial, hard_trials, prove_parity
from octavo.registry.provenance import encode_provenance, environment_lock, installed_distributions, provenance_of
from octavo.stores.ports import Artifacts
from octavo.training.estimators import predict
from octavo.training.fit import TrainedModel
from octavo.training.frames import Words, words_of
from octavo.training.reports import encode_report

Floats = npt.NDArray[np.float64]
_LAYOUT = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packed:
    """A bundle that is kept.

    Attributes
    ----------
    digest, report : str
        Of the bundle, and of the report in it.
    predictions : ndarray, shape (n_holdout,), float64
        For the held-out rows, by the form that versions are compared by.
    """

    digest: str
    report: str
    predictions: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Proven:
    """A model in its forms, proven equal, and which of them serve.

    Attributes
    ----------
    onnx : bytes or None
        None if it cannot be compiled, or not so that it answers as the native one.
    """

    native: Mapping[str, bytes]
    onnx: bytes | None
    forms: Forms
    golden: Golden
    parity: Parity
    predictions: Floats


def pack(context: Context, trained: TrainedModel, *, timer: Callable[[], float] = time.perf_counter) -> Packed:
    """Compile, prove parity, measure, and keep the bundle.

    Packing the same again gives the same files, but for how long each form took.

    Parameters
    ----------
    timer : callable
        Seconds, by which the forms are measured.

    Raises
    ------
    TrainingFailed
        If the model can be served neither compiled nor by its own library.
    Unavailable
        If the artifacts cannot be reached.
    """
    proven = _proven(trained, timer=timer)
    environment = installed_distributions()
    provenance = provenance_of(trained, folder=context.config.root, environment=environment, parity=proven.parity)
    report = encode_report(trained.report)
    files = {
        **({} if proven.onnx is None else {ONNX: proven.onnx}),
        **{f"model/{name}": data for name, data in proven.native.items()},
        PLAN: msgspec.json.encode(plan_lookup(trained.model, categories=_vocabularies(trained)), order="deterministic"),
        FORMS: encode_forms(proven.forms),
        GOLDEN: encode_golden(proven.golden),
        REPORT: report,
        PROVENANCE: encode_provenance(provenance),
        CARD: model_card(trained.model, trained.report, provenance).encode(),
        ENVIRONMENT: environment_lock(environment).encode(),
        **{f"code/{name}": text.encode() for name, text in context.project.code.items()},
    }
    digest = _keep(
        context.stores.artifacts,
        files,
        project=context.project.name,
        model=trained.model.name,
        library=format_of(trained.estimator).name,
    )
    return Packed(digest=digest, report=digest_of(report), predictions=proven.predictions)


def _vocabularies(trained: TrainedModel) -> Mapping[str, tuple[str, ...]]:
    return trained.training_set.train.categories


def _proven(trained: TrainedModel, *, timer: Callable[[], float]) -> _Proven:
    estimator, task, real = trained.estimator, trained.model.task, trained.training_set.holdout.X
    library, words = format_of(estimator), words_of(trained.training_set.holdout.columns, _vocabularies(trained))
    native = partial(predict, estimator, task=task, words=words)
    sizes = {place: len(known) for place, known in words.by_place.items()} if words else {}
    hard = hard_trials(real, thresholds=library.thresholds(estimator), categories=sizes)
    trials = (Trial(kind="held-out rows", rows=real), *hard)
    kept = library.save(estimator)
    onnx, parity, uncompiled = _compiled(trained, library, trials, native=native, words=words)
    outputs: dict[Form, Outputs] = {} if onnx is None else {Form.COMPILED: CompiledModel(onnx).predict}
    again = library.load(kept, words=words)
    if library.serves:
        outputs[Form.NATIVE] = again
    parity = parity or prove_parity(trials, native=native, compiled=again)
    rows = choose_rows(parity.proven)
    prove_parity([Trial(kind="golden rows", rows=rows)], native=native, compiled=again)
    forms = choose_forms(outputs, real, timer=timer, uncompiled=uncompiled)
    golden = Golden(
        rows=rows.astype(np.float32),
        expected=native(rows),
        tolerance=TOLERANCE,
        n_real=len(choose_rows(parity.proven[:1])),
    )
    judged = outputs.get(Form.COMPILED, again)
    with np.errstate(over="ignore"):
        predictions = judged(real.astype(np.float32))
    return _Proven(native=kept, onnx=onnx, forms=forms, golden=golden, parity=parity, predictions=predictions)


def _compiled(
    trained: TrainedModel,
    library: Format,
    trials: Sequence[Trial],
    *,
    native: Callable[[Floats], Floats],
    words: Words | None,
) -> tuple[bytes | None, Parity | None, str]:
    """The compiled form with what trials have shown of it; or none, and why.

    Raises
    ------
    TrainingFailed
        If there is none, and its library cannot serve it.
    """
    estimator, task = trained.estimator, trained.model.task
    native(trials[0].rows)  # what cannot answer the held-out rows is no model
    try:
        onnx = library.to_onnx(estimator, n_inputs=trials[0].rows.shape[1], task=task, words=words)
        compiled = CompiledModel(onnx)
        parity = prove_parity(trials, native=native, compiled=compiled.predict)
        alone = Trial(kind="golden rows, one at a time", rows=choose_rows(parity.proven))
        prove_parity([alone], native=native, compiled=partial(_one_by_one, compiled))
    except (TrainingFailed, IntegrityError) as error:
        if not library.serves:
            raise
        return None, None, error.message
    return onnx, parity, ""


def _one_by_one(compiled: CompiledModel, rows: Floats) -> Floats:
    """What the model answers for each row alone, as most requests ask."""
    return np.concatenate([compiled.predict(row[None]) for row in rows])


def _keep(artifacts: Artifacts, files: Mapping[str, bytes], *, project: str, model: str, library: str) -> str:
    """Keep all files, and last the manifest, whose digest is the bundle's."""
    for name in files:
        if not is_safe_name(name):
            raise TrainingFailed(f"{name!r} cannot stand in a bundle; name the project's module with plain letters")
    entries = {name: BundleFile(digest=artifacts.put(data), size_bytes=len(data)) for name, data in files.items()}
    manifest = BundleManifest(layout=_LAYOUT, project=project, model=model, format=library, files=entries)
    return artifacts.put(msgspec.json.encode(manifest, order="deterministic"))
