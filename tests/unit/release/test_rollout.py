"""The rollout's state machine, step by step and over random histories."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stages import DEPLOYMENT, HOUR, MODEL, START

import octavo as oc
from octavo.release.releases import Release, ReleaseState
from octavo.release.rollout import Evidence, entered_at, look_again_at, moved, served, stage_end, step

S = ReleaseState
WITH_LIVE, ALONE = Evidence(has_live=True), Evidence(has_live=False)
UNAPPROVED = Evidence(has_live=True, lacking="1 person")
ROLLOUT = oc.Rollout(shadow="2h", steps=[10, 50, 100], bake="1h")


def requested() -> Release:
    return Release(
        id="1",
        deployment=DEPLOYMENT,
        model=MODEL,
        version=2,
        state=S.REQUESTED,
        cause="user",
        requested_at=START,
    )


def way(rollout: oc.Rollout, evidence: Evidence, *, hours: int = 12) -> list[tuple[ReleaseState, int, datetime]]:
    """The states that a release goes through when predictors serve at once."""
    release = requested()
    for minutes in range(0, hours * 60, 10):
        now = START + timedelta(minutes=minutes)
        while (after := step(release, rollout, now=now, evidence=evidence)) is not release:
            release = served(after, at=now)
    return [(t.state, t.percent, t.at) for t in release.history]


def test_a_version_goes_through_shadow_and_each_percentage_for_its_time() -> None:
    assert way(ROLLOUT, WITH_LIVE) == [
        (S.VERIFIED, 0, START),
        (S.APPROVED, 0, START),
        (S.SHADOW, 100, START),
        (S.CANARY, 10, START + 2 * HOUR),
        (S.CANARY, 50, START + 3 * HOUR),
        (S.LIVE, 100, START + 4 * HOUR),
    ]


def test_a_shadow_may_see_a_few_predictions_first() -> None:
    rollout = oc.Rollout(shadow="2h", shadow_steps=[1, 100], steps=[100], bake="1h")
    assert way(rollout, WITH_LIVE)[2:] == [
        (S.SHADOW, 1, START),
        (S.SHADOW, 100, START + 2 * HOUR),
        (S.LIVE, 100, START + 4 * HOUR),
    ]


def test_a_shadow_of_before_shadows_were_sampled_sees_all_and_goes_on() -> None:
    old = served(moved(requested(), S.SHADOW, at=START, reason=""), at=START)
    after = step(old, ROLLOUT, now=START + 2 * HOUR, evidence=WITH_LIVE)
    assert (after.state, after.percent) == (S.CANARY, 10)


def test_the_first_version_of_a_deployment_is_live_at_once() -> None:
    assert [state for state, *_ in way(ROLLOUT, ALONE)] == [S.VERIFIED, S.APPROVED, S.LIVE]


def test_without_shadow_time_and_steps_a_version_is_live_at_once() -> None:
    rollout = oc.Rollout(shadow=None, steps=[100])
    assert [state for state, *_ in way(rollout, WITH_LIVE)] == [S.VERIFIED, S.APPROVED, S.LIVE]


def test_a_person_approves_where_the_project_says_so() -> None:
    assert [state for state, *_ in way(ROLLOUT, UNAPPROVED)] == [S.VERIFIED, S.WAITING_FOR_APPROVAL]


def test_what_must_not_be_released_is_rejected_before_any_traffic() -> None:
    after = step(requested(), ROLLOUT, now=START, evidence=Evidence(has_live=True, refusal="its bundle is damaged"))
    assert (after.state, after.history[-1].reason) == (S.REJECTED, "its bundle is damaged")


@pytest.mark.parametrize("state", [S.SHADOW, S.CANARY])
def test_a_complaint_rolls_back_whatever_the_time(state: ReleaseState) -> None:
    release = requested()
    while release.state is not state:
        now = entered_at(release) + 2 * HOUR
        release = served(step(release, ROLLOUT, now=now, evidence=WITH_LIVE), at=now)
    complaint = Evidence(has_live=True, complaint="it is much slower")
    after = step(release, ROLLOUT, now=entered_at(release), evidence=complaint)
    assert (after.state, after.percent) == (S.ROLLED_BACK, 0)


def test_a_stage_that_predictors_have_not_taken_up_does_not_end() -> None:
    release = requested()
    while release.state is not S.SHADOW:
        release = step(release, ROLLOUT, now=START, evidence=WITH_LIVE)
    assert step(release, ROLLOUT, now=START + 99 * HOUR, evidence=WITH_LIVE) is release
    late = served(release, at=START + 99 * HOUR)
    assert stage_end(late, ROLLOUT) == START + 101 * HOUR
    assert step(late, ROLLOUT, now=START + 100 * HOUR, evidence=WITH_LIVE) is late


def test_a_stage_is_looked_at_four_times_and_at_its_end() -> None:
    release = requested()
    while release.state is not S.SHADOW:
        release = step(release, ROLLOUT, now=START, evidence=WITH_LIVE)
    assert look_again_at(release, ROLLOUT, now=START + HOUR) == START + HOUR, "not served yet: at once"
    release = served(release, at=START)
    looks, now = [], START
    while now < START + 2 * HOUR:
        now = look_again_at(release, ROLLOUT, now=now) or pytest.fail("it needs looking at")
        looks.append(now - START)
    assert looks == [HOUR / 2, HOUR, 3 * HOUR / 2, 2 * HOUR]


def test_a_release_that_waits_for_a_person_or_has_ended_needs_no_look() -> None:
    for evidence in (UNAPPROVED, ALONE):
        release = requested()
        while (after := step(release, ROLLOUT, now=START, evidence=evidence)) is not release:
            release = after
        assert look_again_at(release, ROLLOUT, now=START) is None


rollouts = st.builds(
    oc.Rollout,
    shadow=st.sampled_from([None, "1h", "5h"]),
    shadow_steps=st.sampled_from([(100,), (1, 100), (10, 20, 30)]),
    steps=st.sets(st.integers(1, 99), max_size=4).map(lambda steps: [*sorted(steps), 100]),
    bake=st.sampled_from(["1h", "3h"]),
    guards=st.just(oc.Guards()),
)
turns = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from(["", "", "", "", "it is slow"]),
        st.booleans(),
        st.sampled_from(["", "", "", "its signature is not ours"]),
        st.sampled_from(["", "", "", "2 people"]),
        st.booleans(),
    ),
    max_size=40,
)


@given(rollouts, turns, st.booleans())
@settings(deadline=None)
def test_whatever_happens_the_way_is_one_that_is_allowed(rollout: oc.Rollout, turns: list, has_live: bool) -> None:
    release, now = requested(), START
    for hours, complaint, is_served, refusal, lacking, is_frozen in turns:
        now += hours * HOUR
        evidence = Evidence(
            has_live=has_live, complaint=complaint, refusal=refusal, lacking=lacking, is_frozen=is_frozen
        )
        after = step(release, rollout, now=now, evidence=evidence)
        check_step(release, after, rollout, now)
        release = served(after, at=now) if is_served else after
    assert [t.at for t in release.history] == sorted(t.at for t in release.history)


def check_step(before: Release, after: Release, rollout: oc.Rollout, now: datetime) -> None:
    if after is before:
        return
    assert not before.state.is_final
    assert before.state is not S.LIVE, "only another release ends a live one"
    assert len(after.history) == len(before.history) + 1
    assert after.served_at is None
    if after.state in (S.REJECTED, S.ROLLED_BACK):
        assert after.percent == 0
        assert (after.state is S.ROLLED_BACK) == before.state.has_traffic
        return
    if after.state is before.state:
        assert after.percent > before.percent
    assert after.percent in (0, *(rollout.shadow_steps if after.state is S.SHADOW else rollout.steps))
    if before.state in (S.SHADOW, S.CANARY):
        end = stage_end(before, rollout)
        assert end is not None
        assert now >= end
