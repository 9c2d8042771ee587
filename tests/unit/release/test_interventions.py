"""Hold, resume, advance, stop, start: what people do to what is under way, and what outlasts what."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.stages import DEPLOYMENT, HOUR, START, Stage, set_stage

import octavo as oc
from octavo.errors import Conflict, GateFailed, InvalidRequest
from octavo.operations import Dispatcher, Operations, Principal
from octavo.release import interventions, lifecycle
from octavo.release.intervention_operations import (
    AdvanceRelease,
    StartDeployment,
    StopDeployment,
)
from octavo.release.intervention_operations import operations as intervention_operations
from octavo.release.manifests import DeploymentManifest, SignedManifest, document_name
from octavo.release.operations import RollBack, StartRelease
from octavo.release.operations import operations as release_operations
from octavo.release.releases import DeploymentState, Release, ReleaseState
from octavo.release.rollout import Evidence, entered_at
from octavo.stores.sql.metadata import SqlMetadata

S = ReleaseState
ADA = Principal(name="user:ada", permissions=frozenset({"*"}))
ROLLOUT = oc.Rollout(shadow="2h", steps=[10, 50, 100], bake="2h")


def advance(stage: Stage, release: Release, *, complaint: str = "") -> Release:
    """Take the steps that are due now, predictors serving at once."""
    for _ in range(8):
        evidence = Evidence(has_live=stage.state().live is not None, complaint=complaint)
        release = lifecycle.note_served(stage.context, lifecycle.advance(stage.context, release.id, evidence=evidence))
    return release


def released(stage: Stage, version: int) -> Release:
    stage.add_version(version)
    return advance(stage, lifecycle.request(stage.context, DEPLOYMENT, version=version, cause="user"))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Version 1 is live, version 2 in shadow."""
    made = set_stage(tmp_path, rollout=ROLLOUT)
    made = replace(made, context=replace(made.context, principal=ADA))
    released(made, 1)
    assert released(made, 2).state is S.SHADOW
    return made


def current(stage: Stage) -> Release:
    return stage.releases()[-1]


def published(stage: Stage) -> DeploymentManifest:
    document = stage.context.stores.artifacts.published(document_name(DEPLOYMENT))
    assert document is not None
    signed = msgspec.json.decode(document, type=SignedManifest)
    return msgspec.json.decode(signed.payload, type=DeploymentManifest)


def call(stage: Stage, request: object) -> Any:
    operations = Operations()
    operations.include(release_operations)
    operations.include(intervention_operations)
    return Dispatcher(operations, stage.context).call(request, ADA)


def test_a_held_release_stays_and_its_time_stands(stage: Stage) -> None:
    stage.wait(HOUR)
    held = interventions.hold(stage.context, DEPLOYMENT, reason="it is Friday")
    assert (held.held, held.history[-1].what, held.history[-1].reason) == (True, "held", "by user:ada: it is Friday")
    assert entered_at(held) == START, "a note is no new stage"
    stage.wait(99 * HOUR)
    assert advance(stage, current(stage)) == held
    interventions.resume(stage.context, DEPLOYMENT, reason="Monday")
    stage.wait(HOUR - timedelta(seconds=1))
    assert advance(stage, current(stage)).state is S.SHADOW, "an hour of its two was left"
    stage.wait(timedelta(seconds=1))
    assert advance(stage, current(stage)).state is S.CANARY


def test_a_held_release_that_was_not_served_yet_is_watched_for_its_whole_time(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=ROLLOUT)
    released(stage, 1)
    stage.add_version(2)
    release = lifecycle.request(stage.context, DEPLOYMENT, version=2, cause="user")
    for _ in range(3):
        release = lifecycle.advance(stage.context, release.id, evidence=Evidence(has_live=True))
    interventions.hold(stage.context, DEPLOYMENT, reason="")
    stage.wait(5 * HOUR)
    lifecycle.note_served(stage.context, release)
    stage.wait(5 * HOUR)
    assert interventions.resume(stage.context, DEPLOYMENT).served_at == stage.clock.now()


def test_guards_and_people_take_back_what_is_held(stage: Stage) -> None:
    interventions.hold(stage.context, DEPLOYMENT, reason="")
    assert advance(stage, current(stage), complaint="it is slow").state is S.ROLLED_BACK
    assert stage.state().release is None
    release = released(stage, 3)
    interventions.hold(stage.context, DEPLOYMENT, reason="")
    lifecycle.roll_back(stage.context, DEPLOYMENT, reason="after all not")
    ended = current(stage)
    assert (ended.id, ended.state, ended.held) == (release.id, S.ROLLED_BACK, False)


def test_what_cannot_be_is_said(stage: Stage) -> None:
    with pytest.raises(Conflict, match="is not held"):
        interventions.resume(stage.context, DEPLOYMENT)
    interventions.hold(stage.context, DEPLOYMENT, reason="")
    with pytest.raises(Conflict, match="is held already"):
        interventions.hold(stage.context, DEPLOYMENT, reason="")
    with pytest.raises(Conflict, match="stands still; resume it first"):
        interventions.advance(stage.context, DEPLOYMENT)
    lifecycle.roll_back(stage.context, DEPLOYMENT, reason="")
    for intervene in (interventions.hold, interventions.resume, interventions.advance):
        with pytest.raises(Conflict, match="no release is in progress in 'eta'"):
            intervene(stage.context, DEPLOYMENT, reason="")
    with pytest.raises(Conflict, match="is not stopped"):
        interventions.start(stage.context, DEPLOYMENT)
    with pytest.raises(InvalidRequest, match="a reason is needed"):
        interventions.stop(stage.context, DEPLOYMENT, reason=" ")
    with pytest.raises(InvalidRequest, match="too long"):
        interventions.stop(stage.context, DEPLOYMENT, reason="x" * 1001)


def test_a_person_has_each_step_go_on_where_that_is_declared(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=oc.Rollout(shadow=None, steps=[10, 50, 100], bake="manual"))
    released(stage, 1)
    release = released(stage, 2)
    stage.wait(999 * HOUR)
    assert advance(stage, release).percent == 10
    call(stage, AdvanceRelease(deployment=DEPLOYMENT, reason="good so far"))
    assert advance(stage, release).percent == 50
    assert current(stage).history[-1].reason == "advanced by user:ada: good so far"
    assert {(one.version, one.percent) for one in published(stage).arms} == {(1, 50.0), (2, 50.0)}
    call(stage, AdvanceRelease(deployment=DEPLOYMENT))
    assert (stage.state().live, stage.state().release) == (2, None)


def test_a_step_is_not_skipped_before_predictors_serve_by_it(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=ROLLOUT)
    released(stage, 1)
    released(stage, 2)
    interventions.advance(stage.context, DEPLOYMENT)
    with pytest.raises(Conflict, match="predictors have not taken up version 2"):
        interventions.advance(stage.context, DEPLOYMENT)


def test_a_stop_takes_effect_without_a_worker_and_outlasts_everything_but_a_start(stage: Stage) -> None:
    call(stage, StopDeployment(deployment=DEPLOYMENT, reason="wrong units"))
    first = published(stage)
    assert (first.stopped, first.on_stop) == ("wrong units", "reject")
    stage.wait(99 * HOUR)
    assert advance(stage, current(stage)).state is S.SHADOW, "what was under way stays where it is"
    with pytest.raises(Conflict, match=r"is stopped since .* by user:ada: wrong units"):
        call(stage, StopDeployment(deployment=DEPLOYMENT, reason="again"))
    call(stage, RollBack(deployment=DEPLOYMENT, reason="not this one"))
    second = published(stage)
    assert (second.stopped, [one.version for one in second.arms]) == ("wrong units", [1])
    assert second.sequence > first.sequence
    call(stage, StartDeployment(deployment=DEPLOYMENT, reason="fixed"))
    assert (published(stage).stopped, stage.state().stopped) == ("", None)


def test_what_was_under_way_when_it_was_stopped_goes_on_where_it_was(stage: Stage) -> None:
    stage.wait(HOUR)
    interventions.stop(stage.context, DEPLOYMENT, reason="wrong units")
    stage.wait(99 * HOUR)
    interventions.start(stage.context, DEPLOYMENT)
    assert current(stage).history[-1].what == "started again"
    assert advance(stage, current(stage)).state is S.SHADOW
    stage.wait(HOUR)
    assert advance(stage, current(stage)).state is S.CANARY


def test_a_version_that_a_person_releases_while_it_is_stopped_answers_once_it_is_started(stage: Stage) -> None:
    interventions.stop(stage.context, DEPLOYMENT, reason="wrong units")
    lifecycle.roll_back(stage.context, DEPLOYMENT, reason="wrong units too")
    stage.add_version(3)
    call(stage, StartRelease(deployment=DEPLOYMENT, version=3))
    fixed = advance(stage, current(stage))
    assert (fixed.state, stage.state().live) == (S.LIVE, 3)
    assert fixed.history[-1].reason.startswith("the deployment is stopped, so there is none to compare it with")
    assert stage.state().stopped is not None


def test_what_a_deployment_answers_while_it_is_stopped_is_in_what_predictors_follow(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=ROLLOUT, on_stop=oc.fallback(0.5))
    released(stage, 1)
    call(stage, StopDeployment(deployment=DEPLOYMENT, reason="wrong units"))
    assert published(stage).on_stop == oc.fallback(0.5)


def test_of_fifty_who_release_at_once_one_does_and_the_others_are_told(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    metadata = SqlMetadata(f"sqlite:///{tmp_path / 'metadata.db'}")
    stage = replace(stage, context=replace(stage.context, stores=replace(stage.context.stores, metadata=metadata)))
    with metadata.transaction() as tx:
        tx.add(DeploymentState(deployment=DEPLOYMENT, model="arrival_delay"))
    for version in range(1, 51):
        stage.add_version(version)
    barrier, outcomes = threading.Barrier(50), list[str]()

    def release(version: int) -> None:
        barrier.wait()
        try:
            call(stage, StartRelease(deployment=DEPLOYMENT, version=version))
        except Conflict as error:
            outcomes.append(error.message.partition("of version ")[2].partition(",")[0])
        else:
            outcomes.append("won")

    threads = [threading.Thread(target=release, args=(version,)) for version in range(1, 51)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = stage.releases()
    assert outcomes.count("won") == 1
    assert set(outcomes) == {"won", str(winner.version)}, "each loser is told who won"
    with metadata.transaction() as tx:
        events = [event for event in tx.audit(newest_first=False) if event.operation == "releases.start"]
    assert [event.outcome for event in events].count("done") == 1
    assert events[0].outcome == "done", "the trail has the order in which it happened"
    metadata.close()


def test_of_a_release_its_hold_and_a_rollback_at_once_the_rollback_wins(tmp_path: Path) -> None:
    """Whatever the order in which they come, what is rolled back stays so, and one version is live."""
    for turn in range(10):
        stage = set_stage(tmp_path / str(turn), rollout=ROLLOUT)
        metadata = SqlMetadata(f"sqlite:///{tmp_path / f'{turn}.db'}")
        stage = replace(stage, context=replace(stage.context, stores=replace(stage.context.stores, metadata=metadata)))
        with metadata.transaction() as tx:
            tx.add(DeploymentState(deployment=DEPLOYMENT, model="arrival_delay"))
        released(stage, 1)
        release, barrier = released(stage, 2), threading.Barrier(4)
        acts = (
            lambda context: interventions.hold(context, DEPLOYMENT, reason=""),
            lambda context: interventions.advance(context, DEPLOYMENT, reason=""),
            lambda context: lifecycle.advance(context, release.id, evidence=Evidence(has_live=True)),  # noqa: B023
            lambda context: lifecycle.roll_back(context, DEPLOYMENT, reason="no"),
        )
        at_once([lambda act=act: act(stage.context) for act in acts], barrier)  # type: ignore[misc]  # noqa: B023
        ended = current(stage)
        assert (ended.state, stage.state().live, stage.state().release) == (S.ROLLED_BACK, 1, None)
        metadata.close()


def at_once(acts: list[Any], barrier: threading.Barrier) -> None:
    def run(act: Any) -> None:
        barrier.wait()
        try:
            act()
        except (Conflict, GateFailed):
            return

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
