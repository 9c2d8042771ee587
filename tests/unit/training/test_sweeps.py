"""Sweeps: what is tried, by what it is judged, and that an interrupted one loses nothing."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workshop import Workshop, declare, open_workshop

import octavo as oc
from octavo.definitions.sweeps import RangeKind, parse_range
from octavo.errors import Conflict, InvalidDefinition, InvalidRequest, TrainingFailed
from octavo.features.datasets.training_sets import build_training_set
from octavo.training.runs import Run, RunStatus
from octavo.training.steps.jobs import Ending, Job, Outcome, Stopped
from octavo.training.steps.values import blobs_of
from octavo.training.sweeps import PRUNED, TRIAL, begin_sweep, resumed_sweep, run_sweep, sweep_of, trials_of
from octavo.training.trials import REPORTS, run_trial, trial_set

RANGES = {"slope": "float:0..6", "kind": "choice:plain,odd"}
SWEEP = oc.Sweep(params=RANGES, trials=8, seed=3)


class Slope:
    def __init__(self, slope: float) -> None:
        self.slope = slope

    def predict(self, rows: Any) -> Any:
        return np.nan_to_num(rows[:, -1]) * self.slope


def sloped(train: oc.Dataset, *, slope: float = 1.0, kind: str = "plain") -> Any:
    """What is spent is three for each item."""
    return Slope(slope)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return open_workshop(tmp_path, declare(sloped))


class Here:
    """Runs trials in this process, some of them otherwise."""

    def __init__(
        self, workshop: Workshop, otherwise: Callable[[int, Stopped, Path], Outcome | None] | None = None
    ) -> None:
        self.context = workshop.context
        self.tried: list[Job] = []
        self._otherwise = otherwise

    def run(self, job: Job, *, folder: Path, stopped: Stopped) -> Outcome:
        self.tried.append(job)
        folder.mkdir()
        other = self._otherwise(len(self.tried), stopped, folder) if self._otherwise else None
        return other or Outcome(ending=Ending.DONE, result=run_trial(self.context, job, folder))


def sweep(workshop: Workshop, asked: oc.Sweep = SWEEP, *, executor: Any = None, parallel: int = 1) -> Any:
    run = begin_sweep(workshop.context, workshop.model, asked)
    return run_sweep(workshop.context, workshop.model, run, executor=executor or Here(workshop), parallel=parallel)


def runs(workshop: Workshop, **equal: object) -> list[Run]:
    with workshop.context.transaction() as tx:
        return tx.find(Run, **equal)


def test_the_best_of_the_trials_is_found(workshop: Workshop) -> None:
    done = sweep(workshop, replace(SWEEP, trials=25))
    assert len(done.trials) == 25
    assert float(done.best.params["slope"]) == pytest.approx(3.0, abs=0.6)
    assert done.best.value == min(trial.value for trial in done.trials)
    assert done.run.metrics == {"mae": done.best.value}


def test_each_trial_is_a_run_of_the_sweep_with_its_parameters_and_metrics(workshop: Workshop) -> None:
    done = sweep(workshop)
    [parent] = runs(workshop, trigger="sweep", parent=None)
    assert (parent.status, parent.name, parent.params["range.slope"]) == (
        RunStatus.SUCCEEDED,
        "sweep of sloped",
        "float:0.0..6.0",
    )
    children = runs(workshop, parent=parent.id)
    assert [child.tags[TRIAL] for child in children] == [str(n) for n in range(8)]
    assert [child.metrics["mae"] for child in children] == [trial.value for trial in done.trials]
    assert all(child.dataset == parent.dataset and set(child.params) == {"slope", "kind"} for child in children)


def test_trials_never_see_the_rows_by_which_the_version_will_be_judged(workshop: Workshop) -> None:
    run = begin_sweep(workshop.context, workshop.model, SWEEP)
    inner = trial_set(workshop.context, workshop.model, run=run)
    whole = build_training_set(workshop.context.stores.tables, workshop.model, as_of=run.as_of)
    assert inner.holdout.times.max() <= whole.train.times.max() < whole.holdout.times.min()
    assert inner.train.times.max() < inner.holdout.times.min()
    assert inner.as_of == whole.holdout_from
    assert set(inner.train.y) | set(inner.holdout.y) <= set(whole.train.y)


def test_the_same_seed_tries_the_same(workshop: Workshop) -> None:
    first, again = sweep(workshop), sweep(workshop)
    other = sweep(workshop, replace(SWEEP, seed=4))
    tried = [[trial.params for trial in done.trials] for done in (first, again, other)]
    assert tried[0] == tried[1] != tried[2]


def test_rows_are_kept_once_for_all_trials(workshop: Workshop) -> None:
    here = Here(workshop)
    sweep(workshop, executor=here, parallel=2)
    assert len({digest for job in here.tried for digest in blobs_of(job.arguments)}) == 6


def test_a_sweep_that_is_interrupted_goes_on_with_the_trials_that_are_missing(workshop: Workshop) -> None:
    def interrupt(tried: int, stopped: Stopped, folder: Path) -> Outcome | None:
        if tried == 4:
            raise KeyboardInterrupt
        return None

    with pytest.raises(KeyboardInterrupt):
        sweep(workshop, executor=Here(workshop, interrupt))
    [left] = runs(workshop, name="sweep of sloped")
    assert left.status is RunStatus.KILLED
    assert len(trials_of(workshop.context, left, metric="mae")) == 3
    here = Here(workshop)
    run = resumed_sweep(workshop.context, left)
    done = run_sweep(workshop.context, workshop.model, run, executor=here)
    assert len(here.tried) == 5
    assert [trial.number for trial in done.trials] == list(range(8))
    statuses = [child.status for child in runs(workshop, parent=run.id)]
    assert statuses.count(RunStatus.SUCCEEDED) == 8
    assert statuses.count(RunStatus.KILLED) == 1
    with pytest.raises(Conflict, match="is done"):
        resumed_sweep(workshop.context, done.run)


def test_a_trial_that_fails_is_one_of_them(workshop: Workshop) -> None:
    def fail(tried: int, stopped: Stopped, folder: Path) -> Outcome | None:
        return Outcome(ending=Ending.RAISED, error="too deep") if tried == 2 else None

    done = sweep(workshop, executor=Here(workshop, fail))
    assert [trial.error for trial in done.trials] == ["", "too deep", *[""] * 6]
    assert done.trials[1].value is None


def test_a_sweep_whose_first_trials_all_fail_stops(workshop: Workshop) -> None:
    here = Here(workshop, lambda tried, stopped, folder: Outcome(ending=Ending.RAISED, error="too deep"))
    with pytest.raises(TrainingFailed, match=r"the first 5 trials all failed; the last one: too deep"):
        sweep(workshop, replace(SWEEP, trials=100), executor=here)
    assert len(here.tried) < 100
    [left] = runs(workshop, name="sweep of sloped")
    assert left.status is RunStatus.FAILED


def test_a_trial_that_reports_to_be_worse_than_most_is_ended(workshop: Workshop) -> None:
    def reporting(tried: int, stopped: Stopped, folder: Path) -> Outcome | None:
        (folder / REPORTS).write_text(f"[1, {1.0 if tried < 7 else 99.0}]\n[2, 1")
        return Outcome(ending=Ending.STOPPED, error="stopped") if stopped.wait(0.001) else None

    done = sweep(workshop, replace(SWEEP, prune=True), executor=Here(workshop, reporting))
    assert [trial.pruned for trial in done.trials] == [*[False] * 6, True, True]
    pruned = runs(workshop, status=RunStatus.KILLED)
    assert [run.tags[PRUNED] for run in pruned] == ["true", "true"]
    with workshop.context.transaction() as tx:
        points = tx.points(pruned[0].id)
    assert [(point.name, point.step, point.value) for point in points] == [("reported mae", 1, 99.0)]


def test_what_a_training_reports_outside_of_a_sweep_goes_nowhere() -> None:
    oc.report(1.0, step=0)
    with pytest.raises(TrainingFailed, match="step=-1"):
        oc.report(1.0, step=-1)


def test_a_sweep_on_record_says_what_it_is_to_do(workshop: Workshop) -> None:
    asked = oc.Sweep(params={"slope": "float:1e-4..1:log"}, trials=3, metric="mae", timeout="1m", prune=True, seed=9)
    read = sweep_of(begin_sweep(workshop.context, workshop.model, asked))
    assert read.ranges == asked.ranges
    assert replace(read, params=asked.params) == asked


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"params": {"deep": "int:1..2"}}, "no parameter 'deep'; there are: slope, kind"),
        ({"params": {"slope": "choice:steep,flat"}}, "'slope' is a number"),
        ({"params": RANGES, "metric": "auc"}, "'auc' is no metric of a regression model"),
    ],
)
def test_a_sweep_that_does_not_fit_the_model_is_refused(workshop: Workshop, asked: Any, words: str) -> None:
    with pytest.raises((InvalidRequest, InvalidDefinition), match=words):
        begin_sweep(workshop.context, workshop.model, oc.Sweep(**asked))


@pytest.mark.parametrize(
    ("text", "kind", "written"),
    [
        ("int:2..10", RangeKind.INT, "int:2..10"),
        ("int:1..1024:log", RangeKind.INT, "int:1..1024:log"),
        ("float:-1..1e3", RangeKind.FLOAT, "float:-1.0..1000.0"),
        ("choice:a, b", RangeKind.CHOICE, "choice:a,b"),
    ],
)
def test_ranges_are_read_and_written(text: str, kind: RangeKind, written: str) -> None:
    found = parse_range(text, name="x")
    assert (found.kind, str(found)) == (kind, written)
    assert parse_range(str(found), name="x") == found
    assert math.isfinite(found.low)


@pytest.mark.parametrize(
    "text", ["2..10", "int:1.5..2", "int:3..3", "float:2..1", "int:0..5:log", "choice:a", "choice:a,a", "float:0..inf"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidDefinition, match="x="):
        oc.Sweep(params={"x": text})
