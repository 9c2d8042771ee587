"""Releases in the metadata: asked for, moved on, approved, refused, rolled back."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stages import DEPLOYMENT, HOUR, Stage, set_stage

import octavo as oc
from octavo.errors import Conflict, GateFailed, NotFound
from octavo.operations import Context, Principal
from octavo.release import interventions, lifecycle
from octavo.release.releases import DeploymentState, Release, ReleaseState, is_frozen
from octavo.release.rollout import Evidence

S = ReleaseState


def take(stage: Stage, release: Release, *, hours: int = 24, complaint: str = "") -> Release:
    """Take a release as far as it goes in some hours, predictors serving at once."""
    for _ in range(hours):
        while True:
            evidence = Evidence(has_live=stage.state().live is not None, complaint=complaint)
            after = lifecycle.advance(stage.context, release.id, evidence=evidence)
            after = lifecycle.note_served(stage.context, after)
            if after == release:
                break
            release = after
        stage.wait(HOUR)
    return release


def by_ada(stage: Stage) -> Context:
    return replace(stage.context, principal=Principal(name="user:ada", permissions=frozenset({"*"})))


def released(stage: Stage, version: int) -> Release:
    stage.add_version(version)
    return take(stage, lifecycle.request(stage.context, DEPLOYMENT, version=version, cause="user"))


def test_the_first_version_becomes_live_and_the_second_takes_over(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    first, second = released(stage, 1), released(stage, 2)
    assert (stage.state().live, stage.state().previous, stage.state().release) == (2, 1, None)
    assert second.state is S.LIVE
    retired, _ = stage.releases()
    assert (retired.id, retired.state, retired.history[-1].reason) == (first.id, S.RETIRED, "replaced by version 2")


def test_each_step_that_nobody_asked_for_is_in_the_audit_trail(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    released(stage, 1)
    with stage.context.stores.metadata.transaction() as tx:
        events = tx.audit(newest_first=False)
    assert {(event.actor, event.operation, event.outcome) for event in events} == {
        ("system", "releases.advance", "done")
    }
    assert [event.target.partition("state=")[2] for event in events] == ["verified", "approved", "live"]


def test_the_sequence_rises_with_each_change_of_the_traffic(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=oc.Rollout(shadow="1h", steps=[50, 100], bake="1h"))
    released(stage, 1)
    assert stage.state().sequence == 1
    released(stage, 2)
    assert stage.state().sequence == 4


def test_a_version_that_failed_a_gate_cannot_be_released(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.add_version(1, passed=False)
    with pytest.raises(GateFailed, match=r"did not pass at_most\(mae, 20\) \(mae 21 over 100 rows\)"):
        lifecycle.request(stage.context, DEPLOYMENT, version=1, cause="user")


def test_what_is_not_there_is_named_with_what_is(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.add_version(1)
    with pytest.raises(NotFound, match="there are: 1"):
        lifecycle.request(stage.context, DEPLOYMENT, version=7, cause="user")
    with pytest.raises(NotFound, match="'eta'"):
        lifecycle.request(stage.context, "etta", version=1, cause="user")


def test_a_second_release_waits_for_the_end_of_the_first(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=oc.Rollout(approval="manual"))
    for version in (1, 2):
        stage.add_version(version)
    first = take(stage, lifecycle.request(stage.context, DEPLOYMENT, version=1, cause="user"))
    with pytest.raises(Conflict, match="version 1, now waiting for approval, is in progress"):
        lifecycle.request(stage.context, DEPLOYMENT, version=2, cause="user")
    lifecycle.roll_back(stage.context, DEPLOYMENT, reason="not wanted")
    assert stage.releases()[0].state is S.REJECTED
    lifecycle.request(stage.context, DEPLOYMENT, version=2, cause="user")
    with pytest.raises(Conflict, match="does not wait for approval"):
        interventions.approve(by_ada(stage), first.id)


def test_a_live_version_is_not_released_again(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    released(stage, 1)
    with pytest.raises(Conflict, match="is live in 'eta' already"):
        lifecycle.request(stage.context, DEPLOYMENT, version=1, cause="user")


def test_an_approved_release_goes_on(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=oc.Rollout(approval="manual"))
    waiting = released(stage, 1)
    assert waiting.state is S.WAITING_FOR_APPROVAL
    approved = interventions.approve(by_ada(stage), waiting.id)
    assert approved.history[-1].reason == "approved by user:ada"
    assert take(stage, approved).state is S.LIVE


def test_a_complaint_takes_the_traffic_back_from_a_canary(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=oc.Rollout(shadow=None, steps=[10, 100], bake="4h"))
    released(stage, 1)
    stage.add_version(2)
    canary = take(stage, lifecycle.request(stage.context, DEPLOYMENT, version=2, cause="user"), hours=1)
    assert (canary.state, canary.percent) == (S.CANARY, 10)
    sequence = stage.state().sequence
    assert take(stage, canary, complaint="it is slow").state is S.ROLLED_BACK
    assert (stage.state().live, stage.state().release, stage.state().sequence) == (1, None, sequence + 1)


def test_a_rollback_returns_to_the_version_before(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    released(stage, 1)
    released(stage, 2)
    state = lifecycle.roll_back(stage.context, DEPLOYMENT, reason="wrong units")
    assert (state.live, state.previous) == (1, None)
    assert [r.state for r in stage.releases()] == [S.RETIRED, S.ROLLED_BACK, S.LIVE]
    assert stage.releases()[-1].cause == "rollback of version 2: wrong units"
    with pytest.raises(Conflict, match="no earlier version"):
        lifecycle.roll_back(stage.context, DEPLOYMENT, reason="again")


def test_a_first_version_that_predictors_refuse_leaves_nothing_live(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.add_version(1)
    release = lifecycle.request(stage.context, DEPLOYMENT, version=1, cause="user")
    for _ in range(3):
        release = lifecycle.advance(stage.context, release.id, evidence=Evidence(has_live=False))
    assert release.state is S.LIVE
    assert lifecycle.refuse(stage.context, release.id, reason="golden rows differ").state is S.ROLLED_BACK
    assert (stage.state().live, stage.state().release) == (None, None)


def test_a_live_version_that_predictors_serve_is_not_refused_any_more(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    live = released(stage, 1)
    assert lifecycle.refuse(stage.context, live.id, reason="too late").state is S.LIVE
    assert stage.state().live == 1


def test_a_note_of_service_counts_for_the_state_that_was_served_alone(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=oc.Rollout(shadow="1h", steps=[50, 100], bake="1h"))
    released(stage, 1)
    stage.add_version(2)
    shadow = take(stage, lifecycle.request(stage.context, DEPLOYMENT, version=2, cause="user"), hours=1)
    canary = lifecycle.advance(stage.context, shadow.id, evidence=Evidence(has_live=True))
    assert lifecycle.note_served(stage.context, shadow) == canary
    noted = lifecycle.note_served(stage.context, canary)
    assert noted.served_at == stage.clock.now()
    stage.wait(HOUR)
    assert lifecycle.note_served(stage.context, canary) == noted


ACTIONS = (
    *("request", "advance", "serve", "complain", "approve", "refuse", "roll back", "wait"),
    *("hold", "resume", "step on", "stop", "start"),
)
actions = st.lists(st.sampled_from([*ACTIONS, "advance", "advance"]), max_size=60)


@given(actions, st.sampled_from(["policy", "manual"]), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_whatever_is_done_one_version_at_most_is_live_and_one_release_in_progress(
    actions: list[str], approval: str, chance: object
) -> None:
    stage = set_stage(Path("unused"), rollout=oc.Rollout(shadow="1h", steps=[50, 100], bake="1h", approval=approval))
    for version in (1, 2, 3):
        stage.add_version(version)
    for action in actions:
        before, releases = stage.state(), stage.releases()
        with suppress(Conflict):
            act(stage, action, chance)
        check(stage, before)
        check_frozen(stage, action, before, releases)


INTERVENTIONS: dict[str, Any] = {
    "hold": interventions.hold,
    "resume": interventions.resume,
    "step on": interventions.advance,
    "stop": interventions.stop,
    "start": interventions.start,
}


def act(stage: Stage, action: str, chance: object) -> None:
    context, releases = stage.context, stage.releases()
    some = chance.choice(releases) if releases else None  # type: ignore[attr-defined]  # random.Random of hypothesis
    if action == "request":
        lifecycle.request(context, DEPLOYMENT, version=chance.choice([1, 2, 3]), cause="user")  # type: ignore[attr-defined]
    elif action == "wait":
        stage.wait(HOUR)
    elif action == "roll back":
        lifecycle.roll_back(context, DEPLOYMENT, reason="why not")
    elif action in INTERVENTIONS:
        INTERVENTIONS[action](context, DEPLOYMENT, reason="why not")
    elif some is None:
        return
    elif action in ("advance", "complain"):
        evidence = Evidence(has_live=stage.state().live is not None, complaint="slow" if action == "complain" else "")
        lifecycle.advance(context, some.id, evidence=evidence)
    elif action == "serve":
        lifecycle.note_served(context, some)
    elif action == "approve":
        interventions.approve(by_ada(stage), some.id)
    else:
        lifecycle.refuse(context, some.id, reason="cannot load it")


def check(stage: Stage, before: DeploymentState) -> None:
    state, releases = stage.state(), stage.releases()
    live = [release for release in releases if release.state is S.LIVE]
    assert [release.version for release in live] == ([] if state.live is None else [state.live])
    in_progress = [release.id for release in releases if release.state.in_progress]
    assert in_progress == ([] if state.release is None else [state.release])
    assert state.sequence >= before.sequence
    if state.live != before.live:
        assert state.sequence > before.sequence, "predictors learn of it"
    if (state.stopped is None) != (before.stopped is None):
        assert state.sequence > before.sequence, "and of a stop"


def check_frozen(stage: Stage, action: str, before: DeploymentState, releases: list[Release]) -> None:
    """What is held or was asked for before a stop moves only back; and only a start ends a stop."""
    if before.stopped is not None and action != "start":
        assert stage.state().stopped == before.stopped
    now = {release.id: release for release in stage.releases()}
    for release in releases:
        moved_on = now[release.id].state is not release.state and not now[release.id].state.is_final
        assert not (moved_on and is_frozen(release, before) and action not in ("start", "resume", "approve"))
