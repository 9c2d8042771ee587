"""Releases: one version's way to traffic, and what each deployment serves."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from octavo.definitions.fallbacks import OnStop, OnUnread
from octavo.definitions.traffic import Explore, Holdout


class ReleaseState(StrEnum):
    """requested → verified → approved → shadow → canary → live → retired; or held, rejected, rolled_back on the way."""

    REQUESTED = "requested"
    VERIFIED = "verified"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    APPROVED = "approved"
    SHADOW = "shadow"
    CANARY = "canary"
    LIVE = "live"
    RETIRED = "retired"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"

    @property
    def is_final(self) -> bool:
        return self in (ReleaseState.RETIRED, ReleaseState.REJECTED, ReleaseState.ROLLED_BACK)

    @property
    def in_progress(self) -> bool:
        return not self.is_final and self is not ReleaseState.LIVE

    @property
    def has_traffic(self) -> bool:
        """Whether predictors are to run the version."""
        return self in (ReleaseState.SHADOW, ReleaseState.CANARY, ReleaseState.LIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A step of a release, when and why.

    Attributes
    ----------
    what : str
        What was done where the state stays the same: ``held``, ``resumed``, ``approved by one``.
    """

    at: datetime
    state: ReleaseState
    percent: int
    reason: str
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's word for one release.

    Attributes
    ----------
    by : str
        The person, whatever token they came with: `Principal.subject`.
    until : datetime or None
        When it counts no longer, unless the version has traffic by then; None if it always counts.
    digest : str
        Of the bundle that was approved.
    groups : tuple of str
        Those that the person belonged to then.
    """

    by: str
    at: datetime
    until: datetime | None
    note: str
    digest: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version's way to the traffic of one deployment.

    Attributes
    ----------
    id : str
        UUID version 7.
    percent : int
        Share of traffic that it answers now, or sees in shadow.
    cause : str
        Why it was released: ``user``, or the trigger of the retraining.
    served_at : datetime or None
        When predictors took up the state (and percentage) that it is in; None before that, and without traffic. Time
        that was spent held, or while the deployment was stopped, is added to it.
    author : str
        Who asked for it, or for the training behind it, and so cannot approve it; empty if nobody did.
    policy : str
        Digest of the approval policy that it was judged by (`octavo.release.approvals.ApprovalPolicy`).
    held : bool
        Whether it stays at its step, with the traffic that it has.
    held_since : datetime or None
    waits_until : datetime or None
        When it is rejected for want of approvals; None if it does not wait for any, or waits for ever.
    """

    kind: ClassVar[str] = "release"

    id: str
    deployment: str
    model: str
    version: int
    state: ReleaseState
    cause: str
    requested_at: datetime
    percent: int = 0
    served_at: datetime | None = None
    history: tuple[Transition, ...] = ()
    author: str = ""
    approvals: tuple[Approval, ...] = ()
    policy: str = ""
    held: bool = False
    held_since: datetime | None = None
    waits_until: datetime | None = None

    @property
    def key(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficRules:
    """What a deployment declares of its traffic, as applied; see `octavo.definitions.deployments.Deployment`."""

    unit: str | None
    on_unread: OnUnread
    holdout: Holdout | None
    explore: Explore | None
    on_stop: OnStop = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """That a deployment's models are not asked any more, until a person starts it again.

    Attributes
    ----------
    release : str or None
        The release that was in progress, which stays where it is until then.
    """

    reason: str
    by: str
    at: datetime
    release: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldVersion:
    """The version that a holdout keeps, and since when."""

    model: str
    version: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentState:
    """What a deployment serves now.

    Attributes
    ----------
    live : int or None
        The live version; None before the first release.
    previous : int or None
        The version that it replaced, to which a rollback returns.
    release : str or None
        The release in progress; at most one.
    experiment : str or None
        The experiment that runs; at most one.
    held : HeldVersion or None
        What the holdout answers with; None without one.
    rules : TrafficRules or None
        None before the first `apply` that recorded them.
    stopped : Stop or None
        None unless it is stopped.
    sequence : int
        Of the last published manifest.
    """

    kind: ClassVar[str] = "deployment"

    deployment: str
    model: str
    live: int | None = None
    previous: int | None = None
    release: str | None = None
    sequence: int = 0
    experiment: str | None = None
    held: HeldVersion | None = None
    rules: TrafficRules | None = None
    stopped: Stop | None = None

    @property
    def key(self) -> str:
        return self.deployment


def is_frozen(release: Release, state: DeploymentState) -> bool:
    """Whether a release stays where it is: held, or in progress when its deployment was stopped."""
    return release.held or (state.stopped is not None and state.stopped.release == release.id)
