"""What gates judge, and how they answer."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from octavo.registry.champions import Champion
from octavo.registry.gates.served import ServedLog
from octavo.registry.jail.opening import Jail
from octavo.stores.ports import Artifacts
from octavo.training.fit import TrainedModel
from octavo.training.reports import Interval

Floats = npt.NDArray[np.float64]
NO_CHAMPION = "no version is live yet"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A version that is about to be registered.

    Attributes
    ----------
    predictions : ndarray, shape (n_holdout,), float64
        Of the compiled model, which is what answers once it is released and what the champion answers by.
    champion : Champion or None
        None while no version is live.
    artifacts : Artifacts or None
        Where its bundle is; None for what was not packed.
    digest : str
        Of its bundle.
    served : ServedLog or None
        What is known of predictions that were served; None where nobody can tell.
    jail : Jail or None
        Where it is opened if it is a pickle.
    """

    trained: TrainedModel
    predictions: Floats
    champion: Champion | None
    artifacts: Artifacts | None = None
    digest: str = ""
    served: ServedLog | None = None
    jail: Jail | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one gate found.

    Attributes
    ----------
    passed : bool or None
        None if it could not be judged.
    numbers : mapping of str to float
        Those that are not finite are left out of the record.
    """

    passed: bool | None
    evidence: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def finite(self) -> dict[str, float]:
        return {name: float(value) for name, value in self.numbers.items() if math.isfinite(value)}


def words_of(found: Interval) -> str:
    """``0.71 (0.69 to 0.73)``."""
    return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"


def numbers_of(found: Interval, *, name: str) -> dict[str, float]:
    """An interval as the numbers of a verdict."""
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
