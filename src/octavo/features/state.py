"""The online state of one entity in one feature view.

A state is a string of 64-bit words, so that it is read in place, without parsing:

    header    rows in the tail; tiles of each group; words of each group's quantile and distinct columns
    newest    newest event time per count field
    latest    per column: event time, available at, event id (2 words), value
    groups    per group: tile numbers, rows of fields; per quantile column where each tile's counts start, and counts;
              per distinct column where each tile's hashes start, and hashes
    tail      events not yet folded into tiles: event time, available at, event id (2 words), a row of fields, per
              column of quantiles a count of its value, and per distinct column a hash

A tile's row of fields is that of its own events and of all later ones merged, so that a window is read from one row:
that of the first tile at or after its far edge. Counts of values (`octavo.features.quantiles`) and hashes
(`octavo.features.distinct`) are those of its own.

The tail is kept in the order of (event time, available at, event id). An event stays in it until it has been known for
longer than any request in flight lasts, because tiles no longer tell when something became known; a reader passes over
events of the tail that were not known at its time. To add an event is thus, most of the time, to append a row. What the
state holds does not depend on the order in which events came. Tiles are dropped when even the newest event's windows no
longer reach them.
"""

from dataclasses import dataclass
from struct import Struct

import numpy as np
import numpy.typing as npt

from octavo.features.distinct import KEPT, seen_words
from octavo.features.layout import Layout, TileGroup
from octavo.features.quantiles import TIMES, counts_of

Words = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NEVER = -(2**63)
ROW_HEAD = 4
"""Words of a tail row before its fields."""
LATEST_WORDS = 5

_HEAD = Struct(f"={ROW_HEAD}q")
_FOLD_AT = 32
_SECOND_US = 1_000_000


@dataclass(slots=True)
class GroupPlaces:
    """Where the parts of a group begin, in words, and how many tiles there are.

    Attributes
    ----------
    counts : list of (starts, words, n_words) per quantile column and then per distinct column
    """

    n_tiles: int
    numbers: int
    fields: int
    counts: list[tuple[int, int, int]]


@dataclass(slots=True)
class Places:
    """Where the parts of a state begin, in words."""

    newest: int
    latest: int
    groups: list[GroupPlaces]
    tail: int
    n_tail: int


@dataclass(slots=True)
class Tiles:
    """The tiles of one group, ascending.

    Attributes
    ----------
    numbers : ndarray, shape (n_tiles,), int64
        Start of each tile since 1970 in tiles.
    fields : ndarray, shape (n_tiles, n_fields), float64
        Of each tile and all later ones, merged.
    counts : list of (starts, words) per quantile column and then per distinct column
        `starts`, shape (n_tiles,), int64: where each tile's own words begin in `words`.
    """

    numbers: Words
    fields: Floats
    counts: list[tuple[Words, Words]]


class StateCodec:
    """Reads and updates the states of one layout.

    Parameters
    ----------
    layout : Layout
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.n_fields = layout.n_fields
        self.n_counts = 1 + len(layout.columns)
        self.row_words = ROW_HEAD + layout.n_fields + len(layout.quantiles) + len(layout.distincts)
        self._n_counted = [len(group.quantiles) + len(group.distincts) for group in layout.groups]
        self._n_header = 1 + sum(1 + n for n in self._n_counted)
        never = np.full(self.n_counts + LATEST_WORDS * len(layout.latest), NEVER)
        self._empty = np.concatenate((np.zeros(self._n_header, np.int64), never)).tobytes()
        self._nothing = np.zeros((1, layout.n_fields))
        self._nothing[0, [layout.minimum_field(column) for column in layout.minima]] = np.inf
        self._nothing[0, [layout.maximum_field(column) for column in layout.maxima]] = -np.inf

    def places(self, words: memoryview) -> Places:
        """Where everything lies in a state, given as a memoryview of int64."""
        header = words[: self._n_header].tolist()
        newest = self._n_header
        latest = newest + self.n_counts
        at = latest + LATEST_WORDS * len(self.layout.latest)
        groups, entry = [], 1
        for n_counted in self._n_counted:
            n = header[entry]
            numbers, fields = at, at + n
            at = fields + n * self.n_fields
            counts = []
            for m in header[entry + 1 : entry + 1 + n_counted]:
                counts.append((at, at + n, m))
                at += n + m
            entry += 1 + n_counted
            groups.append(GroupPlaces(n, numbers, fields, counts))
        return Places(newest, latest, groups, at, header[0])

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
        ndarray, shape (n, row_words), int64, in the given order
        """
        layout, n_columns = self.layout, len(self.layout.columns)
        words = np.zeros((len(event_us), self.row_words), np.int64)
        words[:, 0], words[:, 1] = event_us, available_us
        words[:, 2:ROW_HEAD] = (ids ^ np.uint64(1 << 63)).view(np.int64)
        fields = self.fields(words)
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
            words[known[:, at], self.count_word(column)] = counts_of(values[known[:, at], at])
        for column in layout.distincts:
            at = layout.columns.index(column)
            words[known[:, at], self.seen_word(column)] = seen_words(values[known[:, at], at])
        return words

    def fields(self, rows: Words) -> Floats:
        """The fields of rows of a tail, without copying."""
        return rows.view(np.float64)[:, ROW_HEAD : ROW_HEAD + self.n_fields]

    def count_word(self, column: str) -> int:
        """Place of a column's count in a row of a tail; the word there is 0 where the column is null."""
        return ROW_HEAD + self.n_fields + self.layout.quantiles.index(column)

    def seen_word(self, column: str) -> int:
        """Place of a distinct column's hash in a row of a tail; the word there is 0 where the column is null."""
        return ROW_HEAD + self.n_fields + len(self.layout.quantiles) + self.layout.distincts.index(column)

    def update(self, data: bytes | None, rows: Words, *, settled_us: int) -> bytes:
        """The state with further events.

        Parameters
        ----------
        data : bytes or None
            The state before; None for an entity never seen.
        rows : ndarray, shape (n, row_words), int64
            Events, as made by `rows`, in the order of a tail, none of which is in the state.
        settled_us : int
            No reader asks for a time before this: what was known earlier may be folded into tiles.
        """
        data = data or self._empty
        n_tail = int.from_bytes(data[:8], "little")
        if n_tail + len(rows) <= _FOLD_AT:
            return self._append(data, n_tail, rows)
        return self._fold(data, rows, settled_us)

    def _append(self, data: bytes, n_tail: int, rows: Words) -> bytes:
        cut = len(data) - 8 * n_tail * self.row_words
        if n_tail and rows[0, :ROW_HEAD].tolist() < list(_HEAD.unpack_from(data, len(data) - 8 * self.row_words)):
            rows = _joined(np.frombuffer(data, np.int64, offset=cut).reshape(-1, self.row_words), rows)
            return b"".join((len(rows).to_bytes(8, "little"), data[8:cut], rows.tobytes()))
        return b"".join(((n_tail + len(rows)).to_bytes(8, "little"), data[8:], rows.tobytes()))

    def _fold(self, data: bytes, rows: Words, settled_us: int) -> bytes:
        words: Words = np.frombuffer(data, np.int64)
        places = self.places(memoryview(data).cast("q"))
        rows = _joined(words[places.tail :].reshape(-1, self.row_words), rows)
        settled = rows[:, 1] < settled_us
        tail, rows = rows[~settled], rows[settled]
        newest = words[places.newest : places.latest].copy()
        latest = words[places.latest :][: LATEST_WORDS * len(self.layout.latest)].reshape(-1, LATEST_WORDS).copy()
        if len(rows):
            self._renew(newest, latest, rows)
        header, body = [len(tail)], [newest, latest.ravel()]
        for group, at in zip(self.layout.groups, places.groups, strict=True):
            tiles = self._fold_group(group, self._tiles(words, at), rows, int(newest[0]))
            header += [len(tiles.numbers), *(len(counts) for _, counts in tiles.counts)]
            body += [tiles.numbers, tiles.fields.ravel().view(np.int64)]
            body += [part for counts in tiles.counts for part in counts]
        return np.concatenate([np.array(header, np.int64), *body, tail.ravel()]).tobytes()

    def _tiles(self, words: Words, at: GroupPlaces) -> Tiles:
        fields = words[at.fields : at.fields + at.n_tiles * self.n_fields].view(np.float64)
        return Tiles(
            words[at.numbers : at.fields],
            fields.reshape(at.n_tiles, self.n_fields),
            [(words[starts:counts], words[counts : counts + m]) for starts, counts, m in at.counts],
        )

    def _renew(self, newest: Words, latest: Words, rows: Words) -> None:
        """Take over the newest times and latest values among rows, which are in order."""
        last = last_known(self.fields(rows)[:, : self.n_counts])
        for place, row in enumerate(last):
            if row >= 0:
                newest[place] = max(newest[place], rows[row, 0])
        for place, column in enumerate(self.layout.latest):
            row = last[self.layout.count_field(column)]
            if row >= 0 and tuple(rows[row, :ROW_HEAD]) > tuple(latest[place, :ROW_HEAD]):
                latest[place, :ROW_HEAD] = rows[row, :ROW_HEAD]
                latest[place, ROW_HEAD] = rows[row, ROW_HEAD + self.layout.sum_field(column)]

    def _fold_group(self, group: TileGroup, tiles: Tiles, rows: Words, newest_us: int) -> Tiles:
        tile_us = group.tile_s * _SECOND_US
        oldest = (newest_us - group.retention_s * _SECOND_US) // tile_us if newest_us != NEVER else NEVER
        numbers, fields = rows[:, 0] // tile_us, self.fields(rows)
        first, kept = int(numbers.searchsorted(oldest)), int(tiles.numbers.searchsorted(oldest))
        numbers, fields, rows = numbers[first:], fields[first:], rows[first:]
        counting = [(self.count_word(column), _merge_counts) for column in group.quantiles]
        counting += [(self.seen_word(column), _merge_seen) for column in group.distincts]
        counted = [
            (merge, _with_kept((numbers, rows[:, word]), tiles.numbers, counts, kept))
            for (word, merge), counts in zip(counting, tiles.counts, strict=True)
        ]
        numbers, fields = self._from_tile_on(numbers, fields)
        union = np.sort(np.concatenate((tiles.numbers[kept:], numbers)), kind="stable")
        union = union[_firsts(union)]
        merged = self._merged(
            np.concatenate((tiles.fields, self._nothing))[tiles.numbers.searchsorted(union)],
            np.concatenate((fields, self._nothing))[numbers.searchsorted(union)],
        )
        return Tiles(union, merged, [merge(union, *given) for merge, given in counted])

    def _from_tile_on(self, numbers: Words, fields: Floats) -> tuple[Words, Floats]:
        """For each tile of events in order, its events and all later ones merged."""
        layout = self.layout
        first = _firsts(numbers)
        merged: Floats = np.add.accumulate(fields[::-1], axis=0)[::-1][first]
        for column in layout.deviations:
            n, total = layout.count_field(column), layout.sum_field(column)
            merged[:, layout.deviation_field(column)] = _deviations(fields[:, n], fields[:, total])[first]
        for column in layout.minima:
            place = layout.minimum_field(column)
            merged[:, place] = np.minimum.accumulate(fields[::-1, place])[::-1][first]
        for column in layout.maxima:
            place = layout.maximum_field(column)
            merged[:, place] = np.maximum.accumulate(fields[::-1, place])[::-1][first]
        return numbers[first], merged

    def _merged(self, left: Floats, right: Floats) -> Floats:
        """Rows of fields, each merged with its counterpart."""
        layout = self.layout
        merged = left + right
        for column in layout.deviations:
            n, total, deviation = layout.count_field(column), layout.sum_field(column), layout.deviation_field(column)
            mine, other = np.maximum(left[:, n], 1), np.maximum(right[:, n], 1)
            apart = left[:, total] / mine - right[:, total] / other
            weight = left[:, n] * right[:, n] / np.maximum(merged[:, n], 1)
            merged[:, deviation] += apart * apart * weight
        for column in layout.minima:
            place = layout.minimum_field(column)
            merged[:, place] = np.minimum(left[:, place], right[:, place])
        for column in layout.maxima:
            place = layout.maximum_field(column)
            merged[:, place] = np.maximum(left[:, place], right[:, place])
        return merged


def last_known(counts: Floats) -> list[int]:
    """Per count field of one or more rows in order, the last row that has a value; -1 if none."""
    n, width = counts.shape
    if 0.0 not in counts[-1].tolist():
        return [n - 1] * width
    known = counts > 0
    last: list[int] = (n - 1 - known[::-1].argmax(axis=0)).tolist()
    return [row if known[row, column] else -1 for column, row in enumerate(last)]


def _joined(earlier: Words, later: Words) -> Words:
    """Rows of two parts, each in order, in order."""
    rows = np.concatenate((earlier, later))
    if not len(earlier) or earlier[-1, :ROW_HEAD].tolist() < later[0, :ROW_HEAD].tolist():
        return rows
    return rows[np.lexsort((rows[:, 3], rows[:, 2], rows[:, 1], rows[:, 0]))]


def _firsts(ascending: Words) -> npt.NDArray[np.intp]:
    """The places at which another number stands for the first time."""
    fresh = np.ones(len(ascending), np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=fresh[1:])
    return np.flatnonzero(fresh)


def _deviations(known: Floats, values: Floats) -> Floats:
    """Squared deviations from their mean of each row's and all later values (Welford, 1962)."""
    n, mean, squared = 0, 0.0, 0.0
    deviations = np.empty(len(values))
    for row in range(len(values) - 1, -1, -1):
        if known[row]:
            n += 1
            apart = values[row] - mean
            mean += apart / n
            squared += apart * (values[row] - mean)
        deviations[row] = squared
    return deviations


def _with_kept(new: tuple[Words, Words], numbers: Words, old: tuple[Words, Words], kept: int) -> tuple[Words, Words]:
    """New counts and those of the tiles from place `kept` on, with their tile numbers."""
    starts, words = old
    lengths = np.diff(np.append(starts, len(words)))[kept:]
    begin = int(starts[kept]) if kept < len(starts) else len(words)
    return np.concatenate((np.repeat(numbers[kept:], lengths), new[0])), np.concatenate((words[begin:], new[1]))


def _merge_counts(tiles: Words, numbers: Words, words: Words) -> tuple[Words, Words]:
    """Counts by tile and value, equal ones added up, and where each tile's begin."""
    counting = words != 0
    numbers, words = numbers[counting], words[counting]
    order = np.lexsort((words, numbers))
    numbers, words = numbers[order], words[order]
    if len(numbers):
        values = words & ~TIMES
        fresh = np.concatenate(([True], (numbers[1:] != numbers[:-1]) | (values[1:] != values[:-1])))
        first = np.flatnonzero(fresh)
        numbers, words = numbers[first], values[first] | np.add.reduceat(words & TIMES, first)
    return numbers.searchsorted(tiles), words


def _merge_seen(tiles: Words, numbers: Words, words: Words) -> tuple[Words, Words]:
    """The smallest hashes of each tile, each once, and where each tile's begin."""
    seen = words != 0
    numbers, words = numbers[seen], words[seen]
    order = np.lexsort((words, numbers))
    numbers, words = numbers[order], words[order]
    fresh = np.ones(len(words), np.bool_)
    fresh[1:] = (numbers[1:] != numbers[:-1]) | (words[1:] != words[:-1])
    numbers, words = numbers[fresh], words[fresh]
    few = np.arange(len(words)) - numbers.searchsorted(numbers) < KEPT
    numbers, words = numbers[few], words[few]
    return numbers.searchsorted(tiles), words
