"""Experiments under way, as the worker sees to them."""

from pathlib import Path

import msgspec
import pytest
from tests.stages import DEPLOYMENT, Stage, set_stage

import octavo as oc
from octavo.loop import experiments as watched
from octavo.loop.experiments import ExperimentWatch
from octavo.processes import PREDICTOR, announce
from octavo.release import experiment_lifecycle, lifecycle
from octavo.release.experiments import ExperimentState, StartedExperiment
from octavo.release.publish import published_sequence
from octavo.release.rollout import Evidence
from octavo.serving.status import DeploymentStatus, PredictorStatus, write_atomically

FASTER = oc.Experiment("faster", arms={"control": 50, "challenger": 50})


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage on which an experiment was just started."""
    stage = set_stage(tmp_path, experiments=[FASTER])
    for version in (1, 2):
        stage.add_version(version)
    release = lifecycle.request(stage.context, DEPLOYMENT, version=1, cause="user")
    for _ in range(3):
        lifecycle.advance(stage.context, release.id, evidence=Evidence(has_live=False))
    experiment_lifecycle.start(stage.context, DEPLOYMENT, "faster", versions={}, refusal=lambda *_: "")
    return stage


def now(stage: Stage) -> StartedExperiment:
    with stage.context.transaction() as tx:
        [found] = tx.find(StartedExperiment)
    return found


def say(stage: Stage, *, sequence: int, error: str | None = None) -> None:
    """Have a predictor that runs say how far it is."""
    home = stage.context.config.home
    announce(home, PREDICTOR, host="127.0.0.1", port=1)
    status = DeploymentStatus(sequence=sequence, error=error)
    document = msgspec.json.encode(PredictorStatus(pid=1, deployments={DEPLOYMENT: status}))
    write_atomically(home / "predictor" / "status.json", document)


def test_an_experiment_is_served_once_the_predictor_says_so(stage: Stage) -> None:
    watch = ExperimentWatch(stage.context)
    say(stage, sequence=now(stage).sequence - 1)
    watch.look(now(stage))
    assert now(stage).served_at is None
    say(stage, sequence=now(stage).sequence)
    watch.look(now(stage))
    assert now(stage).served_at == stage.clock.now()


def test_an_experiment_that_the_predictor_keeps_refusing_ends(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = ExperimentWatch(stage.context)
    say(stage, sequence=1, error="golden row 7 differs")
    watch.look(now(stage))
    assert now(stage).state is ExperimentState.RUNNING, "it may come round"
    monkeypatch.setattr(watched, "REFUSED_AFTER_S", 0.0)
    watch.look(now(stage))
    assert now(stage).state is ExperimentState.STOPPED
    assert now(stage).reason == "a predictor refuses it: golden row 7 differs"
    assert published_sequence(stage.context.stores.artifacts, DEPLOYMENT) == stage.state().sequence


def test_a_predictor_that_comes_round_is_forgiven(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = ExperimentWatch(stage.context)
    say(stage, sequence=1, error="the bundle is on its way")
    watch.look(now(stage))
    monkeypatch.setattr(watched, "REFUSED_AFTER_S", 0.0)
    say(stage, sequence=now(stage).sequence)
    watch.look(now(stage))
    assert now(stage).served_at is not None
