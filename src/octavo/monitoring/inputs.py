"""A model's inputs over a window of predictions, beside what they were in training."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from octavo.features.values import FeatureStatus
from octavo.monitoring.drift.psi import bin_counts, expected_shares, stability_index
from octavo.monitoring.references import Reference
from octavo.monitoring.windows import Window
from octavo.training.reports import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class InputLook:
    """One input over the window, beside what it was in training. Shares are of the window's predictions, in [0, 1].

    Attributes
    ----------
    importance : float
        Its share of what the model goes by, from the report.
    drift : float
        Population stability index against the training rows, beyond what is usual, at least 0.
    usual : float
        How far a stretch of the training rows of the same length usually lies from the whole; taken off `drift`.
    absent : float
        Share without a value of its own: NaN, or a default in its place.
    missing, stale, default : float
        Share of each status. A count of which nothing is known is missing, but 0 and so not absent.
    outside : float
        Share of the present values below the least or above the greatest of training.
    mean, trained_mean : float or None
        Of the values that are present; None if none is.
    trained_std : float or None
    trained_absent, usual_absent : float
        Share without a value of its own among the training rows, and how large it usually is at most in a stretch of
        them of the same length.
    shares : tuple of float
        Share of each bin of the training profile among the present values; empty if none is present.
    """

    name: str
    importance: float
    drift: float
    absent: float
    missing: float
    stale: float
    default: float
    outside: float
    mean: float | None
    trained_mean: float | None
    trained_std: float | None
    trained_absent: float
    usual: float = 0.0
    usual_absent: float = 0.0
    shares: tuple[float, ...] = ()

    @property
    def contribution(self) -> float:
        """What it adds to the drift of all inputs."""
        return self.importance * self.drift


def look_at_inputs(window: Window, reference: Reference, *, length_s: float) -> tuple[InputLook, ...]:
    """Each input of a window, the one that contributes most to the drift first.

    Parameters
    ----------
    window : Window
        Not empty.
    length_s : float
        How long a time it covers.
    """
    looks = [
        _look(name, window.matrix[:, place].astype(np.float64), window.status[:, place], reference, length_s=length_s)
        for place, name in enumerate(reference.inputs)
    ]
    return tuple(sorted(looks, key=lambda look: (-look.contribution, -look.importance)))


def _look(
    name: str,
    values: npt.NDArray[np.float64],
    status: npt.NDArray[np.uint8],
    reference: Reference,
    *,
    length_s: float,
) -> InputLook:
    profile = reference.report.profiles[name]
    usual = reference.usual_drift(name, length_s=length_s)
    counts = bin_counts(profile, values)
    index = stability_index(expected_shares(profile), counts, baseline_rows=reference.report.training.rows)
    shares = np.bincount(status, minlength=len(FeatureStatus)) / len(status)
    nan, finite = np.isnan(values), values[np.isfinite(values)]
    return InputLook(
        name=name,
        importance=reference.report.importance.get(name, 0.0),
        drift=max(float(index) - usual, 0.0),
        usual=usual,
        absent=float((nan | np.isin(status, (FeatureStatus.DEFAULT, FeatureStatus.UNREAD))).mean()),
        missing=float(shares[FeatureStatus.MISSING]),
        stale=float(shares[FeatureStatus.STALE]),
        default=float(shares[FeatureStatus.DEFAULT] + shares[FeatureStatus.UNREAD]),
        outside=_outside(values[~nan], profile),
        mean=float(finite.mean()) if len(finite) and not profile.words else None,
        trained_mean=profile.mean,
        trained_std=profile.std,
        trained_absent=profile.absent,
        usual_absent=reference.usual_absent(name, length_s=length_s),
        shares=_shares(counts[:-1]),
    )


def _shares(present: npt.NDArray[np.int64]) -> tuple[float, ...]:
    total = int(present.sum())
    return tuple(round(int(count) / total, 4) for count in present) if total else ()


def _outside(present: npt.NDArray[np.float64], profile: Profile) -> float:
    if profile.words and len(present):
        return float((present < 0).mean())
    if not len(present) or profile.low is None or profile.high is None:
        return 0.0
    return float(((present < profile.low) | (present > profile.high)).mean())
