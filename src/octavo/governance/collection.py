"""What is among the artifacts and mentioned nowhere any more: found, and removed.

A digest that stands anywhere is alive: in any row of the metadata, in a published document, in an artifact that is JSON
and alive itself. So is what was put lately, because whoever put it may tell of it yet.
"""

import re
from base64 import b64decode
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from octavo.definitions.types import seconds
from octavo.errors import InvalidDefinition, InvalidRequest
from octavo.operations import Context, Operations
from octavo.stores.names import digest_of
from octavo.stores.ports import KeptBytes, Transaction
from octavo.training.runs import Run
from octavo.training.steps.results import StepResult
from octavo.training.tracking.logged_models import LoggedModel
from octavo.training.tracking.lost import wall_now

operations = Operations()

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_JSON = re.compile(rb"\s*[{\[]")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{64,}")
_SHORTEST = timedelta(hours=1)
_LONGEST_S = 10 * 365 * 86_400
_READING = 0.9
"""How much of the work it is to read what is alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectArtifacts:
    """Find what is among the artifacts and mentioned nowhere.

    Attributes
    ----------
    older_than : str
        How long ago it was last put, at least; an hour or more.
    deleted : bool
        Whether runs and logged models that were put away longer ago than that mention nothing any more.
    remove : bool
        Whether to remove what is found.
    """

    older_than: str = "7d"
    deleted: bool = False
    remove: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What was found.

    Attributes
    ----------
    put_before : datetime
        What was put later was not looked for.
    artifacts, size_bytes : int
        How many there were, and what they took.
    found : tuple of KeptBytes
        Those that nothing mentions, the largest first.
    removed, removed_bytes : int
        How many of them were removed, and what they took; all, but for those that were put again meanwhile.
    unfinished, unfinished_bytes : int
        How many files there were besides that processes which were killed had not written to their end, and what they
        took; removed with the rest.
    """

    put_before: datetime
    artifacts: int
    size_bytes: int
    found: tuple[KeptBytes, ...]
    removed: int = 0
    removed_bytes: int = 0
    unfinished: int = 0
    unfinished_bytes: int = 0


@operations.operation("artifacts.collect", request=CollectArtifacts, permission="access:write", changes=True, long=True)
def collect(request: CollectArtifacts, context: Context) -> Collected:
    """Find what is among the artifacts and mentioned nowhere, and remove it if that is asked for."""
    age = _age(request.older_than)
    put_before = wall_now() - age
    deleted_before = context.clock.now() - age if request.deleted else None
    kept = {one.digest: one for one in context.stores.artifacts.kept()}  # before the records, which tell of it later
    alive = _alive(context, kept, put_before=put_before, deleted_before=deleted_before)
    dead = sorted((kept[digest] for digest in kept.keys() - alive), key=lambda one: (-one.size_bytes, one.digest))
    removed = _remove(context, dead, put_before=put_before) if request.remove else []
    halves = context.stores.artifacts.half_written(before=put_before, remove=request.remove)
    if halves and request.remove:
        with context.transaction() as tx:
            context.audit(tx, "artifacts.removed", target=f"unfinished={len(halves)} bytes={sum(halves)}")
    return Collected(
        put_before=put_before,
        artifacts=len(kept),
        size_bytes=_size(kept.values()),
        found=tuple(dead),
        removed=len(removed),
        removed_bytes=_size(removed),
        unfinished=len(halves),
        unfinished_bytes=sum(halves),
    )


def _age(text: str) -> timedelta:
    try:
        age = timedelta(seconds=min(seconds(text), _LONGEST_S))
    except InvalidDefinition as error:
        raise InvalidRequest(f"{text!r} is no while", field="older_than", fix="send such as 36h or 7d") from error
    if age < _SHORTEST:
        raise InvalidRequest(
            "whoever put an artifact less than an hour ago may tell of it yet",
            field="older_than",
            fix="send 1h or more",
        )
    return age


def _alive(
    context: Context, kept: Mapping[str, KeptBytes], *, put_before: datetime, deleted_before: datetime | None
) -> set[str]:
    """The digests of what must stay.

    Raises
    ------
    OctavoError
        If anything that may mention others cannot be read.
    """
    artifacts = context.stores.artifacts
    alive = {one.digest for one in kept.values() if one.put_at >= put_before}
    with context.transaction() as tx:
        gone = set() if deleted_before is None else _put_away(tx, before=deleted_before)
        for kind, key, text in tx.texts():
            if (kind, key) not in gone:
                alive.update(_mentioned(text, kept))
    for name in artifacts.published_names(""):
        alive.update(_mentioned(_text_of(artifacts.published(name) or b""), kept))
    unread, read_bytes, all_bytes = list(alive), 0, _size(kept.values())
    while unread:
        digest = unread.pop()
        data = artifacts.get(digest)
        if _JSON.match(data):
            new = set(_mentioned(_text_of(data), kept)) - alive
            alive |= new
            unread += new
        read_bytes += len(data)
        context.progress(_READING * read_bytes / max(all_bytes, 1), "reading what is mentioned")
    return alive


def _put_away(tx: Transaction, *, before: datetime) -> set[tuple[str, str]]:
    """Kinds and keys of what was deleted before a moment, and of results of such steps: these are made anew."""
    runs = {run.key for run in tx.find(Run) if run.deleted_at is not None and run.deleted_at < before}
    models = {one.key for one in tx.find(LoggedModel) if one.deleted_at is not None and one.deleted_at < before}
    results = {result.key for result in tx.find(StepResult) if result.run in runs}
    gone = {Run.kind: runs, LoggedModel.kind: models, StepResult.kind: results}
    return {(kind, key) for kind, keys in gone.items() for key in keys}


def _text_of(document: bytes) -> str:
    """A document, and what it holds in base64, such as what is signed in it."""
    encoded = (run[: len(run) // 4 * 4] for run in _BASE64.findall(document))
    return b"\n".join([document, *map(b64decode, encoded)]).decode("utf-8", "replace")


def _mentioned(text: str, kept: Mapping[str, KeptBytes]) -> Iterator[str]:
    return (digest for digest in _DIGEST.findall(text) if digest in kept)


def _remove(context: Context, dead: Collection[KeptBytes], *, put_before: datetime) -> list[KeptBytes]:
    """Remove artifacts, and record which, also if it is interrupted."""
    removed: list[KeptBytes] = []
    try:
        for number, one in enumerate(dead):
            context.progress(_READING + (1 - _READING) * number / len(dead), "removing")
            if context.stores.artifacts.remove(one.digest, unless_put_since=put_before):
                removed.append(one)
    finally:
        if removed:
            listed = digest_of("".join(sorted(f"{one.digest}\n" for one in removed)).encode())
            target = f"artifacts={len(removed)} bytes={_size(removed)} list={listed}"
            with context.transaction() as tx:
                context.audit(tx, "artifacts.removed", target=target)
    return removed


def _size(artifacts: Collection[KeptBytes]) -> int:
    return sum(one.size_bytes for one in artifacts)
