"""What a version's predictions are compared with: the inputs that it takes, its report, and how much those vary."""

from dataclasses import dataclass

import msgspec

from octavo.definitions.plans import LookupPlan, decode_plan
from octavo.errors import IntegrityError, NotFound, OctavoError
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
    variation : Variation or None
        None for a version whose training did not measure it.
    """

    version: ModelVersion
    inputs: tuple[str, ...]
    report: Report
    variation: Variation | None

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
    return Reference(
        version=version,
        inputs=plan_of(artifacts, version.digest).inputs,
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
        return plan_of(artifacts, digest).inputs == reference.inputs
    except OctavoError:
        return False


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
