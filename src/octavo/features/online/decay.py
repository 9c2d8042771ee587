"""Sums in which values weigh less as they grow older, half after each half-life, compiled.

Exponential decay factors (forward decay; Cormode, Shkapenyuk, Srivastava and Xu, 2009): a sum as of one moment is that
as of another, times a power of two. Tiles keep theirs as of the first whole half-life since 1970 after the newest event
that is folded. So no weight exceeds 1, one that is too small for a float is nothing in any window, and to move to a
later moment multiplies by a whole power of two, which loses no bit, however often it is done.
"""

from math import ldexp

import numpy as np

from octavo.features.online.compiled import Floats, Record, Words, compiled
from octavo.features.online.shapes import ROW_HEAD

_SMALLEST = 2_100
"""Halvings after which nothing is left of any float64."""


@compiled
def fold_decayed(
    tiles: Words,
    numbers: Words,
    kept: int,
    before: Floats,
    rows: Words,
    first: int,
    tile_us: int,
    mark: Record,
    newest: tuple[int, int],
    after: Floats,
) -> None:
    """The decayed sum of each tile and all later ones: of the rows and of what stood there before.

    Parameters
    ----------
    tiles, numbers : ndarray, int64
        Numbers of the tiles after and before, ascending; those from place `kept` on remain.
    rows : ndarray, int64
        Rows of a tail in order; those from place `first` on count.
    newest : (int, int)
        When the newest event that was folded before happened, and the newest of all.
    before, after : ndarray, shape (n_tiles,), float64
    """
    values, gathered, halvings = rows.view(np.float64), 0.0, 0
    since_us = _as_of(newest[1], mark.half_life_us)
    if len(numbers):
        halvings = min((since_us - _as_of(newest[0], mark.half_life_us)) // mark.half_life_us, _SMALLEST)
    i, j = len(numbers), len(rows)
    for k in range(len(tiles) - 1, -1, -1):
        while j > first and rows[j - 1, 0] // tile_us >= tiles[k]:
            j -= 1
            gathered += values[j, ROW_HEAD + mark.total] * _weight(since_us - rows[j, 0], mark.half_life_us)
        while i > kept and numbers[i - 1] >= tiles[k]:
            i -= 1
        after[k] = gathered
        if i < len(numbers):
            after[k] += ldexp(before[i], -halvings)


@compiled
def decayed_sum(kept: Floats, newest_us: int, recent: Words, feature: Record, at_us: int) -> float:
    """The sum at a moment, of the tiles (none if `kept` is empty) and of the tail's rows.

    Parameters
    ----------
    newest_us : int
        When the newest event that is folded happened.
    feature : Record of `octavo.features.online.reading.FEATURE`
        `span_us` is the half-life.
    """
    total, values = 0.0, recent.view(np.float64)
    if len(kept):
        total = kept[0] * _weight(at_us - _as_of(newest_us, feature.span_us), feature.span_us)
    for r in range(len(recent)):
        total += values[r, ROW_HEAD + feature.total] * _weight(at_us - recent[r, 0], feature.span_us)
    return total


@compiled
def _as_of(newest_us: int, half_life_us: int) -> int:
    return -(-newest_us // half_life_us) * half_life_us


@compiled
def _weight(age_us: int, half_life_us: int) -> float:
    weight: float = 2.0 ** (-age_us / half_life_us)
    return weight
