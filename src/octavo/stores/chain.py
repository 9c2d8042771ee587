"""The audit trail as a chain: each event's digest covers all that came before it, so that none can be changed unseen.

What is digested is every field that is not empty, in the order of their names, each with its length before it, behind
the scheme's name, the event's place and the digest of the event before. A field that a later release adds is empty in
the events of before, and so changes no digest of theirs.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from octavo.errors import IntegrityError

SCHEME = "octavo/audit-event/v1"
ORIGIN = "0" * 64
"""What stands before the first event."""

_LONGEST = 10_000
_MORE = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Who did what, when, to what, and how it ended. Appended in the transaction of the operation itself.

    Attributes
    ----------
    outcome : str
        ``done``, ``denied``, ``refused: CODE`` or ``failed``.
    subject : str
        The person or service behind the actor, by a name that outlives their keys and tokens.
    request : str
        A keyed digest of all that was asked for: it proves a request that somebody shows, and tells nothing else.
    trace : str
        The id of the call that it came by.
    """

    at: datetime
    actor: str
    operation: str
    target: str
    outcome: str
    detail: str = ""
    subject: str = ""
    request: str = ""
    trace: str = ""


TEXTS = tuple(field.name for field in fields(AuditEvent) if field.name != "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """An event at its place in the chain.

    Attributes
    ----------
    sequence : int
        1, 2, 3, ... without a gap.
    previous : str
        The digest of the entry before; `ORIGIN` for the first one.
    digest : str
        Of this one, 64 hexadecimal digits.
    """

    sequence: int
    event: AuditEvent
    previous: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """How far a chain goes: the sequence and digest of its last entry."""

    sequence: int = 0
    digest: str = ORIGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which events are wanted; what is empty or None does not matter.

    Attributes
    ----------
    operation : str
        ``releases.approve``, or ``releases.`` for all that begin so.
    target : str
        What the target holds somewhere, such as ``deployment=eta``.
    since, until : datetime or None
        From this moment on, and before that one.
    """

    actor: str = ""
    operation: str = ""
    target: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, event: AuditEvent) -> bool:
        """Whether an event is among those wanted."""
        return (
            (not self.actor or self.actor in (event.actor, event.subject))
            and (event.operation.startswith(self.operation) if self.is_prefix else self._is_of(event.operation))
            and self.target in event.target
            and (not self.outcome or event.outcome == self.outcome)
            and (self.since is None or event.at >= self.since)
            and (self.until is None or event.at < self.until)
        )

    @property
    def is_prefix(self) -> bool:
        """Whether `operation` is but the beginning of a name."""
        return self.operation.endswith(".")

    def _is_of(self, operation: str) -> bool:
        return not self.operation or operation == self.operation


ALL = AuditFilter()


class AuditTrail(Protocol):
    """The part of a transaction that is about the audit trail."""

    def append_audit(self, event: AuditEvent) -> None:
        """Append to the audit trail; the event takes the next place in its chain."""

    def audit(self, *, newest_first: bool = True, limit: int = 100, only: AuditFilter = ALL) -> list[AuditEvent]:
        """The audit trail."""

    def audit_entries(self, *, after: int = 0, limit: int = 1_000) -> list[AuditEntry]:
        """The entries behind a sequence, in their order, as they are stored: whether they hold is not checked here."""

    def audit_head(self) -> AuditHead:
        """How far the chain goes by what was noted at the last append, whatever entries are there."""


def link(event: AuditEvent, head: AuditHead) -> AuditEntry:
    """The entry of an event behind what is there."""
    kept, sequence = fit_to_keep(event), head.sequence + 1
    digest = digest_of(kept, sequence=sequence, previous=head.digest)
    return AuditEntry(sequence=sequence, event=kept, previous=head.digest, digest=digest)


def head_at(entry: AuditEntry) -> AuditHead:
    """The head of a chain that ends with an entry."""
    return AuditHead(sequence=entry.sequence, digest=entry.digest)


def check_chain(entries: Iterable[AuditEntry], *, start: AuditHead = AuditHead()) -> AuditHead:
    """Follow a chain, which must go on from `start`.

    Returns
    -------
    AuditHead
        Where it ends.

    Raises
    ------
    IntegrityError
        At the first entry that is not what was written there, by its sequence.
    """
    head = start
    for entry in entries:
        if problem := _problem(entry, head):
            raise IntegrityError(problem, sequence=head.sequence + 1)
        head = head_at(entry)
    return head


def _problem(entry: AuditEntry, head: AuditHead) -> str:
    expected = head.sequence + 1
    if entry.sequence > expected:
        last = entry.sequence - 1
        gone = f"entry {expected} is missing" if last == expected else f"entries {expected} to {last} are missing"
        return f"audit chain: {gone}; what follows is entry {entry.sequence}"
    if entry.sequence < expected:
        return f"audit chain: where entry {expected} should be, entry {entry.sequence} stands"
    if entry.previous != head.digest:
        before = f"entry {head.sequence}" if head.sequence else "the beginning"
        return f"audit chain: entry {expected} does not follow from {before}; one of them was put in or exchanged"
    if entry.digest != digest_of(entry.event, sequence=entry.sequence, previous=entry.previous):
        return f"audit chain: entry {expected} is not what was written; it was changed"
    return ""


def digest_of(event: AuditEvent, *, sequence: int, previous: str) -> str:
    """The digest of an event at a place of the chain, 64 hexadecimal digits."""
    parts = [SCHEME, str(sequence), previous, "at", moment_text(event.at)]
    for name in sorted(TEXTS):
        if value := getattr(event, name):
            parts += [name, value]
    framed = b"".join(b"%d:%s," % (len(data), data) for data in (part.encode("utf-8", "replace") for part in parts))
    return hashlib.sha256(framed).hexdigest()


def fit_to_keep(event: AuditEvent) -> AuditEvent:
    """The event with texts that every database takes: of bounded length, without NUL, and its moment in UTC.

    Raises
    ------
    ValueError
        If its moment has no zone.
    """
    if event.at.tzinfo is None:
        raise ValueError("an audit event needs a moment with a time zone")
    return AuditEvent(at=event.at.astimezone(UTC), **{name: _plain(getattr(event, name)) for name in TEXTS})


def _plain(text: str) -> str:
    plain = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + _MORE


def moment_text(at: datetime) -> str:
    """A moment as it is kept: always as long, so that texts sort as moments do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def row_of(entry: AuditEntry) -> dict[str, str | int]:
    """The entry as a row of a table."""
    texts = {name: getattr(entry.event, name) for name in TEXTS}
    return {
        "seq": entry.sequence,
        "at": moment_text(entry.event.at),
        **texts,
        "previous": entry.previous,
        "digest": entry.digest,
    }


def entry_of(row: Mapping[str, object]) -> AuditEntry:
    """The entry that a row of a table holds.

    Raises
    ------
    IntegrityError
        If it cannot be read as one.
    """
    event = {name: row.get(name) for name in ("at", *TEXTS)}
    found = {"sequence": row.get("seq"), "event": event, "previous": row.get("previous"), "digest": row.get("digest")}
    try:
        return msgspec.convert(found, AuditEntry)
    except msgspec.ValidationError as error:
        sequence = row.get("seq")
        raise IntegrityError(
            f"audit chain: entry {sequence} is not what was written; it cannot be read: {error}", sequence=sequence
        ) from error
