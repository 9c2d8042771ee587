"""What comes after the model of a bundle, from the code that travels in it, run in this very process.

For those who serve nobody else: trainings that ask the live version, and whoever asks a version again. Predictors run
it apart. A bundle in which nothing comes after the model runs no code.
"""

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.answers import AfterModel
from octavo.definitions.plans import LookupPlan
from octavo.features.answers import with_answer
from octavo.registry.bundles import BundleManifest
from octavo.registry.modules import answers_in, find_answer, load_module

_CODE = "code/"


def answering(
    outputs: Callable[[Any], npt.NDArray[np.float64]],
    manifest: BundleManifest,
    plan: LookupPlan,
    *,
    read: Callable[[str], bytes],
) -> Callable[[Any], npt.NDArray[np.float64]]:
    """The answers of a bundle's model, from its outputs.

    Parameters
    ----------
    outputs : callable
        The model: rows of shape (n, n_inputs), float32, to numbers of shape (n,).
    read : callable
        A file of the bundle by its name.

    Raises
    ------
    IntegrityError
        If its code fails to load, or lacks the function.
    """
    function = _function(manifest, plan, read=read)
    return with_answer(outputs, function, inputs=plan.inputs, categories=plan.categories)


def _function(manifest: BundleManifest, plan: LookupPlan, *, read: Callable[[str], bytes]) -> AfterModel | None:
    if plan.answer is None:
        return None
    found: dict[str, AfterModel] = {}
    for file in sorted(name for name in manifest.files if name.startswith(_CODE)):
        digest = manifest.files[file].digest.removeprefix("sha256:")[:16]
        name = f"octavo_answer_{digest}_{PurePath(file).stem}"
        found |= answers_in(load_module(read(file), name=name, path=f"<{name}>/{file}"))
    return find_answer(found, name=plan.answer.name, inputs=plan.answer.inputs, of=f"model {plan.model!r}")
