"""The outbox: which events are still to be told, by records that are written before anybody is told anything.

A look at the newest records puts what is new of them into the outbox, in one transaction with how far it looked.
Nothing depends on a process that was told: what happened while no worker ran is found by the next one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import ClassVar, TypeVar

from octavo.features.datasets.snapshots import DatasetSnapshot
from octavo.governance.openlineage.events import Events, Told, lost_key, returned_key
from octavo.operations import Context
from octavo.registry.versions import ModelVersion
from octavo.release.releases import Release
from octavo.stores.ports import Record, Transaction
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking.lost import wall_now

_FIRST_LOOK = 32
_MAY_COME_BACK = timedelta(days=7)
R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageMessage:
    """An event to be told, or that was.

    Attributes
    ----------
    id : str
        The event's key, ``run/ID/START``.
    body : str
        JSON; empty once it was told.
    is_waiting : bool
        Whether it is still to be told.
    try_after : datetime or None
        When it may be tried again: whoever tries claims it by this.
    error : str
        Why the last try failed, or for what it was given up.
    """

    kind: ClassVar[str] = "lineage_message"

    id: str
    body: str
    is_waiting: bool = True
    tries: int = 0
    try_after: datetime | None = None
    told_at: datetime | None = None
    error: str = ""

    @property
    def key(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageMark:
    """How far records of one kind were looked at.

    Attributes
    ----------
    newest : str
        The key of the newest that was seen.
    going : tuple of str
        Keys of those that had not ended then, and are looked at again.
    """

    kind: ClassVar[str] = "lineage_mark"

    of: str
    newest: str = ""
    going: tuple[str, ...] = field(default=())

    @property
    def key(self) -> str:
        return self.of


def fill_outbox(context: Context) -> int:
    """Put into the outbox what is new; how many events those are."""
    events = Events(context.config.lineage.namespace or f"octavo://{context.project.name}")

    def of_run(tx: Transaction, run: Run) -> Iterable[Told]:
        version = tx.get(ModelVersion, f"{run.model}/{run.version}") if run.version else None
        return events.of_run(run, version, returns=_returns(tx, run), now=context.clock.now())

    def of_release(tx: Transaction, release: Release) -> Iterable[Told]:
        return events.of_release(release, tx.get(ModelVersion, f"{release.model}/{release.version}"))

    return (
        _look(context, DatasetSnapshot, lambda tx, snapshot: events.of_dataset(snapshot), lambda snapshot: True)
        + _look(context, Run, of_run, _has_ended)
        + _look(context, Release, of_release, lambda release: not release.state.in_progress)
    )


def _returns(tx: Transaction, run: Run) -> int:
    """How often a run was told of as lost, and was heard of again by now."""
    returns = 0
    while tx.get(LineageMessage, returned_key(run, returns + 1)) is not None:
        returns += 1
    is_back = run.status is not RunStatus.LOST and tx.get(LineageMessage, lost_key(run, returns)) is not None
    return returns + is_back


def _has_ended(run: Run) -> bool:
    """Whether nothing more is to be told of a run; one that is lost may come back for a while."""
    if run.status is RunStatus.LOST and run.heard_at is not None:
        return wall_now() - run.heard_at > _MAY_COME_BACK
    return run.status.ended


def _look(
    context: Context,
    kind: type[R],
    write: Callable[[Transaction, R], Iterable[Told]],
    has_ended: Callable[[R], bool],
) -> int:
    added = 0
    with context.transaction() as tx:
        mark = tx.get(LineageMark, kind.kind) or LineageMark(of=kind.kind)
        fresh = _newer(tx, kind, mark.newest)
        again = [record for key in mark.going if (record := tx.get(kind, key)) is not None]
        for record in (*again, *fresh):
            for told in write(tx, record):
                if tx.get(LineageMessage, told.key) is None:
                    tx.add(LineageMessage(id=told.key, body=told.body))
                    added += 1
        going = tuple(dict.fromkeys(record.key for record in (*again, *fresh) if not has_ended(record)))
        after = replace(mark, newest=fresh[-1].key if fresh else mark.newest, going=going)
        if after != mark:
            tx.put(after)
    return added


def _newer(tx: Transaction, kind: type[R], seen: str) -> list[R]:
    """The records behind one that was seen, in their order; all where it is gone."""
    limit = _FIRST_LOOK
    while True:
        newest = tx.find(kind, newest_first=True, limit=limit)
        keys = [record.key for record in newest]
        if seen in keys:
            return list(reversed(newest[: keys.index(seen)]))
        if len(newest) < limit:
            return list(reversed(newest))
        limit *= 8
