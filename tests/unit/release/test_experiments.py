"""Experiments from their start to their end, and what releases may do meanwhile."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stages import DEPLOYMENT, HOUR, MODEL, Stage, set_stage

import octavo as oc
from octavo.errors import Conflict, GateFailed, InvalidRequest, NotFound
from octavo.release import experiment_lifecycle as experiments
from octavo.release import lifecycle
from octavo.release.arms import arms_of
from octavo.release.experiments import ExperimentState, StartedExperiment
from octavo.release.releases import ReleaseState
from octavo.release.rollout import Evidence
from octavo.release.shares import chances

ALL = oc.Experiment("faster", arms={"control": 50, "challenger": 50}, length="2d")
SOME = oc.Experiment("cheaper", arms={"control": 20, "challenger": 20})


ROLLOUT = oc.Rollout(shadow=None, steps=[50, 100], bake="1h")


def stage_of(folder: Path, *, versions: int = 3, rollout: oc.Rollout = ROLLOUT, **declared: Any) -> Stage:
    """A stage whose version 1 is live."""
    stage = set_stage(folder, rollout=rollout, experiments=[ALL, SOME], unit="origin", **declared)
    for version in range(1, versions + 1):
        stage.add_version(version)
    release(stage, 1)
    return stage


def release(stage: Stage, version: int, *, steps: int = 9) -> None:
    found = lifecycle.request(stage.context, DEPLOYMENT, version=version, cause="user")
    for _ in range(steps):
        evidence = Evidence(has_live=stage.state().live is not None)
        found = lifecycle.note_served(stage.context, lifecycle.advance(stage.context, found.id, evidence=evidence))
        stage.wait(HOUR)


def start(stage: Stage, name: str = "faster", /, **versions: int) -> StartedExperiment:
    return experiments.start(stage.context, DEPLOYMENT, name, versions=versions, refusal=lambda context, version: "")


def now(stage: Stage, experiment: StartedExperiment) -> StartedExperiment:
    with stage.context.transaction() as tx:
        found = tx.get(StartedExperiment, experiment.id)
    assert found is not None
    return found


def arms(stage: Stage) -> list[tuple[str, int, float]]:
    """Role, version and share of all predictions, of each arm."""
    state, releases = stage.state(), {one.id: one for one in stage.releases()}
    with stage.context.transaction() as tx:
        running = lifecycle.running_experiment(tx, state)
    found = arms_of(state, releases.get(state.release or ""), running)
    return [(arm.role, arm.version, round(chance, 4)) for arm, chance in zip(found, chances(found), strict=True)]


def test_an_experiment_keeps_the_live_version_beside_the_one_it_tries(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    before = stage.state().sequence
    started = start(stage, challenger=2)
    assert [(arm.name, arm.version, arm.percent) for arm in started.arms] == [("control", 1, 50), ("challenger", 2, 50)]
    assert (started.unit, started.due_at - started.started_at) == ("origin", 48 * HOUR)
    assert arms(stage) == [("live", 1, 0.0), ("experiment", 1, 0.5), ("experiment", 2, 0.5)]
    assert stage.state().sequence == started.sequence == before + 1, "predictors learn of it"


def test_the_newest_version_that_passed_is_tried_unless_one_is_named(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    stage.add_version(4, passed=False)
    assert start(stage).arms[1].version == 3


def test_units_in_no_arm_are_answered_as_if_there_were_no_experiment(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    start(stage, "cheaper", challenger=2)
    release(stage, 3, steps=3)
    assert arms(stage) == [("live", 1, 0.3), ("canary", 3, 0.3), ("experiment", 1, 0.2), ("experiment", 2, 0.2)]


def test_a_release_during_an_experiment_leaves_its_arms_as_they_are(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    start(stage, "cheaper", challenger=2)
    release(stage, 3)
    assert arms(stage) == [("live", 3, 0.6), ("experiment", 1, 0.2), ("experiment", 2, 0.2)]


def test_one_experiment_runs_at_a_time(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    start(stage, challenger=2)
    with pytest.raises(
        Conflict, match=r"'faster' runs in 'eta' since .*; one runs at a time: stop or promote it first"
    ):
        start(stage, "cheaper", challenger=3)


def test_of_two_starts_at_once_one_is_refused(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)

    def meanwhile(*_: object) -> str:
        start(stage, "cheaper", challenger=3)
        return ""

    with pytest.raises(Conflict, match="one runs at a time"):
        experiments.start(stage.context, DEPLOYMENT, "faster", versions={"challenger": 2}, refusal=meanwhile)


@pytest.mark.parametrize(
    ("versions", "error", "message"),
    [
        ({"challenger": 1}, InvalidRequest, "arm 'challenger' would answer by arrival_delay 1, as the control does"),
        ({"challenger": 9}, NotFound, "version of model 'arrival_delay'"),
        ({"challenger": 4}, GateFailed, "did not pass"),
        ({"control": 2}, NotFound, "arm of experiment 'faster' that a version can be given to"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, versions: dict[str, int], error: type[Exception], message: str
) -> None:
    stage = stage_of(tmp_path)
    stage.add_version(4, passed=False)
    with pytest.raises(error, match=message):
        start(stage, **versions)
    assert stage.state().experiment is None


def test_a_version_whose_bundle_is_not_in_order_is_not_tried(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    with pytest.raises(Conflict, match="arrival_delay 2 cannot be tried: its bundle is damaged"):
        experiments.start(
            stage.context, DEPLOYMENT, "faster", versions={"challenger": 2}, refusal=lambda *_: "its bundle is damaged"
        )


def test_without_a_live_version_there_is_no_control(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, experiments=[ALL])
    stage.add_version(1)
    with pytest.raises(Conflict, match="no live version that the control could keep"):
        start(stage)
    with pytest.raises(NotFound, match="experiment of deployment 'eta'"):
        start(stage, "unknown")


def test_an_experiment_of_all_units_and_a_release_refuse_each_other(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    start(stage, challenger=2)
    with pytest.raises(Conflict, match="leaves no unit that a canary could answer; stop or promote it first"):
        lifecycle.request(stage.context, DEPLOYMENT, version=3, cause="user")
    experiments.stop(stage.context, DEPLOYMENT, reason="")
    release(stage, 3, steps=3)
    with pytest.raises(Conflict, match="a release is in progress in 'eta', and the experiment takes all units"):
        start(stage, challenger=2)


def test_a_version_is_not_tried_and_released_at_once(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    start(stage, "cheaper", challenger=2)
    with pytest.raises(Conflict, match="compares this version; stop or promote it first"):
        lifecycle.request(stage.context, DEPLOYMENT, version=2, cause="user")
    experiments.stop(stage.context, DEPLOYMENT, reason="")
    release(stage, 2, steps=3)
    with pytest.raises(Conflict, match="arrival_delay 2 is being released in 'eta'"):
        start(stage, "cheaper", challenger=2)


def test_a_version_goes_on_from_its_shadow_into_an_experiment(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, rollout=oc.Rollout(shadow="1d", shadow_steps=[1, 100]))
    release(stage, 2, steps=3)
    assert arms(stage) == [("live", 1, 1.0), ("shadow", 2, 0.0)]
    started = start(stage, challenger=2)
    assert arms(stage) == [("live", 1, 0.0), ("experiment", 1, 0.5), ("experiment", 2, 0.5)]
    shadowed = stage.releases()[-1]
    assert (shadowed.state, stage.state().release) == (ReleaseState.RETIRED, None)
    assert shadowed.history[-1].reason == "it goes on in the experiment 'faster'"
    assert stage.state().sequence == started.sequence


def test_a_stopped_experiment_gives_its_units_back(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    started = start(stage, challenger=2)
    experiments.stop(stage.context, DEPLOYMENT, reason="stopped by user:ada")
    found = now(stage, started)
    assert (found.state, found.ended_at, found.reason) == (
        ExperimentState.STOPPED, stage.clock.now(), "stopped by user:ada",
    )  # fmt: skip
    assert arms(stage) == [("live", 1, 1.0)]
    assert stage.state().sequence == started.sequence + 1
    with pytest.raises(Conflict, match="no experiment runs in 'eta'"):
        experiments.stop(stage.context, DEPLOYMENT, reason="")


def test_a_promoted_version_answers_everything_and_can_be_rolled_back(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    started = start(stage, challenger=2)
    experiments.promote(stage.context, DEPLOYMENT, arm="challenger", reason="promoted by user:ada")
    assert (now(stage, started).state, now(stage, started).promoted) == (ExperimentState.PROMOTED, "challenger")
    assert arms(stage) == [("live", 2, 1.0)]
    assert [(one.version, one.state) for one in stage.releases()] == [(1, ReleaseState.RETIRED), (2, ReleaseState.LIVE)]
    assert stage.releases()[1].history[-1].reason == (
        "promoted from arm 'challenger' of experiment 'faster': promoted by user:ada"
    )
    assert lifecycle.roll_back(stage.context, DEPLOYMENT, reason="worse").live == 1


def test_what_is_live_or_of_no_arm_is_not_promoted(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    start(stage, challenger=2)
    with pytest.raises(Conflict, match="arrival_delay 1 is live in 'eta' already; stop the experiment instead"):
        experiments.promote(stage.context, DEPLOYMENT, arm="control", reason="")
    with pytest.raises(NotFound, match="arm of experiment 'faster'"):
        experiments.promote(stage.context, DEPLOYMENT, arm="other", reason="")


def test_a_version_that_is_taken_back_answers_in_no_experiment_either(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    release(stage, 2)
    started = start(stage, challenger=3)
    lifecycle.roll_back(stage.context, DEPLOYMENT, reason="wrong units")
    assert arms(stage) == [("live", 1, 1.0)]
    assert now(stage, started).reason == "version 2, which it compares, was taken back: wrong units"


def test_an_experiment_that_predictors_refuse_ends(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    started = start(stage, challenger=2)
    assert experiments.refuse(stage.context, started.id, reason="golden row 7 differs")
    assert (now(stage, started).state, stage.state().experiment) == (ExperimentState.STOPPED, None)
    assert not experiments.refuse(stage.context, started.id, reason="again")


def test_an_experiment_that_is_served_is_not_refused_any_more(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    started = start(stage, challenger=2)
    experiments.note_served(stage.context, started.id)
    assert now(stage, started).served_at == stage.clock.now()
    assert not experiments.refuse(stage.context, started.id, reason="too late")


def test_a_holdout_keeps_the_version_that_was_live_when_it_began(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, holdout=oc.Holdout(10))
    assert arms(stage) == [("live", 1, 0.9), ("holdout", 1, 0.1)]
    release(stage, 2)
    release(stage, 3)
    assert arms(stage) == [("live", 3, 0.9), ("holdout", 1, 0.1)]


def test_a_holdout_does_not_keep_a_version_that_was_taken_back(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    release(stage, 2)
    declare(stage, holdout=oc.Holdout(10))
    lifecycle.roll_back(stage.context, DEPLOYMENT, reason="wrong units")
    assert arms(stage) == [("live", 1, 0.9), ("holdout", 1, 0.1)]


def declare(stage: Stage, **declared: Any) -> None:
    """Apply the deployment with other rules for its traffic."""
    deployment = oc.Deployment(DEPLOYMENT, model=stage.context.project.model(MODEL), unit="origin", **declared)
    with stage.context.stores.metadata.transaction() as tx:
        lifecycle.declare(replace(stage.context, tx=tx), deployment)


def test_rules_that_are_applied_anew_reach_predictors(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    before = stage.state().sequence
    declare(stage)
    assert stage.state().sequence == before, "nothing has changed"
    declare(stage, holdout=oc.Holdout(2.5))
    assert stage.state().sequence == before + 1
    assert arms(stage) == [("live", 1, 0.975), ("holdout", 1, 0.025)]


def test_a_holdout_that_is_taken_out_and_put_back_begins_anew(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, holdout=oc.Holdout(10))
    release(stage, 2)
    declare(stage)
    assert arms(stage) == [("live", 2, 1.0)]
    declare(stage, holdout=oc.Holdout(10))
    release(stage, 3)
    assert arms(stage) == [("live", 3, 0.9), ("holdout", 2, 0.1)]


def test_exploration_draws_among_the_versions_that_there_are(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, explore=oc.Explore(10, among={"live": 1, "previous": 3, "canary": 1}))
    assert arms(stage) == [("live", 1, 0.9), ("explore", 1, 0.1)]
    release(stage, 2)
    assert arms(stage) == [("live", 2, 0.9), ("explore", 2, 0.04), ("explore", 1, 0.06)]
    release(stage, 3, steps=3)
    assert arms(stage) == [
        ("live", 2, 0.45), ("canary", 3, 0.45), ("explore", 2, 0.02), ("explore", 1, 0.06), ("explore", 3, 0.02),
    ]  # fmt: skip


ACTIONS = ("release", "advance", "advance", "start", "stop", "promote", "roll back", "refuse", "serve", "declare")


@given(st.lists(st.sampled_from(ACTIONS), max_size=30), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_whatever_is_done_the_traffic_is_divided_and_a_change_of_it_is_published(
    actions: list[str], chance: Any
) -> None:
    stage = stage_of(Path("unused"), holdout=oc.Holdout(5))
    for action in actions:
        before, sequence = arms(stage), stage.state().sequence
        try:
            act(stage, action, chance)
        except (Conflict, InvalidRequest):
            continue
        assert sum(share for *_, share in arms(stage)) == pytest.approx(1, abs=0.001)
        assert stage.state().sequence > sequence or arms(stage) == before
        with stage.context.transaction() as tx:
            running = tx.find(StartedExperiment, state=ExperimentState.RUNNING)
        assert [one.id for one in running] == ([] if stage.state().experiment is None else [stage.state().experiment])


def act(stage: Stage, action: str, chance: Any) -> None:
    context, state, version = stage.context, stage.state(), chance.choice([1, 2, 3])
    if action == "release":
        lifecycle.request(context, DEPLOYMENT, version=version, cause="user")
    elif action == "advance" and state.release:
        found = lifecycle.advance(context, state.release, evidence=Evidence(has_live=True))
        lifecycle.note_served(context, found)
        stage.wait(HOUR)
    elif action == "start":
        start(stage, chance.choice(["faster", "cheaper"]), challenger=version)
    elif action == "stop":
        experiments.stop(context, DEPLOYMENT, reason="why not")
    elif action == "promote":
        experiments.promote(context, DEPLOYMENT, arm=chance.choice(["control", "challenger"]), reason="why not")
    elif action == "roll back":
        lifecycle.roll_back(context, DEPLOYMENT, reason="why not")
    elif action == "refuse" and state.experiment:
        experiments.refuse(context, state.experiment, reason="cannot load it")
    elif action == "serve" and state.experiment:
        experiments.note_served(context, state.experiment)
    elif action == "declare":
        declare(stage, holdout=chance.choice([None, oc.Holdout(5), oc.Holdout(10)]))
