"""A release as the steps of a way: those taken, the one it is at, those ahead; and releases as a history."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from octavo.console.status import Status, release_status
from octavo.release.operations import DeploymentDetails
from octavo.release.releases import Release, ReleaseState, Transition, is_frozen
from octavo.release.rollout import entered_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a release.

    Attributes
    ----------
    look : str
        ``done``, ``now``, ``ahead`` or ``bad``.
    """

    look: str
    what: str
    at: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRow:
    """A release in a history.

    Attributes
    ----------
    reason : str
        Of its last step.
    """

    release: Release
    status: Status
    ended_at: datetime | None
    reason: str


def history_of(releases: Iterable[Release]) -> list[ReleaseRow]:
    """Releases as rows, in the order given."""
    return [_row(release) for release in releases]


def steps_of(release: Release, details: DeploymentDetails) -> list[Step]:
    """The whole way of a release, as far as it is known."""
    first = "now" if not release.history else "done"
    steps = [Step(look=first, what="requested", at=release.requested_at, why=f"by {release.cause}")]
    for place, transition in enumerate(release.history, start=1):
        is_last = place == len(release.history)
        steps.append(
            Step(look=_look(release, is_last), what=_words(transition), at=transition.at, why=transition.reason)
        )
    return steps + [Step(look="ahead", what=what) for what in _ahead(release, details)]


def next_step_at(details: DeploymentDetails) -> datetime | None:
    """When the stage that a release is in ends; None if it waits for something else."""
    release = details.summary.release
    if release is None or release.state not in (ReleaseState.SHADOW, ReleaseState.CANARY):
        return None
    length_s = details.shadow_s if release.state is ReleaseState.SHADOW else details.bake_s
    if length_s is None or is_frozen(release, details.summary.state):
        return None
    return (release.served_at or entered_at(release)) + timedelta(seconds=length_s)


def _row(release: Release) -> ReleaseRow:
    last = release.history[-1] if release.history else None
    return ReleaseRow(
        release=release,
        status=release_status(release.state),
        ended_at=last.at if last and release.state.is_final else None,
        reason=last.reason if last else "",
    )


def _look(release: Release, is_last: bool) -> str:
    if is_last and release.state in (ReleaseState.REJECTED, ReleaseState.ROLLED_BACK):
        return "bad"
    return "now" if is_last and release.state.in_progress else "done"


def _words(transition: Transition) -> str:
    if transition.what:
        return transition.what
    words = transition.state.replace("_", " ")
    told = transition.state is ReleaseState.CANARY or (
        transition.state is ReleaseState.SHADOW and transition.percent % 100
    )
    return f"{words}, {transition.percent} %" if told else words


def _ahead(release: Release, details: DeploymentDetails) -> list[str]:
    if not release.state.in_progress:
        return []
    order = list(ReleaseState)
    ahead = []
    if order.index(release.state) < order.index(ReleaseState.APPROVED):
        ahead.append("approved")
    if details.summary.state.live is not None:
        ahead += _shadows_ahead(release, details)
        grown = release.percent if release.state is ReleaseState.CANARY else 0
        ahead += [f"canary, {percent} %" for percent in details.steps if grown < percent < 100]
    return [*ahead, "live"]


def _shadows_ahead(release: Release, details: DeploymentDetails) -> list[str]:
    order = list(ReleaseState)
    if not details.shadow_s or order.index(release.state) > order.index(ReleaseState.SHADOW):
        return []
    seen = (release.percent or 100) if release.state is ReleaseState.SHADOW else 0
    return [
        "shadow" if percent == 100 else f"shadow, {percent} %" for percent in details.shadow_steps if percent > seen
    ]
