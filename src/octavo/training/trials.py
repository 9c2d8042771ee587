"""One trial of a sweep: learned from the rows before a stretch that lies before the held-out one, judged on that."""

import json
import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from octavo.definitions.models import Model
from octavo.definitions.reports import reporting_to
from octavo.errors import NotFound, TrainingFailed
from octavo.features.datasets.snapshots import record_dataset
from octavo.features.datasets.training_sets import TrainingSet, build_training_set
from octavo.operations import Context
from octavo.training.answers import answers_by, check_answers
from octavo.training.evaluation import value
from octavo.training.fit import fit
from octavo.training.metrics import metric
from octavo.training.runs import Run
from octavo.training.steps.child import given_to
from octavo.training.steps.jobs import Job
from octavo.training.steps.values import encode_value

REPORTS = "reports.jsonl"
"""Where a trial tells how it is getting on: a line with a step and a value each time."""


def trial_set(context: Context, model: Model, *, run: Run) -> TrainingSet:
    """The rows of all trials of a sweep, put on record.

    It is the training set that the model would have had where the held-out rows begin, cut as that one: what is held
    out of it are the rows by which trials are judged, and none of it was known only later.

    Raises
    ------
    TrainingFailed
        If there are too few rows.
    """
    as_of = run.as_of - timedelta(seconds=model.holdout_s)
    try:
        data = build_training_set(context.stores.tables, model, as_of=as_of)
    except NotFound as error:
        raise TrainingFailed(f"model {model.name!r} has nothing to learn from yet; see: octavo train") from error
    if not len(data.train) or not len(data.holdout):
        raise TrainingFailed(
            f"a sweep of {model.name!r} would learn from {len(data.train)} rows and judge by {len(data.holdout)}, "
            "which lie before the held-out rows; both are needed. Ingest more labelled events, or declare a shorter "
            "holdout"
        )
    record_dataset(context, data.made, as_of=as_of, built_by=f"run {run.id}")
    return data


def trial_job(model: Model, data: TrainingSet, *, metrics: tuple[str, ...], keep: Callable[[bytes], str]) -> Job:
    """What the process of any trial is given, but for its run."""
    given = encode_value(
        [data.train, data.holdout, list(metrics)], keep=keep, where=f"the training set of model {model.name!r}"
    )
    return Job(module="", file="", name=model.name, arguments=given)


def run_trial(context: Context, job: Job, folder: Path) -> dict[str, float]:
    """Train by the parameters of the job's run, and judge; in the process of the trial.

    Returns
    -------
    dict of metric to value
        Those that are defined for the rows.
    """
    model = context.project.model(job.name)
    train, judged_by, metrics = given_to(job, folder)
    with context.transaction() as tx:
        run = tx.get(Run, job.run)
    if run is None:
        raise NotFound("run", job.run)

    def report(at: int, reported: float) -> None:
        with (folder / REPORTS).open("a", encoding="utf-8") as reports:
            reports.write(json.dumps([at, reported]) + "\n")

    with reporting_to(report):
        estimator = fit(context, model, train, run=run)
    predictions = answers_by(model, estimator, train)(judged_by.X)
    check_answers(model, predictions)
    values = {name: value(judged_by.y, predictions, metric=metric(name, task=model.task)) for name in metrics}
    return {name: found for name, found in values.items() if math.isfinite(found)}


def new_reports(folder: Path, *, after: int) -> list[tuple[int, float]]:
    """What a trial has reported, but for the first `after` of it; a line that is not whole yet is left for later."""
    try:
        text = (folder / REPORTS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    lines = text[: text.rfind("\n") + 1].splitlines()[after:]
    return [(int(at), float(reported)) for at, reported in map(json.loads, lines)]
