"""The rollout's state machine, pure: given a release and what is known, which step comes next and when to look again.

requested → verified → approved → shadow → canary (each percentage) → live → retired
                     ↘ waiting_for_approval ↗
rejected: before any traffic.  rolled_back: after it.

A stage is as long as it was served: its time runs from the moment at which predictors have taken it up, and stands
while the release is held or its deployment is stopped. Guards take a held release back all the same.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from octavo.definitions.deployments import Rollout
from octavo.release.releases import DeploymentState, Release, ReleaseState, Transition, is_frozen

_LOOKS_PER_STAGE = 4
_SHORTEST_LOOK = timedelta(seconds=60)
_LOOKS_WITHOUT_END = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a release when its next step is decided.

    Attributes
    ----------
    has_live : bool
        Whether another version is live; the first one has nothing to be compared with.
    refusal : str
        Why the version may not be released at all; empty if it may.
    complaint : str
        Why the stage that it is in must end; empty if all is well.
    summary : str
        What was seen, in words; kept with the transition.
    lacking : str
        The approvals that it still needs, in words; empty if it has them all or needs none.
    approvals : str
        Who approved, in words.
    policy : str
        Digest of the approval policy in force.
    waits_until : datetime or None
        How long it may wait for approvals from now on.
    is_frozen : bool
        Whether it stays where it is, unless it is taken back.
    is_stopped : bool
        Whether no version is asked at all, which whoever wanted this release knew.
    """

    has_live: bool
    refusal: str = ""
    complaint: str = ""
    summary: str = ""
    lacking: str = ""
    approvals: str = ""
    policy: str = ""
    waits_until: datetime | None = None
    is_frozen: bool = False
    is_stopped: bool = False


def entered_at(release: Release) -> datetime:
    """When the release entered the state (and percentage) that it is in."""
    entered = release.requested_at
    for transition in reversed(release.history):
        if (transition.state, transition.percent) != (release.state, release.percent):
            break
        entered = transition.at
    return entered


def moved(release: Release, state: ReleaseState, *, at: datetime, reason: str, percent: int = 0) -> Release:
    """The release in another state, with the transition in its history."""
    transition = Transition(at=at, state=state, percent=percent, reason=reason)
    return replace(
        release,
        state=state,
        percent=percent,
        served_at=None,
        history=(*release.history, transition),
        held=False,
        held_since=None,
        waits_until=None,
    )


def noted(release: Release, what: str, *, at: datetime, reason: str) -> Release:
    """The release in the state that it is in, with what was done about it in its history."""
    note = Transition(at=at, state=release.state, percent=release.percent, reason=reason, what=what)
    return replace(release, history=(*release.history, note))


def later(release: Release, *, since: datetime, now: datetime) -> Release:
    """The release after its time has stood since a moment."""
    if release.served_at is None:
        return release
    return replace(release, served_at=release.served_at + (now - max(since, release.served_at)))


def served(release: Release, *, at: datetime) -> Release:
    """The release once predictors have taken up the state that it is in; the same object if that was known."""
    if release.served_at is not None or not release.state.has_traffic:
        return release
    return replace(release, served_at=at)


def step(release: Release, rollout: Rollout, *, now: datetime, evidence: Evidence) -> Release:
    """The release after its next step; the same object while there is nothing to do.

    One call makes at most one transition. A release that waits for a person, is live or has ended stays as it is.
    """
    if evidence.is_frozen:
        return _frozen_step(release, now=now, evidence=evidence)
    match release.state:
        case ReleaseState.REQUESTED if evidence.refusal:
            return moved(release, ReleaseState.REJECTED, at=now, reason=evidence.refusal)
        case ReleaseState.REQUESTED:
            return moved(release, ReleaseState.VERIFIED, at=now, reason="gates, signature and bundle are in order")
        case ReleaseState.VERIFIED | ReleaseState.APPROVED if evidence.lacking:
            return _waiting(release, now=now, evidence=evidence)
        case ReleaseState.VERIFIED:
            reason = f"approved by {evidence.approvals}" if evidence.approvals else "by policy: it passed all gates"
            return replace(moved(release, ReleaseState.APPROVED, at=now, reason=reason), policy=evidence.policy)
        case ReleaseState.WAITING_FOR_APPROVAL if release.waits_until is not None and now >= release.waits_until:
            reason = f"not approved in time: it needed {evidence.lacking or 'approval'}"
            return moved(release, ReleaseState.REJECTED, at=now, reason=reason)
        case ReleaseState.APPROVED if not evidence.has_live:
            reason = "the first version of this deployment; there is none to compare it with"
            return moved(release, ReleaseState.LIVE, at=now, reason=reason, percent=100)
        case ReleaseState.APPROVED if evidence.is_stopped:
            reason = "the deployment is stopped, so there is none to compare it with; it answers once it is started"
            return moved(release, ReleaseState.LIVE, at=now, reason=reason, percent=100)
        case ReleaseState.APPROVED if rollout.shadow_s:
            return _next_sample(release, rollout, now=now, reason="answers beside the live version, unseen")
        case ReleaseState.APPROVED:
            return _next_percentage(release, rollout, now=now, reason="no shadow time is declared")
        case ReleaseState.SHADOW | ReleaseState.CANARY if evidence.complaint:
            return moved(release, ReleaseState.ROLLED_BACK, at=now, reason=evidence.complaint)
        case ReleaseState.SHADOW | ReleaseState.CANARY if (end := stage_end(release, rollout)) and now >= end:
            return onward(release, rollout, now=now, reason=evidence.summary or "nothing spoke against it")
        case _:
            return release


def _frozen_step(release: Release, *, now: datetime, evidence: Evidence) -> Release:
    if release.state in (ReleaseState.SHADOW, ReleaseState.CANARY) and evidence.complaint:
        return moved(release, ReleaseState.ROLLED_BACK, at=now, reason=evidence.complaint)
    return release


def _waiting(release: Release, *, now: datetime, evidence: Evidence) -> Release:
    again = release.state is ReleaseState.APPROVED
    why = "an approval has run out, or other ones are asked for now; " if again else ""
    waiting = moved(release, ReleaseState.WAITING_FOR_APPROVAL, at=now, reason=f"{why}it needs {evidence.lacking}")
    return replace(waiting, policy=evidence.policy, waits_until=evidence.waits_until)


def onward(release: Release, rollout: Rollout, *, now: datetime, reason: str) -> Release:
    """The release after the stage with traffic that it is in."""
    step_on = _next_sample if release.state is ReleaseState.SHADOW else _next_percentage
    return step_on(release, rollout, now=now, reason=reason)


def is_going(release: Release, state: DeploymentState) -> bool:
    """Whether a release in progress is not for people alone to take on, so that its workflow is to be under way."""
    if release.state is ReleaseState.WAITING_FOR_APPROVAL and release.waits_until is None:
        return False
    return release.state.has_traffic or not is_frozen(release, state)


def look_again_at(release: Release, rollout: Rollout, *, now: datetime, is_frozen: bool = False) -> datetime | None:
    """When the release is to be looked at next: now if a step is due; None if it waits for a person or needs nothing.

    One that waits for approval is looked at when that is over.
    A stage with traffic is looked at four times, so that a bad version does not answer for the whole of it; one without
    an end every quarter of an hour.
    """
    if release.state in (ReleaseState.SHADOW, ReleaseState.CANARY):
        if release.served_at is None:
            return now
        end = stage_end(release, rollout)
        if end is None or is_frozen:
            return now + _LOOKS_WITHOUT_END
        pause = max((end - release.served_at) / _LOOKS_PER_STAGE, _SHORTEST_LOOK)
        return max(now, min(end, now + pause))
    if release.state is ReleaseState.WAITING_FOR_APPROVAL and not is_frozen:
        return release.waits_until
    if release.state in (ReleaseState.REQUESTED, ReleaseState.VERIFIED, ReleaseState.APPROVED) and not is_frozen:
        return now
    return None


def stage_end(release: Release, rollout: Rollout) -> datetime | None:
    """When the shadow time or the percentage that a release is at ends.

    None until predictors have taken it up, and where a person ends it.
    """
    length_s = rollout.shadow_s if release.state is ReleaseState.SHADOW else rollout.bake_s
    if release.served_at is None or length_s is None:
        return None
    return release.served_at + timedelta(seconds=length_s)


def _next_sample(release: Release, rollout: Rollout, *, now: datetime, reason: str) -> Release:
    """Into shadow, or on to a greater share of it, or out of it."""
    # Releases of before shadows were sampled stand at 0 % of all.
    seen = 0 if release.state is not ReleaseState.SHADOW else release.percent or 100
    larger = [percent for percent in rollout.shadow_steps if percent > seen]
    if not larger:
        return _next_percentage(release, rollout, now=now, reason=reason)
    return moved(release, ReleaseState.SHADOW, at=now, reason=reason, percent=larger[0])


def _next_percentage(release: Release, rollout: Rollout, *, now: datetime, reason: str) -> Release:
    answered = release.percent if release.state is ReleaseState.CANARY else 0
    percent = min(percent for percent in (*rollout.steps, 100) if percent > answered)
    state = ReleaseState.LIVE if percent == 100 else ReleaseState.CANARY
    return moved(release, state, at=now, reason=reason, percent=percent)
