"""The oldest value in a window, compiled.

A tile keeps the head and the value of the oldest event that has one among its own and all later ones, so that a window
is read from its first tile.
"""

import numpy as np

from octavo.features.online.compiled import Record, Words, compiled
from octavo.features.online.order import is_before
from octavo.features.online.shapes import ROW_HEAD

FOREVER = 2**63 - 1
"""The time of an event that there is not."""


@compiled
def fold_oldest(
    tiles: Words,
    numbers: Words,
    kept: int,
    before: Words,
    rows: Words,
    first: int,
    tile_us: int,
    mark: Record,
    after: Words,
) -> None:
    """The oldest event of each tile and all later ones: of the rows, or of what stood there before.

    Parameters
    ----------
    tiles, numbers : ndarray, int64
        Numbers of the tiles after and before, ascending; those from place `kept` on remain.
    rows : ndarray, int64
        Rows of a tail in order; those from place `first` on count.
    before, after : ndarray, shape (n_tiles, LATEST_WORDS), int64
    """
    values, oldest = rows.view(np.float64), np.full(ROW_HEAD + 1, FOREVER, np.int64)
    i, j = len(numbers), len(rows)
    for k in range(len(tiles) - 1, -1, -1):
        while j > first and rows[j - 1, 0] // tile_us >= tiles[k]:
            j -= 1
            if values[j, ROW_HEAD + mark.n] > 0:
                oldest[:ROW_HEAD] = rows[j, :ROW_HEAD]
                oldest[ROW_HEAD] = rows[j, ROW_HEAD + mark.total]
        while i > kept and numbers[i - 1] >= tiles[k]:
            i -= 1
        after[k] = oldest
        if i < len(numbers) and is_before(before[i], oldest):
            after[k] = before[i]


@compiled
def oldest_value(kept: Words, recent: Words, feature: Record) -> tuple[int, float]:
    """Time and value of the oldest event that has one, of the tiles (none if `kept` is empty) or the tail's rows."""
    values = recent.view(np.float64)
    for r in range(len(recent)):
        if values[r, ROW_HEAD + feature.n] > 0:
            if len(kept) == 0 or is_before(recent[r], kept):
                return recent[r, 0], values[r, ROW_HEAD + feature.total]
            break
    return kept[0], kept.view(np.float64)[ROW_HEAD]
