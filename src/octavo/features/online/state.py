"""The online state of one entity in one feature view.

A state is a string of 64-bit words, so that it is read in place, without parsing:

    header    rows in the tail; tiles of each group; words of each group's quantile and distinct columns
    newest    newest event time per count field
    latest    per column, for the newest value or the k newest: event time, available at, event id (2 words), value
    vectors   per column, of the newest: event time, available at, event id (2 words), numbers
    groups    per group: tile numbers, rows of fields; decayed sums, per sum; oldest values as under latest, per column;
              per quantile column where each tile's counts start, and counts; per distinct column where each tile's
              hashes start, and hashes
    tail      events not yet folded into tiles: event time, available at, event id (2 words), a row of fields, per
              column of quantiles a count of its value, per distinct column a hash, and the numbers of vectors

A tile's row of fields is that of its own events and of all later ones merged, so that a window is read from one row:
that of the first tile at or after its far edge, and so are decayed sums (`octavo.features.online.decay`) and the oldest
values (`octavo.features.online.oldest`). Counts of values (`octavo.features.quantiles`) and hashes
(`octavo.features.distinct`) are those of its own.

The tail is kept in the order of (event time, available at, event id). An event stays in it until it has been known for
longer than any request in flight lasts, because tiles no longer tell when something became known; a reader passes over
events of the tail that were not known at its time. To add an event is thus, most of the time, to append a row. What the
state holds does not depend on the order in which events came. Tiles are dropped when even the newest event's windows no
longer reach them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from octavo.features.distinct import seen_words
from octavo.features.online.compiled import Floats, Words
from octavo.features.online.folding import fold_states
from octavo.features.online.layout import Layout
from octavo.features.online.newest import NEVER
from octavo.features.online.shapes import ROW_HEAD, count_word, seen_word, shape_of, vector_word
from octavo.features.online.soundness import all_sound, damaged, joined
from octavo.features.quantiles import counts_of

_PART_ROWS = 16_384
"""The most rows that are folded at a time, which bounds the memory that it takes."""


class StateCodec:
    """Makes and updates the states of one layout.

    Parameters
    ----------
    layout : Layout
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._shape = shape_of(layout)
        [sizes] = self._shape.shape
        self.row_words = int(sizes["row_words"])
        never = np.full(sizes["tiles"] - sizes["header"], NEVER)
        self._empty = np.concatenate((np.zeros(sizes["header"], np.int64), never)).tobytes()

    def rows(
        self,
        *,
        event_us: Words,
        available_us: Words,
        ids: npt.NDArray[np.uint64],
        values: Floats,
        vectors: Sequence[Floats] = (),
    ) -> Words:
        """Events as rows of a tail.

        Parameters
        ----------
        event_us, available_us : ndarray, shape (n,), int64
        ids : ndarray, shape (n, 2), uint64
            Event ids, most significant word first.
        values : ndarray, shape (n, n_columns), float64
            In the order of the layout's columns; NaN for null.
        vectors : sequence of ndarray, shape (n, length), float64
            In the order of the layout's vectors.

        Returns
        -------
        ndarray, shape (n, row_words), int64, in the given order
        """
        layout, n_columns = self.layout, len(self.layout.columns)
        words = np.zeros((len(event_us), self.row_words), np.int64)
        words[:, 0], words[:, 1] = event_us, available_us
        words[:, 2:ROW_HEAD] = (ids ^ np.uint64(1 << 63)).view(np.int64)
        fields = words.view(np.float64)[:, ROW_HEAD : ROW_HEAD + layout.n_fields]
        known = values == values
        fields[:, 0] = 1
        fields[:, 1 : 1 + n_columns] = known
        fields[:, 1 + n_columns : 1 + 2 * n_columns] = np.where(known, values, 0.0)
        for column in layout.minima:
            at = layout.columns.index(column)
            fields[:, layout.minimum_field(column)] = np.where(known[:, at], values[:, at], np.inf)
        for column in layout.maxima:
            at = layout.columns.index(column)
            fields[:, layout.maximum_field(column)] = np.where(known[:, at], values[:, at], -np.inf)
        for column in layout.quantiles:
            at = layout.columns.index(column)
            words[known[:, at], count_word(layout, column)] = counts_of(values[known[:, at], at])
        for column in layout.distincts:
            at = layout.columns.index(column)
            words[known[:, at], seen_word(layout, column)] = seen_words(values[known[:, at], at])
        for number, vector in enumerate(vectors):
            at = vector_word(layout, number)
            words.view(np.float64)[:, at : at + vector.shape[1]] = vector
        return words

    def update(self, states: Sequence[bytes | None], rows: Words, firsts: Words, *, settled_us: int) -> list[bytes]:
        """The states with further events.

        Parameters
        ----------
        states : sequence of bytes or None
            The states before; None for an entity never seen.
        rows : ndarray, shape (n_rows, row_words), int64
            Events, as made by `rows`, by state and in the order of a tail; none is in its state already.
        firsts : ndarray, shape (n_states + 1,), int64
            Where the rows of each state begin.
        settled_us : int
            No reader asks for a time before this: what was known earlier may be folded into tiles.

        Raises
        ------
        IntegrityError
            If a state is damaged.
        """
        done: list[bytes] = []
        ends = firsts.tolist()
        for begin, end in _parts(ends):
            part: Sequence[bytes | None] = states[begin:end]
            for first in range(ends[begin], max(ends[end], ends[begin] + 1), _PART_ROWS):
                bounds = np.clip(firsts[begin : end + 1], first, first + _PART_ROWS)
                part = self._folded(part, rows, bounds, settled_us)
            done += [state for state in part if state is not None]
        return done

    def _folded(self, states: Sequence[bytes | None], rows: Words, firsts: Words, settled_us: int) -> list[bytes]:
        """The states with the rows between `firsts`, which are few enough to be folded at a time."""
        old = [state or self._empty for state in states]
        words, starts = joined(old)
        if not all_sound(words, starts, self._shape.shape, self._shape.groups):
            raise damaged()
        n_rows = np.diff(firsts) + words[starts[:-1]]
        places = np.concatenate(([0], np.cumsum(np.diff(starts) + n_rows * self._shape.words_per_row)))
        out, lengths = np.empty(places[-1], np.int64), np.empty(len(old), np.int64)
        s = self._shape
        tables = (s.shape, s.groups, s.counted, s.marks, s.fields, s.latest, s.vectors)
        fold_states(words, starts, rows, firsts, settled_us, *tables, out, places, lengths)
        whole = out.data.cast("B")
        at = zip(places.tolist(), lengths.tolist(), strict=False)
        return [bytes(whole[8 * begin : 8 * (begin + length)]) for begin, length in at]


def _parts(ends: list[int]) -> list[tuple[int, int]]:
    """Stretches of states with few enough rows together, or with a single one that has more."""
    parts, begin = [], 0
    for state in range(1, len(ends)):
        if ends[state] - ends[begin] > _PART_ROWS and state - 1 > begin:
            parts.append((begin, state - 1))
            begin = state - 1
    return [*parts, (begin, len(ends) - 1)] if len(ends) > 1 else parts
