"""The live version, asked for the rows that another version was held out from."""

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Task
from octavo.definitions.plans import LookupPlan, decode_plan
from octavo.errors import IntegrityError, NotFound
from octavo.registry.bundles import ONNX, PLAN, decode_manifest
from octavo.registry.compiled import CompiledModel
from octavo.registry.versions import ModelVersion
from octavo.stores.ports import Artifacts

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Champion:
    """The live version, and what it answers.

    Attributes
    ----------
    predictions : ndarray, shape (n_rows,), float64, or None
        None if it cannot answer those rows.
    why : str
        Why it cannot.
    learned : int
        Rows that it may have learned from, because they are older than what it was trained on.
    """

    version: ModelVersion
    predictions: Floats | None
    why: str = ""
    learned: int = 0


def bring_in(artifacts: Artifacts, version: ModelVersion, rows: Dataset, *, task: Task) -> Champion:
    """Let the live version answer rows, its inputs found by name.

    Raises
    ------
    Unavailable
        If the artifacts cannot be reached.
    """
    try:
        manifest = decode_manifest(artifacts.get(version.digest), digest=version.digest)
        plan = decode_plan(artifacts.get(manifest.files[PLAN].digest))
        if reason := _reason(plan, rows, task=task):
            return Champion(version=version, predictions=None, why=f"version {version.version} {reason}")
        places = [rows.columns.index(name) for name in plan.inputs]
        predictions = CompiledModel(artifacts.get(manifest.files[ONNX].digest)).predict(rows.X[:, places])
    except (IntegrityError, NotFound, msgspec.MsgspecError) as error:
        return Champion(version=version, predictions=None, why=f"version {version.version} cannot be read ({error})")
    if not np.isfinite(predictions).all():
        count = int((~np.isfinite(predictions)).sum())
        return Champion(
            version=version, predictions=None, why=f"version {version.version} gives no number for {count:,} of them"
        )
    until = np.datetime64(version.trained_until.replace(tzinfo=None), "us")
    return Champion(version=version, predictions=predictions, learned=int((rows.times < until).sum()))


def _reason(plan: LookupPlan, rows: Dataset, *, task: Task) -> str:
    """Why a plan does not fit rows; empty if it does."""
    if plan.task is not task:
        return f"is a {plan.task} model"
    lacking = [name for name in plan.inputs if name not in rows.columns]
    return f"takes {', '.join(lacking)}, which these rows lack" if lacking else ""
