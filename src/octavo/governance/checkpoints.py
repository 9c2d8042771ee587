"""Checkpoints of the audit chain: signed statements that entry n has digest d, small enough to be kept anywhere.

Whoever can write to the database can write the whole chain anew, and it will hold. A checkpoint that was kept elsewhere
shows it: the new chain has another digest at that place, or does not go that far.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import msgspec

from octavo.clock import from_micros, to_micros
from octavo.errors import IntegrityError
from octavo.operations import Context
from octavo.registry.signing import Signature, Signer, Verifier
from octavo.stores.chain import AuditHead
from octavo.stores.ports import Transaction

PURPOSE = "octavo/audit-checkpoint/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What is stated: how far a project's chain went at a moment, and with which digest."""

    project: str
    sequence: int
    digest: str
    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint's exact bytes, and the signature over them."""

    payload: bytes
    signature: Signature

    @property
    def stated(self) -> Checkpoint:
        """What it says, whoever signed it.

        Raises
        ------
        IntegrityError
            If it is no checkpoint.
        """
        try:
            return msgspec.json.decode(self.payload, type=Checkpoint)
        except msgspec.MsgspecError as error:
            raise IntegrityError(f"that is no checkpoint of an audit trail: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCheckpoint:
    """A checkpoint on record.

    Attributes
    ----------
    delivered_to : str
        Where it is kept beside the metadata; empty while it is not yet.
    """

    kind: ClassVar[str] = "audit_checkpoint"

    sequence: int
    digest: str
    at: datetime
    signed: SignedCheckpoint
    delivered_to: str = ""

    @property
    def key(self) -> str:
        return f"{self.sequence:012d}"


def make_checkpoint(context: Context, tx: Transaction, head: AuditHead) -> AuditCheckpoint:
    """State how far the chain goes, by an entry that is known to hold; the one on record where it was stated before."""
    known = tx.get(AuditCheckpoint, f"{head.sequence:012d}")
    if known is not None:
        return known
    made = AuditCheckpoint(
        sequence=head.sequence,
        digest=head.digest,
        at=context.clock.now(),
        signed=sign_checkpoint(context, head),
    )
    tx.add(made)
    return made


def sign_checkpoint(context: Context, head: AuditHead) -> SignedCheckpoint:
    """A signed statement about the chain of the project, up to a place."""
    stated = Checkpoint(
        project=context.project.name,
        sequence=head.sequence,
        digest=head.digest,
        at_us=to_micros(context.clock.now()),
    )
    payload = msgspec.json.encode(stated, order="deterministic")
    return SignedCheckpoint(payload=payload, signature=project_signer(context).sign(PURPOSE, payload))


def project_signer(context: Context) -> Signer:
    """The project's own key."""
    return Signer(context.config.home / "keys" / "release.key")


def newest_checkpoint(tx: Transaction) -> AuditCheckpoint | None:
    """The one that goes furthest."""
    found = tx.find(AuditCheckpoint, newest_first=True, limit=1)
    return found[0] if found else None


def encode_checkpoint(signed: SignedCheckpoint) -> bytes:
    """One line, to be kept elsewhere."""
    return msgspec.json.encode(signed, order="deterministic") + b"\n"


def decode_checkpoint(data: bytes) -> SignedCheckpoint:
    """What `encode_checkpoint` wrote.

    Raises
    ------
    IntegrityError
    """
    try:
        return msgspec.json.decode(data, type=SignedCheckpoint)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"that is no checkpoint of an audit trail: {error}") from error


def check_signature(signed: SignedCheckpoint, verifier: Verifier) -> Checkpoint:
    """What a checkpoint says, if a trusted key signed it.

    Raises
    ------
    IntegrityError
    """
    verifier.verify(PURPOSE, signed.payload, signed.signature)
    return signed.stated


class Expected:
    """What trusted checkpoints expect of a chain; tells the first place where it is otherwise.

    Parameters
    ----------
    checkpoints : iterable of Checkpoint
    """

    def __init__(self, checkpoints: Iterable[Checkpoint]) -> None:
        self._expected = sorted(checkpoints, key=lambda one: one.sequence)
        self.met = 0

    def meet(self, head: AuditHead) -> None:
        """Compare the chain, which has come as far as `head`.

        Raises
        ------
        IntegrityError
            If a checkpoint says otherwise.
        """
        while self._expected and self._expected[0].sequence <= head.sequence:
            expected = self._expected.pop(0)
            if expected.sequence < head.sequence:
                continue  # of before the part that is checked
            if expected.digest != head.digest:
                raise IntegrityError(
                    f"audit chain: up to entry {head.sequence} it is not the one that a checkpoint of "
                    f"{_day(expected)} states; it was written anew",
                    sequence=head.sequence,
                )
            self.met += 1

    def end(self, head: AuditHead) -> None:
        """Say that the chain ends here.

        Raises
        ------
        IntegrityError
            If a checkpoint goes further.
        """
        if self._expected:
            last: Sequence[Checkpoint] = self._expected
            raise IntegrityError(
                f"audit chain: it ends with entry {head.sequence}, but a checkpoint of {_day(last[-1])} states "
                f"{last[-1].sequence} entries; the rest was cut off",
                sequence=head.sequence + 1,
            )


def _day(checkpoint: Checkpoint) -> str:
    return f"{from_micros(checkpoint.at_us):%Y-%m-%d %H:%M}"
