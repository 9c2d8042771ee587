"""How a version and its gates stand, and what made it: for its page, and for the file of its report."""

from datetime import datetime

from octavo.console.formatting import listed, percent
from octavo.console.status import Status, failing, healthy, unknown, watch
from octavo.registry.provenance import Provenance
from octavo.registry.versions import GateResult, ModelVersion


def gate_status(gate: GateResult, now: datetime) -> Status:
    """How a gate stands; what was not judged is not shown as passed."""
    if gate.waived(now):
        return watch("waived")
    if not gate.judged:
        return unknown("not judged")
    return healthy("passed") if gate.passed else failing("failed")


def earned_status(version: ModelVersion, now: datetime) -> tuple[Status, str]:
    """Whether a version may be released at a moment, and why, as a sentence without its end."""
    if held := version.held_by(now):
        return failing("failed"), f"It cannot be released: {held[0].gate} failed, because {held[0].evidence}"
    waived = [gate.gate for gate in version.gates if gate.waived(now)]
    if waived:
        return watch("waived"), f"It did not pass {listed(waived)}, which is waived,"
    return healthy("passed"), "It passed its gates" if version.gates else "It has no gates to pass"


def provenance_rows(found: Provenance) -> list[tuple[str, str, bool]]:
    """What made the version: name, value, and whether that is an identifier."""
    tables = ", ".join(f"{table} {version}" for table, version in found.tables.items())
    commit = f"{found.commit}{' with uncommitted changes' if found.uncommitted else ''}" if found.commit else ""
    made = {
        "Fitted by": found.origin.made_by if found.origin else "",
        "Files": found.origin.digest if found.origin else "",
        "May have seen": f"{found.seen:,} of the held-out rows, which are older than the model" if found.origin else "",
        "Training set": found.dataset,
        "Tables read": tables,
        "Code": found.code,
        "Commit": commit,
        "On": f"Octavo {found.octavo}, Python {found.python}, {found.machine}",
        "Parity": f"{percent(found.parity)} of what the compiled model may differ from the native one",
    }
    return [(name, value, value.startswith("sha256:")) for name, value in made.items() if value]
