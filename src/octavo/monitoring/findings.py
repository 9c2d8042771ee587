"""What a look finds: one finding for each kind of incident, healthy, unhealthy or not to be judged yet."""

from dataclasses import dataclass
from enum import StrEnum

from octavo.monitoring.incidents import IncidentKind


class Verdict(StrEnum):
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    """Too little to judge by: neither opens an incident nor ends one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How a deployment does in one respect.

    Attributes
    ----------
    subject : str
        What was judged: a metric, ``inputs``, ``outcomes``, or the input that is worst.
    value : float or None
        What was measured, in the unit of `threshold`; None if nothing could be.
    threshold : float
        From above this on it is unhealthy.
    summary : str
        What was measured, in words.
    cause : str
        What brought it about, in words; empty unless it is unhealthy.
    """

    kind: IncidentKind
    verdict: Verdict
    subject: str
    value: float | None
    threshold: float
    summary: str
    cause: str = ""
