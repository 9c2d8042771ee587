"""What a version's predictions are compared with: the inputs that it takes, its report, and how much those vary."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import LookupPlan, decode_plan
from octavo.errors import IntegrityError, NotFound, OctavoError
from octavo.features.categories import translated
from octavo.monitoring.variation import Variation
from octavo.operations import Context
from octavo.registry.bundles import PLAN, REPORT, decode_manifest
from octavo.registry.versions import ModelVersion
from octavo.stores.ports import Artifacts
from octavo.training.reports import Report, decode_report


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A version with what is known of its training.

    Attributes
    ----------
    inputs : tuple of str
        In the model's order.
    categories : mapping of input to its words
        Of those that are categories.
    variation : Variation or None
        None for a version whose training did not measure it.
    """

    version: ModelVersion
    inputs: tuple[str, ...]
    report: Report
    variation: Variation | None
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def usual_drift(self, input_name: str, *, length_s: float) -> float:
        """How far a stretch of the training rows of a length usually lies from the whole at most."""
        return self.variation.usual_drift(input_name, length_s=length_s) if self.variation else 0.0

    def usual_absent(self, input_name: str, *, length_s: float) -> float:
        """The share without a value of its own that a stretch of the training rows of a length usually has at most."""
        usual = self.variation.usual_absent(input_name, length_s=length_s) if self.variation else 0.0
        return max(usual, self.report.profiles[input_name].absent)


def version_of(context: Context, model: str, version: int) -> ModelVersion:
    """A registered version.

    Raises
    ------
    NotFound
        If there is none.
    """
    with context.transaction() as tx:
        found = tx.get(ModelVersion, f"{model}/{version}")
        if found is None:
            known = [str(v.version) for v in tx.find(ModelVersion, model=model)]
            raise NotFound(f"version of model {model!r}", str(version), known)
        return found


def reference_of(context: Context, version: ModelVersion) -> Reference:
    """What predictions of a version are compared with.

    Raises
    ------
    IntegrityError
        If its bundle is gone or damaged.
    """
    artifacts = context.stores.artifacts
    with context.transaction() as tx:
        variation = tx.get(Variation, version.run)
    plan = plan_of(artifacts, version.digest)
    return Reference(
        version=version,
        inputs=plan.inputs,
        categories=plan.categories,
        report=decode_report(_document(artifacts, version.digest, REPORT)),
        variation=variation,
    )


def plan_of(artifacts: Artifacts, digest: str) -> LookupPlan:
    """The lookup plan of a bundle, without the rest of it.

    Raises
    ------
    IntegrityError
        If the bundle is gone or damaged.
    """
    try:
        return decode_plan(_document(artifacts, digest, PLAN))
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"the lookup plan of bundle {digest} cannot be read: {error}") from error


def same_inputs(reference: Reference, digest: str, *, artifacts: Artifacts) -> bool:
    """Whether the matrix of a bundle has a version's inputs in their order; it has not if the bundle is gone."""
    if digest == reference.version.digest:
        return True
    try:
        plan = plan_of(artifacts, digest)
        return (plan.inputs, plan.categories.keys()) == (reference.inputs, reference.categories.keys())
    except OctavoError:
        return False


def in_its_words(
    reference: Reference, matrix: npt.NDArray[np.float32], digests: npt.NDArray[np.object_], *, artifacts: Artifacts
) -> npt.NDArray[np.float32]:
    """Rows of several versions with the places of words in the vocabularies of one.

    Parameters
    ----------
    matrix : ndarray, shape (n_rows, n_inputs)
        Of bundles with the reference's inputs in their order.
    digests : ndarray, shape (n_rows,)
        Of the bundle of each row.
    """
    others = set(digests.tolist()) - {reference.version.digest} if reference.categories else set()
    translated_rows = matrix.copy() if others else matrix
    for digest in sorted(others):
        rows, theirs = digests == digest, plan_of(artifacts, digest).categories
        for place, name in enumerate(reference.inputs):
            if name in reference.categories:
                places = translated(matrix[rows, place], theirs.get(name, ()), into=reference.categories[name])
                translated_rows[rows, place] = places
    return translated_rows


def _document(artifacts: Artifacts, digest: str, name: str) -> bytes:
    """One file of a bundle."""
    try:
        manifest = decode_manifest(artifacts.get(digest), digest=digest)
        return artifacts.get(manifest.files[name].digest)
    except NotFound as error:
        raise IntegrityError(
            f"the bundle {digest} is gone from the artifacts, so what it was trained on cannot be told; restore the "
            "artifacts from a backup, or train and release a new version",
            digest=digest,
        ) from error
