"""Audits of features, asked for and by the clock: training and serving, compared."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from octavo.definitions.types import seconds
from octavo.errors import InvalidRequest
from octavo.loop.carrier import bring_events_into_tables
from octavo.monitoring.audits import FeaturesAudit, newest_audits
from octavo.monitoring.skew import audit_deployment, remarks_on
from octavo.operations import Context, Operations

MOST_PREDICTIONS, MOST_AUDITS = 100_000, 1_000
NEVER = "never"

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFeatures:
    """Hold what predictions were given against what the events say.

    Attributes
    ----------
    deployment : str or None
        All of them unless given.
    since : datetime or None
        Spread over the time from then on; the newest predictions unless given.
    limit : int or None
        Predictions of each deployment at most; ``[audit] sample`` unless given.
    """

    deployment: str | None = None
    since: datetime | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAudits:
    """A deployment's audits, the newest first."""

    deployment: str
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """An audit, and what it remarks on.

    Attributes
    ----------
    wrong : int
        How many values the events do not explain; 0 is as it should be.
    """

    audit: FeaturesAudit
    wrong: int
    remarks: tuple[str, ...]


@operations.operation("features.audit", request=AuditFeatures, permission="features:read", changes=True, long=True)
def audit(request: AuditFeatures, context: Context) -> tuple[AuditReport, ...]:
    """Compare the features that predictions were given with what the events say."""
    limit = context.config.audit.sample if request.limit is None else request.limit
    _check(limit, most=MOST_PREDICTIONS)
    if request.deployment is not None:
        context.project.deployment(request.deployment)
    names = [request.deployment] if request.deployment is not None else list(context.project.deployments)
    bring_events_into_tables(context)
    now = context.clock.now()
    found = (audit_deployment(context, name, at=now, since=request.since, limit=limit) for name in names)
    return tuple(_report(audit, context) for audit in found)


@operations.operation("features.audits", request=ListAudits, permission="features:read")
def list_audits(request: ListAudits, context: Context) -> tuple[AuditReport, ...]:
    """List the audits of a deployment's features, newest first."""
    _check(request.limit, most=MOST_AUDITS)
    deployment = context.project.deployment(request.deployment).name
    return tuple(
        _report(audit, context) for audit in newest_audits(context.transacted, deployment, limit=request.limit)
    )


def interval(context: Context) -> timedelta | None:
    """How often audits are made by themselves; None for never."""
    settings = context.config.audit
    return None if settings.every == NEVER else timedelta(seconds=seconds(settings.every, what="[audit] every"))


def audit_by_clock(context: Context, deployment: str, *, at: datetime, every: timedelta) -> FeaturesAudit:
    """The audit that is due at a moment, over the time since the one before."""
    return audit_deployment(context, deployment, at=at, since=at - every, limit=context.config.audit.sample)


def _report(audit: FeaturesAudit, context: Context) -> AuditReport:
    return AuditReport(audit=audit, wrong=audit.wrong, remarks=remarks_on(audit, late=context.config.audit.late))


def _check(limit: int, *, most: int) -> None:
    if not 1 <= limit <= most:
        raise InvalidRequest(
            f"limit {limit} is out of range", field="limit", fix=f"send a whole number from 1 to {most:,}"
        )
