"""The audit trail of a project as a whole: checked, exported, and its checkpoints made and kept elsewhere."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from octavo.clock import to_micros
from octavo.definitions.types import seconds
from octavo.errors import Conflict, IntegrityError, InvalidRequest, OctavoError
from octavo.governance.checkpoints import (
    AuditCheckpoint,
    Checkpoint,
    Expected,
    SignedCheckpoint,
    check_signature,
    decode_checkpoint,
    encode_checkpoint,
    make_checkpoint,
    newest_checkpoint,
    project_signer,
)
from octavo.governance.exports import ExportHead, Verdict, export_lines, place_of
from octavo.operations import Context
from octavo.stores.chain import AuditEntry, AuditHead, check_chain
from octavo.stores.folders import Folder, open_folder

log = logging.getLogger(__name__)

MOST_EXPORTED = 100_000
NEVER = "never"
_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedAudit:
    """An export.

    Attributes
    ----------
    text : str
        The file's content (see `octavo.governance.exports`).
    newest : int
        How far the chain went.
    """

    text: str
    first: int
    last: int
    newest: int


def verify_trail(context: Context, *, given: Sequence[SignedCheckpoint] = ()) -> Verdict:
    """Check the whole chain against its own end, the checkpoints on record and those that are kept elsewhere."""
    verifier = project_signer(context).verifier
    with context.transaction() as tx:
        head, on_record = tx.audit_head(), tx.find(AuditCheckpoint)
    verdict = Verdict(
        project=context.project.name,
        first=1,
        last=0,
        digest=AuditHead().digest,
        checkpoints=0,
        key_id=verifier.key_id,
        key_given=True,
    )
    place = AuditHead()
    try:
        signed = [*(one.signed for one in on_record), *_kept(context), *given]
        stated = {_of_project(check_signature(one, verifier), context.project.name) for one in signed}
        expected = Expected(stated)
        for entry in stored_entries(context, until=head.sequence):
            place = check_chain([entry], start=place)
            expected.meet(place)
            verdict = replace(verdict, last=place.sequence, digest=place.digest, checkpoints=expected.met)
        expected.end(place)
        if place != head:
            raise IntegrityError(
                f"audit chain: it ends with entry {place.sequence}, but {head.sequence} were written; the rest was cut "
                "off",
                sequence=place.sequence + 1,
            )
    except IntegrityError as error:
        return replace(verdict, problem=error.message, sequence=place_of(error, place.sequence))
    return verdict


def export_trail(context: Context, *, first: int, last: int | None) -> ExportedAudit:
    """Write some of the chain as a file that proves itself.

    Raises
    ------
    InvalidRequest
        If there are no such entries, or more than are exported at once.
    IntegrityError
        If they do not hold.
    """
    with context.transaction() as tx:
        newest = tx.audit_head().sequence
        before = tx.audit_entries(after=first - 2, limit=1) if first > 1 else []
        checkpoints = tx.find(AuditCheckpoint)
    end = min(newest if last is None else last, first + MOST_EXPORTED - 1)
    if not 1 <= first <= end <= newest:
        raise InvalidRequest(
            f"there are no entries {first} to {end} in the audit trail",
            field="first",
            fix=f"ask for some of 1 to {newest}" if newest else "change something first",
        )
    start = AuditHead(sequence=first - 1, digest=before[0].digest) if before else AuditHead()
    entries = list(stored_entries(context, after=first - 1, until=end))
    reached = check_chain(entries, start=start)
    held = [one.signed for one in checkpoints if first <= one.sequence <= end]
    signer = project_signer(context)
    head = ExportHead(
        project=context.project.name,
        first=first,
        last=end,
        previous=start.digest,
        digest=reached.digest,
        checkpoints=len(held),
        complete=end == newest,
        exported_at_us=to_micros(context.clock.now()),
    )
    text = b"".join(export_lines(head, entries, held, signer)).decode()
    return ExportedAudit(text=text, first=first, last=end, newest=newest)


def stored_entries(context: Context, *, after: int = 0, until: int) -> Iterator[AuditEntry]:
    """The entries up to a sequence, as they are stored, read some at a time.

    Raises
    ------
    IntegrityError
        At an entry that cannot be read, after all those before it.
    """
    size = _PAGE
    while after < until:
        try:
            with context.transaction() as tx:
                entries = tx.audit_entries(after=after, limit=size)
        except IntegrityError:
            if size == 1:
                raise
            size = 1
            continue
        if not entries:
            return
        for entry in entries:
            if entry.sequence > until:
                return
            yield entry
        after = entries[-1].sequence


def checkpoint_now(context: Context) -> AuditCheckpoint | None:
    """Make a checkpoint, and keep it (and those that could not be kept before) elsewhere; None for an empty trail.

    Raises
    ------
    IntegrityError
        If what came since the last one does not hold, so that it is not stated.
    Unavailable
        If the place to keep it at cannot be reached; it is on record, and kept there later.
    """
    head = _head_that_holds(context)
    if head.sequence == 0:
        return None
    with context.transaction() as tx:
        made = make_checkpoint(context, tx, head)
    keep_elsewhere(context)
    with context.transaction() as tx:
        return tx.get(AuditCheckpoint, made.key)


def keep_checkpoints(context: Context) -> None:
    """Make a checkpoint if one is due, and keep elsewhere what is not kept there yet."""
    with context.transaction() as tx:
        due = is_due(context, newest_checkpoint(tx), tx.audit_head())
    if due:
        checkpoint_now(context)
    else:
        keep_elsewhere(context)


def _head_that_holds(context: Context) -> AuditHead:
    """The end of the chain, once it was followed from the last checkpoint."""
    with context.transaction() as tx:
        head, newest = tx.audit_head(), newest_checkpoint(tx)
    start = AuditHead(sequence=newest.sequence, digest=newest.digest) if newest else AuditHead()
    reached = check_chain(stored_entries(context, after=start.sequence, until=head.sequence), start=start)
    if reached != head:
        raise IntegrityError(
            f"audit chain: it should end with entry {head.sequence}, and does not; see: octavo audit verify",
            sequence=reached.sequence + 1,
        )
    return head


def is_due(context: Context, newest: AuditCheckpoint | None, head: AuditHead) -> bool:
    """Whether enough events or time have passed since the last checkpoint."""
    settings = context.config.audit
    since = head.sequence - (newest.sequence if newest else 0)
    if since <= 0:
        return False
    if newest is None or since >= settings.checkpoint_events:
        return True
    if settings.checkpoint_every == NEVER:
        return False
    pause = timedelta(seconds=seconds(settings.checkpoint_every, what="[audit] checkpoint_every"))
    return context.clock.now() - newest.at >= pause


def keep_elsewhere(context: Context) -> None:
    """Write the checkpoints that are on record only to where the settings say."""
    with context.transaction() as tx:
        waiting = tx.find(AuditCheckpoint, delivered_to="")
    folder = _folder(context) if waiting else None
    if folder is None:
        return
    for checkpoint in waiting:
        try:
            folder.add(_file_name(context, checkpoint), encode_checkpoint(checkpoint.signed))
        except Conflict as error:
            log.error("a checkpoint of the audit trail is not kept: %s; see: octavo audit verify", error.message)
            continue
        with context.transaction() as tx:
            tx.put(replace(checkpoint, delivered_to=folder.url))


def _kept(context: Context) -> list[SignedCheckpoint]:
    """The project's checkpoints that are kept elsewhere, where that can be reached."""
    try:
        folder = _folder(context)
        if folder is None:
            return []
        own = f"audit-{context.project.name}-"
        return [decode_checkpoint(folder.read(name)) for name in folder.names() if name.startswith(own)]
    except IntegrityError:
        raise
    except OctavoError as error:
        log.warning("checkpoints that are kept elsewhere are not looked at: %s", error.message)
        return []


def _folder(context: Context) -> Folder | None:
    url = context.config.audit.checkpoints
    return open_folder(context.config, "audit.checkpoints", url) if url else None


def _file_name(context: Context, checkpoint: AuditCheckpoint) -> str:
    return f"audit-{context.project.name}-{checkpoint.key}.json"


def _of_project(stated: Checkpoint, project: str) -> Checkpoint:
    if stated.project != project:
        raise IntegrityError(f"a checkpoint is of project {stated.project!r}, not of {project!r}")
    return stated
