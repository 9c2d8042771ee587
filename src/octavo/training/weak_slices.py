"""Where a model does worse than elsewhere: on slices of the held-out rows that a gate names, or a search finds.

The search is bounded: quarters or values of the most important inputs, and values of the strings that came with the
rows. Each is compared by the loss of its rows with all others, with standard errors of the block bootstrap.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.definitions.gates import Where
from octavo.definitions.models import Model, Task
from octavo.errors import InvalidRequest
from octavo.features.datasets.training_sets import TrainingSet
from octavo.training.details import SliceRow
from octavo.training.evaluation import evaluate, means_of_groups
from octavo.training.intervals import Interval
from octavo.training.slicing import Cut, cut, cut_numbers

Floats = npt.NDArray[np.float64]
MOST_INPUTS, MOST_FOUND, FEWEST_ROWS = 15, 10, 50
_MOST_SEARCHED, _LEVEL, _SMALLEST = 200, 0.05, 1e-15


def weak_slices(
    model: Model, data: TrainingSet, *, predictions: Floats, importance: Mapping[str, float], metric: str
) -> tuple[tuple[SliceRow, ...], int]:
    """The named slices and the worst others, the worst first; and how many were looked at.

    Parameters
    ----------
    metric : str
        What is told of each.
    """
    named = cut(data.watched, _named(model)) if data.watched is not None else []
    known = {each.name for each in named}
    searched = [each for each in _searched(data, importance) if each.name not in known]
    cuts = [each for each in [*named, *searched[:_MOST_SEARCHED]] if FEWEST_ROWS <= each.rows < len(data.holdout)]
    if not cuts:
        return (), 0
    labels = data.holdout.y
    beyond, chances = _compared(cuts, _losses(model.task, labels, predictions))
    sure = _sure(chances)
    worst = sorted(range(len(cuts)), key=lambda place: -beyond[place])
    names = {each.name for each in named}
    others = [place for place in worst if cuts[place].name not in names and beyond[place] > 0][:MOST_FOUND]
    shown = [place for place in worst if cuts[place].name in names or place in others]
    return tuple(
        SliceRow(
            name=cuts[place].name,
            rows=cuts[place].rows,
            metric=_told(labels, predictions, cuts[place], metric=metric, task=model.task),
            beyond=float(beyond[place]),
            is_sure=place in sure,
            is_named=cuts[place].name in names,
        )
        for place in shown
    ), len(cuts)


def _named(model: Model) -> list[str | Where]:
    return list(dict.fromkeys(one for gate in model.gates for one in gate.slices))


def _searched(data: TrainingSet, importance: Mapping[str, float]) -> Iterator[Cut]:
    holdout, rows = data.holdout, data.watched
    ranked = sorted(importance, key=lambda name: -importance[name])[:MOST_INPUTS]
    if rows is not None:
        texts = [name for name in rows.column_names if pa.types.is_string(rows.schema.field(name).type)]
        yield from cut(rows, texts)
    for name in ranked:
        if name not in holdout.categories:
            yield from cut_numbers(name, holdout.X[:, holdout.columns.index(name)])


def _losses(task: Task, labels: Floats, predictions: Floats) -> Floats:
    if task is Task.REGRESSION:
        return np.abs(labels - predictions)
    certain = np.clip(predictions, _SMALLEST, 1 - _SMALLEST)
    return -np.where(labels > 0, np.log(certain), np.log1p(-certain))


def _compared(cuts: Sequence[Cut], losses: Floats) -> tuple[Floats, list[float]]:
    """By how much rows of each slice lose more than all others, and how likely that is by chance."""
    inside = means_of_groups(losses, [each.chosen for each in cuts])
    outside = means_of_groups(losses, [~each.chosen for each in cuts])
    apart = inside - outside
    errors = np.nanstd(apart[1:], axis=0)
    normal = NormalDist()
    chances = [
        1 - normal.cdf(float(apart[0, place]) / float(error)) if error > 0 else 1.0
        for place, error in enumerate(errors)
    ]
    return apart[0], chances


def _sure(chances: Sequence[float]) -> set[int]:
    """Those that chance does not explain, by Holm's steps."""
    found: set[int] = set()
    for step, place in enumerate(sorted(range(len(chances)), key=lambda place: chances[place])):
        if chances[place] > _LEVEL / (len(chances) - step):
            break
        found.add(place)
    return found


def _told(labels: Floats, predictions: Floats, each: Cut, *, metric: str, task: Task) -> Interval | None:
    try:
        return evaluate(labels[each.chosen], predictions[each.chosen], metrics=(metric,), task=task)[metric]
    except InvalidRequest:
        return None
