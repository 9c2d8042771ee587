"""The online state of one entity in one feature view.

A state is a string of 64-bit words, so that it is read in place, without parsing:

    header    rows in the tail; tiles of each group; value counts of each group's quantile columns
    newest    newest event time per count field
    latest    per column: event time, available at, event id (2 words), value
    groups    per group: tile numbers, rows of fields; per quantile column where each tile's counts start, and counts
    tail      events not yet folded into tiles: event time, available at, event id (2 words), then a row of fields

The tail is kept in the order of (event time, available at, event id). An event stays in it until it has been known for
longer than any request in flight lasts, because tiles no longer tell when something became known; a reader passes over
events of the tail that were not known at its time. To add an event is thus, most of the time, to append a row. What the
state holds does not depend on the order in which events came. Tiles are dropped when even the newest event's windows no
longer reach them.

A count is one word: the upper half of the value's bits (a value rounded to seven bits needs no more) and how often.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.features.layout import Layout, TileGroup
from octavo.features.quantiles import rounded

Words = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NEVER = -(2**63)
ROW_HEAD = 4
"""Words of a tail row before its fields."""

_FOLD_AT = 32
_COUNT_BITS = np.int64(0xFFFF_FFFF)
_SECOND_US = 1_000_000


@dataclass(slots=True)
class Tiles:
    """The tiles of one group, ascending.

    Attributes
    ----------
    numbers : ndarray, shape (n_tiles,), int64
        Start of each tile since 1970 in tiles.
    fields : ndarray, shape (n_tiles, n_fields), float64
    counts : list of (starts, words) per quantile column
        `starts`, shape (n_tiles,), int64: where each tile's counts begin in `words`.
    """

    numbers: Words
    fields: Floats
    counts: list[tuple[Words, Words]]


@dataclass(slots=True)
class State:
    """A decoded state; its arrays are views of the bytes that it came from."""

    newest: Words
    latest: Words
    groups: list[Tiles]
    tail: Words


class StateCodec:
    """Reads and updates the states of one layout.

    Parameters
    ----------
    layout : Layout
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.n_fields = layout.n_fields
        self.row_words = ROW_HEAD + layout.n_fields
        self._n_counts = 1 + len(layout.columns)
        self._n_header = 1 + sum(1 + len(group.quantiles) for group in layout.groups)

    def decode(self, data: bytes) -> State:
        """The arrays of a state, without copying."""
        words: Words = np.frombuffer(data, np.int64)
        floats: Floats = np.frombuffer(data, np.float64)
        header = iter(words[: self._n_header].tolist())
        n_tail = next(header)
        at = self._n_header
        newest = words[at : at + self._n_counts]
        at += self._n_counts
        n_latest = len(self.layout.latest)
        latest = words[at : at + 5 * n_latest].reshape(n_latest, 5)
        at += 5 * n_latest
        groups = []
        for group in self.layout.groups:
            n = next(header)
            numbers = words[at : at + n]
            at += n
            fields = floats[at : at + n * self.n_fields].reshape(n, self.n_fields)
            at += n * self.n_fields
            counts = []
            for _ in group.quantiles:
                m = next(header)
                counts.append((words[at : at + n], words[at + n : at + n + m]))
                at += n + m
            groups.append(Tiles(numbers, fields, counts))
        return State(newest, latest, groups, words[at:].reshape(n_tail, self.row_words))

    def rows(self, *, event_us: Words, available_us: Words, ids: npt.NDArray[np.uint64], values: Floats) -> Words:
        """Events as rows of a tail.

        Parameters
        ----------
        event_us, available_us : ndarray, shape (n,), int64
        ids : ndarray, shape (n, 2), uint64
            Event ids, most significant word first.
        values : ndarray, shape (n, n_columns), float64
            In the order of the layout's columns; NaN for null.

        Returns
        -------
        ndarray, shape (n, row_words), int64, ascending by event time, available at and event id
        """
        layout, n_columns = self.layout, len(self.layout.columns)
        words = np.zeros((len(event_us), self.row_words), np.int64)
        words[:, 0], words[:, 1] = event_us, available_us
        words[:, 2:ROW_HEAD] = (ids ^ np.uint64(1 << 63)).view(np.int64)
        fields = words.view(np.float64)[:, ROW_HEAD:]
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
        return words if len(words) == 1 else _sorted(words)

    def update(self, data: bytes | None, rows: Words, *, settled_us: int) -> bytes:
        """The state with further events.

        Parameters
        ----------
        data : bytes or None
            The state before; None for an entity never seen.
        rows : ndarray, shape (n, row_words), int64
            Events, as made by `rows`, none of which is in the state.
        settled_us : int
            No reader asks for a time before this: what was known earlier may be folded into tiles.
        """
        if data is None:
            return self._fold(None, rows, settled_us)
        n_tail = int.from_bytes(data[:8], "little")
        if n_tail + len(rows) <= _FOLD_AT:
            return self._append(data, n_tail, rows)
        state = self.decode(data)
        return self._fold(state, _sorted(np.concatenate((state.tail, rows))), settled_us)

    def _append(self, data: bytes, n_tail: int, rows: Words) -> bytes:
        cut = len(data) - 8 * n_tail * self.row_words
        tail, added = data[cut:], rows.tobytes()
        if n_tail:
            last: tuple[int, ...] = tuple(np.frombuffer(tail, np.int64)[-self.row_words :][:ROW_HEAD].tolist())
            if tuple(rows[0, :ROW_HEAD].tolist()) < last:
                merged = np.frombuffer(tail + added, np.int64).reshape(-1, self.row_words)
                tail, added = _sorted(merged).tobytes(), b""
        return b"".join(((n_tail + len(rows)).to_bytes(8, "little"), data[8:cut], tail, added))

    def _fold(self, state: State | None, rows: Words, settled_us: int) -> bytes:
        settled = rows[:, 1] < settled_us
        tail, rows = rows[~settled], rows[settled]
        newest = np.full(self._n_counts, NEVER) if state is None else state.newest.copy()
        latest = np.full((len(self.layout.latest), 5), NEVER) if state is None else state.latest.copy()
        if len(rows):
            self._renew(newest, latest, rows)
        header, body = [len(tail)], [newest, latest.ravel()]
        for place, group in enumerate(self.layout.groups):
            tiles = self._fold_group(group, None if state is None else state.groups[place], rows, int(newest[0]))
            header += [len(tiles.numbers), *(len(words) for _, words in tiles.counts)]
            body += [tiles.numbers, tiles.fields.ravel().view(np.int64)]
            body += [part for counts in tiles.counts for part in counts]
        return np.concatenate([np.array(header, np.int64), *body, tail.ravel()]).tobytes()

    def _renew(self, newest: Words, latest: Words, rows: Words) -> None:
        """Take over the newest times and latest values among rows, which are in order."""
        fields = rows.view(np.float64)[:, ROW_HEAD:]
        last = last_known(fields[:, : self._n_counts] > 0)
        for place, row in enumerate(last):
            if row >= 0:
                newest[place] = max(newest[place], rows[row, 0])
        for place, column in enumerate(self.layout.latest):
            row = last[self.layout.count_field(column)]
            if row >= 0 and tuple(rows[row, :ROW_HEAD]) > tuple(latest[place, :ROW_HEAD]):
                latest[place, :ROW_HEAD] = rows[row, :ROW_HEAD]
                latest[place, ROW_HEAD] = rows[row, ROW_HEAD + self.layout.sum_field(column)]

    def _fold_group(self, group: TileGroup, tiles: Tiles | None, rows: Words, newest_us: int) -> Tiles:
        tile_us = group.tile_s * _SECOND_US
        oldest = (newest_us - group.retention_s * _SECOND_US) // tile_us if newest_us != NEVER else NEVER
        numbers, fields = rows[:, 0] // tile_us, rows.view(np.float64)[:, ROW_HEAD:]
        first = int(numbers.searchsorted(oldest))
        numbers, fields = numbers[first:], fields[first:]
        quantiles = [(numbers, fields, column) for column in group.quantiles]
        counted = [_count(*given, layout=self.layout) for given in quantiles]
        if tiles is not None:
            kept = int(tiles.numbers.searchsorted(oldest))
            counted = [
                _kept_counts(tiles.numbers, kept, old, new) for old, new in zip(tiles.counts, counted, strict=True)
            ]
            numbers = np.concatenate((tiles.numbers[kept:], numbers))
            fields = np.concatenate((tiles.fields[kept:], fields))
        numbers, fields = self._merge(numbers, fields)
        return Tiles(numbers, fields, [_merge_counts(numbers, *given) for given in counted])

    def _merge(self, numbers: Words, fields: Floats) -> tuple[Words, Floats]:
        """One row per tile."""
        if not len(numbers):
            return numbers, fields
        order = np.argsort(numbers, kind="stable")
        numbers, fields = numbers[order], fields[order]
        first = np.flatnonzero(np.concatenate(([True], numbers[1:] != numbers[:-1])))
        layout = self.layout
        merged: Floats = np.add.reduceat(fields, first, axis=0)
        lengths = np.diff(np.append(first, len(numbers)))
        for column in layout.deviations:
            n, total = layout.count_field(column), layout.sum_field(column)
            mean = np.repeat(merged[:, total] / np.maximum(merged[:, n], 1), lengths)
            own = fields[:, total] / np.maximum(fields[:, n], 1)
            spread = fields[:, layout.deviation_field(column)] + fields[:, n] * (own - mean) ** 2
            merged[:, layout.deviation_field(column)] = np.add.reduceat(spread, first)
        for column in layout.minima:
            place = layout.minimum_field(column)
            merged[:, place] = np.minimum.reduceat(fields[:, place], first)
        for column in layout.maxima:
            place = layout.maximum_field(column)
            merged[:, place] = np.maximum.reduceat(fields[:, place], first)
        return numbers[first], merged


def last_known(known: npt.NDArray[np.bool_]) -> list[int]:
    """Per column, the last row that is true; -1 if none."""
    n = len(known)
    if not n:
        return [-1] * known.shape[1]
    last: list[int] = (n - 1 - known[::-1].argmax(axis=0)).tolist()
    return [row if known[row, column] else -1 for column, row in enumerate(last)]


def counted_values(words: Words) -> tuple[Floats, Words]:
    """Values and how often each stands, from the words of counts."""
    return (words & ~_COUNT_BITS).view(np.float64), words & _COUNT_BITS


def _sorted(rows: Words) -> Words:
    return rows[np.lexsort((rows[:, 3], rows[:, 2], rows[:, 1], rows[:, 0]))]


def _count(numbers: Words, fields: Floats, column: str, *, layout: Layout) -> tuple[Words, Words]:
    """Tile numbers of a column's values, and the values as counts of one."""
    known = fields[:, layout.count_field(column)] > 0
    values = rounded(fields[known, layout.sum_field(column)]) + 0.0
    return numbers[known], (values.view(np.int64) & ~_COUNT_BITS) | 1


def _kept_counts(
    numbers: Words, kept: int, old: tuple[Words, Words], new: tuple[Words, Words]
) -> tuple[Words, Words]:
    """Old counts of the tiles that are kept, with their tile numbers, and new ones."""
    starts, words = old
    lengths = np.diff(np.append(starts, len(words)))[kept:]
    begin = int(starts[kept]) if kept < len(starts) else len(words)
    return np.concatenate((np.repeat(numbers[kept:], lengths), new[0])), np.concatenate((words[begin:], new[1]))


def _merge_counts(tiles: Words, numbers: Words, words: Words) -> tuple[Words, Words]:
    """Counts by tile and value, equal ones added up, and where each tile's begin."""
    values: Any = words & ~_COUNT_BITS
    order = np.lexsort((values, numbers))
    numbers, values, words = numbers[order], values[order], words[order]
    if len(numbers):
        fresh = np.concatenate(([True], (numbers[1:] != numbers[:-1]) | (values[1:] != values[:-1])))
        first = np.flatnonzero(fresh)
        numbers, words = numbers[first], values[first] | np.add.reduceat(words & _COUNT_BITS, first)
    return numbers.searchsorted(tiles), words
