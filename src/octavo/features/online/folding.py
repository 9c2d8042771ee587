"""Events into states, compiled; the format and its rules are told in `octavo.features.online.state`."""

import numpy as np

from octavo.features.distinct import KEPT
from octavo.features.online.compiled import Floats, Record, Table, Words, compiled
from octavo.features.online.decay import fold_decayed
from octavo.features.online.newest import NEVER, keep_newest, keep_newest_vector
from octavo.features.online.oldest import fold_oldest
from octavo.features.online.order import is_before
from octavo.features.online.shapes import DEVIATION, GREATEST, LATEST_WORDS, LEAST, ROW_HEAD
from octavo.features.quantiles import TIMES

FOLD_AT = 32
"""Rows from which on a tail is folded into tiles."""


@compiled
def fold_states(
    words: Words,
    starts: Words,
    rows: Words,
    firsts: Words,
    settled_us: int,
    shape: Table,
    groups: Table,
    counted: Words,
    marks: Table,
    fields: Table,
    latest: Table,
    vectors: Table,
    out: Words,
    places: Words,
    lengths: Words,
) -> None:
    """The states after further rows.

    Parameters
    ----------
    words, starts : ndarray, int64
        States, one after the other, and where each begins; shape (n_states + 1,).
    rows, firsts : ndarray, int64
        Rows of each state, in the order of a tail, and where each state's begin; shape (n_states + 1,).
    out, places, lengths : ndarray, int64
        Where the states go, where each may begin (n_states + 1,), and how long each has become (n_states,).
    """
    for state in range(len(lengths)):
        old = words[starts[state] : starts[state + 1]]
        fresh = rows[firsts[state] : firsts[state + 1]]
        to = out[places[state] : places[state + 1]]
        lengths[state] = _update(old, fresh, settled_us, shape[0], groups, counted, marks, fields, latest, vectors, to)


@compiled
def _update(
    old: Words,
    fresh: Words,
    settled_us: int,
    shape: Record,
    groups: Table,
    counted: Words,
    marks: Table,
    fields: Table,
    latest: Table,
    vectors: Table,
    to: Words,
) -> int:
    head = len(old) - old[0] * shape.row_words
    tail = old[head:].reshape(old[0], shape.row_words)
    n = len(tail) + len(fresh)
    if n <= FOLD_AT:
        to[:head] = old[:head]
        to[0] = n
        _merge_rows(tail, fresh, to[head : head + n * shape.row_words].reshape(n, shape.row_words))
        return head + n * shape.row_words
    merged = np.empty((n, shape.row_words), np.int64)
    _merge_rows(tail, fresh, merged)
    settled = merged[: _bring_settled_first(merged, settled_us)]
    at = shape.tiles
    to[:at] = old[:at]
    to[0] = n - len(settled)
    _renew(to[shape.header : at], settled, shape.n_counts, latest, vectors)
    entry, was, newest = 1, at, (old[shape.header], to[shape.header])
    for g in range(shape.n_groups):
        group = groups[shape.group + g]
        was, at, entry = _fold_group(old, was, settled, newest, group, counted, marks, fields, to, at, entry)
    waiting = merged[len(settled) :].reshape(-1)
    to[at : at + len(waiting)] = waiting
    return at + len(waiting)


@compiled
def _merge_rows(tail: Words, fresh: Words, merged: Words) -> None:
    """Two parts, each in order, in order."""
    i, j = 0, 0
    for to in range(len(merged)):
        if j == len(fresh) or (i < len(tail) and is_before(tail[i], fresh[j])):
            merged[to] = tail[i]
            i += 1
        else:
            merged[to] = fresh[j]
            j += 1


@compiled
def _bring_settled_first(rows: Words, settled_us: int) -> int:
    """Move rows that were known before a moment to the front, in their order, and count them."""
    waiting = np.empty_like(rows)
    n, later = 0, 0
    for r in range(len(rows)):
        if rows[r, 1] < settled_us:
            rows[n] = rows[r]
            n += 1
        else:
            waiting[later] = rows[r]
            later += 1
    rows[n:] = waiting[:later]
    return n


@compiled
def _renew(words: Words, rows: Words, n_counts: int, latest: Table, vectors: Table) -> None:
    """Take over the newest times and latest values among rows, which are in order."""
    values = rows.view(np.float64)
    for place in range(n_counts):
        for r in range(len(rows) - 1, -1, -1):
            if values[r, ROW_HEAD + place] > 0:
                words[place] = max(words[place], rows[r, 0])
                break
    at = n_counts
    for column in range(len(latest)):
        end = at + LATEST_WORDS * latest[column].depth
        keep_newest(words[at:end].reshape(-1, LATEST_WORDS), rows, latest[column])
        at = end
    for vector in vectors:
        end = at + ROW_HEAD + vector.length
        keep_newest_vector(words[at:end], rows, vector)
        at = end


@compiled
def _fold_group(
    old: Words,
    was: int,
    rows: Words,
    newest: tuple[int, int],
    group: Record,
    counted: Words,
    marks: Table,
    fields: Table,
    to: Words,
    at: int,
    entry: int,
) -> tuple[int, int, int]:
    """Fold rows into the tiles of a group, which begins at `was` and will begin at `at`; where the next one does.

    The newest event happened at the first of the times in `newest` so far, and now at the second.
    """
    n_before, n_fields = old[entry], len(fields)
    numbers = old[was : was + n_before]
    kept, first = _first_kept(numbers, rows, newest[1], group)
    n = _unite(numbers[kept:], rows[first:], group.tile_us, to[at:])
    tiles = to[at : at + n]
    was, at = was + n_before, at + n
    before = old[was : was + n_before * n_fields].view(np.float64).reshape(n_before, n_fields)
    after = to[at : at + n * n_fields].view(np.float64).reshape(n, n_fields)
    _fold_fields(tiles, numbers, kept, before, rows, first, group.tile_us, fields, after)
    was, at = was + n_before * n_fields, at + n * n_fields
    was, at = _fold_marks(tiles, numbers, kept, old, was, rows, first, newest, group, marks, to, at)
    to[entry] = n
    for c in range(group.n_quantiles + group.n_distincts):
        entry += 1
        begins, held = old[was : was + n_before], old[was + n_before : was + n_before + old[entry]]
        word, is_set = counted[group.counted + c], c >= group.n_quantiles
        starts, words = to[at : at + n], to[at + n :]
        size = _fold_words(tiles, numbers, kept, begins, held, rows, first, group.tile_us, word, is_set, starts, words)
        to[entry] = size
        was, at = was + n_before + len(held), at + n + size
    return was, at, entry + 1


@compiled
def _fold_marks(
    tiles: Words,
    numbers: Words,
    kept: int,
    old: Words,
    was: int,
    rows: Words,
    first: int,
    newest: tuple[int, int],
    group: Record,
    marks: Table,
    to: Words,
    at: int,
) -> tuple[int, int]:
    """Fold rows into the decayed sums and oldest values of a group; where those before end, and where they do now."""
    n_before, n = len(numbers), len(tiles)
    for m in range(group.marked, group.marked + group.n_decays):
        held, decayed = old[was : was + n_before].view(np.float64), to[at : at + n].view(np.float64)
        fold_decayed(tiles, numbers, kept, held, rows, first, group.tile_us, marks[m], newest, decayed)
        was, at = was + n_before, at + n
    for m in range(group.marked + group.n_decays, group.marked + group.n_decays + group.n_oldest):
        stood = old[was : was + n_before * LATEST_WORDS].reshape(n_before, LATEST_WORDS)
        oldest = to[at : at + n * LATEST_WORDS].reshape(n, LATEST_WORDS)
        fold_oldest(tiles, numbers, kept, stood, rows, first, group.tile_us, marks[m], oldest)
        was, at = was + n_before * LATEST_WORDS, at + n * LATEST_WORDS
    return was, at


@compiled
def _first_kept(numbers: Words, rows: Words, newest_us: int, group: Record) -> tuple[int, int]:
    """The first tile and the first row that the windows of the newest event still reach."""
    if newest_us == NEVER:
        return 0, 0
    oldest = (newest_us - group.retention_us) // group.tile_us
    first = 0
    while first < len(rows) and rows[first, 0] // group.tile_us < oldest:
        first += 1
    return np.searchsorted(numbers, oldest), first


@compiled
def _unite(numbers: Words, rows: Words, tile_us: int, to: Words) -> int:
    """Write the numbers of tiles and of the tiles of rows, ascending, each once, and count them."""
    i, j, n = 0, 0, 0
    while i < len(numbers) or j < len(rows):
        if j == len(rows) or (i < len(numbers) and numbers[i] <= rows[j, 0] // tile_us):
            tile = numbers[i]
            i += 1
        else:
            tile = rows[j, 0] // tile_us
        while j < len(rows) and rows[j, 0] // tile_us == tile:
            j += 1
        to[n] = tile
        n += 1
    return n


@compiled
def _fold_fields(
    tiles: Words,
    numbers: Words,
    kept: int,
    before: Floats,
    rows: Words,
    first: int,
    tile_us: int,
    fields: Table,
    after: Floats,
) -> None:
    """The fields of each tile and all later ones: of the rows, merged with what stood there before."""
    values = rows.view(np.float64)
    gathered = _nothing(fields)
    i, j = len(numbers), len(rows)
    for k in range(len(tiles) - 1, -1, -1):
        while j > first and rows[j - 1, 0] // tile_us >= tiles[k]:
            j -= 1
            _merge(gathered, values[j, ROW_HEAD : ROW_HEAD + len(fields)], fields)
        while i > kept and numbers[i - 1] >= tiles[k]:
            i -= 1
        after[k] = gathered
        if i < len(numbers):
            _merge(after[k], before[i], fields)


@compiled
def _nothing(fields: Table) -> Floats:
    """Fields of no event."""
    nothing = np.zeros(len(fields))
    for place in range(len(fields)):
        if fields[place].kind == LEAST:
            nothing[place] = np.inf
        elif fields[place].kind == GREATEST:
            nothing[place] = -np.inf
    return nothing


@compiled
def _merge(row: Floats, other: Floats, fields: Table) -> None:
    """Merge fields into others, the last first: a deviation stands after the count and the sum that it rests on."""
    for place in range(len(row) - 1, -1, -1):
        field = fields[place]
        if field.kind == LEAST:
            row[place] = min(row[place], other[place])
        elif field.kind == GREATEST:
            row[place] = max(row[place], other[place])
        elif field.kind == DEVIATION:
            row[place] += other[place] + _between(row, other, field)
        else:
            row[place] += other[place]


@compiled
def _between(row: Floats, other: Floats, field: Record) -> float:
    """Squared deviations about the common mean that are neither's own (Chan, Golub and LeVeque, 1979)."""
    n, m = row[field.n], other[field.n]
    if n == 0 or m == 0:
        return 0.0
    apart = row[field.total] / n - other[field.total] / m
    return apart * apart * (n * m / (n + m))


@compiled
def _fold_words(
    tiles: Words,
    numbers: Words,
    kept: int,
    begins: Words,
    held: Words,
    rows: Words,
    first: int,
    tile_us: int,
    word: int,
    is_set: bool,
    starts: Words,
    to: Words,
) -> int:
    """Write each tile's words, those from before and those of its rows, and where they begin; how many they are."""
    i, j, n = kept, first, 0
    for k in range(len(tiles)):
        starts[k] = n
        begin = end = 0
        if i < len(numbers) and numbers[i] == tiles[k]:
            begin, end = begins[i], begins[i + 1] if i + 1 < len(numbers) else len(held)
            i += 1
        since = j
        while j < len(rows) and rows[j, 0] // tile_us == tiles[k]:
            j += 1
        fresh = rows[since:j, word].copy()
        fresh.sort()
        n += _merge_words(held[begin:end], fresh, is_set, to[n:])
    return n


@compiled
def _merge_words(held: Words, fresh: Words, is_set: bool, to: Words) -> int:
    """Write two runs of words as one, ascending, and count them.

    Of a set each is written once, and the smallest alone; counts of one value are added up.
    """
    n, i, j = 0, 0, 0
    while i < len(held) or j < len(fresh):
        if j == len(fresh) or (i < len(held) and held[i] <= fresh[j]):
            word = held[i]
            i += 1
        else:
            word = fresh[j]
            j += 1
        if word == 0 or (is_set and (n == KEPT or (n > 0 and to[n - 1] == word))):
            continue
        if not is_set and n > 0 and to[n - 1] >> 32 == word >> 32:
            to[n - 1] += word & TIMES
        else:
            to[n] = word
            n += 1
    return n
