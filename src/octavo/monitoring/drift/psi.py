"""The population stability index: how far shares of bins lie from those of a baseline.

Sum over the bins of (actual - expected) ln(actual / expected), which is Jeffreys' divergence (Jeffreys, Proc. R. Soc.
A 186, 1946): an effect size, not a p-value, so that many rows do not make a trifle alarming. What is missing is a bin
of its own. By old custom 0.1 is a small shift and 0.25 a large one.

Two things keep it honest for few rows. Half a row is added to each bin on both sides (Krichevsky and Trofimov, IEEE
Trans. Inf. Theory 27, 1981), so that an empty bin costs little where rows are few. And what chance alone makes of it is
taken off: rows drawn from the baseline itself give about (bins - 1) (1/n + 1/m) for n rows against a baseline of m
(Yurdakul and Naranjo, Journal of Risk Model Validation 14, 2020), computed here bin by bin for the smoothed shares.

>>> profile = Profile(edges=(0.0,), shares=(0.5, 0.5), missing=0.0, mean=0.0, std=1.0)
>>> expected = expected_shares(profile)
>>> round(float(stability_index(expected, np.array([500, 500, 0]), baseline_rows=10_000)), 3)
-0.001
>>> round(float(stability_index(expected, np.array([900, 100, 0]), baseline_rows=10_000)), 3)
0.875
"""

import numpy as np
import numpy.typing as npt

from octavo.training.reports import Profile

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
_HALF_A_ROW = 0.5


def expected_shares(profile: Profile) -> Floats:
    """The shares of a profile's bins among all rows, the missing one last; shape (n_bins,)."""
    return np.append(np.asarray(profile.shares) * (1 - profile.missing), profile.missing)


def bin_counts(profile: Profile, values: npt.ArrayLike) -> Counts:
    """How many values, rounded to the float32 of the edges, fall into a profile's bins; the missing one last."""
    with np.errstate(over="ignore"):
        counts, missing = profile.counts(np.asarray(values, dtype=np.float32))
    return np.append(counts, missing)


def stability_index(expected: Floats, counts: Counts, *, baseline_rows: int) -> Floats:
    """The index of counted values against expected shares, without what chance alone would make of it.

    Parameters
    ----------
    expected : ndarray, shape (n_bins,), summing to 1
    counts : ndarray, shape (..., n_bins)
        Several samples at once, if there is more than one axis.
    baseline_rows : int
        How many rows the expected shares were counted from.

    Returns
    -------
    ndarray, shape (...)
        About 0 for a sample drawn from the baseline, and as often below it as above; 0 for an empty sample.
    """
    rows = counts.sum(axis=-1, keepdims=True).astype(np.float64)
    smoothed = rows + _HALF_A_ROW * counts.shape[-1]
    actual = (counts + _HALF_A_ROW) / smoothed
    wanted = (rows * expected + _HALF_A_ROW) / smoothed
    index = ((actual - wanted) * np.log(actual / wanted)).sum(axis=-1)
    by_chance = (rows * expected * (1 - expected) / smoothed**2 / wanted).sum(axis=-1)
    corrected: Floats = index - by_chance * (1 + rows[..., 0] / max(baseline_rows, 1))
    return corrected
