"""What can be asked about who did what, and about the platform itself."""

from dataclasses import dataclass
from datetime import datetime

from octavo.errors import InvalidRequest
from octavo.governance.checkpoints import AuditCheckpoint, SignedCheckpoint, newest_checkpoint
from octavo.governance.exports import Verdict
from octavo.governance.system import SystemDetails, describe_system
from octavo.governance.trail import ExportedAudit, checkpoint_now, export_trail, verify_trail
from octavo.operations import Context, Operations
from octavo.stores.chain import AuditEvent, AuditFilter

operations = Operations()
MOST_EVENTS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAudit:
    """Ask for the newest events of the audit trail.

    Attributes
    ----------
    actor, operation, target, outcome : str
        Only events of these; see `AuditFilter`.
    since, until : datetime or None
        Only events from this moment on, and before that one.
    """

    limit: int = 100
    actor: str = ""
    operation: str = ""
    target: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowAuditStatus:
    """Ask how far the audit trail goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditStatus:
    """How far the audit trail goes, and how far that is stated.

    Attributes
    ----------
    checkpoint : int
        How many entries the newest checkpoint states; 0 if there is none.
    kept_in : str
        Where that one is kept beside the metadata; empty if it is nowhere else.
    """

    entries: int
    digest: str
    checkpoint: int = 0
    checkpoint_at: datetime | None = None
    kept_in: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyAudit:
    """Ask whether the audit trail is as it was written.

    Attributes
    ----------
    checkpoints : tuple of SignedCheckpoint
        That were kept elsewhere, and are to be met too.
    """

    checkpoints: tuple[SignedCheckpoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportAudit:
    """Ask for the audit trail, or the entries from `first` to `last`, as a file that proves itself."""

    first: int = 1
    last: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeCheckpoint:
    """Ask for a signed statement of how far the audit trail goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowSystem:
    """Ask where each thing is kept and what runs."""


@operations.operation("audit.list", request=ListAudit, permission="audit:read")
def list_audit(request: ListAudit, context: Context) -> tuple[AuditEvent, ...]:
    """List who changed what, and what was refused, newest first."""
    if not 1 <= request.limit <= MOST_EVENTS:
        raise InvalidRequest(
            f"limit {request.limit} is out of range", field="limit", fix=f"send a whole number from 1 to {MOST_EVENTS}"
        )
    only = AuditFilter(
        actor=request.actor,
        operation=request.operation,
        target=request.target,
        outcome=request.outcome,
        since=_aware(request.since, "since"),
        until=_aware(request.until, "until"),
    )
    return tuple(context.transacted.audit(limit=request.limit, only=only))


def _aware(moment: datetime | None, field: str) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise InvalidRequest(f"{field} has no offset", field=field, fix="write it like 2013-12-07T00:00:00Z")
    return moment


@operations.operation("audit.status", request=ShowAuditStatus, permission="audit:read")
def show_audit_status(request: ShowAuditStatus, context: Context) -> AuditStatus:
    """Show how far the audit trail goes, and how far a checkpoint states it."""
    head, newest = context.transacted.audit_head(), newest_checkpoint(context.transacted)
    if newest is None:
        return AuditStatus(entries=head.sequence, digest=head.digest)
    return AuditStatus(
        entries=head.sequence,
        digest=head.digest,
        checkpoint=newest.sequence,
        checkpoint_at=newest.at,
        kept_in=newest.delivered_to,
    )


@operations.operation("audit.verify", request=VerifyAudit, permission="audit:read", long=True)
def verify_audit(request: VerifyAudit, context: Context) -> Verdict:
    """Check that nothing in the audit trail was changed, removed or put in."""
    return verify_trail(context, given=request.checkpoints)


# A long operation: much is read, some at a time. Who took the trail away is worth an event.
@operations.operation("audit.export", request=ExportAudit, permission="audit:read", changes=True, long=True)
def export_audit(request: ExportAudit, context: Context) -> ExportedAudit:
    """Write the audit trail as a file that proves itself."""
    return export_trail(context, first=request.first, last=request.last)


# A long operation: it is kept elsewhere after it is on record.
@operations.operation("audit.checkpoint", request=MakeCheckpoint, permission="audit:write", changes=True, long=True)
def make_checkpoint(request: MakeCheckpoint, context: Context) -> AuditCheckpoint | None:
    """State, signed, how far the audit trail goes; nothing for one without events."""
    return checkpoint_now(context)


@operations.operation("system.show", request=ShowSystem, permission="system:read", long=True)
def show_system(request: ShowSystem, context: Context) -> SystemDetails:
    """Show where each thing is kept and which processes run."""
    return describe_system(context.config, context.clock)
