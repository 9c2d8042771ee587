"""Incidents: what went wrong with a deployment, from its opening to its cause."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class IncidentKind(StrEnum):
    DRIFT = "drift"
    PERFORMANCE = "performance"
    QUALITY = "quality"
    STALENESS = "staleness"


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
    subject : str
        What it is about within the deployment: a metric, ``inputs``, or one input.
    value, threshold : float
        What was measured at the opening, and the bound that it passed.
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
