"""What a model must beat: guesses that need no learning."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Model, Task
from octavo.training.evaluation import evaluate
from octavo.training.metrics import PINBALLS
from octavo.training.reports import Interval

Floats = npt.NDArray[np.float64]
CONSTANT = "constant"


def evaluate_baselines(
    model: Model, *, train: Dataset, holdout: Dataset, metrics: tuple[str, ...]
) -> Mapping[str, Mapping[str, Interval]]:
    """Each baseline's metrics on the held-out rows.

    The constant is the best one for each metric that the training rows allow: their median for ``mae``, their quantile
    for ``pinball``, else their mean. A declared input guesses by its own value, or by the constant where it is missing;
    for a binary label it guesses the share of positives among the training rows on its side of the label's bound.
    """
    guesses: dict[str, Callable[[str], Floats]] = {
        CONSTANT: lambda metric: np.full(len(holdout), _constant(train.y, metric=metric)),
    }
    if model.baseline:
        guesses[model.baseline] = lambda metric: _guess(model, train=train, holdout=holdout, metric=metric)
    return {
        name: {
            metric: evaluate(holdout.y, guess(metric), metrics=(metric,), task=model.task)[metric] for metric in metrics
        }
        for name, guess in guesses.items()
    }


def _constant(labels: Floats, *, metric: str) -> float:
    quantile = 0.5 if metric == "mae" else PINBALLS.get(metric)
    return float(labels.mean() if quantile is None else np.quantile(labels, quantile))


def _guess(model: Model, *, train: Dataset, holdout: Dataset, metric: str) -> Floats:
    column = train.columns.index(model.baseline or "")
    known, asked = train.X[:, column], holdout.X[:, column]
    constant = _constant(train.y, metric=metric)
    above = model.label.above
    if model.task is Task.REGRESSION or above is None:
        return np.where(np.isnan(asked), constant, asked)
    high, low = _share(train.y[known > above], constant), _share(train.y[known <= above], constant)
    return np.where(np.isnan(asked), constant, np.where(asked > above, high, low))


def _share(labels: Floats, otherwise: float) -> float:
    return float(labels.mean()) if len(labels) else otherwise
