"""A training from its request to the release of what it made, by the worker or by a command."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.workshop import CODE, Workshop, boosted, declare, open_workshop, takings, visits

import octavo as oc
from octavo.definitions.project import collect
from octavo.errors import TrainingFailed
from octavo.loop import trainings
from octavo.loop.operations import RequestTraining, TrainModel, request_run, train
from octavo.loop.trainings import (
    held,
    is_held,
    new_run,
    record_interrupted,
    request_releases,
    request_training,
    train_version,
)
from octavo.operations import Context
from octavo.registry.versions import ModelVersion
from octavo.release.releases import DeploymentState, Release, ReleaseState
from octavo.training.runs import Run, RunStatus


def deployed(workshop: Workshop, *names: str) -> Context:
    """The workshop's context with deployments of its model."""
    module = ModuleType("workshop")
    vars(module).update({name: oc.Deployment(name, model=workshop.model) for name in names}, a=visits, b=takings)
    project = collect(module, name="shops", code={"project.py": CODE})
    context = replace(workshop.context, project=project)
    with context.transaction() as tx:
        for name in names:
            tx.add(DeploymentState(deployment=name, model=workshop.model.name))
    return context


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return open_workshop(tmp_path, declare(boosted, gates=[oc.at_most("mae", 100)]))


def run_of(context: Context, run_id: str) -> Run:
    with context.transaction() as tx:
        run = tx.get(Run, run_id)
    assert run is not None
    return run


def test_a_command_trains_registers_and_asks_for_the_release_to_every_deployment(workshop: Workshop) -> None:
    context = deployed(workshop, "prices", "offers")
    trained = train(TrainModel(model="boosted", release=True), context)
    assert (trained.version.version, trained.version.passed) == (1, True)
    assert (trained.run.status, trained.run.version, trained.run.trigger) == (RunStatus.SUCCEEDED, 1, "user")
    with context.transaction() as tx:
        asked = tx.find(Release)
    assert [(r.deployment, r.version, r.state) for r in asked] == [
        ("prices", 1, ReleaseState.REQUESTED),
        ("offers", 1, ReleaseState.REQUESTED),
    ]
    assert trained.release == asked[0].id


def test_without_being_asked_to_nothing_is_released(workshop: Workshop) -> None:
    context = deployed(workshop, "prices")
    assert train(TrainModel(model="boosted"), context).release is None
    with context.transaction() as tx:
        assert tx.find(Release) == []


def test_a_version_that_fails_a_gate_is_kept_and_not_released(tmp_path: Path) -> None:
    context = deployed(open_workshop(tmp_path, declare(boosted, gates=[oc.at_most("mae", 0.0)])), "prices")
    trained = train(TrainModel(model="boosted", release=True), context)
    assert (trained.version.passed, trained.release) == (False, None)


def test_a_training_that_is_taken_again_makes_no_second_version(workshop: Workshop) -> None:
    context = deployed(workshop, "prices")
    run = request_training(context, "boosted", trigger="user")
    first = train_version(context, run)
    assert train_version(context, run_of(context, run.id)) == first
    for _ in range(2):
        [release] = request_releases(context, first, cause="user")
    with context.transaction() as tx:
        assert (len(tx.find(ModelVersion)), tx.find(Release)) == (1, [release])


def test_a_run_that_was_interrupted_is_done_under_its_own_id_and_moment(workshop: Workshop) -> None:
    context = deployed(workshop, "prices")
    requested = request_training(context, "boosted", trigger="cron(0 3 * * * UTC)")
    with context.transaction() as tx:
        tx.put(replace(requested, status=RunStatus.RUNNING))
    version = train_version(context, run_of(context, requested.id))
    done = run_of(context, requested.id)
    assert (done.as_of, done.version, done.trigger) == (requested.as_of, version.version, "cron(0 3 * * * UTC)")


def test_a_failed_training_is_recorded_with_its_reason(tmp_path: Path) -> None:
    def broken(train: oc.Dataset) -> Any:
        raise ValueError("no such column")

    context = deployed(open_workshop(tmp_path, declare(broken)), "prices")
    with pytest.raises(TrainingFailed, match="no such column"):
        train(TrainModel(model="broken"), context)
    with context.transaction() as tx:
        [run] = tx.find(Run)
    assert (run.status, "no such column" in run.error) == (RunStatus.FAILED, True)


def test_a_model_that_cannot_be_registered_leaves_a_failed_run(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> ModelVersion:
        raise TrainingFailed("it has no ONNX form")

    monkeypatch.setattr(trainings, "register", refuse)
    run = request_training(workshop.context, "boosted", trigger="user")
    with pytest.raises(TrainingFailed):
        train_version(workshop.context, run)
    found = run_of(workshop.context, run.id)
    assert (found.status, found.error) == (RunStatus.FAILED, "it has no ONNX form")


def test_a_run_without_its_process_is_recorded_as_failed_unless_it_has_ended(workshop: Workshop) -> None:
    context = workshop.context
    run = request_training(context, "boosted", trigger="user")
    record_interrupted(context, run, error="killed")
    assert (run_of(context, run.id).status, run_of(context, run.id).error) == (RunStatus.FAILED, "killed")
    done = request_training(context, "boosted", trigger="user")
    train_version(context, done)
    record_interrupted(context, done, error="killed")
    assert run_of(context, done.id).status is RunStatus.SUCCEEDED


def test_one_process_at_a_time_works_on_a_run(tmp_path: Path) -> None:
    assert not is_held(tmp_path, "r1")
    with held(tmp_path, "r1"):
        assert is_held(tmp_path, "r1")
        assert not is_held(tmp_path, "r2")
    assert not is_held(tmp_path, "r1")
    assert list((tmp_path / "run").iterdir()) == [], "nothing is left"


def test_the_worker_is_asked_by_a_record(workshop: Workshop) -> None:
    run = request_run(RequestTraining(model="boosted"), workshop.context)
    assert run_of(workshop.context, run.id) == run
    assert (run.status, run.as_of) == (RunStatus.REQUESTED, workshop.context.clock.now())
    assert new_run(workshop.context, "boosted", trigger="user").id != run.id
