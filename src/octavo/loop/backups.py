"""Backups: what a project cannot make again, its metadata and its keys, as they are at one moment, in a folder.

Tables, artifacts and streams are files or services of their own, which their own means keep. What they hold is never
changed, and of what is mentioned nothing is removed: copied after the metadata, they hold all that these speak of.

A backup is the same whatever database it is of, so it also moves a project from SQLite to PostgreSQL, or back.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec

from octavo.access import ACCESS_FILE, LOCAL_TOKEN_FILE, write_private
from octavo.config import Config
from octavo.errors import Conflict, IntegrityError, InvalidRequest
from octavo.loop.membership import Member
from octavo.operations import Context, Operations
from octavo.processes import CONTROL, find_running, open_clock, worker_names
from octavo.release.aliases import ModelAliases
from octavo.release.aliases import document_name as of_model
from octavo.release.composites import FOLDER as COMPOSITES
from octavo.release.composites import CompositeState
from octavo.release.documents import published_number
from octavo.release.manifests import document_name as of_deployment
from octavo.release.releases import DeploymentState
from octavo.stores.chain import AuditEvent, AuditHead, check_chain
from octavo.stores.open import open_artifacts, open_metadata
from octavo.stores.ports import Metadata
from octavo.stores.sql import SqlMetadata
from octavo.stores.sql.schema import NEWEST

operations = Operations()

_LIST, _METADATA, _KEYS = "backup.json", "metadata.db", "keys"
_PAGE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BackUp:
    """Copy metadata and keys into a folder that does not exist yet."""

    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a backup holds.

    Attributes
    ----------
    schema : str
        Of the metadata.
    rows : mapping of table to how many rows it has
    audit_events : int
        How long the audit trail is.
    audit_digest : str
        Where it ends.
    files : mapping of name to the SHA-256 of what is in it
    """

    project: str
    made_at: datetime
    schema: str
    rows: Mapping[str, int]
    audit_events: int
    audit_digest: str
    files: Mapping[str, str]


@operations.operation("system.backup", request=BackUp, permission="access:write", changes=True, long=True)
def back_up(request: BackUp, context: Context) -> Backup:
    """Make a backup of metadata and keys, while all goes on."""
    folder = Path(request.folder)
    if folder.exists():
        raise Conflict(f"{folder} exists already; name a folder that does not")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    metadata, home = open_metadata(context.config), context.config.home
    copy = SqlMetadata(f"sqlite:///{(partial / _METADATA).resolve()}")
    try:
        rows = metadata.copy_to(copy)
        events, digest = _verify_trail(copy)
    finally:
        metadata.close()
        copy.close()
    (partial / _METADATA).chmod(0o600)
    for name, path in _own_files(home):
        write_private(partial / name, path.read_bytes())
    made = Backup(
        project=context.project.name,
        made_at=context.clock.now(),
        schema=NEWEST,
        rows=rows,
        audit_events=events,
        audit_digest=digest,
        files={name: _digest(path) for name, path in _files_in(partial)},
    )
    write_private(partial / _LIST, msgspec.json.format(msgspec.json.encode(made)))
    _flush(partial)
    partial.rename(folder)
    return made


def read_backup(folder: Path) -> Backup:
    """What a backup holds, once all of it is seen to be as it was made.

    Raises
    ------
    InvalidRequest
        If the folder holds no backup.
    IntegrityError
        If a file is missing, was added, or is not as it was.
    """
    try:
        made = msgspec.json.decode((folder / _LIST).read_bytes(), type=Backup)
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidRequest(f"{folder} holds no backup: {error}") from error
    found = {name: _digest(path) for name, path in _files_in(folder) if name != _LIST}
    for name in sorted({*found, *made.files}):
        if found.get(name) != made.files.get(name):
            what = "is missing" if name not in found else "was added" if name not in made.files else "was changed"
            raise IntegrityError(f"{folder / name} {what} since the backup was made; use another")
    return made


def restore(config: Config, folder: Path) -> Backup:
    """Bring a backup's metadata and keys to where the settings say that they are kept.

    Raises
    ------
    Conflict
        If there are metadata or other keys already, or the project runs.
    IntegrityError
        If the backup is not as it was made.
    """
    for name in (CONTROL, *worker_names(config)):
        if running := find_running(config.home, name):
            raise Conflict(f"{name} runs, as process {running.pid}; stop the project first")
    made = read_backup(folder)
    kept = {name: config.home / name for name in made.files if name != _METADATA}
    for name, path in kept.items():
        if path.exists() and path.read_bytes() != (folder / name).read_bytes():
            raise Conflict(f"{path} exists and is another than in the backup; move it away first")
    work = config.home / "restoring.db"
    config.home.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(folder / _METADATA, work)  # which is migrated, if the backup is an older release's
        work.chmod(0o600)
        source, target = SqlMetadata(f"sqlite:///{work.resolve()}"), open_metadata(config)
        try:
            trail = _verify_trail(source)
            if made.schema == NEWEST and trail != (made.audit_events, made.audit_digest):
                raise IntegrityError(f"the audit trail of {folder} ends elsewhere than the backup says; use another")
            source.copy_to(target)
            _verify_trail(target)
            _note_restored(config, target, made)
        finally:
            source.close()
            target.close()
    finally:
        for leftover in config.home.glob(f"{work.name}*"):
            leftover.unlink()
    for name, path in kept.items():
        write_private(path, (folder / name).read_bytes())
    return made


def _note_restored(config: Config, metadata: Metadata, made: Backup) -> None:
    """Record it, and number what predictors follow above what they were told since, so that they come back to it."""
    artifacts = open_artifacts(config)
    with metadata.transaction() as tx:
        for member in tx.find(Member, ended=""):
            tx.put(replace(member, ended="it worked where the backup was made"))
        for state in tx.find(DeploymentState):
            newest = published_number(artifacts, of_deployment(state.deployment))
            if newest > state.sequence:
                tx.put(replace(state, sequence=newest + 1))
        for aliases in tx.find(ModelAliases):
            newest = published_number(artifacts, of_model(aliases.model))
            if newest > aliases.sequence:
                tx.put(replace(aliases, sequence=newest + 1))
        for composite in tx.find(CompositeState):
            newest = published_number(artifacts, f"{COMPOSITES}{composite.composite}.json")
            if newest > composite.sequence:
                tx.put(replace(composite, sequence=newest + 1))
        restored = AuditEvent(
            at=open_clock(config).now(),
            actor="system",
            operation="system.restore",
            target=f"backup of {made.made_at.isoformat()}",
            outcome="done",
        )
        tx.append_audit(restored)


def _verify_trail(metadata: Metadata) -> tuple[int, str]:
    """How long the audit trail is and where it ends, once each of its entries is seen to follow the one before."""
    with metadata.transaction() as tx:
        head, end = tx.audit_head(), AuditHead()
        while entries := tx.audit_entries(after=end.sequence, limit=_PAGE):
            end = check_chain(entries, start=end)
    if end != head:
        raise IntegrityError("the audit trail does not end where it says that it does")
    return head.sequence, head.digest


def _own_files(home: Path) -> Iterator[tuple[str, Path]]:
    """The project's keys and who has access, by their names below its platform folder."""
    for name in (ACCESS_FILE, LOCAL_TOKEN_FILE):
        if (home / name).is_file():
            yield name, home / name
    for name, path in _files_in(home / _KEYS):
        yield f"{_KEYS}/{name}", path


def _files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(folder).as_posix(), path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(folder: Path) -> None:
    for place in [*(path for path in folder.rglob("*")), folder]:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
