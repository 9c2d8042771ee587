"""Pickles: written here, and read only by `octavo.registry.jail`. Off unless a project allows them.

No other format falls back to this one: an estimator is kept as a pickle only if the training function says so.
"""

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from octavo.definitions.models import Task
from octavo.definitions.pickled import Pickled
from octavo.definitions.plans import LookupPlan
from octavo.errors import TrainingFailed
from octavo.registry.formats import Outputs
from octavo.registry.formats.tiers import PICKLE
from octavo.registry.jail.opening import Jail
from octavo.training.frames import Words

_FILE = "model.pkl"
_PROTOCOL = 5
_PATIENCE_S = 60.0


class Pickles:
    """What `octavo.pickled` returned.

    Parameters
    ----------
    jail : Jail
    plan : LookupPlan
        Of the model.
    code : mapping of file name to source
        The project's modules.
    """

    name = PICKLE
    serves = True

    def __init__(self, jail: Jail, plan: LookupPlan, *, code: Mapping[str, bytes]) -> None:
        # Trials and measurements are of more rows than requests.
        self._jail, self._plan, self._code = replace(jail, timeout_s=_PATIENCE_S), plan, code

    def matches(self, estimator: Any) -> bool:
        return isinstance(estimator, Pickled)

    def save(self, estimator: Any) -> dict[str, bytes]:
        try:
            return {_FILE: pickle.dumps(estimator.estimator, protocol=_PROTOCOL)}
        except Exception as error:  # what stands in an estimator may be anything
            kind = type(estimator.estimator).__name__
            raise TrainingFailed(f"{kind} cannot be pickled: {type(error).__name__}: {error}") from error

    def load(self, files: Mapping[str, bytes], *, words: Words | None = None) -> Outputs:
        return self._jail.open(files[_FILE], self._plan, code=self._code)

    def to_onnx(self, estimator: Any, *, n_inputs: int, task: Task, words: Words | None = None) -> bytes:
        raise TrainingFailed("a pickle is code, and stays what it is: it is compiled to nothing else")

    def thresholds(self, estimator: Any) -> Iterable[tuple[int, float]]:
        return ()
