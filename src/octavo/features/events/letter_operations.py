"""What can be done with events that could not be taken."""

from collections.abc import Iterator
from dataclasses import dataclass

from octavo.features.events.dead_letters import LetterState, count_letters, find_letters
from octavo.features.events.letters import DeadLetter, Replayed, discard_letters, replay_letters, shown
from octavo.operations import Context, Operations

operations = Operations()

MOST_LETTERS = 1_000


@dataclass(frozen=True, kw_only=True)
class ListDeadLetters:
    """Dead letters, those received last first.

    Attributes
    ----------
    source : str or None
        All sources unless given.
    reason : str
        What the reason contains, whatever the case of its letters.
    state : LetterState or None
        ``waiting``, ``replayed`` or ``discarded``; all if null.
    limit : int
        How many at most of each source, up to a thousand.
    """

    source: str | None = None
    reason: str = ""
    state: LetterState | None = LetterState.WAITING
    limit: int = 100


@dataclass(frozen=True, kw_only=True)
class ReplayDeadLetters:
    """Waiting dead letters of a source.

    Attributes
    ----------
    ids : tuple of str
        All that wait unless given.
    """

    source: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DiscardDeadLetters:
    """Waiting dead letters of a source that are not wanted.

    Attributes
    ----------
    reason : str
        Why; it is kept with them.
    ids : tuple of str
        All that wait unless given.
    """

    source: str
    reason: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Dead letters of the sources that were asked for.

    Attributes
    ----------
    waiting : dict of source to int
        How many wait, of sources where some do, however many are listed.
    letters : tuple of DeadLetter
    """

    waiting: dict[str, int]
    letters: tuple[DeadLetter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """How many dead letters were discarded."""

    source: str
    discarded: int


@operations.operation("events.dead", request=ListDeadLetters, permission="events:read", long=True)
def list_dead_letters(request: ListDeadLetters, context: Context) -> DeadLetters:
    """List events that could not be taken, with the reasons."""
    stream, tables = context.stores.stream, context.stores.tables
    sources = [context.project.source(request.source).name] if request.source else sorted(context.project.sources)
    waiting = {name: count_letters(name, stream=stream, tables=tables) for name in sources}

    def found() -> Iterator[DeadLetter]:
        for name in sources:
            limit = max(1, min(request.limit, MOST_LETTERS))
            kept = find_letters(
                name, stream=stream, tables=tables, state=request.state, reason=request.reason, limit=limit
            )
            yield from map(shown, kept)

    return DeadLetters(
        waiting={
            name: counts[LetterState.WAITING] for name, counts in waiting.items() if LetterState.WAITING in counts
        },
        letters=tuple(found()),
    )


@operations.operation("events.replay", request=ReplayDeadLetters, permission="events:write", changes=True, long=True)
def replay_dead_letters(request: ReplayDeadLetters, context: Context) -> Replayed:
    """Try again to take events that could not be taken, after what was wrong is mended."""
    source, stores = context.project.source(request.source), context.stores
    return replay_letters(source, stream=stores.stream, tables=stores.tables, clock=context.clock, ids=request.ids)


@operations.operation("events.discard", request=DiscardDeadLetters, permission="events:write", changes=True, long=True)
def discard_dead_letters(request: DiscardDeadLetters, context: Context) -> Discarded:
    """Give up events that could not be taken; they are kept with the reason."""
    source, stores = context.project.source(request.source).name, context.stores
    discarded = discard_letters(
        source,
        reason=request.reason,
        stream=stores.stream,
        tables=stores.tables,
        clock=context.clock,
        ids=request.ids,
    )
    return Discarded(source=source, discarded=discarded)
