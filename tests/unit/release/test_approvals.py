"""Whose word a release needs: by policy and tier, not the author's, of enough people, for a time, for one version."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stages import DEPLOYMENT, HOUR, Stage, set_stage

import octavo as oc
from octavo.config import ApprovalSettings
from octavo.definitions.approvals import Approval, read_rule
from octavo.errors import ConfigurationError, Conflict, InvalidDefinition, NotAllowed
from octavo.operations import Context, Principal
from octavo.registry.versions import ModelVersion
from octavo.release import interventions, lifecycle
from octavo.release.approvals import ApprovalPolicy, policy_of
from octavo.release.releases import Release, ReleaseState
from octavo.release.rollout import Evidence, is_going

S = ReleaseState
ALL = frozenset({"*"})
TWO = oc.Approval(people=2, of=("risk", "ml-lead"), expires="7d")
GROUPS = ApprovalSettings(groups=("risk:grace", "risk:linus", "ml-lead:user:edsger"))
DAY = timedelta(days=1)


def person(name: str, **facts: Any) -> Principal:
    return Principal(name=f"user:{name}", permissions=ALL, **facts)


def by(stage: Stage, principal: Principal | str) -> Context:
    who = person(principal) if isinstance(principal, str) else principal
    return replace(stage.context, principal=who)


def staged(tmp_path: Path, approval: Any, *, settings: ApprovalSettings | None = None) -> Stage:
    stage = set_stage(tmp_path, rollout=oc.Rollout(approval=approval))
    config = replace(stage.context.config, approval=settings or GROUPS)
    return replace(stage, context=replace(stage.context, config=config))


def waiting(stage: Stage, version: int = 1, *, author: str = "ada") -> Release:
    stage.add_version(version)
    return go_on(stage, lifecycle.request(by(stage, author), DEPLOYMENT, version=version, cause=author))


def go_on(stage: Stage, release: Release) -> Release:
    for _ in range(6):
        evidence = Evidence(has_live=stage.state().live is not None)
        release = lifecycle.advance(stage.context, release.id, evidence=evidence)
    return release


def approve(stage: Stage, release: Release, principal: Principal | str, note: str = "") -> Release:
    return interventions.approve(by(stage, principal), release.id, note=note)


def test_two_people_of_the_groups_approve_and_their_words_are_kept(tmp_path: Path) -> None:
    stage = staged(tmp_path, TWO)
    release = waiting(stage)
    assert release.history[-1].reason == "it needs 2 people of risk, ml-lead"
    first = approve(stage, release, "grace", "checked the slices")
    assert first.state is S.WAITING_FOR_APPROVAL
    assert first.history[-1].what == "approved by user:grace"
    assert "still needs 1 person of risk, ml-lead more" in first.history[-1].reason
    second = approve(stage, release, "edsger")
    assert second.history[-1].reason == "approved by user:grace (checked the slices), user:edsger"
    assert [(one.by, one.until) for one in second.approvals] == [
        ("user:grace", stage.clock.now() + 7 * DAY),
        ("user:edsger", stage.clock.now() + 7 * DAY),
    ]
    assert go_on(stage, second).state is S.LIVE


def test_one_person_counts_once_whatever_token_they_come_with(tmp_path: Path) -> None:
    stage = staged(tmp_path, oc.Approval(2))
    release = waiting(stage)
    approve(stage, release, Principal(name="grace/11111111", permissions=ALL, subject="grace"))
    with pytest.raises(Conflict, match=r"grace has approved release .* still needs 1 person more"):
        approve(stage, release, Principal(name="grace/22222222", permissions=ALL, subject="grace"))


def test_who_asked_for_a_release_cannot_approve_it_by_any_token(tmp_path: Path) -> None:
    stage = staged(tmp_path, "manual")
    stage.add_version(1)
    asked_by = replace(stage.context, principal=Principal(name="ada/1", permissions=ALL, subject="ada"))
    release = go_on(stage, lifecycle.request(asked_by, DEPLOYMENT, version=1, cause="ada"))
    with pytest.raises(NotAllowed, match="ada asked for version 1 in 'eta' or had it made, so another person"):
        approve(stage, release, Principal(name="ada/2", permissions=ALL, subject="ada"))
    assert approve(stage, release, "grace").state is S.APPROVED


def test_the_local_user_and_the_person_of_that_name_are_one(tmp_path: Path) -> None:
    stage = staged(tmp_path, oc.Approval(2))
    release = waiting(stage, author="ada")
    with pytest.raises(NotAllowed, match="another person"):
        approve(stage, release, Principal(name="ada/1", permissions=ALL, subject="ada"))
    approve(stage, release, "grace")
    with pytest.raises(Conflict, match="has approved release"):
        approve(stage, release, Principal(name="grace/1", permissions=ALL, subject="grace"))


def test_who_had_a_version_made_cannot_approve_a_release_that_another_asked_for(tmp_path: Path) -> None:
    stage = staged(tmp_path, "manual")
    version = stage.add_version(1)
    with stage.context.transaction() as tx:
        tx.put(replace(version, author="user:linus"))
    release = go_on(stage, lifecycle.request(by(stage, "ada"), DEPLOYMENT, version=1, cause="ada"))
    with pytest.raises(NotAllowed, match="had it made"):
        approve(stage, release, "linus")


@pytest.mark.parametrize("kind", ["service", "system"])
def test_what_is_no_person_cannot_approve(tmp_path: Path, kind: str) -> None:
    stage = staged(tmp_path, "manual")
    with pytest.raises(NotAllowed, match="no person, and only people approve"):
        approve(stage, waiting(stage), person("robot", kind=kind))


def test_who_belongs_to_none_of_the_groups_is_told_whose_word_is_needed(tmp_path: Path) -> None:
    stage = staged(tmp_path, TWO)
    with pytest.raises(NotAllowed, match=r"user:eve belongs to none of those .* 2 people of risk, ml-lead"):
        approve(stage, waiting(stage), "eve")


def test_an_approval_of_one_version_does_not_carry_to_another(tmp_path: Path) -> None:
    stage = staged(tmp_path, oc.Approval(2))
    first = waiting(stage, 1)
    approve(stage, first, "grace")
    lifecycle.roll_back(stage.context, DEPLOYMENT, reason="another is better")
    assert waiting(stage, 2).approvals == ()


def test_an_approval_of_other_bytes_does_not_count(tmp_path: Path) -> None:
    stage = staged(tmp_path, oc.Approval(2))
    release = waiting(stage)
    approve(stage, release, "grace")
    with stage.context.transaction() as tx:
        tx.put(replace(tx.find(ModelVersion)[0], digest="sha256:other"))
    assert approve(stage, release, "linus").state is S.WAITING_FOR_APPROVAL, "only this one is of these bytes"


def test_an_approval_that_has_run_out_does_not_count_and_can_be_given_again(tmp_path: Path) -> None:
    stage = staged(tmp_path, {"high": oc.Approval(2, expires="1h"), "low": oc.Approval(2, expires="1h")})
    release = waiting(stage)
    approve(stage, release, "grace")
    with stage.context.transaction() as tx:  # it may wait longer than a word counts where the policy was changed
        found = tx.find(Release)[0]
        tx.replace(found, replace(found, waits_until=None))
    stage.wait(HOUR)
    still = approve(stage, release, "linus")
    assert still.state is S.WAITING_FOR_APPROVAL
    assert approve(stage, release, "grace").state is S.APPROVED
    assert len(stage.releases()[0].approvals) == 2


def test_a_release_that_nobody_approves_in_time_is_rejected(tmp_path: Path) -> None:
    stage = staged(tmp_path, TWO)
    release = waiting(stage)
    assert is_going(release, stage.state()), "the worker sees to it"
    stage.wait(7 * DAY)
    with pytest.raises(Conflict, match="waited for approval until 2013-07-08 00:00; release version 1 anew"):
        approve(stage, release, "grace")
    ended = go_on(stage, release)
    assert ended.state is S.REJECTED
    assert ended.history[-1].reason == "not approved in time: it needed 2 people of risk, ml-lead"
    assert stage.state().release is None


def test_an_approval_that_runs_out_while_a_release_is_held_is_asked_for_again(tmp_path: Path) -> None:
    stage = staged(tmp_path, oc.Approval(expires="1d"))
    release = approve(stage, waiting(stage), "grace")
    interventions.hold(by(stage, "ada"), DEPLOYMENT, reason="not on a Friday")
    stage.wait(2 * DAY)
    interventions.resume(by(stage, "ada"), DEPLOYMENT)
    again = go_on(stage, release)
    assert again.state is S.WAITING_FOR_APPROVAL
    assert again.history[-1].reason.startswith("an approval has run out")


def test_a_release_is_rejected_with_a_reason(tmp_path: Path) -> None:
    stage = staged(tmp_path, "manual")
    release = waiting(stage)
    ended = interventions.reject(by(stage, "grace"), release.id, reason="the south is worse")
    assert (ended.state, ended.history[-1].reason) == (S.REJECTED, "rejected by user:grace: the south is worse")
    assert stage.state().release is None
    with pytest.raises(Conflict, match="is rejected; it does not wait for approval"):
        approve(stage, release, "grace")


def test_the_settings_are_a_floor_that_no_rollout_goes_below(tmp_path: Path) -> None:
    tier = set_stage(tmp_path).context.project.deployment(DEPLOYMENT).model.tier
    settings = replace(GROUPS, **{str(tier or "high"): "1 of ml-lead within 2d"})
    stage = staged(tmp_path, "manual", settings=settings)
    release = waiting(stage)
    assert approve(stage, release, "grace").state is S.WAITING_FOR_APPROVAL
    assert approve(stage, release, "edsger").state is S.APPROVED


def test_the_policy_in_force_is_kept_under_its_digest(tmp_path: Path) -> None:
    stage = staged(tmp_path, TWO)
    release = waiting(stage)
    with stage.context.transaction() as tx:
        kept = tx.get(ApprovalPolicy, release.policy)
    assert kept is not None
    assert kept == policy_of(stage.context.config, stage.context.project.deployment(DEPLOYMENT))
    assert kept.words == "2 people of risk, ml-lead, within 7 days"


def test_the_rule_is_that_of_the_tier() -> None:
    rollout = oc.Rollout(approval={"low": "policy", "high": TWO})
    assert (rollout.rule("low"), rollout.rule("medium"), rollout.rule("high")) == ("policy", "manual", TWO)
    assert rollout.rule("") == TWO, "what has no tier counts as high"


@given(
    st.integers(1, 10),
    st.lists(st.sampled_from(["risk", "ml-lead", "ada"]), max_size=3, unique=True),
    st.sampled_from([None, "7d", "36h"]),
)
def test_a_rule_is_read_as_it_is_written(people: int, of: list[str], expires: str | None) -> None:
    text = f"{people}" + (f" of {', '.join(of)}" if of else "") + (f" within {expires}" if expires else "")
    assert read_rule(text) == Approval(people, of=of, expires=expires)


@pytest.mark.parametrize("text", ["two", "2 of", "0", "11", "-1", "2 within", "2 of risk within never", "yes"])
def test_a_rule_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidDefinition):
        read_rule(text)
    stage = staged(tmp_path, "policy", settings=ApprovalSettings(low=text, medium=text, high=text))
    with pytest.raises(ConfigurationError, match=r"\[approval\]"):
        policy_of(stage.context.config, stage.context.project.deployment(DEPLOYMENT))


@pytest.mark.parametrize("approval", ["nobody", {"huge": "manual"}, 2])
def test_a_rollout_that_asks_for_no_known_approval_is_refused(approval: Any) -> None:
    with pytest.raises(InvalidDefinition, match="approval"):
        oc.Rollout(approval=approval)


@pytest.mark.parametrize(
    "limits",
    [{"worse": -0.1}, {"alpha": 0.0}, {"alpha": 0.6}, {"min_rows": 0}, {"errors": -0.1}, {"latency_ratio": 0.0}],
)
def test_guards_that_cannot_be_are_refused(limits: Any) -> None:
    with pytest.raises(InvalidDefinition, match="guards"):
        oc.Guards(**limits)


@pytest.mark.parametrize("given", [{"people": 0}, {"people": True}, {"of": [""]}, {"expires": "soon"}])
def test_approvals_that_cannot_be_are_refused(given: Any) -> None:
    with pytest.raises(InvalidDefinition):
        oc.Approval(**given)


def test_settings_that_cannot_be_read_are_told_when_the_project_is_applied(tmp_path: Path) -> None:
    stage = staged(tmp_path, "policy", settings=ApprovalSettings(low="whoever", medium="whoever", high="whoever"))
    with stage.context.transaction() as tx, pytest.raises(ConfigurationError, match=r"\[approval\] low"):
        lifecycle.declare(replace(stage.context, tx=tx), stage.context.project.deployment(DEPLOYMENT))


def test_what_a_rollout_says_of_approval_and_guards_is_part_of_what_is_planned(tmp_path: Path) -> None:
    plain, asked = (staged(tmp_path, approval).context.project for approval in ("policy", TWO))
    assert plain.documents()[f"deployment/{DEPLOYMENT}"] != asked.documents()[f"deployment/{DEPLOYMENT}"]
