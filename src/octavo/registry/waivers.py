"""Waivers: a person's word that a version may be released although a gate did not let it through.

The gate's verdict and its evidence stay as they are; the waiver stands beside them with who gave it, why and until
when, and every page and answer that shows the gate shows it. It is no approval: a release that needs one needs it
still. And where a wrong answer can do much harm, nobody waives gates of a version that they had made.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from octavo.definitions.models import RiskTier
from octavo.definitions.types import seconds
from octavo.errors import Conflict, InvalidDefinition, InvalidRequest, NotAllowed, NotFound
from octavo.operations import Context, Operations
from octavo.registry.versions import GateResult, ModelVersion, Waiver
from octavo.stores.ports import Transaction

GREATEST_LENGTH = timedelta(days=90)
_SHORTEST_REASON, _LONGEST_REASON = 10, 2_000

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiveGate:
    """Let a version be released although a gate did not pass.

    Attributes
    ----------
    gate : str
        Its name, or its beginning if no other gate of the version begins so.
    length : str
        How long the waiver holds: ``7d``; 90 days at most.
    """

    model: str
    version: int
    gate: str
    reason: str
    length: str = "7d"


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawWaiver:
    """Have a waiver hold no more."""

    model: str
    version: int
    gate: str


@operations.operation("models.waive", request=WaiveGate, permission="models:approve", changes=True)
def waive(request: WaiveGate, context: Context) -> ModelVersion:
    """Waive a gate that a version did not pass, for a while and for a reason."""
    now, tx = context.clock.now(), context.transacted
    reason = " ".join(request.reason.split())
    if not _SHORTEST_REASON <= len(reason) <= _LONGEST_REASON:
        raise InvalidRequest(
            f"the reason has {len(reason):,} characters",
            field="reason",
            fix=f"say in {_SHORTEST_REASON} to {_LONGEST_REASON:,} characters why the version may be released",
        )
    length = _length(request.length)
    version = _version(tx, request.model, request.version)
    result = _gate(version, request.gate)
    _check_author(context, version)
    if result.passed:
        raise Conflict(f"{version.model} {version.version} passed {result.gate}; there is nothing to waive")
    return _with(tx, version, result, Waiver(by=context.principal.subject, at=now, until=now + length, reason=reason))


@operations.operation("models.unwaive", request=WithdrawWaiver, permission="models:approve", changes=True)
def withdraw(request: WithdrawWaiver, context: Context) -> ModelVersion:
    """Withdraw the waiver of a gate; what was released by it stays released."""
    now, tx = context.clock.now(), context.transacted
    version = _version(tx, request.model, request.version)
    result = _gate(version, request.gate)
    if result.waiver is None or not result.waived(now):
        raise Conflict(f"no waiver of {result.gate} holds for {version.model} {version.version}")
    return _with(tx, version, result, replace(result.waiver, until=now))


def _check_author(context: Context, version: ModelVersion) -> None:
    model = context.project.models.get(version.model)
    if model is not None and model.tier is RiskTier.HIGH and version.author == context.principal.subject:
        raise NotAllowed(
            f"{context.principal.subject} had {version.model} {version.version} made, and the model's tier is high: "
            "have somebody else waive its gates",
            permission="models:approve",
        )


def _length(text: str) -> timedelta:
    try:
        length = timedelta(seconds=seconds(text))
    except InvalidDefinition as error:
        raise InvalidRequest(error.message, field="length", fix="write it like 7d") from error
    if length > GREATEST_LENGTH:
        raise InvalidRequest(
            f"a waiver of {text} is too long", field="length", fix=f"give at most {GREATEST_LENGTH.days}d"
        )
    return length


def _version(tx: Transaction, model: str, number: int) -> ModelVersion:
    found = tx.get(ModelVersion, f"{model}/{number}")
    if found is None:
        known = [str(version.version) for version in tx.find(ModelVersion, model=model)]
        raise NotFound(f"version of model {model!r}", str(number), known)
    return found


def _gate(version: ModelVersion, name: str) -> GateResult:
    exact = [result for result in version.gates if result.gate == name]
    found = exact or [result for result in version.gates if name and result.gate.startswith(name)]
    if len(found) != 1:
        raise NotFound(
            f"gate of {version.model} {version.version}", name, [result.gate for result in found or version.gates]
        )
    return found[0]


def _with(tx: Transaction, version: ModelVersion, result: GateResult, waiver: Waiver) -> ModelVersion:
    waived = replace(result, waiver=waiver)
    changed = replace(version, gates=tuple(waived if one is result else one for one in version.gates))
    tx.replace(version, changed)
    return changed
