"""Releases: one version's way to traffic, and what each deployment serves."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from octavo.definitions.fallbacks import OnUnread
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
    """A step of a release, when and why."""

    at: datetime
    state: ReleaseState
    percent: int
    reason: str


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
        When predictors took up the state (and percentage) that it is in; None before that, and without traffic.
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

    @property
    def key(self) -> str:
        return self.deployment
