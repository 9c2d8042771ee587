"""A training as the worker sees it: a process that trains, and what becomes of its version."""

import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.stages import DEPLOYMENT, HOUR, MODEL, START, Stage, set_stage

from octavo.clock import FAR_FUTURE_US, ReplayClock, to_micros
from octavo.loop import training_workflow
from octavo.loop.agenda import Agenda
from octavo.loop.durable import DurableWorkflows
from octavo.loop.retrainings import started
from octavo.loop.training_workflow import TrainingWorkflow
from octavo.loop.trainings import request_training
from octavo.monitoring.incidents import Incident, IncidentKind
from octavo.release.releases import ReleaseState
from octavo.training.runs import Run, RunStatus

PATIENCE_S = 60.0
WAITS_TO_BE_KILLED = "import time; time.sleep(60)"


@pytest.fixture
def clock(tmp_path: Path) -> ReplayClock:
    return ReplayClock(tmp_path / "clock", start=START)


@pytest.fixture
def stage(tmp_path: Path, clock: ReplayClock) -> Stage:
    made = set_stage(tmp_path)
    return Stage(replace(made.context, clock=clock), made.clock)


@pytest.fixture
def run(stage: Stage) -> Run:
    """A requested run, which an incident has brought about."""
    requested = request_training(stage.context, MODEL, trigger="drift incident i1")
    incident = Incident(
        id="i1", deployment=DEPLOYMENT, model=MODEL, version=1, incident_kind=IncidentKind.DRIFT, subject="inputs",
        value=1.0, threshold=0.2, opened_at=START,
    )  # fmt: skip
    with stage.context.transaction() as tx:
        tx.add(incident)
        started(tx, "i1", model=MODEL, run=requested.id)
    return requested


@contextmanager
def training(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, code: str, *, released: Callable[[Collection[str]], None] = len
) -> Iterator[DurableWorkflows]:
    """A worker that trains by running some code instead of a training."""
    monkeypatch.setattr(training_workflow, "command_of", lambda run: [sys.executable, "-c", code])
    agenda = Agenda(stage.context.clock)
    work = TrainingWorkflow(stage.context, agenda, ship=lambda: None, released=released)
    database = stage.context.config.root / "workflows.db"
    workflows = DurableWorkflows(database, {"train": work.run}, agenda=agenda)
    workflows.start()
    try:
        yield workflows
    finally:
        agenda.stop()
        workflows.stop()


def found(stage: Stage, run: Run) -> Run:
    with stage.context.transaction() as tx:
        recorded = tx.get(Run, run.id)
    assert recorded is not None
    return recorded


def succeed(stage: Stage, run: Run, *, passed: bool) -> None:
    """What the process that trains leaves in the metadata."""
    stage.add_version(2, passed=passed, run=run.id)
    with stage.context.transaction() as tx:
        tx.put(replace(run, status=RunStatus.SUCCEEDED, version=2))


def timeline(stage: Stage) -> list[str]:
    with stage.context.transaction() as tx:
        incident = tx.get(Incident, "i1")
    assert incident is not None
    return [entry.text for entry in incident.timeline]


def until(holds: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, "in vain"
        time.sleep(0.005)


def test_a_version_that_passed_is_released_and_the_clock_waits_until_that_has_begun(
    stage: Stage, run: Run, clock: ReplayClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    horizons: list[int] = []
    succeed(stage, run, passed=True)
    released = lambda ids: horizons.append(clock.horizon_us())  # noqa: E731 - what is told when
    with training(stage, monkeypatch, "", released=released) as workflows:
        workflows.begin("train", run.id)
        until(lambda: horizons and not workflows.is_live(run.id))
    [release] = stage.releases()
    assert (release.version, release.state, release.cause) == (2, ReleaseState.REQUESTED, run.trigger)
    assert horizons == [to_micros(START + 2 * HOUR)], "by as much as the project allows"
    assert timeline(stage) == ["version 2 trained"]


def test_a_version_that_failed_a_gate_is_told_of_and_not_released(
    stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed(stage, run, passed=False)
    with training(stage, monkeypatch, "") as workflows:
        workflows.begin("train", run.id)
        until(lambda: len(timeline(stage)) == 2)
    assert stage.releases() == []
    assert timeline(stage)[1] == "version 2 did not pass at_most(mae, 20) (mae 21 over 100 rows)"


def test_a_process_that_dies_leaves_a_failed_run(
    stage: Stage, run: Run, clock: ReplayClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with training(stage, monkeypatch, "import os; os.kill(os.getpid(), 9)") as workflows:
        workflows.begin("train", run.id)
        until(lambda: found(stage, run).status is RunStatus.FAILED and clock.horizon_us() == FAR_FUTURE_US)
    assert found(stage, run).error == "the process that trained ended by signal 9; see its log"
    assert timeline(stage) == ["retraining failed: the process that trained ended by signal 9; see its log"]


def test_a_training_that_is_stopped_with_the_worker_stays_open_for_the_next(
    stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with training(stage, monkeypatch, WAITS_TO_BE_KILLED) as workflows:
        workflows.begin("train", run.id)
        assert workflows.wait_until_begun([run.id], timeout_s=PATIENCE_S)
        time.sleep(0.3)
    assert found(stage, run).status is RunStatus.REQUESTED
    with training(stage, monkeypatch, "raise SystemExit(3)"):
        until(lambda: found(stage, run).status is RunStatus.FAILED)
    assert "ended with code 3" in found(stage, run).error


def test_the_clock_may_run_on_while_a_training_runs(
    stage: Stage, run: Run, clock: ReplayClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with training(stage, monkeypatch, WAITS_TO_BE_KILLED) as workflows:
        workflows.begin("train", run.id)
        until(lambda: clock.horizon_us() == to_micros(START + 2 * HOUR))
        assert not clock.advance(START + 3 * HOUR, timeout_s=0.2)
        assert clock.now() == START + timedelta(hours=2)
