"""From events to the states that they change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from octavo.definitions.sources import Source
from octavo.features.keys import Generation, entity_key
from octavo.features.measures import measured
from octavo.features.payloads import EVENT_ID, micros
from octavo.features.state import StateCodec, Words

READ_LAG_S = 2
"""How far behind the clock a request in flight may still read; what was known earlier may be folded into tiles."""


@dataclass(frozen=True, slots=True)
class EntityRows:
    """Events as rows of states (see `StateCodec.rows`), and the entity key of each, null for no entity."""

    keys: pa.Array
    rows: Words


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
        names = events.schema.names
        columns = self.generation.layout.columns
        values = np.empty((events.num_rows, len(columns)))
        for place, column in enumerate(columns):
            values[:, place] = measured(column, events)
        event_id = events.column(EVENT_ID).cast(pa.binary(16))
        ids = np.frombuffer(event_id.buffers()[1], ">u8")[2 * event_id.offset :][: 2 * len(event_id)]
        rows = self._codec.rows(
            event_us=micros(events.column(self._source.event_time)),
            available_us=micros(events.column(self._source.available_at)),
            ids=ids.astype(np.uint64).reshape(-1, 2),
            values=values,
        )
        key = self.generation.key
        return EntityRows(events.column(key) if key in names else pa.nulls(events.num_rows), rows)

    def group(self, parts: Sequence[EntityRows]) -> dict[bytes, Words]:
        """Rows in the order of a tail, by the store's key of the state that they change."""
        groups: dict[bytes, Words] = {}
        of_types: dict[pa.DataType, list[EntityRows]] = {}  # a source's key may have been of another type once
        for part in parts:
            of_types.setdefault(part.keys.type, []).append(part)
        for kind, of_type in of_types.items():
            if not pa.types.is_null(kind):
                groups |= self._grouped(of_type)
        return groups

    def _grouped(self, parts: Sequence[EntityRows]) -> dict[bytes, Words]:
        keys = pa.concat_arrays([part.keys for part in parts]).dictionary_encode()
        rows = np.concatenate([part.rows for part in parts])
        entities = keys.indices.fill_null(-1).to_numpy()
        order = np.lexsort((rows[:, 3], rows[:, 2], rows[:, 1], rows[:, 0], entities))[keys.null_count :]
        rows, prefix = rows[order], self.generation.prefix
        ends = np.cumsum(np.bincount(entities[order])).tolist()
        names = keys.dictionary.to_pylist()
        return {
            prefix + entity_key(name): rows[start:end]
            for name, start, end in zip(names, [0, *ends], ends, strict=False)
        }

    def update(
        self, groups: Mapping[bytes, Words], found: Sequence[bytes | None], *, now_us: int
    ) -> dict[bytes, bytes | None]:
        """The states after their rows, given the states before in the order of `groups`."""
        settled_us = now_us - READ_LAG_S * 1_000_000
        return {
            key: self._codec.update(data, rows, settled_us=settled_us)
            for (key, rows), data in zip(groups.items(), found, strict=True)
        }
