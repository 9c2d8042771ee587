"""A fitted estimator on the held-out rows, written up as a report."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.clock import from_micros
from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Model, Task
from octavo.errors import InvalidDefinition, InvalidRequest, TrainingFailed
from octavo.features.datasets.training_sets import TrainingSet
from octavo.training.answers import answers_by, check_answers
from octavo.training.baselines import evaluate_baselines
from octavo.training.detailing import detail
from octavo.training.evaluation import evaluate
from octavo.training.importance import permutation_importance
from octavo.training.metrics import metric
from octavo.training.profiling import calibration, profile, profile_of_category
from octavo.training.reports import DataWindow, Interval, Profile, Report

Floats = npt.NDArray[np.float64]
Judged = tuple[Mapping[str, Interval], Mapping[str, Mapping[str, Interval]]]


def metrics_of(model: Model) -> tuple[str, ...]:
    """The metrics that a model declares, then those that only its gates name.

    Raises
    ------
    InvalidDefinition
        If there is none, or one does not exist for the model's task.
    """
    names = tuple(dict.fromkeys((*model.metrics, *(name for gate in model.gates for name in gate.metrics))))
    if not names:
        raise InvalidDefinition(f"model {model.name!r} declares no metric to judge it by; name one: metrics=['mae']")
    return tuple(metric(name, task=model.task).name for name in names)


def assess(model: Model, data: TrainingSet, *, estimator: Any, metrics: tuple[str, ...]) -> tuple[Report, Floats]:
    """Judge an estimator.

    Returns
    -------
    report : Report
    predictions : ndarray, shape (n_holdout,), float64
        The answers for the held-out rows.

    Raises
    ------
    PredictionFailed
        If what comes after the model fails.
    TrainingFailed
        If the estimator cannot predict, or a metric is undefined for the held-out rows.
    """
    outputs = answers_by(model, estimator, data.train)
    predictions = outputs(data.holdout.X)
    check_answers(model, predictions)
    judged, baselines = _judge(model, data, metrics=metrics, predictions=predictions)
    importance = permutation_importance(
        outputs,
        data.holdout.X,
        labels=data.holdout.y,
        columns=data.holdout.columns,
        metric=metric(metrics[0], task=model.task),
    )
    profiles = {name: _profile(data, name, place) for place, name in enumerate(data.train.columns)}
    report = Report(
        model=model.name,
        task=model.task,
        metrics=judged,
        baselines=baselines,
        importance=importance.shares,
        profiles=profiles,
        prediction=profile(predictions),
        label=profile(data.train.y),
        curve=calibration(data.holdout.y, predictions, task=model.task),
        training=_window(data.train),
        holdout=_window(data.holdout),
        as_of=data.as_of,
        breaches=data.breaches,
        errors=profile(predictions - data.holdout.y) if model.task is Task.REGRESSION else None,
        details=detail(
            model,
            data,
            outputs=outputs,
            predictions=predictions,
            importance=importance,
            profiles=profiles,
            metric=metrics[0],
        ),
    )
    return report, predictions


def _profile(data: TrainingSet, name: str, place: int) -> Profile:
    stood_in = data.stood_in.get(name)
    column, words = data.train.X[:, place], data.train.categories.get(name)
    described = profile(column) if words is None else profile_of_category(column, words)
    return described if stood_in is None else replace(described, defaulted=float(stood_in.mean()))


def _judge(model: Model, data: TrainingSet, *, metrics: tuple[str, ...], predictions: Floats) -> Judged:
    try:
        judged = evaluate(data.holdout.y, predictions, metrics=metrics, task=model.task)
        baselines = evaluate_baselines(model, train=data.train, holdout=data.holdout, metrics=metrics)
    except InvalidRequest as error:
        raise TrainingFailed(f"model {model.name!r} cannot be evaluated: {error.message}") from error
    return judged, baselines


def _window(data: Dataset) -> DataWindow:
    moments = data.times.astype("datetime64[us]").astype(np.int64)
    return DataWindow(rows=len(data), start=from_micros(int(moments[0])), end=from_micros(int(moments[-1])))
