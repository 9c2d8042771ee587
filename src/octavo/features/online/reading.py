"""From states to feature values at a moment, compiled; the format is told in `octavo.features.online.state`.

This runs in every prediction. It reads only the words that it needs: of each window one row of fields, and the few
events of the tail that were known.
"""

import numpy as np

from octavo.features.distinct import KEPT, NUMERATOR
from octavo.features.online.compiled import Floats, Octets, Record, Singles, Table, Words, compiled, inlined, table
from octavo.features.online.decay import decayed_sum
from octavo.features.online.newest import NEVER, newest_element, nth_newest
from octavo.features.online.oldest import oldest_value
from octavo.features.online.shapes import LATEST_WORDS, ROW_HEAD
from octavo.features.online.soundness import is_sound
from octavo.features.quantiles import MAGNITUDE, TIMES
from octavo.features.values import FeatureStatus

COUNT, SUM, MEAN, STD, LEAST_OF, GREATEST_OF, DECAYED, OLDEST, QUANTILE, DISTINCT = range(10)
NEWEST, ELEMENT = range(2)
"""What is read of newest events: a value, or a number of a vector."""

VIEW = table("shape", "window", "n_windows", "newest", "n_newest")
"""Of a view: its layout, its windows, and its values of newest events, which stand after those of its windows."""
WINDOW = table("group", "span_us", "tile_us", "feature", "n_features")
FEATURE = table("operation", "place", "n", "own", "total", "slot", "span_us", "tile_us")
"""`place` is in the answer; `n`, `total` and `own` are its fields, or for words their place in a row; `slot` is of its
column among its group's words, decayed sums or oldest values, or the latest values. Of a newest value `span_us` is the
time to live, or the window, and `own` how many newer ones it passes over; of a decayed sum `span_us` is the half-life.
For a number of a vector see `newest_element`; `slot` is the place of the vector in the state."""

_PRESENT, _STALE = int(FeatureStatus.PRESENT), int(FeatureStatus.STALE)


@inlined
def read_states(
    words: Words,
    starts: Words,
    index: Words,
    at_us: int,
    views: Table,
    shapes: Table,
    groups: Table,
    windows: Table,
    features: Table,
    ranks: Floats,
    values: Singles,
    status: Octets,
    ages_s: Singles,
) -> bool:
    """Overwrite what the states say about each row.

    Parameters
    ----------
    words, starts : ndarray, int64
        States, one after the other, and where each begins; shape (n_states + 1,).
    index : ndarray, shape (n_views, n_rows), int64
        The state of each view and row; one that is empty or -1 says nothing.
    ranks : ndarray, shape (n_features,), float64
        Of quantiles.
    values, status, ages_s : ndarray, shape (n_rows, n_features)

    Returns
    -------
    bool
        Whether all states were sound; those after the first that was not are not read.
    """
    rows, room = np.full(len(starts) - 1, -1, np.int64), _room(shapes, groups)
    for row in range(index.shape[1]):
        for number in range(index.shape[0]):
            state, view = index[number, row], views[number]
            if state < 0 or starts[state] == starts[state + 1]:
                continue
            if rows[state] >= 0:
                _copy(features, view, windows, rows[state], row, values, status, ages_s)
                continue
            rows[state] = row
            data, shape = words[starts[state] : starts[state + 1]], shapes[view.shape]
            of_groups = groups[shape.group : shape.group + shape.n_groups]
            if not is_sound(data, shape, of_groups):
                return False
            answer = values[row], status[row], ages_s[row]
            _read(data, at_us, view, shape, of_groups, windows, features, ranks, answer, room)
    return True


@inlined
def _room(shapes: Table, groups: Table) -> tuple[Words, Words, Words]:
    """Room for what is known of one state while it is read, of whichever shape: memory for each would take as long."""
    n_groups, n_held, n_counts = 0, 0, 0
    for s in range(len(shapes)):
        n_groups, n_counts = max(n_groups, shapes[s].n_groups), max(n_counts, shapes[s].n_counts)
    for g in range(len(groups)):
        n_held = max(n_held, groups[g].n_quantiles + groups[g].n_distincts)
    return np.empty((n_groups, 2), np.int64), np.empty((n_groups, n_held, 2), np.int64), np.empty(n_counts, np.int64)


@compiled
def _copy(
    features: Table,
    view: Record,
    windows: Table,
    other: int,
    row: int,
    values: Singles,
    status: Octets,
    ages_s: Singles,
) -> None:
    """Copy what was read of the same state for another row."""
    begin = windows[view.window].feature if view.n_windows else view.newest
    for f in range(begin, view.newest + view.n_newest):
        place = features[f].place
        values[row, place], status[row, place] = values[other, place], status[other, place]
        ages_s[row, place] = ages_s[other, place]


@inlined
def _read(
    data: Words,
    at_us: int,
    view: Record,
    shape: Record,
    groups: Table,
    windows: Table,
    features: Table,
    ranks: Floats,
    answer: tuple[Singles, Octets, Singles],
    room: tuple[Words, Words, Words],
) -> None:
    """Read the features of one view from one state."""
    tiles, held, newest = room
    end = _find_places(data, shape, groups, tiles, held)
    tail = _known(data[end:].reshape(data[0], shape.row_words), at_us)
    if view.n_windows:
        _find_newest(data[shape.header : shape.header + shape.n_counts], tail, newest)
    for w in range(view.window, view.window + view.n_windows):
        window = windows[w]
        edge = (at_us - window.span_us) // window.tile_us
        n_tiles, at = tiles[window.group]
        tile = np.searchsorted(data[at : at + n_tiles], edge)
        begin = at + n_tiles + tile * shape.n_fields
        own = data[begin : begin + shape.n_fields * (tile < n_tiles)].view(np.float64)
        recent = tail[_first_from(tail, edge * window.tile_us) :]
        marked, n_decays = at + n_tiles * (1 + shape.n_fields), groups[window.group].n_decays
        for f in range(window.feature, window.feature + window.n_features):
            feature = features[f]
            n, total = _sums(own, recent, feature)
            if n == 0:
                continue
            if feature.operation >= QUANTILE:
                size, at = held[window.group, feature.slot]
                first = data[at + tile] if tile < n_tiles else size
                found = _words(data[at + n_tiles + first : at + n_tiles + size], recent, feature.own)
                value = _of_words(found, feature.operation, ranks[f], n)
            elif feature.operation == DECAYED:
                kept = data[marked + n_tiles * feature.slot :][:n_tiles][tile:].view(np.float64)
                value = decayed_sum(kept, data[shape.header], recent, feature, at_us)
            elif feature.operation == OLDEST:
                begin = marked + n_tiles * (n_decays + LATEST_WORDS * feature.slot) + LATEST_WORDS * tile
                event_us, value = oldest_value(data[begin : begin + LATEST_WORDS * (tile < n_tiles)], recent, feature)
                _put(answer, feature.place, value, _PRESENT, at_us - event_us)
                continue
            else:
                value = _of_fields(own, recent, feature, n, total)
            _put(answer, feature.place, value, _PRESENT, at_us - newest[feature.n])
    for f in range(view.newest, view.newest + view.n_newest):
        _read_newest(data, at_us, shape, features[f], tail, answer)


@inlined
def _put(answer: tuple[Singles, Octets, Singles], place: int, value: float, status: int, age_us: int) -> None:
    answer[0][place], answer[1][place], answer[2][place] = value, status, age_us / 1e6


@inlined
def _find_places(data: Words, shape: Record, groups: Table, tiles: Words, held: Words) -> int:
    """Find where things are: how many tiles each group has and where, and words of its columns; returns the tail's."""
    entry, at = 1, shape.tiles
    for g in range(len(groups)):
        n_tiles = data[entry]
        tiles[g, 0], tiles[g, 1] = n_tiles, at
        at += n_tiles * (1 + shape.n_fields + groups[g].n_decays + LATEST_WORDS * groups[g].n_oldest)
        for c in range(groups[g].n_quantiles + groups[g].n_distincts):
            entry += 1
            held[g, c, 0], held[g, c, 1] = data[entry], at
            at += n_tiles + data[entry]
        entry += 1
    return at


@inlined
def _known(tail: Words, at_us: int) -> Words:
    """The rows of a tail that were known before a moment; nearly always all."""
    n = 0
    while n < len(tail) and tail[n, 1] < at_us:
        n += 1
    if n == len(tail):
        return tail
    known = tail.copy()
    for r in range(n, len(tail)):
        if tail[r, 1] < at_us:
            known[n] = tail[r]
            n += 1
    return known[:n]


@inlined
def _find_newest(kept: Words, tail: Words, newest: Words) -> None:
    """Find the newest event time per count field."""
    values = tail.view(np.float64)
    for place in range(len(kept)):
        newest[place] = kept[place]
        for r in range(len(tail) - 1, -1, -1):
            if values[r, ROW_HEAD + place] > 0:
                newest[place] = max(newest[place], tail[r, 0])
                break


@inlined
def _first_from(tail: Words, edge_us: int) -> int:
    """The first row of events from a moment on."""
    first = 0
    while first < len(tail) and tail[first, 0] < edge_us:
        first += 1
    return first


@inlined
def _sums(own: Floats, recent: Words, feature: Record) -> tuple[float, float]:
    """How many values there are, and their sum."""
    n, total, values = 0.0, 0.0, recent.view(np.float64)
    for r in range(len(recent) - 1, -1, -1):
        n += values[r, ROW_HEAD + feature.n]
        total += values[r, ROW_HEAD + feature.total]
    if len(own):
        n, total = own[feature.n] + n, own[feature.total] + total
    return n, total


@inlined
def _of_fields(own: Floats, recent: Words, feature: Record, n: float, total: float) -> float:
    if feature.operation == COUNT:
        return n
    if feature.operation == SUM:
        return total
    if feature.operation == MEAN:
        return total / n
    if feature.operation == STD:
        return _deviation(own, recent, feature)
    return _extreme(own, recent, feature)


@compiled
def _deviation(own: Floats, recent: Words, feature: Record) -> float:
    """Population standard deviation; events are added to the tiles' (Welford, 1962)."""
    n, mean, squared, values = 0.0, 0.0, 0.0, recent.view(np.float64)
    if len(own) and own[feature.n] > 0:
        n, squared = own[feature.n], own[feature.own]
        mean = own[feature.total] / n
    for r in range(len(recent)):
        if values[r, ROW_HEAD + feature.n] > 0:
            n += 1
            apart = values[r, ROW_HEAD + feature.total] - mean
            mean += apart / n
            squared += apart * (values[r, ROW_HEAD + feature.total] - mean)
    return np.sqrt(squared / n)


@inlined
def _extreme(own: Floats, recent: Words, feature: Record) -> float:
    values, sign = recent.view(np.float64), 1.0 if feature.operation == LEAST_OF else -1.0
    extreme = sign * own[feature.own] if len(own) else np.inf
    for r in range(len(recent)):
        extreme = min(extreme, sign * values[r, ROW_HEAD + feature.own])
    return sign * extreme


@compiled
def _words(held: Words, recent: Words, word: int) -> Words:
    """Words of tiles and of events."""
    found, n = np.empty(len(held) + len(recent), np.int64), len(held)
    found[:n] = held
    for r in range(len(recent)):
        if recent[r, word] != 0:
            found[n] = recent[r, word]
            n += 1
    return found[:n]


@compiled
def _of_words(found: Words, operation: int, q: float, n: float) -> float:
    if operation == DISTINCT:
        return count_of(found)
    return ranked(found, max(int(np.ceil(q * n)), 1))


@compiled
def ranked(counts: Words, rank: int) -> float:
    """The value of a rank, from 1, among counts, which lose their order."""
    count, bits = _count_at(counts, rank), np.empty(1, np.int64)
    upper = count >> 32
    bits[0] = (upper ^ MAGNITUDE if upper < 0 else upper) << 32
    return bits.view(np.float64)[0]


@compiled
def _count_at(counts: Words, rank: int) -> int:
    """The count in which a rank lies (quickselect; Hoare, 1961)."""
    begin, end = 0, len(counts)
    while begin < end:
        pivot = counts[(begin + end) // 2] >> 32
        below, at, above = begin, begin, end
        n_below, n_equal = 0, 0
        while at < above:
            count = counts[at]
            if count >> 32 < pivot:
                counts[at], counts[below] = counts[below], count
                n_below += count & TIMES
                below += 1
                at += 1
            elif count >> 32 > pivot:
                above -= 1
                counts[at], counts[above] = counts[above], count
            else:
                n_equal += count & TIMES
                at += 1
        if rank <= n_below:
            end = below
        elif rank <= n_below + n_equal:
            return counts[below]
        else:
            rank -= n_below + n_equal
            begin = above
    return 0


@compiled
def count_of(hashes: Words) -> float:
    """How many different values there are, by words of their hashes, which are sorted."""
    hashes.sort()
    n, last = 0, 0
    for word in hashes:
        if word != last:
            n += 1
            last = word
            if n == KEPT:
                return NUMERATOR / float(word >> 1)
    return float(n)


@inlined
def _read_newest(
    data: Words, at_us: int, shape: Record, feature: Record, tail: Words, answer: tuple[Singles, Octets, Singles]
) -> None:
    """Read a latest value, or one of the last ones in a window."""
    if feature.operation == ELEMENT:
        event_us, value = newest_element(data[feature.slot :], tail, feature)
    else:
        at = shape.header + shape.n_counts + LATEST_WORDS * feature.slot
        event_us, value = nth_newest(data[at:], tail, feature)
    if event_us == NEVER:
        return
    since_us = event_us
    if feature.tile_us:
        since_us = (event_us // feature.tile_us + 1) * feature.tile_us
    if at_us < since_us + feature.span_us:
        _put(answer, feature.place, value, _PRESENT, at_us - event_us)
    elif not feature.tile_us:
        _put(answer, feature.place, np.nan, _STALE, at_us - event_us)
