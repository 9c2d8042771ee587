"""From events to the states that they change."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from octavo.definitions.sources import Source
from octavo.features.composite import entity_column
from octavo.features.events.payloads import EVENT_ID, micros
from octavo.features.measures import measured, vectors_of
from octavo.features.online.compiled import Words
from octavo.features.online.keys import Generation, entity_key
from octavo.features.online.state import StateCodec

READ_LAG_S = 2
"""How far behind the clock a request in flight may still read; what was known earlier may be folded into tiles."""


@dataclass(frozen=True, slots=True)
class EntityRows:
    """Events as rows of states (see `StateCodec.rows`), and the entity key of each, null for no entity."""

    keys: pa.Array
    rows: Words


@dataclass(frozen=True, slots=True)
class Grouped:
    """Rows of events by the state that they change.

    Attributes
    ----------
    keys : list of bytes
        The store's keys of the states.
    rows : ndarray, shape (n, row_words), int64
    firsts : ndarray, shape (n_keys + 1,), int64
        Where the rows of each begin.
    """

    keys: list[bytes]
    rows: Words
    firsts: Words


class StateUpdater:
    """Applies events to the states of one generation.

    Parameters
    ----------
    generation : Generation
    source : Source
        As declared now; a column that it no longer has counts as null.
    """

    def __init__(self, generation: Generation, source: Source) -> None:
        self.generation = generation
        self._source = source
        self._codec = StateCodec(generation.layout)

    def rows(self, events: pa.RecordBatch) -> EntityRows:
        """Events as rows of states.

        Parameters
        ----------
        events : RecordBatch
            Columns of the source, and ``_event_id``.
        """
        columns = self.generation.layout.columns
        values = np.empty((events.num_rows, len(columns)))
        for place, column in enumerate(columns):
            values[:, place] = measured(column, events)
        vectors = []
        for kept in self.generation.layout.vectors:
            vector = vectors_of(kept.column, events, length=kept.length)
            values[np.isnan(vector[:, 0]), columns.index(kept.column)] = np.nan
            vectors.append(vector)
        event_id = events.column(EVENT_ID).cast(pa.binary(16))
        ids = np.frombuffer(event_id.buffers()[1], ">u8")[2 * event_id.offset :][: 2 * len(event_id)]
        rows = self._codec.rows(
            event_us=micros(events.column(self._source.event_time)),
            available_us=micros(events.column(self._source.available_at)),
            ids=ids.astype(np.uint64).reshape(-1, 2),
            values=values,
            vectors=vectors,
        )
        return EntityRows(entity_column(events, self.generation.keys), rows)

    def group(self, parts: Sequence[EntityRows]) -> Grouped:
        """Rows by the state that they change, and in the order of a tail."""
        of_types: dict[pa.DataType, list[EntityRows]] = {}  # a source's key may have been of another type once
        for part in parts:
            of_types.setdefault(part.keys.type, []).append(part)
        grouped = [self._grouped(of_type) for kind, of_type in of_types.items() if not pa.types.is_null(kind)]
        if len(grouped) == 1:
            return grouped[0]
        return Grouped(
            [key for group in grouped for key in group.keys],
            np.concatenate([np.empty((0, self._codec.row_words), np.int64), *(group.rows for group in grouped)]),
            np.cumsum(np.concatenate([[0], *(np.diff(group.firsts) for group in grouped)])),
        )

    def _grouped(self, parts: Sequence[EntityRows]) -> Grouped:
        keys = pa.concat_arrays([part.keys for part in parts]).dictionary_encode()
        rows = np.concatenate([part.rows for part in parts])
        entities = keys.indices.fill_null(-1).to_numpy()
        order = _in_order(rows)
        order = order[entities[order].argsort(kind="stable")][keys.null_count :]
        prefix = self.generation.prefix
        return Grouped(
            [prefix + entity_key(name) for name in keys.dictionary.to_pylist()],
            rows[order],
            np.concatenate(([0], np.cumsum(np.bincount(entities[order], minlength=len(keys.dictionary))))),
        )

    def update(self, group: Grouped, found: Sequence[bytes | None], *, now_us: int) -> dict[bytes, bytes | None]:
        """The states after their rows, given the states before in the order of the group's keys."""
        settled_us = now_us - READ_LAG_S * 1_000_000
        states = self._codec.update(found, group.rows, group.firsts, settled_us=settled_us)
        return dict(zip(group.keys, states, strict=True))


def _in_order(rows: Words) -> npt.NDArray[np.intp]:
    """The order of a tail; most events are alone at their time, which is what is sorted by first."""
    order = rows[:, 0].argsort(kind="stable")
    times = rows[order, 0]
    if (times[1:] == times[:-1]).any():
        return np.lexsort((rows[:, 3], rows[:, 2], rows[:, 1], rows[:, 0]))
    return order
