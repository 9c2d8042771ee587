"""Feature values that were served, computed once more from the table of events, and held against each other.

What is counted, found or sorted has the same bits wherever it is computed. Sums, decayed or not, means and standard
deviations are added up in another order online than offline, so they may differ by as much as the rounding of so many
additions of values so large can bring about (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section
4.2); no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.definitions.aggregates import Operation
from octavo.definitions.features import Feature, FeatureView
from octavo.definitions.models import input_name
from octavo.features.defaults import Defaults
from octavo.features.offline.historical import historical_features
from octavo.features.values import FeatureStatus, float32
from octavo.stores.ports import Tables

AT = "_made_at"
"""The column of a spine with the moment of each prediction."""

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Statuses = npt.NDArray[np.uint8]
_SUMMED = (Operation.SUM, Operation.MEAN, Operation.STD, Operation.DECAYED_SUM, Operation.DECAYED_COUNT)
_WEIGHT_ROUNDINGS = 64
"""How many roundings an event's weight goes through where weights decay: one for each half-life at most."""
_EVER_S = 400 * 366 * 86_400
"""Longer than there are events."""

_ROUNDING, _LAST_BIT = np.finfo(np.float64).eps, np.finfo(np.float32).eps


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Served:
    """What some predictions were given of the features of one view.

    Attributes
    ----------
    ids : ndarray of str, shape (n_rows,)
        Of the predictions.
    spine : pa.Table
        A row per prediction: the entity keys by column, null for none, and its moment in the column `AT`.
    values : ndarray, shape (n_rows, n_features), float32
    status : ndarray, shape (n_rows, n_features), uint8
        `FeatureStatus`.
    unread : ndarray, shape (n_rows,), bool
        Whether the online store could not be read at all.
    """

    ids: npt.NDArray[np.object_]
    spine: pa.Table
    values: npt.NDArray[np.float32]
    status: npt.NDArray[np.uint8]
    unread: Mask

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.ArrayLike) -> "Served":
        """Some of the rows, by place or as a mask."""
        places = np.arange(len(self))[np.asarray(rows)]
        return Served(
            ids=self.ids[places],
            spine=self.spine.take(pa.array(places)),
            values=self.values[places],
            status=self.status[places],
            unread=self.unread[places],
        )

    def of(self, features: Sequence[int]) -> "Served":
        """The same rows with some of the features, by place."""
        return replace(self, values=self.values[:, features], status=self.status[:, features])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recomputed:
    """The values that a definition gives, and whether those served are the same.

    Attributes
    ----------
    values : ndarray, shape (n_rows, n_features), float32
    status : ndarray, shape (n_rows, n_features), uint8
        `FeatureStatus`.
    agrees : ndarray, shape (n_rows, n_features), bool
        Whether value and status are those served, or the request brought the value along.
    """

    values: npt.NDArray[np.float32]
    status: npt.NDArray[np.uint8]
    agrees: Mask

    def of(self, features: Sequence[int]) -> "Recomputed":
        """Some of the features, by place."""
        return Recomputed(
            values=self.values[:, features], status=self.status[:, features], agrees=self.agrees[:, features]
        )


def recompute(tables: Tables, view: FeatureView, served: Served) -> Recomputed:
    """Compute what was served once more, from what was known before each prediction.

    Raises
    ------
    InvalidRequest
        If the predictions' entity keys are not those of the view.
    """
    values, status = _looked_up(tables, view, served.spine)
    same_status = status == served.status
    with np.errstate(invalid="ignore"):
        same = (values == served.values) | (np.isnan(values) & np.isnan(served.values))
        doubtful = same_status & ~same & np.isfinite(values) & np.isfinite(served.values)
        if doubtful.any():
            rows = np.flatnonzero(doubtful.any(axis=1))
            same[rows] |= doubtful[rows] & _within_rounding(tables, view, served.take(rows), values[rows])
    is_sent = served.status == FeatureStatus.SENT  # by whoever asked, who knows best
    return Recomputed(values=values, status=status, agrees=(same & same_status) | is_sent)


def _looked_up(tables: Tables, view: FeatureView, spine: pa.Table) -> tuple[npt.NDArray[np.float32], Statuses]:
    """Values and statuses as a request would have them, with defaults in the place of what is not known."""
    values = float32(_columns(tables, view, spine))
    status = _status(tables, view, spine, values)
    Defaults(feature.default for feature in view.features).stand_in(values, status)
    return values, status


def _columns(tables: Tables, view: FeatureView, spine: pa.Table) -> Floats:
    """The features of a view at the moments of a spine without defaults, shape (n_rows, n_features)."""
    plain = view.with_features(tuple(replace(feature, default=None) for feature in view.features))
    found = historical_features(tables, [plain], spine=spine, at=AT)
    columns = [found.column(input_name(view.name, feature.name)).to_numpy() for feature in view.features]
    return np.stack(columns, axis=1) if columns else np.empty((spine.num_rows, 0))


def _status(tables: Tables, view: FeatureView, spine: pa.Table, values: npt.NDArray[np.float32]) -> Statuses:
    """Present where there is a value; a latest value is stale where there was one once."""
    status = np.where(np.isnan(values), FeatureStatus.MISSING, FeatureStatus.PRESENT).astype(np.uint8)
    latest = [place for place, feature in enumerate(view.features) if feature.ttl_s is not None]
    rows = np.flatnonzero(np.isnan(values[:, latest]).any(axis=1))
    if len(rows):
        ever = view.with_features(tuple(replace(view.features[place], ttl_s=_EVER_S) for place in latest))
        known = ~np.isnan(_columns(tables, ever, spine.take(pa.array(rows))))
        for column, place in enumerate(latest):
            is_stale = known[:, column] & np.isnan(values[rows, place])
            status[rows[is_stale], place] = FeatureStatus.STALE
    return status


def _within_rounding(tables: Tables, view: FeatureView, served: Served, values: npt.NDArray[np.float32]) -> Mask:
    """Where a value differs from the one served by no more than rounding explains."""
    near = np.zeros(values.shape, np.bool_)
    summed = [place for place, feature in enumerate(view.features) if feature.operation in _SUMMED]
    if not summed:
        return near
    extents = view.with_features(tuple(part for place in summed for part in _extent(view.features[place])))
    count, low, high = _columns(tables, extents, served.spine).reshape(len(served), len(summed), 3).transpose(2, 0, 1)
    largest = np.nan_to_num(np.fmax(np.abs(low), np.abs(high)))
    ours, theirs = values[:, summed].astype(np.float64), served.values[:, summed].astype(np.float64)
    for column, place in enumerate(summed):
        near[:, place] = _is_near(
            view.features[place].operation,
            ours[:, column],
            theirs[:, column],
            count=np.nan_to_num(count[:, column]),
            largest=largest[:, column],
        )
    return near


def _is_near(operation: Operation, a: Floats, b: Floats, *, count: Floats, largest: Floats) -> Mask:
    """Whether two results of adding up `count` values, none larger in size than `largest`, are one but for rounding."""
    bound, last_bits = count * largest * _ROUNDING, _LAST_BIT
    if operation is Operation.STD:  # the variances are means of squares
        a, b, bound, last_bits = a * a, b * b, 4 * bound * largest, 2 * last_bits
    elif operation is not Operation.MEAN:
        bound = bound * count * (_WEIGHT_ROUNDINGS if operation.decays else 1)
    near: Mask = np.abs(a - b) <= bound + np.fmax(np.abs(a), np.abs(b)) * last_bits
    return near


def _extent(feature: Feature) -> tuple[Feature, ...]:
    """How many values a feature takes, the smallest and the largest; for a count of events three times how many."""
    counted = feature.operation is Operation.DECAYED_COUNT
    operations = (Operation.COUNT, *((Operation.COUNT,) * 2 if counted else (Operation.MIN, Operation.MAX)))
    return tuple(
        replace(feature, name=f"{feature.name}_{place}", operation=operation, half_life_s=None)
        for place, operation in enumerate(operations)
    )
