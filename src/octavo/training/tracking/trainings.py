"""Trainings as full runs: what they run in is recorded at their beginning, and what they log joins their record."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import msgspec

from octavo.operations import Context
from octavo.stores.ports import Transaction
from octavo.stores.redaction import Redaction
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking import recording
from octavo.training.tracking.experiments import add, by_name
from octavo.training.tracking.lines import ContextLine, TrainingThere
from octavo.training.tracking.recorder import Recorder
from octavo.training.tracking.surroundings import source, surroundings


@contextmanager
def recording_training(context: Context, run: Run) -> Iterator[Run]:
    """Record what a training runs in; within the block its code can log to its run (`octavo.active_run`).

    Gives the run as it is recorded.
    """
    begun = _begin(context, run)
    there = TrainingThere(run.id, ContextLine(context), keeps_line=True)
    with Recorder(run.id, there, experiment=begun.experiment, params=begun.params, now=context.clock.now):
        yield begun


def record_metrics(context: Context, run: Run) -> None:
    """Put the metrics that a training was judged by at the end of their histories."""
    with context.transaction() as tx:
        newest = {point.name: point.step for point in tx.newest_points(run.id, sorted(run.metrics))}
        points = recording.points_of(run, at=run.finished_at or context.clock.now())
        tx.append_points([replace(point, step=newest.get(point.name, -1) + 1) for point in points])


def _begin(context: Context, run: Run) -> Run:
    found, artifacts = surroundings(context.config.root), context.stores.artifacts
    found = replace(found, diff=Redaction.of(context.config).data(found.diff))
    code = artifacts.put(msgspec.json.encode(dict(context.project.code), order="sorted"))
    begun = recording.surrounded(replace(run, status=RunStatus.RUNNING, source=source()), found, artifacts)
    begun = recording.with_artifact(begun, recording.CODE, code)
    with context.transaction() as tx:
        _ensure_experiment(context, tx, run)
        begun = recording.merged(tx.get(Run, run.id), begun)
        tx.put(begun)
    return begun


def _ensure_experiment(context: Context, tx: Transaction, run: Run) -> None:
    """A model has an experiment of its name, also if there was one that is deleted."""
    found = by_name(tx, run.belongs_to)
    if found is None:
        add(tx, run.belongs_to, tags={}, now=context.clock.now())
    elif found.deleted_at is not None:
        tx.replace(found, replace(found, deleted_at=None))
