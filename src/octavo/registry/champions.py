"""The live version, asked for the rows that another version was held out from."""

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Task
from octavo.definitions.plans import LookupPlan, decode_plan
from octavo.errors import IntegrityError, NotFound, PredictionFailed
from octavo.features.categories import translated
from octavo.registry.answering import answering
from octavo.registry.bundles import PLAN, decode_manifest
from octavo.registry.jail.opening import Jail
from octavo.registry.served import open_judged
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


def bring_in(
    artifacts: Artifacts, version: ModelVersion, rows: Dataset, *, task: Task, jail: Jail | None = None
) -> Champion:
    """Let the live version answer rows, its inputs found by name; what comes after its model runs here.

    Parameters
    ----------
    jail : Jail or None
        Where it is opened if it is a pickle; None where none is.

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

        def read(name: str) -> bytes:
            return artifacts.get(manifest.files[name].digest)

        outputs = open_judged(manifest, plan, read=read, jail=jail)
        predictions = answering(outputs, manifest, plan, read=read)(_given(rows, places, plan))
    except (IntegrityError, NotFound, PredictionFailed, msgspec.MsgspecError) as error:
        return Champion(version=version, predictions=None, why=f"version {version.version} cannot be read ({error})")
    if not np.isfinite(predictions).all():
        count = int((~np.isfinite(predictions)).sum())
        return Champion(
            version=version, predictions=None, why=f"version {version.version} gives no number for {count:,} of them"
        )
    until = np.datetime64(version.trained_until.replace(tzinfo=None), "us")
    return Champion(version=version, predictions=predictions, learned=int((rows.times < until).sum()))


def _given(rows: Dataset, places: list[int], plan: LookupPlan) -> npt.NDArray[np.float32]:
    """The rows as the version takes them, with the places of words in its own vocabularies."""
    matrix = rows.X[:, places]
    for column, name in enumerate(plan.inputs):
        if name in plan.categories:
            matrix[:, column] = translated(matrix[:, column], rows.categories[name], into=plan.categories[name])
    with np.errstate(over="ignore"):
        return matrix.astype(np.float32)


def _reason(plan: LookupPlan, rows: Dataset, *, task: Task) -> str:
    """Why a plan does not fit rows; empty if it does."""
    if plan.task is not task:
        return f"is a {plan.task} model"
    lacking = [name for name in plan.inputs if name not in rows.columns]
    others = [name for name in plan.inputs if (name in plan.categories) != (name in rows.categories)]
    if others and not lacking:
        return f"takes {', '.join(others)} as a {'category' if others[0] in plan.categories else 'number'}"
    return f"takes {', '.join(lacking)}, which these rows lack" if lacking else ""
