"""Searches good hyperparameters of a model: many trials, each a run with the sweep as its parent.

Optuna proposes, our runs are the truth: a sweep that was interrupted is told of the trials on record, and goes on.
"""

import os
import shutil
import threading
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from octavo.definitions.models import Model
from octavo.definitions.sweeps import Sweep
from octavo.definitions.types import seconds
from octavo.errors import Conflict, InvalidRequest, TrainingFailed
from octavo.identifiers import new_id
from octavo.operations import Context
from octavo.stores.metrics import MetricPoint
from octavo.stores.names import digest_of, hex_of
from octavo.training.assessment import metrics_of
from octavo.training.fit import code_digest
from octavo.training.metrics import metric
from octavo.training.parameters import Value, parameters_for, written
from octavo.training.proposals import Pruning, Study, text_of
from octavo.training.runs import Run, RunStatus
from octavo.training.steps.jobs import LOG, Ending, Executor, Outcome, write_new
from octavo.training.tracking.lines import giving_signs
from octavo.training.tracking.recording import LOG as LOG_ARTIFACT
from octavo.training.trials import trial_job, trial_set

SWEEP, TRIAL, PRUNED = "octavo.sweep", "octavo.trial", "octavo.pruned"
"""Tags: of which model a run is a sweep, which trial of it a run is, and whether that was ended since it was bad."""

_SETTINGS = ("trials", "metric", "timeout", "prune", "seed")
_HOPELESS, _POLL_S, _LONGEST_LOG = 5, 0.05, 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one trial.

    Attributes
    ----------
    value : float or None
        Of the sweep's metric; None where there is none.
    error : str
        Why.
    """

    number: int
    run: str
    params: Mapping[str, str]
    status: RunStatus
    value: float | None
    pruned: bool = False
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepDone:
    """What came of a sweep.

    Attributes
    ----------
    run : Run
        Of the sweep itself.
    best : Trial
        The best one by its metric.
    trials : tuple of Trial
        All, in their order.
    """

    run: Run
    metric: str
    best: Trial
    trials: tuple[Trial, ...] = field(repr=False)


def begin_sweep(context: Context, model: Model, sweep: Sweep) -> Run:
    """Put a sweep on record.

    Raises
    ------
    InvalidRequest
        If the model has no such parameter, or a range does not fit it.
    """
    chosen = metric(sweep.metric or metrics_of(model)[0], task=model.task).name
    for name, where in sweep.ranges.items():
        for text in where.choices or (text_of(where, where.low), text_of(where, where.high)):
            parameters_for(model, {name: text})
    now = context.clock.now()
    settings: dict[str, Value] = {
        "trials": sweep.trials,
        "metric": chosen,
        "timeout": sweep.timeout or "",
        "prune": sweep.prune,
    }
    run = Run(
        id=new_id(context.clock),
        model="",
        name=f"sweep of {model.name}",
        experiment=model.name,
        status=RunStatus.RUNNING,
        trigger="sweep",
        as_of=now,
        started_at=now,
        code=code_digest(context.project.code),
        params={**written({**settings, "seed": sweep.seed}), **{f"range.{k}": str(v) for k, v in sweep.ranges.items()}},
        tags={SWEEP: model.name},
        by=context.principal.name,
    )
    _record(context, run)
    return run


def resumed_sweep(context: Context, run: Run) -> Run:
    """A sweep that was interrupted, to go on with.

    Raises
    ------
    InvalidRequest
        If the run is no sweep.
    Conflict
        If it is done, or the code is no longer what it was.
    """
    if SWEEP not in run.tags:
        raise InvalidRequest(f"run {run.id} is no sweep", field="resume", fix="see: octavo runs")
    if run.status is RunStatus.SUCCEEDED:
        raise Conflict(f"sweep {run.id} is done; begin another", run=run.id)
    if run.code != code_digest(context.project.code):
        raise Conflict(f"the project's code is not what it was when sweep {run.id} began; begin another", run=run.id)
    going_on = replace(run, status=RunStatus.RUNNING, finished_at=None, error="")
    _record(context, going_on)
    return going_on


def sweep_of(run: Run) -> Sweep:
    """What a sweep on record is to do."""
    p = run.params
    ranges = {name.removeprefix("range."): text for name, text in p.items() if name.startswith("range.")}
    return Sweep(
        params=ranges,
        trials=int(p["trials"]),
        metric=p["metric"],
        timeout=p["timeout"] or None,
        prune=p["prune"] == "true",
        seed=int(p["seed"]),
    )


def run_sweep(context: Context, model: Model, run: Run, *, executor: Executor, parallel: int = 1) -> SweepDone:
    """Try, until there are as many trials on record as are wanted.

    The sweep's run is recorded when it ends, also when it fails or is interrupted.

    Raises
    ------
    TrainingFailed
        If there are too few rows, no trial succeeds, or the first ones all fail.
    """
    folder = context.config.home / "steps" / f"{os.getpid()}-sweep-{run.id}"
    started_s = time.perf_counter()
    try:
        with giving_signs(context, run):
            search = _Search(context, model, run, folder=folder, executor=executor)
            done = search.run(parallel=parallel)
    except BaseException as error:  # also an interruption: it is resumed from what is on record
        status = RunStatus.FAILED if isinstance(error, Exception) else RunStatus.KILLED
        message = str(error) or type(error).__name__
        _record(context, replace(run, status=status, finished_at=context.clock.now(), error=message))
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert done.best.value is not None
    ended = replace(
        run,
        status=RunStatus.SUCCEEDED,
        finished_at=context.clock.now(),
        seconds=time.perf_counter() - started_s,
        dataset=search.dataset,
        rows=search.rows,
        metrics={done.metric: done.best.value},
    )
    _record(context, ended)
    return replace(done, run=ended)


def trials_of(context: Context, run: Run, *, metric: str) -> list[Trial]:
    """The trials on record, in their order; of those that were interrupted none is left."""
    with context.transaction() as tx:
        found = [one for one in tx.find(Run, parent=run.id) if TRIAL in one.tags]
    trials = [_trial(one, metric=metric) for one in found if one.status.ended]
    return sorted((t for t in trials if t.status is not RunStatus.KILLED or t.pruned), key=lambda trial: trial.number)


class _Search:
    """One process's work on a sweep."""

    def __init__(self, context: Context, model: Model, run: Run, *, folder: Path, executor: Executor) -> None:
        self._context = context
        self._model = model
        self._run = run
        self._sweep = sweep_of(run)
        self._folder = folder
        self._executor = executor
        self._metric = metric(self._sweep.metric, task=model.task)
        self._study = Study(self._sweep, higher_is_better=self._metric.higher_is_better)
        self._stopped = threading.Event()
        self._recording = threading.Lock()
        self._trials: list[Trial] = []
        _close_left_open(context, run)
        context.progress(0.0, "building the training set")
        data = trial_set(context, model, run=run)
        if run.dataset and run.dataset != data.digest:
            raise Conflict(f"the rows of sweep {run.id} are no longer what they were; begin another", run=run.id)
        self.dataset, self.rows = data.digest, len(data.train) + len(data.holdout)
        self._run = replace(run, dataset=self.dataset, rows=self.rows)
        _record(context, self._run)
        self._job = replace(
            trial_job(model, data, metrics=metrics_of(model), keep=self._keep),
            timeout_s=seconds(self._sweep.timeout) if self._sweep.timeout else None,
        )

    def run(self, *, parallel: int) -> SweepDone:
        for known in trials_of(self._context, self._run, metric=self._metric.name):
            self._study.remember(known.params, value=known.value, pruned=known.pruned)
            self._trials.append(known)
        missing = self._sweep.trials - len(self._trials)
        first = 1 + max((trial.number for trial in self._trials), default=-1)
        with ThreadPoolExecutor(max_workers=max(parallel, 1), thread_name_prefix="trial") as threads:
            try:
                begun, waiting = 0, set[Future[None]]()
                while waiting or begun < missing:
                    while len(waiting) < parallel and begun < missing:
                        waiting.add(threads.submit(self._try, first + begun))
                        begun += 1
                    ended, waiting = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                    for one in ended:
                        one.result()
                    self._check_hope()
            finally:
                self._stopped.set()
                threads.shutdown(wait=True, cancel_futures=True)
        return self._done()

    def _done(self) -> SweepDone:
        trials = tuple(sorted(self._trials, key=lambda trial: trial.number))
        best = self._best()
        if best is None:
            raise TrainingFailed(f"none of {len(trials)} trials succeeded; the last one: {trials[-1].error}")
        return SweepDone(run=self._run, metric=self._metric.name, best=best, trials=trials)

    def _best(self) -> Trial | None:
        best: Trial | None = None
        for trial in sorted(self._trials, key=lambda trial: trial.number):
            better = best is None or self._metric.better(trial.value or 0.0, best.value or 0.0)
            if trial.value is not None and not trial.pruned and better:
                best = trial
        return best

    def _check_hope(self) -> None:
        failed = [trial for trial in self._trials if trial.status is RunStatus.FAILED]
        if len(failed) == len(self._trials) >= _HOPELESS:
            raise TrainingFailed(f"the first {len(failed)} trials all failed; the last one: {failed[-1].error}")

    def _try(self, number: int) -> None:
        if self._stopped.is_set():
            return
        proposed = self._study.ask()
        begun = self._begun(number, proposed.params)
        folder = self._folder / str(number)
        started_s = time.perf_counter()
        pruning = Pruning(proposed, folder, stopped=self._stopped, prune=self._sweep.prune)
        job = replace(self._job, run=begun.id, root=str(self._context.config.root))
        outcome = self._executor.run(job, folder=folder, stopped=pruning)
        self._end(begun, outcome, pruning, seconds=time.perf_counter() - started_s, written=_log(folder))

    def _begun(self, number: int, proposed: Mapping[str, Any]) -> Run:
        context, now = self._context, self._context.clock.now()
        texts = {name: text_of(self._sweep.ranges[name], chosen) for name, chosen in proposed.items()}
        run = Run(
            id=new_id(context.clock),
            model="",
            name=f"trial {number}",
            experiment=self._model.name,
            parent=self._run.id,
            status=RunStatus.RUNNING,
            trigger=self._run.trigger,
            as_of=self._run.as_of,
            started_at=now,
            dataset=self.dataset,
            rows=self.rows,
            code=self._run.code,
            params=written(parameters_for(self._model, texts)),
            tags={TRIAL: str(number)},
            by=self._run.by,
        )
        with self._recording:
            _record(context, run)
        return run

    def _end(self, begun: Run, outcome: Outcome, pruning: Pruning, *, seconds: float, written: bytes) -> None:
        context = self._context
        log = context.stores.artifacts.put(written) if written else ""
        metrics = dict(outcome.result) if outcome.ending is Ending.DONE else {}
        status = _STATUS.get(outcome.ending, RunStatus.FAILED)
        error = outcome.error
        if status is RunStatus.SUCCEEDED and self._metric.name not in metrics:
            status, error = RunStatus.FAILED, f"{self._metric.name} is undefined for the rows that judge"
        ended = replace(
            begun,
            status=status,
            finished_at=context.clock.now(),
            seconds=seconds,
            metrics=metrics,
            error="pruned: it was worse than most trials before" if pruning.pruned else error,
            tags={**begun.tags, PRUNED: "true"} if pruning.pruned else begun.tags,
            log=log,
            artifacts={LOG_ARTIFACT: log} if log else {},
        )
        points = [
            MetricPoint(run=begun.id, name=f"reported {self._metric.name}", step=at, at=begun.started_at, value=value)
            for at, value in pruning.reports
        ]
        trial = _trial(ended, metric=self._metric.name)
        with self._recording, context.transaction() as tx:
            tx.put(ended)
            tx.append_points(points)
        if outcome.ending is Ending.STOPPED and not pruning.pruned:
            return
        self._study.tell(pruning.trial, value=trial.value, pruned=trial.pruned)
        with self._recording:
            self._trials.append(trial)
            self._report(trial)

    def _report(self, trial: Trial) -> None:
        best = self._best()
        shown = "failed" if trial.value is None else f"{self._metric.name} {trial.value:.6g}"
        lead = "" if best is None or best.value is None else f"; best {best.value:.6g}"
        self._context.progress(len(self._trials) / self._sweep.trials, f"trial {trial.number}: {shown}{lead}")

    def _keep(self, data: bytes) -> str:
        digest = digest_of(data)
        write_new(self._folder / "blobs" / hex_of(digest), data)
        return digest


_STATUS = {Ending.DONE: RunStatus.SUCCEEDED, Ending.STOPPED: RunStatus.KILLED}


def _trial(run: Run, *, metric: str) -> Trial:
    return Trial(
        number=int(run.tags[TRIAL]),
        run=run.id,
        params=run.params,
        status=run.status,
        value=run.metrics.get(metric) if run.status is RunStatus.SUCCEEDED else None,
        pruned=PRUNED in run.tags,
        error=run.error,
        seconds=run.seconds,
    )


def _log(folder: Path) -> bytes:
    try:
        return (folder / LOG).read_bytes()[-_LONGEST_LOG:]
    except FileNotFoundError:
        return b""


def _close_left_open(context: Context, run: Run) -> None:
    with context.transaction() as tx:
        for left in tx.find(Run, parent=run.id, status=RunStatus.RUNNING):
            error = "the sweep was interrupted before its end"
            tx.put(replace(left, status=RunStatus.KILLED, finished_at=context.clock.now(), error=error))


def _record(context: Context, run: Run) -> None:
    with context.transaction() as tx:
        tx.put(run)
