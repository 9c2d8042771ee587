"""How far stretches of a training set lie from the whole of it: the difference that means nothing.

Rows close in time are alike: three days have their own weather and their own days of the week, so even three days from
the middle of the training set lie far from its average, and an index that expects rows drawn at random would never stop
alarming. So when a version is trained, its rows are cut into stretches of several lengths, and of each input it is kept
how far nine stretches of ten stay from the whole at most, and how often it is absent in them. Only what lies beyond is
drift, or wanting quality.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from octavo.definitions.datasets import Dataset
from octavo.monitoring.drift.psi import Counts, Floats, expected_shares, stability_index
from octavo.operations import Context
from octavo.training.fit import TrainedModel
from octavo.training.reports import Profile

_HOUR_S, _DAY_S = 3_600, 86_400
LENGTHS_S = (_HOUR_S, 6 * _HOUR_S, 12 * _HOUR_S, *(days * _DAY_S for days in (1, 2, 3, 7, 14, 28)))
FEWEST_STRETCHES, FEWEST_ROWS = 8, 100
"""A length is measured by at least so many stretches, of at least so many rows each."""

_MOST = 0.9
_SAME = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """How far stretches of a training set lie from the whole.

    Attributes
    ----------
    run : str
        Of the training.
    lengths_s : tuple of int
        The lengths that were measured, rising; none if the training set is too short.
    drift : mapping of input to tuple of float
        For each length the stability index below which nine of ten stretches lie, at least 0.
    absent : mapping of input to tuple of float
        For each length the share without a value of their own below which nine of ten stretches lie.
    """

    kind: ClassVar[str] = "variation"

    run: str
    model: str
    lengths_s: tuple[int, ...]
    drift: Mapping[str, tuple[float, ...]]
    absent: Mapping[str, tuple[float, ...]]

    @property
    def key(self) -> str:
        return self.run

    def usual_drift(self, input_name: str, *, length_s: float) -> float:
        """How far a stretch of a length usually lies from the whole at most; between measured lengths, in between."""
        return self._between(self.drift.get(input_name, ()), length_s)

    def usual_absent(self, input_name: str, *, length_s: float) -> float:
        """The share without a value of its own that a stretch of a length usually has at most."""
        return self._between(self.absent.get(input_name, ()), length_s)

    def _between(self, measured: tuple[float, ...], length_s: float) -> float:
        if not measured:
            return 0.0
        return float(np.interp(math.log(length_s), np.log(self.lengths_s), measured))


def record_variation(context: Context, trained: TrainedModel) -> Variation:
    """Measure and keep the variation of what a model was trained on, for the looks at the version that it becomes."""
    variation = measure(
        trained.training_set.train,
        trained.report.profiles,
        stood_in=trained.training_set.stood_in,
        run=trained.run.id,
        model=trained.model.name,
    )
    with context.transaction() as tx:
        tx.put(variation)
    return variation


def measure(
    train: Dataset,
    profiles: Mapping[str, Profile],
    *,
    stood_in: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    run: str,
    model: str,
) -> Variation:
    """The variation of a training set.

    Parameters
    ----------
    profiles : mapping of input to Profile
        Of the same rows. An input whose values have been changed since is left out: its drift is corrected for chance
        alone.
    stood_in : mapping of input to ndarray, shape (n_rows,), bool
        Where a default stands in.
    """
    stretches = {length_s: found for length_s in LENGTHS_S if (found := _stretches(train, length_s)) is not None}
    drift: dict[str, tuple[float, ...]] = {}
    absent: dict[str, tuple[float, ...]] = {}
    for place, name in enumerate(train.columns):
        bins = _bins(profiles[name], train.X[:, place])
        expected = expected_shares(profiles[name])
        if stretches and np.allclose(np.bincount(bins, minlength=len(expected)) / len(train), expected, atol=_SAME):
            counts = [_counts(bins, stretch, n_bins=len(expected)) for stretch in stretches.values()]
            drift[name] = tuple(_usual_drift(expected, each, rows=len(train)) for each in counts)
            own = stood_in[name] if stood_in and name in stood_in else np.zeros(len(train), np.bool_)
            lacks = (np.isnan(train.X[:, place]) | own).astype(np.int64)
            shares = [_counts(lacks, stretch, n_bins=2) for stretch in stretches.values()]
            absent[name] = tuple(_most(each[:, -1] / each.sum(axis=1)) for each in shares)
    return Variation(run=run, model=model, lengths_s=tuple(stretches), drift=drift, absent=absent)


def _stretches(train: Dataset, length_s: int) -> npt.NDArray[np.int64] | None:
    """The stretch that each row is in; None if there are too few with enough rows."""
    if not len(train):
        return None
    since = (train.times - train.times[0]).astype("timedelta64[s]").astype(np.int64)
    stretch: npt.NDArray[np.int64] = np.unique(since // length_s, return_inverse=True)[1].astype(np.int64)
    full = np.bincount(stretch) >= FEWEST_ROWS
    return stretch if full.sum() >= FEWEST_STRETCHES else None


def _bins(profile: Profile, values: Floats) -> npt.NDArray[np.int64]:
    """The bin that each value falls into, counted as in `octavo.monitoring.drift.psi.bin_counts`."""
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32).astype(np.float64)
    bins = np.searchsorted(profile.edges, rounded, side="right")
    return np.where(np.isnan(rounded), len(profile.shares), bins).astype(np.int64)


def _counts(bins: npt.NDArray[np.int64], stretch: npt.NDArray[np.int64], *, n_bins: int) -> Counts:
    """How many rows of each stretch with enough rows fall into each bin; shape (n_stretches, n_bins)."""
    n_stretches = int(stretch[-1]) + 1
    counts: Counts = np.bincount(stretch * n_bins + bins, minlength=n_stretches * n_bins).reshape(n_stretches, n_bins)
    full: Counts = counts[counts.sum(axis=1) >= FEWEST_ROWS]
    return full


def _usual_drift(expected: Floats, counts: Counts, *, rows: int) -> float:
    return max(_most(stability_index(expected, counts, baseline_rows=rows)), 0.0)


def _most(values: Floats) -> float:
    """What nine of ten stay below."""
    return float(np.quantile(values, _MOST))
