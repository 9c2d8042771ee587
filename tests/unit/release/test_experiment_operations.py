"""Experiments as people and programs see them."""

from pathlib import Path

import pytest
from tests.stages import DEPLOYMENT, Stage, set_stage

import octavo as oc
from octavo.errors import InvalidRequest, NotAllowed
from octavo.operations import Dispatcher, Principal
from octavo.release import experiment_operations, lifecycle
from octavo.release.experiment_operations import (
    ListExperiments,
    PromoteExperiment,
    StartExperiment,
    StopExperiment,
    operations,
)
from octavo.release.operations import ShowDeployment
from octavo.release.operations import operations as release_operations
from octavo.release.publish import published_sequence
from octavo.release.rollout import Evidence

ADA = Principal(name="user:ada", permissions=frozenset({"*"}))
FASTER = oc.Experiment("faster", arms={"control": 20, "challenger": 30})


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage whose version 1 is live; its versions have no bundles."""
    monkeypatch.setattr(experiment_operations, "verify_version", lambda context, version: "")
    stage = set_stage(tmp_path, experiments=[FASTER])
    for version in (1, 2):
        stage.add_version(version)
    release = lifecycle.request(stage.context, DEPLOYMENT, version=1, cause="user")
    for _ in range(3):
        lifecycle.advance(stage.context, release.id, evidence=Evidence(has_live=False))
    return stage


def dispatcher(stage: Stage) -> Dispatcher:
    return Dispatcher(operations, stage.context)


def test_a_started_experiment_is_published_without_a_worker_and_audited(stage: Stage) -> None:
    started = dispatcher(stage).call(StartExperiment(deployment=DEPLOYMENT, name="faster"), ADA)
    assert started.started_by == "user:ada"
    assert published_sequence(stage.context.stores.artifacts, DEPLOYMENT) == started.sequence
    with stage.context.transaction() as tx:
        assert [(e.actor, e.operation) for e in tx.audit(limit=1)] == [("user:ada", "experiments.start")]


def test_a_deployment_shows_the_share_of_each_arm_of_all_predictions(stage: Stage) -> None:
    dispatcher(stage).call(StartExperiment(deployment=DEPLOYMENT, name="faster"), ADA)
    shown = Dispatcher(release_operations, stage.context).call(ShowDeployment(deployment=DEPLOYMENT), ADA)
    arms = [(arm.group or arm.role, arm.version, arm.percent) for arm in shown.summary.arms]
    assert arms == [("live", 1, 50.0), ("faster/control", 1, 20.0), ("faster/challenger", 2, 30.0)]
    assert (shown.experiments, shown.summary.experiment.name) == (("faster",), "faster")


def test_a_stop_and_a_promotion_take_effect_without_a_worker(stage: Stage) -> None:
    call = dispatcher(stage).call
    for end in (
        StopExperiment(deployment=DEPLOYMENT, reason="too slow"),
        PromoteExperiment(deployment=DEPLOYMENT, arm="challenger"),
    ):
        call(StartExperiment(deployment=DEPLOYMENT, name="faster"), ADA)
        call(end, ADA)
        assert published_sequence(stage.context.stores.artifacts, DEPLOYMENT) == stage.state().sequence
    newest, first = call(ListExperiments(deployment=DEPLOYMENT), ADA)
    assert (first.reason, newest.reason) == ("stopped by user:ada: too slow", "promoted by user:ada")
    assert stage.state().live == 2


def test_experiments_need_the_permission_to_release(stage: Stage) -> None:
    reader = Principal(name="user:eve", permissions=frozenset({"releases:read"}))
    assert dispatcher(stage).call(ListExperiments(), reader) == ()
    with pytest.raises(NotAllowed, match="releases:write"):
        dispatcher(stage).call(StartExperiment(deployment=DEPLOYMENT, name="faster"), reader)
    with pytest.raises(InvalidRequest, match="out of range"):
        dispatcher(stage).call(ListExperiments(limit=0), ADA)
