"""Releases and deployments as people and programs see them."""

from pathlib import Path

import pytest
from tests.stages import DEPLOYMENT, MODEL, Stage, set_stage

import octavo as oc
from octavo.errors import InvalidRequest, NotAllowed, NotFound
from octavo.operations import SYSTEM, Dispatcher, Operations, Principal
from octavo.release import lifecycle
from octavo.release.intervention_operations import ApproveRelease
from octavo.release.intervention_operations import operations as interventions
from octavo.release.operations import (
    ArmView,
    ListDeployments,
    ListReleases,
    RollBack,
    ShowDeployment,
    ShowRelease,
    StartRelease,
    operations,
)
from octavo.release.publish import published_sequence
from octavo.release.releases import Release, ReleaseState
from octavo.release.rollout import Evidence

ADA = Principal(name="user:ada", permissions=frozenset({"*"}))
GRACE = Principal(name="user:grace", permissions=frozenset({"releases:approve"}))


def dispatcher(stage: Stage) -> Dispatcher:
    all_of_them = Operations()
    for some in (operations, interventions):
        all_of_them.include(some)
    return Dispatcher(all_of_them, stage.context)


def take(stage: Stage, release: Release) -> None:
    for _ in range(5):
        lifecycle.advance(stage.context, release.id, evidence=Evidence(has_live=stage.state().live is not None))


def test_the_newest_version_that_passed_is_released_unless_one_is_named(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    for version, passed in ((1, True), (2, True), (3, False)):
        stage.add_version(version, passed=passed)
    started = dispatcher(stage).call(StartRelease(deployment=DEPLOYMENT), ADA)
    assert (started.version, started.state, started.cause) == (2, ReleaseState.REQUESTED, "user:ada")


def test_without_a_version_that_passed_there_is_nothing_to_release(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.add_version(1, passed=False)
    with pytest.raises(NotFound, match="that passed its gates"):
        dispatcher(stage).call(StartRelease(deployment=DEPLOYMENT), ADA)


def test_an_approval_is_audited_under_the_name_of_who_gave_it(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=oc.Rollout(approval="manual"))
    stage.add_version(1)
    started = dispatcher(stage).call(StartRelease(deployment=DEPLOYMENT, version=1), ADA)
    take(stage, started)
    approved = dispatcher(stage).call(ApproveRelease(release=started.id, note="looks right"), GRACE)
    assert approved.history[-1].reason == "approved by user:grace (looks right)"
    with stage.context.transaction() as tx:
        assert [(e.actor, e.operation) for e in tx.audit(limit=1)] == [("user:grace", "releases.approve")]


def test_who_may_only_read_may_not_release(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    reader = Principal(name="user:eve", permissions=frozenset({"releases:read"}))
    with pytest.raises(NotAllowed, match="releases:write"):
        dispatcher(stage).call(RollBack(deployment=DEPLOYMENT), reader)


def test_a_rollback_takes_effect_without_a_worker(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    for version in (1, 2):
        stage.add_version(version)
        take(stage, dispatcher(stage).call(StartRelease(deployment=DEPLOYMENT, version=version), SYSTEM))
    assert published_sequence(stage.context.stores.artifacts, DEPLOYMENT) == 0, "no worker runs"
    summary = dispatcher(stage).call(RollBack(deployment=DEPLOYMENT, reason="wrong units"), ADA)
    assert summary.arms == (ArmView(role="live", version=1, percent=100, model=MODEL),)
    assert published_sequence(stage.context.stores.artifacts, DEPLOYMENT) == stage.state().sequence
    assert stage.releases()[-1].history[-1].reason == "rolled back by user:ada: wrong units"


def test_a_deployment_is_shown_with_its_arms_and_its_releases(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    for version in (1, 2):
        stage.add_version(version)
        take(stage, dispatcher(stage).call(StartRelease(deployment=DEPLOYMENT, version=version), SYSTEM))
    details = dispatcher(stage).call(ShowDeployment(deployment=DEPLOYMENT), ADA)
    assert [(a.role, a.version) for a in details.summary.arms] == [("live", 1), ("shadow", 2)]
    assert [r.version for r in details.releases] == [2, 1]
    assert (details.steps, details.shadow_s, details.approval) == ((10, 50, 100), 3_600, "policy")
    assert dispatcher(stage).call(ListDeployments(), ADA) == (details.summary,)
    assert dispatcher(stage).call(ShowRelease(release=details.releases[0].id), ADA) == details.releases[0]


def test_releases_are_listed_with_the_newest_first(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.add_version(1)
    dispatcher(stage).call(StartRelease(deployment=DEPLOYMENT), ADA)
    assert len(dispatcher(stage).call(ListReleases(deployment=DEPLOYMENT, limit=1), ADA)) == 1
    assert dispatcher(stage).call(ListReleases(deployment="another"), ADA) == ()
    with pytest.raises(InvalidRequest, match="out of range"):
        dispatcher(stage).call(ListReleases(limit=0), ADA)
    with pytest.raises(NotFound):
        dispatcher(stage).call(ShowRelease(release="nothing"), ADA)
