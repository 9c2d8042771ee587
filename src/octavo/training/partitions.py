"""Parts of a model: for each word of a category that has rows enough, another fit, kept only where it proves better."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Model
from octavo.definitions.pickled import Pickled
from octavo.errors import InvalidRequest, TrainingFailed
from octavo.features.datasets.training_sets import TrainingSet
from octavo.training.estimators import predict
from octavo.training.evaluation import difference, value
from octavo.training.frames import words_of
from octavo.training.metrics import Metric
from octavo.training.reports import Partition, TriedPart
from octavo.training.routing import Outputs, Partitioned

Floats = npt.NDArray[np.float64]
LEAST_HELD_OUT = 30
"""Held-out rows of a word, below which nothing can be said of its part."""
MOST_PARTS = 100
"""Words that parts are fitted for, at most; each costs a fit, a proof when it is packed, and memory where it serves."""

_ERROR = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Word:
    """The rows of one word of the category."""

    place: int
    word: str
    train: Dataset
    held_out: Dataset
    parents: Floats
    """What the parent answers for the held-out ones."""


def fit_parts(
    model: Model,
    data: TrainingSet,
    *,
    parent: Any,
    fit: Callable[[Dataset], Any],
    metric: Metric,
    progress: Callable[[str], None],
) -> tuple[Any, Partition]:
    """Fit a part for each word with rows enough, and keep those that are better than the parent.

    Better is: on the held-out rows of the word, of which there must be 30, the interval of the difference between the
    metric of the part and that of the parent lies wholly on the better side. The intervals are as wide as it takes for
    all words together to be sure at 95 % (Bonferroni): the same rows judge the model afterwards. A part that cannot be
    fitted, or that cannot answer, is not kept either. At most the 100 words with most rows are tried.

    Parameters
    ----------
    parent
        Fitted on all rows.
    fit : callable
        Fits an estimator on rows, by the model's function.
    progress : callable
        Is told which part comes now.

    Returns
    -------
    estimator
        A `Partitioned`; the parent itself if no part is kept.
    partition : Partition
        Which parts were tried, and what came of each.

    Raises
    ------
    TrainingFailed
        If the parent cannot answer the held-out rows, or is to be kept as a pickle.
    """
    if isinstance(parent, Pickled):
        raise TrainingFailed(
            f"{model.name} returned a pickle, and is partitioned by {model.partition_by}; parts are only kept as data: "
            "return an estimator that another format keeps, or declare no partition_by"
        )
    by = model.partition_by or ""
    column, vocabulary = data.train.columns.index(by), data.train.categories[by]
    outputs = partial(_outputs, model=model, data=data)
    counts = np.bincount(_known(data.train.X[:, column]), minlength=len(vocabulary))
    most_first = np.argsort(-counts, kind="stable").tolist()
    enough = [place for place in most_first if counts[place] >= model.partition_min_rows]
    chosen = enough[:MOST_PARTS]
    judge = _Judge(parent=parent, outputs=outputs, metric=metric, confidence=1 - _ERROR / max(len(chosen), 1))
    parts, tried = {}, []
    for number, one in enumerate(_words(data, chosen, column=column, parents=outputs(parent)(data.holdout.X)), start=1):
        progress(f"{model.name}, part {number} of {len(chosen)}: {one.word} ({len(one.train):,} rows)")
        estimator, part = _tried(one, fit=fit, judge=judge)
        tried.append(part)
        if part.kept:
            parts[one.place] = estimator
    partition = Partition(
        by=by,
        metric=metric.name,
        min_rows=model.partition_min_rows,
        parts=tuple(tried),
        smaller=len(vocabulary) - len(enough),
        beyond=len(enough) - len(chosen),
    )
    return (Partitioned(parent=parent, parts=parts, column=column) if parts else parent), partition


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Judge:
    """What a part is judged by."""

    parent: Any
    outputs: Callable[[Any], Outputs]
    metric: Metric
    confidence: float


def _outputs(estimator: Any, *, model: Model, data: TrainingSet) -> Outputs:
    return partial(predict, estimator, task=model.task, words=words_of(data.train.columns, data.train.categories))


def _known(places: Floats) -> npt.NDArray[np.intp]:
    """The places of words, without those of rows that have none, or one that no row of training had."""
    return places[places >= 0].astype(np.intp)


def _words(data: TrainingSet, chosen: list[int], *, column: int, parents: Floats) -> Iterator[_Word]:
    """Words by their places, each with its rows."""
    places, held_out = data.train.X[:, column], data.holdout.X[:, column]
    vocabulary = data.train.categories[data.train.columns[column]]
    for place in chosen:
        there = held_out == place
        yield _Word(
            place=place,
            word=vocabulary[place],
            train=_where(data.train, places == place),
            held_out=_where(data.holdout, there),
            parents=parents[there],
        )


def _tried(one: _Word, *, fit: Callable[[Dataset], Any], judge: _Judge) -> tuple[Any, TriedPart]:
    """A part, and what came of it; None for one that cannot be judged."""
    part = TriedPart(word=one.word, rows=len(one.train), held_out=len(one.held_out))
    if part.held_out < LEAST_HELD_OUT:
        return None, replace(part, why=f"{part.held_out} held-out rows, of at least {LEAST_HELD_OUT}")
    labels, metric = one.held_out.y, judge.metric
    try:
        estimator = fit(one.train)
        if type(estimator) is not type(judge.parent):
            kinds = type(estimator).__name__, type(judge.parent).__name__
            return None, replace(part, why=f"a {kinds[0]}, where the model for all is a {kinds[1]}")
        answers = judge.outputs(estimator)(one.held_out.X)
        gain = difference(labels, ours=answers, theirs=one.parents, metric=metric, confidence=judge.confidence)
    except (TrainingFailed, InvalidRequest) as error:
        return None, replace(part, why=error.message.partition("\n")[0])
    kept = gain.low > 0 if metric.higher_is_better else gain.high < 0
    return estimator, replace(
        part,
        parent=value(labels, one.parents, metric=metric),
        part=value(labels, answers, metric=metric),
        difference=gain,
        kept=kept,
        why="" if kept else "not surely better than the model for all",
    )


def _where(rows: Dataset, chosen: npt.NDArray[np.bool_]) -> Dataset:
    return replace(rows, X=rows.X[chosen], y=rows.y[chosen], times=rows.times[chosen])
