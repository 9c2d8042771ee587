"""Packing: a trained model, its compiled form and all that must travel with them, as a bundle among the artifacts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import plan_lookup
from octavo.errors import TrainingFailed
from octavo.operations import Context
from octavo.registry.bundles import (
    CARD,
    ENVIRONMENT,
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
from octavo.registry.compiled import CompiledModel
from octavo.registry.formats.choice import format_of
from octavo.registry.golden import choose_rows, encode_golden
from octavo.registry.parity import TOLERANCE, Parity, Trial, hard_trials, prove_parity
from octavo.registry.provenance import encode_provenance, environment_lock, installed_distributions, provenance_of
from octavo.stores.ports import Artifacts
from octavo.training.estimators import predict
from octavo.training.fit import TrainedModel
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
        Of the compiled model, for the held-out rows.
    """

    digest: str
    report: str
    predictions: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Forms:
    """A model in both its forms, proven equal."""

    native: Mapping[str, bytes]
    onnx: bytes
    golden: Golden
    parity: Parity
    predictions: Floats


def pack(context: Context, trained: TrainedModel) -> Packed:
    """Compile, prove parity, and keep the bundle; packing the same again keeps the same bytes once.

    Raises
    ------
    TrainingFailed
        If the model cannot be compiled, or the compiled form answers otherwise than the native one.
    Unavailable
        If the artifacts cannot be reached.
    """
    forms = _forms(trained)
    environment = installed_distributions()
    provenance = provenance_of(trained, folder=context.config.root, environment=environment, parity=forms.parity)
    report = encode_report(trained.report)
    files = {
        ONNX: forms.onnx,
        **{f"model/{name}": data for name, data in forms.native.items()},
        PLAN: msgspec.json.encode(plan_lookup(trained.model), order="deterministic"),
        GOLDEN: encode_golden(forms.golden),
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
    return Packed(digest=digest, report=digest_of(report), predictions=forms.predictions)


def _forms(trained: TrainedModel) -> _Forms:
    estimator, task, real = trained.estimator, trained.model.task, trained.training_set.holdout.X
    library = format_of(estimator)
    native = partial(predict, estimator, task=task)
    onnx = library.to_onnx(estimator, n_inputs=real.shape[1], task=task)
    compiled = CompiledModel(onnx)
    trials = (Trial(kind="held-out rows", rows=real), *hard_trials(real, thresholds=library.thresholds(estimator)))
    parity = prove_parity(trials, native=native, compiled=compiled.predict)
    rows = choose_rows(parity.proven)
    kept = library.save(estimator)
    prove_parity([Trial(kind="golden rows", rows=rows)], native=native, compiled=library.load(kept))
    alone = Trial(kind="golden rows, one at a time", rows=rows)
    prove_parity([alone], native=native, compiled=partial(_one_by_one, compiled))
    golden = Golden(rows=rows.astype(np.float32), expected=native(rows), tolerance=TOLERANCE)
    return _Forms(native=kept, onnx=onnx, golden=golden, parity=parity, predictions=compiled.predict(real))


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
