"""A training: the user's function on what was known, judged on what it has not seen, recorded whatever comes of it."""

import hashlib
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.definitions.datasets import Dataset
from octavo.definitions.models import Model, Task
from octavo.definitions.steps import result
from octavo.errors import NotFound, OctavoError, TrainingFailed
from octavo.features.datasets.snapshots import record_dataset
from octavo.features.datasets.training_sets import TrainingSet, build_training_set
from octavo.identifiers import new_id
from octavo.operations import Context
from octavo.training.assessment import assess, metrics_of
from octavo.training.estimators import check
from octavo.training.frames import words_of
from octavo.training.metrics import metric
from octavo.training.onnx import as_estimator
from octavo.training.origins import ImportedModel, Origin
from octavo.training.parameters import parameters_on_record, written
from octavo.training.partitions import fit_parts
from octavo.training.reports import Partition, Report
from octavo.training.runs import Run, RunStatus
from octavo.training.steps.running import running_steps
from octavo.training.torch import TorchEstimator, is_module
from octavo.training.tracking.recording import merged

Floats = npt.NDArray[np.float64]
TRAINED = 0.7
"""How far a training is, as progress goes, when only its registration is left."""

_FITTED, _TRACEBACK_LINES = 0.45, 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedModel:
    """What a training made, still in memory; `octavo.registry.register` makes a version of it.

    Attributes
    ----------
    run : Run
        Succeeded.
    estimator
        As the user's function returned it; a `Partitioned` of several, if the model has parts.
    predictions : ndarray, shape (n_holdout,), float64
        The answers for the held-out rows.
    origin : Origin or None
        Where it was fitted, if it was not here.
    """

    run: Run
    model: Model
    estimator: Any
    training_set: TrainingSet
    predictions: Floats
    report: Report
    origin: Origin | None = None

    @property
    def learned_until(self) -> datetime:
        """All that it learned from was known before this moment, or before it was made, if that was elsewhere."""
        data = self.training_set
        if self.origin is None:
            return data.holdout_from
        return max(data.holdout_from, min(self.origin.made_at or data.as_of, data.as_of))

    @property
    def seen(self) -> int:
        """How many held-out rows it may have learned from, as they are older than the model."""
        until = np.datetime64(self.learned_until.replace(tzinfo=None), "us")
        return int((self.training_set.holdout.times < until).sum())


def train(
    context: Context,
    model: Model,
    *,
    as_of: datetime,
    trigger: str = "user",
    run: Run | None = None,
    imported: ImportedModel | None = None,
) -> TrainedModel:
    """Train a model on what was known before a moment.

    The run is recorded when it begins and when it ends, also when it fails.

    Parameters
    ----------
    trigger : str
        What started it, for the record.
    run : Run or None
        A run that is recorded already, as requested or as interrupted, and is done now, with its parameters.
    imported : ImportedModel or None
        What was fitted elsewhere, to be judged as if the model's function had returned it.

    Raises
    ------
    InvalidDefinition
        If the model names a metric that does not exist.
    TrainingFailed
        If the user's function raises or returns what is no estimator of the task, or there are too few rows.
    """
    params = parameters_on_record(model, run.params if run and imported is None else {})
    begun = _begin(context, model, as_of=as_of, trigger=trigger, run=run, params=written(params))
    started = time.perf_counter()
    try:
        trained = _train(context, model, run=begun, imported=imported)
    except BaseException as error:  # also an interruption: a run never stays open because its process was told to stop
        status = RunStatus.FAILED if isinstance(error, Exception) else RunStatus.KILLED
        _record(context, _ended(context, begun, status, started=started, error=_message(error)))
        raise
    values = {name: interval.value for name, interval in trained.report.metrics.items()}
    done = replace(trained.run, metrics=values)
    done = _ended(context, done, RunStatus.SUCCEEDED, started=started)
    _record(context, done)
    return replace(trained, run=done)


def _begin(
    context: Context, model: Model, *, as_of: datetime, trigger: str, run: Run | None, params: Mapping[str, str]
) -> Run:
    begun = Run(
        id=run.id if run else new_id(context.clock),
        model=model.name,
        status=RunStatus.RUNNING,
        trigger=run.trigger if run else trigger,
        as_of=as_of,
        started_at=context.clock.now(),
        code=code_digest(context.project.code),
        params=params,
    )
    _record(context, begun)
    return begun


def _train(context: Context, model: Model, *, run: Run, imported: ImportedModel | None) -> TrainedModel:
    metrics = metrics_of(model)
    context.progress(0.0, "building the training set")
    data = _training_set(context, model, run=run)
    if imported is None:
        context.progress(0.3, f"training {model.name} on {len(data.train):,} rows")
    if imported is None:
        estimator, partition = fit_whole(context, model, data, run=run)
    else:
        estimator, partition = _taken_over(imported, task=model.task), None
    context.progress(0.6, f"evaluating on {len(data.holdout):,} held-out rows")
    report, predictions = assess(model, data, estimator=estimator, metrics=metrics)
    run = replace(run, rows=len(data.train) + len(data.holdout), dataset=data.digest)
    context.progress(TRAINED, f"{model.name} trained")
    return TrainedModel(
        run=run,
        model=model,
        estimator=estimator,
        training_set=data,
        predictions=predictions,
        report=replace(report, partition=partition),
        origin=None if imported is None else imported.origin,
    )


def _training_set(context: Context, model: Model, *, run: Run) -> TrainingSet:
    try:
        data = build_training_set(context.stores.tables, model, as_of=run.as_of)
    except NotFound as error:
        source = model.label.source.name
        raise TrainingFailed(
            f"model {model.name!r} has nothing to learn from: no event of source {source!r} is in its table yet. Send "
            "some (octavo ingest), and have them carried on by the worker (octavo up) or by: octavo materialize"
        ) from error
    _check_rows(model, data)
    record_dataset(context, data.made, as_of=run.as_of, built_by=f"run {run.id}")
    return data


def _check_rows(model: Model, data: TrainingSet) -> None:
    if not len(data.train) or not len(data.holdout):
        other = "longer" if len(data.train) else "shorter"
        raise TrainingFailed(
            f"model {model.name!r} has {len(data.train)} rows to train on and {len(data.holdout)} to hold out; both "
            f"are needed. Ingest more labelled events, or declare a {other} holdout",
        )


def fit(context: Context, model: Model, data: Dataset, *, run: Run) -> Any:
    """What the model's function makes of some rows, by the parameters of a run, its steps as parts of that run.

    Raises
    ------
    TrainingFailed
        If the function or one of its steps fails, or what it returns is no estimator of the task.
    """
    params, given = parameters_on_record(model, run.params), _given(data)
    try:
        with running_steps(context, run) as steps:
            returned = result(model.train(given, **params))
            steps.wait()
        estimator = _as_estimator(returned, n_inputs=data.X.shape[1])
    except OctavoError:
        raise
    except Exception as error:  # a user's function may fail in any way; this is a process boundary
        raise TrainingFailed(
            f"the training function {model.name!r} raised {type(error).__name__}: {error}\n{_last_lines(error)}"
        ) from error
    check(estimator, task=model.task)
    return estimator


def fit_whole(context: Context, model: Model, data: TrainingSet, *, run: Run) -> tuple[Any, Partition | None]:
    """What the model's function makes of the training rows, with the parts that the model declares.

    Returns
    -------
    estimator
        As `fit` gives it; a `Partitioned` if parts of it are kept.
    partition : Partition or None
        What came of its parts, if it is to have any.

    Raises
    ------
    TrainingFailed
        As by `fit`, for all rows; a part that cannot be fitted is left out.
    """
    fitted = partial(fit, context, model, run=run)
    estimator = fitted(data.train)
    if model.partition_by is None:
        return estimator, None
    return fit_parts(
        model,
        data,
        parent=estimator,
        fit=fitted,
        metric=metric(metrics_of(model)[0], task=model.task),
        progress=partial(context.progress, _FITTED),
    )


def run_step(context: Context, model: Model, *, run: Run, number: int) -> TrainingSet:
    """Run one step of a training, and those that it needs and that are not on record; trainings take the result.

    Parameters
    ----------
    run : Run
        What the step is a part of; its parameters and its moment are those of the training.
    number : int
        The steps of a training are numbered from 0 in the order in which its function calls them.

    Raises
    ------
    InvalidRequest
        If there is none of the number.
    TrainingFailed
        If the function or the step fails.
    """
    data = _training_set(context, model, run=run)
    params = parameters_on_record(model, run.params)
    with running_steps(context, run, eager=False) as steps:
        model.train(_given(data.train), **params)
        steps.run(number)
    return data


def _given(data: Dataset) -> Dataset:
    """Rows as a training function is given them, which it may change."""
    words, rows = words_of(data.columns, data.categories), data.X.copy()
    frame = rows if words is None else words.frame(rows, unseen_is_missing=False)
    return replace(data, X=frame, y=data.y.copy(), times=data.times.copy())


def _taken_over(imported: ImportedModel, *, task: Task) -> Any:
    check(imported.estimator, task=task)
    return imported.estimator


def _as_estimator(returned: Any, *, n_inputs: int) -> Any:
    """What a training function returned, as an estimator."""
    return TorchEstimator.of_module(returned, n_inputs=n_inputs) if is_module(returned) else as_estimator(returned)


def _last_lines(error: Exception) -> str:
    """The end of the traceback, from the user's function on."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    return "\n".join("".join(traceback.format_list(frames)).splitlines()[-_TRACEBACK_LINES:])


def _ended(context: Context, run: Run, status: RunStatus, *, started: float, error: str = "") -> Run:
    return replace(
        run,
        status=status,
        finished_at=context.clock.now(),
        seconds=time.perf_counter() - started,
        error=error,
    )


def _message(error: BaseException) -> str:
    return error.message if isinstance(error, OctavoError) else f"{type(error).__name__}: {error}".rstrip(": ")


def _record(context: Context, run: Run) -> None:
    with context.transaction() as tx:
        tx.put(merged(tx.get(Run, run.id), run))


def code_digest(code: Mapping[str, str]) -> str:
    """Digest of a project's modules, by name and content."""
    content = hashlib.sha256()
    for name, text in sorted(code.items()):
        content.update(f"{len(name)}:{name}{len(text.encode())}:{text}".encode())
    return f"sha256:{content.hexdigest()}"
