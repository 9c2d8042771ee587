"""The parts of a report that are looked at rather than judged by; each with a bounded cost."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.models import Model, Task
from octavo.features.datasets.training_sets import TrainingSet
from octavo.training.curves import Steps
from octavo.training.dependence import partial_dependence
from octavo.training.details import Details, HeldOut
from octavo.training.importance import Importance
from octavo.training.reports import Profile
from octavo.training.weak_slices import weak_slices

Floats = npt.NDArray[np.float64]
_LEAST_SHARE = 1e-4


def detail(
    model: Model,
    data: TrainingSet,
    *,
    outputs: Callable[[Floats], Floats],
    predictions: Floats,
    importance: Importance,
    profiles: Mapping[str, Profile],
    metric: str,
) -> Details:
    """Look closer at a model on its held-out rows.

    Parameters
    ----------
    outputs : callable
        Predictions for a matrix.
    metric : str
        By which slices are told.
    """
    slices, searched = weak_slices(model, data, predictions=predictions, importance=importance.shares, metric=metric)
    return Details(
        metric=metric,
        **_curves(model, data.holdout.y, predictions),
        slices=slices,
        searched=searched,
        importance=importance.losses,
        dependence=partial_dependence(outputs, data.holdout, importance=importance.shares),
        holdout={
            name: held_out(profiles[name], data.holdout.X[:, place]) for place, name in enumerate(data.holdout.columns)
        },
    )


def held_out(profile: Profile, column: Floats) -> HeldOut:
    """A column in the bins of its profile in training."""
    with np.errstate(over="ignore"):
        counts, missing = profile.counts(column.astype(np.float32))  # as it is when a profile is made
    present = int(counts.sum())
    shares = counts / max(present, 1)
    before, now = (np.maximum(each, _LEAST_SHARE) for each in (np.asarray(profile.shares), shares))
    index = float(((now - before) * np.log(now / before)).sum()) if present and any(profile.shares) else 0.0
    return HeldOut(shares=tuple(shares.tolist()), missing=missing / max(len(column), 1), index=index)


def _curves(model: Model, labels: Floats, predictions: Floats) -> dict[str, Any]:
    positives = int((labels > 0).sum())
    if model.task is not Task.BINARY or not 0 < positives < len(labels):
        return {}
    steps = Steps(labels, predictions)
    return {
        "roc": steps.roc(),
        "precision_recall": steps.precision_recall(),
        "thresholds": steps.table(model.costs),
    }
