"""Refreshing the sources whose events SQL makes: by hand, and by the worker at its times."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from octavo.definitions.derived import SQLSource
from octavo.errors import InvalidRequest
from octavo.features.events.derived import Refreshed, refresh
from octavo.loop.carrier import bring_events_into_tables
from octavo.operations import Context, Operations
from octavo.stores.locks import FileLock

log = logging.getLogger(__name__)

operations = Operations()

_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshSource:
    """A source whose events are made by SQL."""

    source: str


@operations.operation("sources.refresh", request=RefreshSource, permission="events:write", changes=True, long=True)
def refresh_by_hand(request: RefreshSource, context: Context) -> Refreshed:
    """Run the SQL of a source over what is known now, and take what is new as events."""
    source = context.project.source(request.source)
    if not isinstance(source, SQLSource):
        raise InvalidRequest(
            f"the events of source {source.name!r} are sent, not made by SQL",
            field="source",
            fix=f"send them: octavo ingest FILE --source {source.name}",
        )
    return refresh_alone(context, source, ship=lambda: bring_events_into_tables(context))


def refresh_alone(context: Context, source: SQLSource, *, ship: Callable[[], None]) -> Refreshed:
    """Refresh a source while no other process does.

    Parameters
    ----------
    ship : callable
        Brings all events that were accepted into the tables.
    """
    with _held(context.config.home, source.name):
        ship()
        done = refresh(source, stores=context.stores, clock=context.clock)
    log.info("source %s: of %d rows selected %d are new", source.name, done.rows, done.events)
    return done


@contextmanager
def _held(home: Path, source: str) -> Iterator[None]:
    """Be the one process that refreshes a source; waits until another that does has ended."""
    lock = FileLock(home / "run" / f"refresh-{source}.lock")
    while not lock.acquire(timeout_s=_PATIENCE_S):
        log.info("source %s is being refreshed by process %s; waiting for its end", source, lock.holder)
    try:
        yield
    finally:
        lock.release()
