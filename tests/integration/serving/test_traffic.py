"""An experiment from its start in the records to a real predictor's answers and log, and back."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import octavo as oc
from octavo.features.online.keys import generation_of, pointer_key
from octavo.loop.experiments import ExperimentWatch
from octavo.monitoring.prediction_log import rows_of
from octavo.release import experiment_lifecycle as experiments
from octavo.release import lifecycle
from octavo.release.experiments import StartedExperiment
from octavo.release.publish import publish_current
from octavo.release.rollout import Evidence
from octavo.serving.recorder import TOPIC
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.log import LocalLog
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.predictors import origins
from tests.serving.processes import Running, predictor, until
from tests.serving.projects import ServingProject, make_project
from tests.stages import DEPLOYMENT, Stage, set_stage

FASTER = oc.Experiment("faster", arms={"control": 40, "challenger": 40})
ROWS = [{**ROW, "origin": f"airport {number}"} for number in range(200)]


@pytest.fixture
def project(tmp_path: Path) -> ServingProject:
    """A project's folder with empty features."""
    made = make_project(tmp_path)
    store = LmdbOnlineStore(made.config.path(made.config.stores.online))
    generation = generation_of(origins)
    store.write({pointer_key("origin_delays"): generation.encode()}, marks={generation.applied_mark: 0})
    store.close()
    return made


@pytest.fixture
def stage(project: ServingProject, tmp_path: Path) -> Stage:
    """Its records, in the predictor's time: version 1 is live, version 2 adds 1,000 to each answer."""
    staged = set_stage(tmp_path, experiments=[FASTER], unit="origin", holdout=oc.Holdout(5))
    staged.clock.advance(datetime.now(UTC))
    stores = replace(staged.context.stores, artifacts=project.artifacts)
    stage = Stage(replace(staged.context, config=project.config, stores=stores), staged.clock)
    for number in (1, 2):
        made = stage.add_version(number)
        bundle = publish_bundle(project.artifacts, bias=1000.0 * (number - 1))
        with stage.context.transaction() as tx:
            tx.replace(made, replace(made, digest=bundle))
    release = lifecycle.request(stage.context, DEPLOYMENT, version=1, cause="user")
    for _ in range(3):
        lifecycle.advance(stage.context, release.id, evidence=Evidence(has_live=False))
    publish_current(stage.context, DEPLOYMENT)
    return stage


def start(stage: Stage) -> StartedExperiment:
    found = experiments.start(stage.context, DEPLOYMENT, "faster", versions={}, refusal=lambda *_: "")
    publish_current(stage.context, DEPLOYMENT)
    return found


def is_served(stage: Stage) -> bool:
    """Whether the worker has seen that the predictor serves by the experiment."""
    with stage.context.transaction() as tx:
        [experiment] = tx.find(StartedExperiment)
    ExperimentWatch(stage.context).look(experiment)
    return experiment.served_at is not None


def versions(running: Running) -> list[int]:
    status, answer = running.call(ROWS)
    assert status == 200
    return [one["version"] for one in answer["predictions"]]


def kept(project: ServingProject) -> list[dict[str, Any]]:
    log = LocalLog(project.config.home / "predictor" / "log", sync=False)
    rows: list[dict[str, Any]] = rows_of(log.read(TOPIC, start=0)).to_pylist()
    log.close()
    return rows


def test_an_experiment_divides_the_units_and_outlives_everything_but_its_end(
    project: ServingProject, stage: Stage
) -> None:
    with predictor(project) as running:
        until(lambda: running.call(ROWS[:1])[0] == 200, what="it serves version 1")
        assert set(versions(running)) == {1}
        start(stage)
        until(lambda: is_served(stage), what="it has taken up the experiment")
        divided = versions(running)
        assert 40 < divided.count(2) < 120
    shutil.rmtree(project.config.path(project.config.stores.artifacts))
    with predictor(project) as running:
        assert versions(running) == divided, "each unit keeps its arm, with nothing else there"
    groups = {(row["group"], row["version"]) for row in kept(project)}
    assert groups == {("", 1), ("holdout", 1), ("faster/control", 1), ("faster/challenger", 2)}
    assert {round(row["propensity"], 4) for row in kept(project) if row["arm"] == "experiment"} == {0.62, 0.38}


def test_a_promoted_version_answers_everybody_but_those_held_out(project: ServingProject, stage: Stage) -> None:
    with predictor(project) as running:
        until(lambda: running.call(ROWS[:1])[0] == 200, what="it serves version 1")
        start(stage)
        experiments.promote(stage.context, DEPLOYMENT, arm="challenger", reason="better")
        publish_current(stage.context, DEPLOYMENT)
        until(lambda: versions(running).count(2) > 170, what="version 2 is live")
        assert 0 < versions(running).count(1) < 30
