"""Where things stand in states, as tables that compiled loops read; made from the layout of the states."""

from dataclasses import dataclass

import numpy as np

from octavo.features.online.compiled import Table, Words, table
from octavo.features.online.layout import Layout, TileGroup

ROW_HEAD = 4
"""Words of a tail row before its fields: event time, available at, event id."""
LATEST_WORDS = 5

ADDED, DEVIATION, LEAST, GREATEST = range(4)
"""How two rows of fields merge."""

SHAPE = table("header", "n_counts", "tiles", "n_fields", "row_words", "group", "n_groups")
"""Of a layout: words of the header and before the first tile, how many there are of what, the first of its groups."""
GROUP = table("tile_us", "retention_us", "counted", "n_quantiles", "n_distincts", "marked", "n_decays", "n_oldest")
"""`counted` is the first of its columns of words in a table of their places in rows, quantiles before distincts;
`marked` is the first of its decayed sums in a table of `MARK`, before those of which the oldest value is kept."""
FIELD = table("kind", "n", "total")
LATEST = table("n", "total", "depth")
"""`depth` is how many of the newest values are kept."""
MARK = table("n", "total", "half_life_us")
VECTOR = table("n", "word", "length")
"""`word` is the place of its first number in a row."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """The tables of one layout.

    Attributes
    ----------
    shape : Table, shape (1,), `SHAPE`
    groups : Table, shape (n_groups,), `GROUP`
    counted : ndarray, shape (n,), int64
        Places in a row of the words that groups collect.
    marks : Table, shape (n,), `MARK`
    fields : Table, shape (n_fields,), `FIELD`
    latest : Table, shape (n_columns,), `LATEST`
    vectors : Table, shape (n_vectors,), `VECTOR`
    words_per_row : int
        The most that one more row makes a state grow.
    """

    shape: Table
    groups: Table
    counted: Words
    marks: Table
    fields: Table
    latest: Table
    vectors: Table
    words_per_row: int


def shape_of(layout: Layout) -> Shape:
    """The tables of a layout."""
    n_counted = [len(group.quantiles) + len(group.distincts) for group in layout.groups]
    row_words = ROW_HEAD + layout.n_fields + len(layout.quantiles) + len(layout.distincts)
    row_words += sum(vector.length for vector in layout.vectors)
    header = _header(layout)
    n_counts = 1 + len(layout.columns)
    tiles = kept_vector(layout, len(layout.vectors))
    sizes = (header, n_counts, tiles, layout.n_fields, row_words, 0, len(layout.groups))
    tile_words = [1 + layout.n_fields + len(g.decays) + LATEST_WORDS * len(g.oldest) for g in layout.groups]
    return Shape(
        shape=np.array([sizes], SHAPE),
        groups=_groups(layout),
        counted=np.array([word for group in layout.groups for word in _counted(layout, group)], np.int64),
        marks=np.array([mark for group in layout.groups for mark in _marks(layout, group)], MARK),
        fields=_fields(layout),
        latest=np.array([(layout.count_field(c), layout.sum_field(c), layout.depth(c)) for c in layout.latest], LATEST),
        vectors=np.array(
            [(layout.count_field(v.column), vector_word(layout, n), v.length) for n, v in enumerate(layout.vectors)],
            VECTOR,
        ),
        words_per_row=row_words + sum(tile_words) + 2 * sum(n_counted),
    )


def _groups(layout: Layout) -> Table:
    groups, counted, marked = [], 0, 0
    for group in layout.groups:
        n_counted = len(group.quantiles), len(group.distincts)
        n_marked = len(group.decays), len(group.oldest)
        spans = group.tile_s * 1_000_000, group.retention_s * 1_000_000
        groups.append((*spans, counted, *n_counted, marked, *n_marked))
        counted, marked = counted + sum(n_counted), marked + sum(n_marked)
    return np.array(groups, GROUP)


def _marks(layout: Layout, group: TileGroup) -> list[tuple[int, int, int]]:
    decays = [
        (layout.count_field(d.column or None), layout.sum_field(d.column) if d.column else 0, d.half_life_s * 1_000_000)
        for d in group.decays
    ]
    return decays + [(layout.count_field(column), layout.sum_field(column), 0) for column in group.oldest]


def _counted(layout: Layout, group: TileGroup) -> list[int]:
    return [count_word(layout, c) for c in group.quantiles] + [seen_word(layout, c) for c in group.distincts]


def _fields(layout: Layout) -> Table:
    fields = np.zeros(layout.n_fields, FIELD)
    for column in layout.deviations:
        of = layout.count_field(column), layout.sum_field(column)
        fields[layout.deviation_field(column)] = (DEVIATION, *of)
    fields["kind"][[layout.minimum_field(column) for column in layout.minima]] = LEAST
    fields["kind"][[layout.maximum_field(column) for column in layout.maxima]] = GREATEST
    return fields


def count_word(layout: Layout, column: str) -> int:
    """Place of a column's count in a row of a tail; the word there is 0 where the column is null."""
    return ROW_HEAD + layout.n_fields + layout.quantiles.index(column)


def seen_word(layout: Layout, column: str) -> int:
    """Place of a distinct column's hash in a row of a tail; the word there is 0 where the column is null."""
    return ROW_HEAD + layout.n_fields + len(layout.quantiles) + layout.distincts.index(column)


def vector_word(layout: Layout, number: int) -> int:
    """Place of a vector's first number in a row of a tail; the vector is given by its place in the layout."""
    before = sum(vector.length for vector in layout.vectors[:number])
    return ROW_HEAD + layout.n_fields + len(layout.quantiles) + len(layout.distincts) + before


def kept_vector(layout: Layout, number: int) -> int:
    """Place in a state of the newest vector of a column, its head first; behind the last is the first tile."""
    before = sum(ROW_HEAD + vector.length for vector in layout.vectors[:number])
    return _header(layout) + 1 + len(layout.columns) + LATEST_WORDS * layout.n_newest + before


def _header(layout: Layout) -> int:
    return 1 + sum(1 + len(group.quantiles) + len(group.distincts) for group in layout.groups)
