"""What can be asked about who did what, and about the platform itself."""

from dataclasses import dataclass

from octavo.errors import InvalidRequest
from octavo.governance.system import SystemDetails, describe_system
from octavo.operations import Context, Operations
from octavo.stores.ports import AuditEvent

operations = Operations()
MOST_EVENTS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAudit:
    """Ask for the newest events of the audit trail."""

    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowSystem:
    """Ask where each thing is kept and what runs."""


@operations.operation("audit.list", request=ListAudit, permission="audit:read")
def list_audit(request: ListAudit, context: Context) -> tuple[AuditEvent, ...]:
    """List who changed what, newest first."""
    if not 1 <= request.limit <= MOST_EVENTS:
        raise InvalidRequest(
            f"limit {request.limit} is out of range", field="limit", fix=f"send a whole number from 1 to {MOST_EVENTS}"
        )
    return tuple(context.transacted.audit(limit=request.limit))


@operations.operation("system.show", request=ShowSystem, permission="system:read", long=True)
def show_system(request: ShowSystem, context: Context) -> SystemDetails:
    """Show where each thing is kept and which processes run."""
    return describe_system(context.config, context.clock)
