"""What people do about dead letters: look at them, replay them once what was wrong is mended, or discard them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import pyarrow as pa

from octavo.clock import Clock
from octavo.definitions.sources import Source
from octavo.errors import InvalidRequest, NotFound
from octavo.features.events.dead_letters import Entry, Letter, LetterState, add_entries, find_letters
from octavo.features.events.ingest import publish_events
from octavo.features.events.refusals import PayloadKind, Refused
from octavo.features.events.sorting import Sorted, no_events, sort_lines, sort_table
from octavo.stores.ports import EventStream, Tables

LETTERS_AT_ONCE = 500
_CUT = "only the beginning of it was kept; send the event again, and discard this"
_LONGEST_SHOWN = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead letter for people and programs to read.

    Attributes
    ----------
    event : str
        The event as it was sent, or the beginning of a long one; what is no text is written as escapes.
    size_bytes : int
        Of the event as it was sent.
    is_cut : bool
        Whether the event was too large to be kept whole, and so cannot be replayed.
    """

    source: str
    id: str
    state: LetterState
    received_at: datetime
    changed_at: datetime
    field: str
    reason: str
    event: str
    size_bytes: int
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of dead letters that were replayed.

    Attributes
    ----------
    replayed : int
        Letters whose events were taken.
    refused : int
        Letters that wait on, perhaps for another reason than before.
    reasons : dict of reason to int
        Why, and how many for each, the most frequent first.
    """

    source: str
    replayed: int
    refused: int
    reasons: dict[str, int]


def shown(letter: Letter) -> DeadLetter:
    """A letter for people to read."""
    return DeadLetter(
        source=letter.source,
        id=letter.id,
        state=letter.state,
        received_at=letter.received_at,
        changed_at=letter.changed_at,
        field=letter.field,
        reason=letter.reason,
        event=_text(letter)[:_LONGEST_SHOWN],
        size_bytes=letter.size_bytes,
        is_cut=letter.is_cut,
    )


def replay_letters(
    source: Source, *, stream: EventStream, tables: Tables, clock: Clock, ids: Sequence[str] = ()
) -> Replayed:
    """Try again to take the events of waiting letters, by the source's present schema.

    Idempotent: an event that is taken twice, because a replay was interrupted, counts once.

    Parameters
    ----------
    ids : sequence of str
        These letters; all that wait unless given.

    Raises
    ------
    NotFound
        If one of `ids` does not wait.
    """
    replayed, reasons = 0, Counter[str]()
    for letters in _waiting(source.name, stream=stream, tables=tables, ids=ids):
        refused = _replay(letters, source, stream=stream, clock=clock)
        replayed += len(letters) - len(refused)
        reasons.update(refused)
    frequent = dict(reasons.most_common())
    return Replayed(source=source.name, replayed=replayed, refused=reasons.total(), reasons=frequent)


def discard_letters(
    source: str, *, reason: str, stream: EventStream, tables: Tables, clock: Clock, ids: Sequence[str] = ()
) -> int:
    """Give up waiting letters; how many. They are kept, and count as dealt with.

    Raises
    ------
    NotFound
        If one of `ids` does not wait.
    InvalidRequest
        Without a reason.
    """
    if not reason.strip():
        raise InvalidRequest("reason is empty", field="reason", fix="say why these events are not wanted")
    discarded = 0
    for letters in _waiting(source, stream=stream, tables=tables, ids=ids):
        entries = [_entry(letter, LetterState.DISCARDED, reason=reason, clock=clock) for letter in letters]
        add_entries(entries, source=source, stream=stream)
        discarded += len(letters)
    return discarded


def _waiting(source: str, *, stream: EventStream, tables: Tables, ids: Sequence[str]) -> Iterator[list[Letter]]:
    """Waiting letters, some at a time; each once, also where it still waits afterwards."""
    find = partial(find_letters, source, stream=stream, tables=tables, ids=ids, limit=LETTERS_AT_ONCE)
    after, found = "", set[str]()
    while letters := find(after=after):
        found |= {letter.id for letter in letters}
        yield letters
        after = letters[-1].id
    for missing in sorted(set(ids) - found):
        raise NotFound("waiting dead letter", missing)


def _replay(letters: Sequence[Letter], source: Source, *, stream: EventStream, clock: Clock) -> list[str]:
    """Take what can be taken of some letters; the reasons why the others still wait."""
    tried = [_try(letter, source, now_us=clock.now_us()) for letter in letters]
    publish_events(pa.concat_batches([found.events for found in tried]), source, stream=stream)
    entries, reasons = [], []
    for letter, found in zip(letters, tried, strict=True):
        if not found.refused:
            entries.append(_entry(letter, LetterState.REPLAYED, reason=letter.reason, clock=clock))
            continue
        [refused] = found.refused
        reasons.append(refused.reason)
        if refused.reason != letter.reason:
            entries.append(_entry(letter, LetterState.WAITING, reason=refused.reason, field=refused.field, clock=clock))
    add_entries(entries, source=source.name, stream=stream)
    return reasons


def _try(letter: Letter, source: Source, *, now_us: int) -> Sorted:
    if letter.is_cut:
        refused = Refused(row=0, field="", reason=_CUT, payload=letter.payload, kind=letter.kind)
        return Sorted(events=no_events(source), refused=(refused,))
    if letter.kind is PayloadKind.ARROW:
        return sort_table(pa.ipc.open_stream(letter.payload).read_all(), source, now_us=now_us)
    return sort_lines([letter.payload], source, now_us=now_us)


def _entry(letter: Letter, state: LetterState, *, reason: str, clock: Clock, field: str = "") -> Entry:
    return Entry(letter=letter.id, at_us=clock.now_us(), state=state, field=field, reason=reason)


def _text(letter: Letter) -> str:
    """An event as text, whatever it is."""
    if letter.kind is PayloadKind.ARROW and not letter.is_cut:
        columns = pa.ipc.open_stream(letter.payload).read_all()
        return ", ".join(f"{name}={_scalar(columns.column(name))}" for name in columns.schema.names)
    return letter.payload.decode(errors="backslashreplace")


def _scalar(column: pa.ChunkedArray) -> str:
    try:
        value = column[0].as_py()
        return value.isoformat() if isinstance(value, datetime) else repr(value)
    except (ValueError, OverflowError):  # no UTF-8, or a time beyond Python's
        return str(column.type)
