"""What is known of a trained model: how well it does, on what, and what its data looked like.

Light: imported by the processes that serve and monitor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Task
from octavo.errors import IntegrityError
from octavo.features.expectations import Breach
from octavo.training.details import Details
from octavo.training.intervals import Interval as Interval  # as part of what a report is made of


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The distribution of a column, coarse enough to be kept and compared.

    Attributes
    ----------
    edges : tuple of float
        Inner edges of the bins, ascending; at most nine of numbers. Bin 0 lies below the first; bin i is
        [edges[i-1], edges[i]); the last one starts at the last edge. Each is a float32, so that an input falls into the
        same bin everywhere.
    shares : tuple of float
        Share of each bin among the values that are present: one more than edges, summing to 1; 0 if none is present.
    missing : float
        Share of NaN among all rows.
    defaulted : float
        Share of all rows in which a default stands in; it is binned as the value that the model is given.
    mean, std, low, high : float or None
        Of the values that are present; None if none is, and of a category.
    words : tuple of str
        Of a category, what is in each bin; the first holds every word that training did not know. Empty for numbers.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    missing: float
    mean: float | None
    std: float | None
    low: float | None = None
    high: float | None = None
    defaulted: float = 0.0
    words: tuple[str, ...] = ()

    @property
    def absent(self) -> float:
        """Share of all rows without a value of their own."""
        return self.missing + self.defaulted

    def counts(self, values: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], int]:
        """Count values in this profile's bins; counts of several batches add up.

        Returns
        -------
        counts : ndarray, shape (len(shares),), int64
        missing : int
            How many are NaN.
        """
        largest = np.finfo(np.float32).max  # an infinity counts as this, also when a profile is made
        array = np.clip(np.asarray(values, dtype=np.float64), -largest, largest)
        present = array[~np.isnan(array)]
        bins = np.searchsorted(self.edges, present, side="right")
        return np.bincount(bins, minlength=len(self.shares)).astype(np.int64), len(array) - len(present)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """A tenth of the held-out rows, by predicted value: what was predicted, and what came.

    Attributes
    ----------
    predicted : float
        Mean prediction.
    observed : Interval
        Mean label; for a binary one the share of positives.
    """

    predicted: float
    observed: Interval
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataWindow:
    """Rows that were used for one purpose, and the first and last of their decision times."""

    rows: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedPart:
    """A part that was fitted for one word of a category, or was to be.

    Attributes
    ----------
    rows, held_out : int
        Rows of the word that it was fitted on, and judged on.
    parent, part : float or None
        The metric of either on the word's held-out rows; None where it was not measured.
    difference : Interval or None
        That of the part less that of the parent; so wide that it holds for all parts together at 95 %.
    kept : bool
        Whether it answers its word.
    why : str
        Why it is not kept; empty if it is.
    """

    word: str
    rows: int
    held_out: int
    parent: float | None = None
    part: float | None = None
    difference: Interval | None = None
    kept: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """What came of fitting parts beside a model for all rows.

    Attributes
    ----------
    by : str
        The category.
    metric : str
        By which parts are judged.
    parts : tuple of TriedPart
        The one with most rows first.
    min_rows : int
        The fewest rows that a part is fitted on.
    smaller : int
        How many words have fewer.
    beyond : int
        How many words have as many, and were passed over as there were enough others with more.
    """

    by: str
    metric: str
    min_rows: int
    parts: tuple[TriedPart, ...]
    smaller: int
    beyond: int = 0

    @property
    def words(self) -> str:
        """As it stands in a text: ``2 of 3 parts by city answer their words; of fewer than 1,000 rows: 14``."""
        said = [f"{len(self.kept)} of {len(self.parts)} parts by {self.by} answer their words"]
        if self.smaller:
            said.append(f"of fewer than {self.min_rows:,} rows: {self.smaller:,}")
        if self.beyond:
            said.append(f"passed over, as others have more rows: {self.beyond:,}")
        return "; ".join(said)

    @property
    def kept(self) -> tuple[TriedPart, ...]:
        """Those that answer."""
        return tuple(part for part in self.parts if part.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The evaluation of a trained model on the held-out rows, and the profile of what it learned from.

    Attributes
    ----------
    metrics : mapping of metric to Interval
        On the held-out rows.
    baselines : mapping of baseline to (mapping of metric to Interval)
        On the same rows: ``constant``, and the model's declared input if it has one.
    importance : mapping of input to float
        Permutation importance on the held-out rows, at least 0, summing to 1.
    profiles : mapping of input to Profile
        Of the training rows.
    prediction : Profile
        Of the predictions for the held-out rows.
    label : Profile
        Of the training rows' labels.
    curve : tuple of CurvePoint
        Calibration, by rising prediction.
    as_of : datetime
        Only what was known before it was used, in training and in evaluation.
    breaches : tuple of Breach
        What is expected of values and not met by the training rows.
    errors : Profile or None
        Of numbers, by how much the predictions for the held-out rows lie too high.
    details : Details or None
        None for versions of before there were any.
    partition : Partition or None
        What came of its parts, if it is to have any.
    """

    model: str
    task: Task
    metrics: Mapping[str, Interval]
    baselines: Mapping[str, Mapping[str, Interval]]
    importance: Mapping[str, float]
    profiles: Mapping[str, Profile]
    prediction: Profile
    label: Profile
    curve: tuple[CurvePoint, ...]
    training: DataWindow
    holdout: DataWindow
    as_of: datetime
    breaches: tuple[Breach, ...] = ()
    errors: Profile | None = None
    details: Details | None = None
    partition: Partition | None = None


def encode_report(report: Report) -> bytes:
    """Canonical JSON."""
    return msgspec.json.encode(report, order="deterministic")


def decode_report(data: bytes) -> Report:
    """The report that `encode_report` wrote.

    Raises
    ------
    IntegrityError
        If the bytes are no report.
    """
    try:
        return msgspec.json.decode(data, type=Report)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"these bytes are no report of a model: {error}; train the model again") from error
