"""Incidents: what went wrong with a deployment, from its opening to its cause.

Of each deployment at most one incident of a kind is open. A look opens it, keeps its value up to date and resolves it.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from octavo.errors import Conflict, NotFound
from octavo.stores.ports import Transaction


class IncidentKind(StrEnum):
    DRIFT = "drift"
    PERFORMANCE = "performance"
    QUALITY = "quality"
    STALENESS = "staleness"
    SKEW = "skew"
    RETRAINING = "retraining"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """What happened during an incident, and when."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that needs someone.

    Attributes
    ----------
    id : str
        UUID version 7.
    version : int
        The version that was live at the opening.
    subject : str
        What it is about within the deployment: a metric, ``inputs``, ``outcomes``, ``features``, or one input.
    value, threshold : float
        What was measured at the last look while it was open, and the bound that it passed.
    cause : str
        What brought it about, as far as known; the inputs that moved most, for drift and performance.
    """

    kind: ClassVar[str] = "incident"

    id: str
    deployment: str
    model: str
    version: int
    incident_kind: IncidentKind
    subject: str
    value: float
    threshold: float
    opened_at: datetime
    resolved_at: datetime | None = None
    cause: str = ""
    timeline: tuple[TimelineEntry, ...] = ()

    @property
    def key(self) -> str:
        return self.id

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None


def open_incidents(tx: Transaction, deployment: str) -> list[Incident]:
    """The open incidents of a deployment, the first opened first."""
    return tx.find(Incident, deployment=deployment, resolved_at=None)


def incident_of(tx: Transaction, incident_id: str) -> Incident:
    """The incident.

    Raises
    ------
    NotFound
        If there is none.
    """
    incident = tx.get(Incident, incident_id)
    if incident is None:
        raise NotFound("incident", incident_id)
    return incident


def add_to_timeline(tx: Transaction, incident_id: str, *, at: datetime, text: str) -> Incident:
    """Note what happened during an incident, such as the retraining that it started.

    Raises
    ------
    NotFound
        If there is no such incident.
    """
    before = incident_of(tx, incident_id)
    after = noted(before, at=at, text=text)
    tx.replace(before, after)
    return after


def resolve(tx: Transaction, incident_id: str, *, at: datetime, text: str, cause: str = "") -> Incident:
    """End an incident.

    Parameters
    ----------
    text : str
        How it ended, for the timeline.
    cause : str
        Takes the place of the cause noted so far, unless empty.

    Raises
    ------
    NotFound
        If there is no such incident.
    Conflict
        If it has ended already.
    """
    before = incident_of(tx, incident_id)
    if before.resolved_at is not None:
        raise Conflict(f"incident {incident_id} was resolved at {before.resolved_at.isoformat()} already")
    after = replace(noted(before, at=at, text=text), resolved_at=at, cause=cause or before.cause)
    tx.replace(before, after)
    return after


def noted(incident: Incident, *, at: datetime, text: str) -> Incident:
    """The incident with one more entry in its timeline."""
    return replace(incident, timeline=(*incident.timeline, TimelineEntry(at=at, text=text)))
