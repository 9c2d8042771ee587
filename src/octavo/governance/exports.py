"""The audit trail as a file that proves itself: a signed head, the entries, the checkpoints, each on a line of its own.

The head says which entries follow, with which digest they end and how many checkpoints come behind them, so that a file
that was shortened is found too. Every line is written in one way only, and is refused in any other.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from octavo.clock import from_micros
from octavo.errors import IntegrityError
from octavo.governance.checkpoints import Checkpoint, Expected, SignedCheckpoint, check_signature
from octavo.registry.signing import Signature, Signer, Verifier
from octavo.stores.chain import AuditEntry, AuditHead, check_chain

PURPOSE = "octavo/audit-export/v1"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportHead:
    """What an export holds.

    Attributes
    ----------
    first, last : int
        The sequences of its first and last entry; `last` is `first` - 1 where it has none.
    previous : str
        The digest before the first entry.
    digest : str
        That of the last entry.
    checkpoints : int
        How many follow the entries.
    complete : bool
        Whether the chain went no further when it was exported.
    """

    project: str
    first: int
    last: int
    previous: str
    digest: str
    checkpoints: int
    complete: bool
    exported_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """The first line: a head's exact bytes, the signature over them, and the key that it can be checked with.

    Attributes
    ----------
    public_key : str
        64 hexadecimal digits. It is only as good as its way to the reader: one that was kept apart is better.
    """

    payload: bytes
    signature: Signature
    public_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a check.

    Attributes
    ----------
    checkpoints : int
        How many checkpoints, signed by the trusted key, state what the chain says.
    key_id : str
        Of that key.
    key_given : bool
        Whether the key came by another way than the file that was checked.
    problem : str
        What is wrong at the first place where something is; empty if all holds.
    sequence : int or None
        Which entry that is about.
    """

    project: str
    first: int
    last: int
    digest: str
    checkpoints: int
    key_id: str
    key_given: bool
    problem: str = ""
    sequence: int | None = None

    @property
    def holds(self) -> bool:
        return not self.problem


def export_lines(
    head: ExportHead, entries: Iterable[AuditEntry], checkpoints: Sequence[SignedCheckpoint], signer: Signer
) -> Iterator[bytes]:
    """The lines of an export."""
    payload = msgspec.json.encode(head, order="deterministic")
    yield _line(
        SignedHead(
            payload=payload, signature=signer.sign(PURPOSE, payload), public_key=signer.verifier.public_key.hex()
        )
    )
    yield from map(_line, entries)
    yield from map(_line, checkpoints)


def verify_lines(
    lines: Iterable[bytes], *, key: bytes | None = None, checkpoints: Sequence[SignedCheckpoint] = ()
) -> Verdict:
    """Check an export, with nothing but what is given.

    Parameters
    ----------
    key : bytes or None
        The public key that is trusted; the one in the file if None, which then proves only that the file is whole.
    checkpoints : sequence of SignedCheckpoint
        Kept elsewhere, and checked too.

    Raises
    ------
    IntegrityError
        If the file does not begin as an export does, or with another key's signature: nothing else is checked then.
    """
    reading = _Lines(lines)
    signed = reading.take(SignedHead, what="head of an audit export")
    verifier = Verifier(key if key is not None else _key_in(signed))
    verifier.verify(PURPOSE, signed.payload, signed.signature)
    head = _stated(signed)
    if key is not None and signed.public_key != key.hex():
        raise IntegrityError("audit export: the key in it is not the one that signed it")
    blank = Verdict(
        project=head.project,
        first=head.first,
        last=head.first - 1,
        digest=head.previous,
        checkpoints=0,
        key_id=verifier.key_id,
        key_given=key is not None,
    )
    return _Check(head, verifier, blank).run(reading, checkpoints)


class _Check:
    """The check of one export, which remembers how far it came."""

    def __init__(self, head: ExportHead, verifier: Verifier, blank: Verdict) -> None:
        self._head, self._verifier, self._verdict = head, verifier, blank

    def run(self, lines: "_Lines", checkpoints: Sequence[SignedCheckpoint]) -> Verdict:
        try:
            self._run(lines, checkpoints)
        except IntegrityError as error:
            return replace(self._verdict, problem=error.message, sequence=place_of(error, self._verdict.last))
        return self._verdict

    def _run(self, lines: "_Lines", given: Sequence[SignedCheckpoint]) -> None:
        head = self._head
        kept = {self._trusted(checkpoint) for checkpoint in given}
        expected = Expected(kept)
        place = AuditHead(sequence=head.first - 1, digest=head.previous)
        heads = {place.sequence: place.digest}
        expected.meet(place)
        for _ in range(head.first, head.last + 1):
            place = check_chain([lines.take(AuditEntry, what=f"entry {place.sequence + 1}")], start=place)
            expected.meet(place)
            heads[place.sequence] = place.digest
            self._verdict = replace(self._verdict, last=place.sequence, digest=place.digest, checkpoints=expected.met)
        if place.digest != head.digest:
            raise IntegrityError(f"audit chain: entry {place.sequence} is not the one that the export was made with")
        for _ in range(head.checkpoints):
            own = self._trusted(lines.take(SignedCheckpoint, what="checkpoint"))
            if heads.get(own.sequence) != own.digest:
                raise IntegrityError(
                    f"audit chain: entry {own.sequence} is not the one that a checkpoint of "
                    f"{from_micros(own.at_us):%Y-%m-%d %H:%M} states",
                    sequence=own.sequence,
                )
            self._verdict = replace(self._verdict, checkpoints=self._verdict.checkpoints + (own not in kept))
        lines.end()
        if head.complete:
            expected.end(place)

    def _trusted(self, signed: SignedCheckpoint) -> Checkpoint:
        stated = check_signature(signed, self._verifier)
        if stated.project != self._head.project:
            raise IntegrityError(
                f"a checkpoint is of project {stated.project!r}, and the audit trail of {self._head.project!r}"
            )
        return stated


def place_of(error: IntegrityError, held_until: int) -> int:
    """Which entry a problem is about; the one behind those that held unless the problem says so."""
    sequence = error.facts.get("sequence")
    return sequence if isinstance(sequence, int) else held_until + 1


class _Lines:
    """The lines of a file, each of which must be what it would be written as."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._number = 0

    def take(self, kind: type[T], *, what: str) -> T:
        self._number += 1
        line = next(self._lines, None)
        if line is None:
            raise IntegrityError(f"audit export: it ends before its {what}; it was cut off")
        try:
            found = msgspec.json.decode(line, type=kind)
            again = _line(found)
        except (msgspec.MsgspecError, ValueError) as error:
            raise IntegrityError(f"audit export: line {self._number} is no {what}; it was changed: {error}") from error
        if again != line:
            raise IntegrityError(f"audit export: line {self._number} is not as it was written; it was changed")
        return found

    def end(self) -> None:
        if next(self._lines, None) is not None:
            raise IntegrityError(f"audit export: line {self._number + 1} was added to it")


def _line(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic") + b"\n"


def _key_in(signed: SignedHead) -> bytes:
    try:
        key = bytes.fromhex(signed.public_key)
    except ValueError:
        key = b""
    if len(key) != 32 or key.hex() != signed.public_key:
        raise IntegrityError("audit export: the key in it is none; it was changed")
    return key


def _stated(signed: SignedHead) -> ExportHead:
    try:
        return msgspec.json.decode(signed.payload, type=ExportHead)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"audit export: its head cannot be read: {error}") from error
