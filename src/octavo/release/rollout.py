"""The rollout's state machine, pure: given a release and what is known, which step comes next and when to look again.

requested → verified → approved → shadow → canary (each percentage) → live → retired
                     ↘ waiting_for_approval ↗
rejected: before any traffic.  rolled_back: after it.

A stage is as long as it was served: its time runs from the moment at which predictors have taken it up.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from octavo.definitions.deployments import Rollout
from octavo.release.releases import Release, ReleaseState, Transition

_LOOKS_PER_STAGE = 4
_SHORTEST_LOOK = timedelta(seconds=60)


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
    """

    has_live: bool
    refusal: str = ""
    complaint: str = ""
    summary: str = ""


def entered_at(release: Release) -> datetime:
    """When the release entered the state (and percentage) that it is in."""
    return release.history[-1].at if release.history else release.requested_at


def moved(release: Release, state: ReleaseState, *, at: datetime, reason: str, percent: int = 0) -> Release:
    """The release in another state, with the transition in its history."""
    transition = Transition(at=at, state=state, percent=percent, reason=reason)
    return replace(release, state=state, percent=percent, served_at=None, history=(*release.history, transition))


def served(release: Release, *, at: datetime) -> Release:
    """The release once predictors have taken up the state that it is in; the same object if that was known."""
    if release.served_at is not None or not release.state.has_traffic:
        return release
    return replace(release, served_at=at)


def step(release: Release, rollout: Rollout, *, now: datetime, evidence: Evidence) -> Release:
    """The release after its next step; the same object while there is nothing to do.

    One call makes at most one transition. A release that waits for a person, is live or has ended stays as it is.
    """
    match release.state:
        case ReleaseState.REQUESTED if evidence.refusal:
            return moved(release, ReleaseState.REJECTED, at=now, reason=evidence.refusal)
        case ReleaseState.REQUESTED:
            return moved(release, ReleaseState.VERIFIED, at=now, reason="gates, signature and bundle are in order")
        case ReleaseState.VERIFIED if rollout.approval == "manual":
            return moved(release, ReleaseState.WAITING_FOR_APPROVAL, at=now, reason="this project approves by hand")
        case ReleaseState.VERIFIED:
            return moved(release, ReleaseState.APPROVED, at=now, reason="by policy: it passed all gates")
        case ReleaseState.APPROVED if not evidence.has_live:
            reason = "the first version of this deployment; there is none to compare it with"
            return moved(release, ReleaseState.LIVE, at=now, reason=reason, percent=100)
        case ReleaseState.APPROVED if rollout.shadow_s:
            return _next_sample(release, rollout, now=now, reason="answers beside the live version, unseen")
        case ReleaseState.APPROVED:
            return _next_percentage(release, rollout, now=now, reason="no shadow time is declared")
        case ReleaseState.SHADOW | ReleaseState.CANARY if evidence.complaint:
            return moved(release, ReleaseState.ROLLED_BACK, at=now, reason=evidence.complaint)
        case ReleaseState.SHADOW | ReleaseState.CANARY if (end := stage_end(release, rollout)) and now >= end:
            onward = _next_sample if release.state is ReleaseState.SHADOW else _next_percentage
            return onward(release, rollout, now=now, reason=evidence.summary or "nothing spoke against it")
        case _:
            return release


def look_again_at(release: Release, rollout: Rollout, *, now: datetime) -> datetime | None:
    """When the release is to be looked at next: now if a step is due; None if it waits for a person or needs nothing.

    A stage with traffic is looked at four times, so that a bad version does not answer for the whole of it.
    """
    if release.state in (ReleaseState.SHADOW, ReleaseState.CANARY):
        end = stage_end(release, rollout)
        if end is None or release.served_at is None:
            return now
        pause = max((end - release.served_at) / _LOOKS_PER_STAGE, _SHORTEST_LOOK)
        return max(now, min(end, now + pause))
    if release.state in (ReleaseState.REQUESTED, ReleaseState.VERIFIED, ReleaseState.APPROVED):
        return now
    return None


def stage_end(release: Release, rollout: Rollout) -> datetime | None:
    """When the shadow time or the percentage that a release is at ends; None until predictors have taken it up."""
    if release.served_at is None:
        return None
    length_s = rollout.shadow_s if release.state is ReleaseState.SHADOW else rollout.bake_s
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
