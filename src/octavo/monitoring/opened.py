"""A version's model, opened from the artifacts to be asked again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import LookupPlan
from octavo.errors import IntegrityError, NotFound
from octavo.monitoring.references import plan_of
from octavo.registry.answering import answering
from octavo.registry.bundles import GOLDEN, Golden, decode_golden, decode_manifest
from octavo.registry.jail.opening import Jail
from octavo.registry.served import Served, open_served
from octavo.stores.ports import Artifacts


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedModel:
    """A model with what it takes, and its golden rows.

    Attributes
    ----------
    model : ServedModel or PartitionedModel
        What the answer is made of.
    predict : callable
        The answers: rows of shape (n, n_inputs), float32, to numbers of shape (n,).
    """

    digest: str
    model: Served
    predict: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]
    plan: LookupPlan
    golden: Golden

    def check_width(self, n_inputs: int) -> None:
        """Refuse rows that are not the model's.

        Raises
        ------
        IntegrityError
        """
        if n_inputs != len(self.plan.inputs):
            raise IntegrityError(
                f"{n_inputs} values were recorded for the {len(self.plan.inputs)} inputs of bundle {self.digest}"
            )


def open_model(artifacts: Artifacts, digest: str, *, jail: Jail | None = None) -> OpenedModel:
    """The model of a bundle; of its code only what comes after the model is run, if anything does.

    Parameters
    ----------
    jail : Jail or None
        Where it is opened if it is a pickle; None where none is.

    Raises
    ------
    IntegrityError
        If the bundle is gone or damaged.
    """
    try:
        manifest = decode_manifest(artifacts.get(digest), digest=digest)
        plan = plan_of(artifacts, digest)
        golden = decode_golden(artifacts.get(manifest.files[GOLDEN].digest))

        def read(name: str) -> bytes:
            return artifacts.get(manifest.files[name].digest)

        model = open_served(manifest, plan, read=read, jail=jail)
        predict = answering(model.predict, manifest, plan, read=read)
    except NotFound as error:
        raise IntegrityError(
            f"bundle {digest[:19]} is gone from the artifacts, so it cannot answer; restore the artifacts from a "
            "backup, or ask another version",
            digest=digest,
        ) from error
    return OpenedModel(digest=digest, model=model, predict=predict, plan=plan, golden=golden)
