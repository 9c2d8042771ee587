"""Packing: a trained model, its compiled form and all that must travel with them, as a bundle among the artifacts."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Model
from octavo.definitions.pickled import Pickled
from octavo.definitions.plans import LookupPlan, encode_plan, plan_lookup
from octavo.errors import TrainingFailed
from octavo.features.answers import with_answer
from octavo.operations import Context
from octavo.registry.bundles import (
    CARD,
    CARD_DOCUMENT,
    ENVIRONMENT,
    FORMS,
    GOLDEN,
    MATERIALS,
    PLAN,
    PROVENANCE,
    REPORT,
    SCAN,
    BundleFile,
    BundleManifest,
    Golden,
    digest_of,
    is_safe_name,
)
from octavo.registry.card_documents import ModelCard, card_of, encode_card
from octavo.registry.cards import model_card
from octavo.registry.formats import Format
from octavo.registry.formats.tiers import PICKLE_FILE, format_tier
from octavo.registry.forms import encode_forms
from octavo.registry.golden import encode_golden
from octavo.registry.jail.opening import Jail
from octavo.registry.materials import bill_of_materials
from octavo.registry.provenance import encode_provenance, environment_lock, installed_distributions, provenance_of
from octavo.registry.scanning import encode_scan, scan
from octavo.registry.wholes import prove_whole
from octavo.stores.ports import Artifacts
from octavo.training.fit import TrainedModel
from octavo.training.reports import encode_report

Floats = npt.NDArray[np.float64]
_LAYOUT = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packed:
    """A bundle that is kept.

    Attributes
    ----------
    digest, report, schema : str
        Of the bundle, and of the report and the plan in it.
    predictions : ndarray, shape (n_holdout,), float64
        The answers for the held-out rows, by the form that versions are compared by.
    """

    digest: str
    report: str
    schema: str
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
    plan = plan_lookup(trained.model, categories=_vocabularies(trained))
    code = {name: text.encode() for name, text in context.project.code.items()}
    proven = prove_whole(trained, timer=timer, kept_as=_as_pickle(context, trained, plan, code=code))
    environment = installed_distributions()
    provenance = provenance_of(trained, folder=context.config.root, environment=environment, parity=proven.parity)
    report = encode_report(trained.report)
    files = {
        **proven.files(),
        PLAN: encode_plan(plan),
        FORMS: encode_forms(proven.parent.forms),
        GOLDEN: encode_golden(_answered(proven.golden, trained.model, plan)),
        REPORT: report,
        PROVENANCE: encode_provenance(provenance),
        CARD: model_card(trained.model, trained.report, provenance).encode(),
        ENVIRONMENT: environment_lock(environment).encode(),
        **{f"code/{name}": source for name, source in code.items()},
    }
    card = card_of(
        trained.model,
        trained.report,
        provenance,
        project=context.project.name,
        kept_as=proven.parent.library,
        tier=format_tier(proven.parent.library),
    )
    files |= _told(card, files)
    digest = _keep(
        context.stores.artifacts,
        files,
        project=context.project.name,
        model=trained.model.name,
        library=proven.parent.library,
    )
    with np.errstate(over="ignore"):
        rows = trained.training_set.holdout.X.astype(np.float32)  # as a predictor rounds them
    judged = with_answer(
        lambda _: proven.predictions, trained.model.answer, inputs=plan.inputs, categories=plan.categories
    )
    return Packed(digest=digest, report=digest_of(report), schema=digest_of(files[PLAN]), predictions=judged(rows))


def _answered(golden: Golden, model: Model, plan: LookupPlan) -> Golden:
    """Golden rows with what comes after the model, of the real ones."""
    if model.answer is None:
        return golden
    expected = golden.expected[: golden.n_real]
    answers = with_answer(lambda _: expected, model.answer, inputs=plan.inputs, categories=plan.categories)
    return replace(golden, answers=answers(golden.reference))


def _told(card: ModelCard, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The documents that tell others of a bundle: the card, what its parts are, and what scanning code has shown."""
    scanned = {SCAN: encode_scan(scan(files[PICKLE_FILE]))} if PICKLE_FILE in files else {}
    told = {CARD_DOCUMENT: encode_card(card), **scanned}
    entries = {
        name: BundleFile(digest=digest_of(data), size_bytes=len(data)) for name, data in {**files, **told}.items()
    }
    environment = files[ENVIRONMENT].decode()
    return {**told, MATERIALS: bill_of_materials(card, version=card.run, files=entries, environment=environment)}


def _as_pickle(
    context: Context, trained: TrainedModel, plan: LookupPlan, *, code: Mapping[str, bytes]
) -> Format | None:
    """The format of pickles, if that is what the training function asked for; never where it did not."""
    if not isinstance(trained.estimator, Pickled):
        return None
    jail = Jail.of(context.config)
    if jail is None:
        raise TrainingFailed(
            f"{trained.model.name} returned a pickle, which is code, and [models] allow_pickle is off; return an "
            "estimator that is kept as data, or turn it on and read what that means in docs/models.md"
        )
    from octavo.registry.formats.pickles import Pickles  # what writes pickles is imported only where they are allowed

    return Pickles(jail, plan, code=code)


def _vocabularies(trained: TrainedModel) -> Mapping[str, tuple[str, ...]]:
    return trained.training_set.train.categories


def _keep(artifacts: Artifacts, files: Mapping[str, bytes], *, project: str, model: str, library: str) -> str:
    """Keep all files, and last the manifest, whose digest is the bundle's."""
    for name in files:
        if not is_safe_name(name):
            raise TrainingFailed(f"{name!r} cannot stand in a bundle; name the project's module with plain letters")
    entries = {name: BundleFile(digest=artifacts.put(data), size_bytes=len(data)) for name, data in files.items()}
    manifest = BundleManifest(layout=_LAYOUT, project=project, model=model, format=library, files=entries)
    return artifacts.put(msgspec.json.encode(manifest, order="deterministic"))
