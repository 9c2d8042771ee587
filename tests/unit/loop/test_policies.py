"""Triggers that keep failing are suspended and say so; and what finishes while people take back undoes nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.stages import DEPLOYMENT, HOUR, MODEL, Stage, set_stage

import octavo as oc
from octavo.errors import Conflict, InvalidDefinition, NotFound
from octavo.loop.attention import needs_attention
from octavo.loop.policies import RetrainPolicy, policy_of, resume, suspend
from octavo.loop.retraining_operations import (
    ListRetraining,
    PolicyView,
    ResumeRetraining,
    SuspendRetraining,
    operations,
)
from octavo.loop.trainings import request_releases, request_training
from octavo.loop.triggers import by_calendar
from octavo.monitoring.incidents import Incident, IncidentKind
from octavo.operations import Dispatcher, Principal
from octavo.registry.versions import GateResult, ModelVersion
from octavo.release import interventions, lifecycle
from octavo.release.releases import Release, ReleaseState
from octavo.release.rollout import Evidence
from octavo.training.runs import Run, RunStatus

ADA = Principal(name="user:ada", permissions=frozenset({"*"}))
NIGHTLY = oc.cron("0 3 * * *")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Version 1 is live, and the model is trained every night."""
    made = set_stage(tmp_path, retrain=[NIGHTLY], rollout=oc.Rollout(shadow=None, steps=[100]))
    made.add_version(1)
    advance(made, lifecycle.request(made.context, DEPLOYMENT, version=1, cause="user"))
    made.wait(HOUR)
    return made


def advance(stage: Stage, release: Release) -> Release:
    for _ in range(5):
        evidence = Evidence(has_live=stage.state().live is not None)
        release = lifecycle.note_served(stage.context, lifecycle.advance(stage.context, release.id, evidence=evidence))
    return release


def train(stage: Stage) -> Run | None:
    """A night passes, and the model is trained if the calendar may."""
    stage.wait(24 * HOUR)
    return by_calendar(stage.context, stage.context.project.model(MODEL), NIGHTLY)


def fail(stage: Stage, run: Run | None, error: str = "no rows\nmore of it") -> None:
    assert run is not None
    with stage.context.transaction() as tx:
        tx.put(replace(run, status=RunStatus.FAILED, error=error, finished_at=stage.clock.now()))


def succeed(stage: Stage, run: Run | None, number: int, gates: Sequence[GateResult] = ()) -> ModelVersion:
    assert run is not None
    version = replace(stage.add_version(number, run=run.id), gates=tuple(gates))
    with stage.context.transaction() as tx:
        tx.put(version)
        tx.put(replace(run, status=RunStatus.SUCCEEDED, version=number, finished_at=stage.clock.now()))
    return version


def policy(stage: Stage) -> RetrainPolicy:
    with stage.context.transaction() as tx:
        return policy_of(tx, MODEL, NIGHTLY.name)


def incidents(stage: Stage) -> list[Incident]:
    with stage.context.transaction() as tx:
        return tx.find(Incident)


def test_a_trigger_that_fails_three_times_in_a_row_stops_and_says_so(stage: Stage) -> None:
    for _ in range(3):
        fail(stage, train(stage))
    assert train(stage) is None
    assert (policy(stage).failures, policy(stage).reason) == (3, "the training failed: no rows")
    [incident] = incidents(stage)
    assert (incident.incident_kind, incident.is_open, incident.version) == (IncidentKind.RETRAINING, True, 1)
    assert "failed 3 times in a row and starts no more trainings" in incident.timeline[0].text
    assert "octavo retraining resume arrival_delay --trigger 'cron(0 3 * * * UTC)'" in incident.cause
    [notice] = stage.context.stores.notifier.sent  # type: ignore[attr-defined]  # in memory
    assert notice.subject == "retraining of arrival_delay is suspended"
    assert train(stage) is None, "it loops no more"
    assert len(incidents(stage)) == 1


def test_a_success_in_between_begins_the_count_anew(stage: Stage) -> None:
    for _ in range(2):
        fail(stage, train(stage))
    good = succeed(stage, train(stage), 2)
    advance(stage, request_releases(stage.context, good, cause=NIGHTLY.name)[0])
    for _ in range(2):
        fail(stage, train(stage))
    assert train(stage) is not None


def test_that_a_version_is_no_better_is_no_failure(stage: Stage) -> None:
    no_better = GateResult(gate="better_than_champion(mae)", passed=False, evidence="")
    for number in range(2, 7):
        succeed(stage, train(stage), number, gates=[no_better])
    assert (policy(stage).failures, policy(stage).suspended_at) == (0, None)


def test_that_a_version_fails_another_gate_or_is_taken_back_is_one(stage: Stage) -> None:
    bad = GateResult(gate="at_most(mae, 20)", passed=False, evidence="")
    succeed(stage, train(stage), 2, gates=[bad])
    taken_back = succeed(stage, train(stage), 3)
    [release] = request_releases(stage.context, taken_back, cause=NIGHTLY.name)
    lifecycle.refuse(stage.context, release.id, reason="golden row 7 differs")
    fail(stage, train(stage))
    assert train(stage) is None
    assert policy(stage).failures == 3


def test_what_was_taken_back_is_told(stage: Stage) -> None:
    version = succeed(stage, train(stage), 2)
    [release] = request_releases(stage.context, version, cause=NIGHTLY.name)
    assert train(stage) is None, "it is being released"
    lifecycle.refuse(stage.context, release.id, reason="golden row 7 differs")
    assert train(stage) is not None
    assert policy(stage).reason == "version 2 was rejected: golden row 7 differs"


def test_a_person_resumes_it_and_the_incident_is_over(stage: Stage) -> None:
    for _ in range(3):
        fail(stage, train(stage))
    train(stage)
    dispatcher = Dispatcher(operations, replace(stage.context, principal=ADA))
    [resumed] = dispatcher.call(ResumeRetraining(model=MODEL, reason="the feed is back"), ADA)
    assert (resumed.failures, resumed.suspended_at) == (0, None)
    [incident] = incidents(stage)
    assert incident.timeline[-1].text == "cron(0 3 * * * UTC) resumed by user:ada: the feed is back"
    assert not incident.is_open
    assert train(stage) is not None
    assert dispatcher.call(ResumeRetraining(model=MODEL), ADA) == ()


def test_a_person_suspends_it_without_an_incident(stage: Stage) -> None:
    dispatcher = Dispatcher(operations, replace(stage.context, principal=ADA))
    dispatcher.call(SuspendRetraining(model=MODEL, trigger="cron", reason="the label is being mended"), ADA)
    assert train(stage) is None
    assert incidents(stage) == []
    [view] = dispatcher.call(ListRetraining(), ADA)
    assert isinstance(view, PolicyView)
    assert (view.policy.suspended_by, view.give_up_after, view.last_run) == ("user:ada", 3, None)
    model = stage.context.project.model(MODEL)
    with pytest.raises(Conflict, match="suspended already: the label is being mended"):
        suspend(stage.context, model, "cron", reason="")
    with pytest.raises(NotFound, match="there are: cron"):
        suspend(stage.context, model, "drift", reason="")
    resume(stage.context, model, NIGHTLY.name, reason="")
    with pytest.raises(Conflict, match="is not suspended"):
        resume(stage.context, model, "cron", reason="")


def test_after_how_many_failures_it_gives_up_is_declared() -> None:
    assert oc.on_staleness("7d", give_up_after=5).give_up_after == 5
    with pytest.raises(InvalidDefinition, match="give_up_after=0"):
        oc.on_drift(give_up_after=0)
    with pytest.raises(InvalidDefinition, match="on_new_rows"):
        oc.on_new_rows(0)


def test_a_training_that_finishes_after_a_rollback_does_not_undo_it(stage: Stage) -> None:
    good = succeed(stage, train(stage), 2)
    advance(stage, request_releases(stage.context, good, cause=NIGHTLY.name)[0])
    run = train(stage)
    stage.wait(HOUR)
    lifecycle.roll_back(stage.context, DEPLOYMENT, reason="wrong units")
    late = succeed(stage, run, 3)
    assert request_releases(stage.context, late, cause=NIGHTLY.name) == ()
    assert stage.state().live == 1
    assert lifecycle.request(stage.context, DEPLOYMENT, version=3, cause="user"), "a person may"


def test_a_training_that_finishes_while_the_deployment_is_stopped_is_not_released(stage: Stage) -> None:
    run = train(stage)
    interventions.stop(replace(stage.context, principal=ADA), DEPLOYMENT, reason="wrong units")
    assert request_releases(stage.context, succeed(stage, run, 2), cause=NIGHTLY.name) == ()
    assert stage.state().stopped is not None


def test_one_that_was_compared_with_what_is_live_no_more_is_not_released_by_itself(stage: Stage) -> None:
    run = train(stage)
    stage.wait(HOUR)
    stage.add_version(2)
    advance(stage, lifecycle.request(stage.context, DEPLOYMENT, version=2, cause="user"))
    assert request_releases(stage.context, succeed(stage, run, 3), cause=NIGHTLY.name) == ()


def test_one_that_a_person_asked_for_is_released_though_another_is_live_now(stage: Stage) -> None:
    run = request_training(stage.context, MODEL, trigger="user")
    stage.wait(HOUR)
    stage.add_version(2)
    advance(stage, lifecycle.request(stage.context, DEPLOYMENT, version=2, cause="user"))
    [release] = request_releases(stage.context, succeed(stage, run, 3), cause="user")
    assert release.state is ReleaseState.REQUESTED


def test_the_author_of_a_release_by_the_worker_is_who_had_the_version_made(stage: Stage) -> None:
    version = replace(succeed(stage, request_training(stage.context, MODEL, trigger="user"), 2), author="user:ada")
    [release] = request_releases(stage.context, version, cause="user")
    assert release.author == "user:ada"


def test_what_does_not_go_on_without_a_person_is_told_with_the_command(stage: Stage) -> None:
    assert needs_attention(stage.context) == ()
    by_ada = replace(stage.context, principal=ADA)
    stage.add_version(2)
    lifecycle.request(stage.context, DEPLOYMENT, version=2, cause="user")
    interventions.hold(by_ada, DEPLOYMENT, reason="")
    interventions.stop(by_ada, DEPLOYMENT, reason="wrong units")
    suspend(by_ada, stage.context.project.model(MODEL), "cron", reason="labels are late")
    assert needs_attention(stage.context) == (
        "eta is stopped since 2013-07-01 01:00 by user:ada (wrong units): octavo deployments start eta",
        "the release of version 2 in eta is held: octavo deployments resume eta",
        "cron(0 3 * * * UTC) retrains arrival_delay no more (labels are late): octavo retraining resume arrival_delay",
    )
