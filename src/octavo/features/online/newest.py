"""The newest values of a column, compiled: kept in a state without tiles, since a window's far edge only cuts them.

Each is an event's head and its value; the newest comes first, and places that hold none have the time `NEVER`.
"""

import numpy as np

from octavo.features.online.compiled import Record, Words, compiled, inlined
from octavo.features.online.order import is_before
from octavo.features.online.shapes import LATEST_WORDS, ROW_HEAD

NEVER = -(2**63)


@compiled
def keep_newest(kept: Words, rows: Words, column: Record) -> None:
    """Put the newest events among rows, which are in order, in their places among those kept.

    Parameters
    ----------
    kept : ndarray, shape (k, LATEST_WORDS), int64
    column : Record of `LATEST`
    """
    values, found = rows.view(np.float64), 0
    for r in range(len(rows) - 1, -1, -1):
        if values[r, ROW_HEAD + column.n] > 0:
            place = len(kept)
            while place > 0 and is_before(kept[place - 1], rows[r]):
                place -= 1
            if place == len(kept):
                return
            for later in range(len(kept) - 1, place, -1):
                kept[later] = kept[later - 1]
            kept[place, :ROW_HEAD] = rows[r, :ROW_HEAD]
            kept[place, ROW_HEAD] = rows[r, ROW_HEAD + column.total]
            found += 1
            if found == len(kept):
                return


@inlined
def nth_newest(kept: Words, tail: Words, feature: Record) -> tuple[int, float]:
    """Time and value of the newest event that has one, after as many newer ones as the feature passes over.

    Parameters
    ----------
    kept : ndarray, int64
        Begins with the k that are in the state, each of `LATEST_WORDS`.
    feature : Record of `octavo.features.online.reading.FEATURE`
        `own` says how many are passed over, fewer than k.
    """
    values, at, r = tail.view(np.float64), 0, len(tail) - 1
    for passed in range(feature.own + 1):
        while r >= 0 and values[r, ROW_HEAD + feature.n] == 0:
            r -= 1
        is_recent = r >= 0 and is_before(kept[at:], tail[r])
        if passed == feature.own and is_recent:
            return tail[r, 0], values[r, ROW_HEAD + feature.total]
        if is_recent:
            r -= 1
        elif passed < feature.own:
            at += LATEST_WORDS
    return kept[at], kept.view(np.float64)[at + ROW_HEAD]


@compiled
def keep_newest_vector(kept: Words, rows: Words, vector: Record) -> None:
    """Keep the newest vector among rows, which are in order, if it is newer.

    Parameters
    ----------
    kept : ndarray, shape (ROW_HEAD + length,), int64
        Head and numbers.
    vector : Record of `VECTOR`
    """
    values = rows.view(np.float64)
    for r in range(len(rows) - 1, -1, -1):
        if values[r, ROW_HEAD + vector.n] > 0:
            if is_before(kept, rows[r]):
                kept[:ROW_HEAD] = rows[r, :ROW_HEAD]
                kept[ROW_HEAD:] = rows[r, vector.word : vector.word + vector.length]
            return


@inlined
def newest_element(kept: Words, tail: Words, feature: Record) -> tuple[int, float]:
    """Time of the newest vector and one of its numbers.

    Parameters
    ----------
    kept : ndarray, int64
        Begins with the head and the numbers of the one in the state.
    feature : Record of `octavo.features.online.reading.FEATURE`
        `own` says which number, `total` is the place of the first one in a row.
    """
    values = tail.view(np.float64)
    for r in range(len(tail) - 1, -1, -1):
        if values[r, ROW_HEAD + feature.n] > 0:
            if is_before(kept, tail[r]):
                return tail[r, 0], values[r, feature.total + feature.own]
            break
    return kept[0], kept.view(np.float64)[ROW_HEAD + feature.own]
