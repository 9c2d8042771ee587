"""Approvals: the releases that wait for people, with what these go by, and the forms to say yes or no."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from octavo.console.formatting import plural
from octavo.console.rendering import render
from octavo.console.status import Status, healthy, watch
from octavo.console.visits import Page, Reply, Visit
from octavo.errors import OctavoError
from octavo.registry.versions import GateResult
from octavo.release.intervention_operations import PendingApproval


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRow:
    """A release that waits, and what the visitor can do about it.

    Attributes
    ----------
    why_not : str
        Why the visitor cannot approve it; empty if they can.
    """

    pending: PendingApproval
    why_not: str


def approvals(visit: Visit, *, problem: str = "", status: int = 200) -> Reply:
    """All releases that wait for people."""
    found: tuple[PendingApproval, ...] = visit.call("releases.approvals")
    return render(
        visit,
        "approvals.html",
        title="Approvals",
        status=status,
        problem=problem,
        verdict=_verdict(found),
        rows=[ApprovalRow(pending=one, why_not=_why_not(visit, one)) for one in found],
        gate_status=gate_status,
    )


def approve(visit: Visit) -> Reply:
    """A form was sent to approve a release."""
    fields = {"release": visit.form.get("release", ""), "note": visit.form.get("note", "").strip()}
    return _act(visit, "releases.approve", fields)


def reject(visit: Visit) -> Reply:
    """A form was sent to reject a release."""
    fields = {"release": visit.form.get("release", ""), "reason": visit.form.get("reason", "").strip()}
    return _act(visit, "releases.reject", fields)


def gate_status(gate: GateResult, now: datetime) -> Status:
    """How a version did at a gate."""
    if gate.passed:
        return healthy("passed")
    return watch("waived" if gate.lets_through(now) else "not passed")


def _act(visit: Visit, operation: str, fields: Mapping[str, object]) -> Reply:
    try:
        visit.call(operation, **fields)
    except OctavoError as error:
        return approvals(visit, problem=error.message, status=409)
    return Reply(location="/approvals")


def _verdict(found: tuple[PendingApproval, ...]) -> tuple[Status, str]:
    if not found:
        return healthy("none waits"), "No release waits for anybody."
    return watch("waiting"), f"{plural(len(found), 'release')} {'waits' if len(found) == 1 else 'wait'} for people."


def _why_not(visit: Visit, pending: PendingApproval) -> str:
    """Why a visitor cannot approve; who is of which group is seen to when they try."""
    about = {"model": pending.release.model, "deployment": pending.release.deployment}
    if not visit.principal.may("releases:approve", about=about):
        return "To approve it you would need the permission releases:approve."
    if {visit.principal.subject, visit.principal.name} & set(pending.authors):
        return "You asked for it or had it made, so another person must approve it."
    if visit.principal.subject in {word.by for word in pending.given}:
        return "You have approved it already."
    return ""


PAGES = (
    Page(path="/approvals", permission="releases:read", show=approvals),
    Page(path="/approvals/approve", permission="releases:approve", show=approve, method="POST"),
    Page(path="/approvals/reject", permission="releases:approve", show=reject, method="POST"),
)
