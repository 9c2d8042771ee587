"""From events to the states that they change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from octavo.definitions.sources import Source
from octavo.features.keys import Generation, entity_key
from octavo.features.payloads import EVENT_ID, micros
from octavo.features.state import StateCodec, Words

READ_LAG_S = 2
"""How far behind the clock a request in flight may still read; what was known earlier may be folded into tiles."""


@dataclass(frozen=True, slots=True)
class EntityRows:
    """Events as rows of states (see `StateCodec.rows`), and the entity key of each, None for no entity."""

    keys: list[str | int | None]
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
        values = np.full((events.num_rows, len(columns)), np.nan)
        for place, column in enumerate(columns):
            if column in names:
                values[:, place] = numbers(events.column(column))
        event_id = events.column(EVENT_ID).cast(pa.binary(16))
        ids = np.frombuffer(event_id.buffers()[1], ">u8")[2 * event_id.offset :][: 2 * len(event_id)]
        rows = self._codec.rows(
            event_us=micros(events.column(self._source.event_time)),
            available_us=micros(events.column(self._source.available_at)),
            ids=ids.astype(np.uint64).reshape(-1, 2),
            values=values,
        )
        key = self.generation.key
        keys = events.column(key).to_pylist() if key in names else [None] * events.num_rows
        return EntityRows(keys, rows)

    def group(self, parts: Iterable[EntityRows]) -> dict[bytes, Words]:
        """Rows by the store's key of the state that they change."""
        parts = list(parts)
        if not parts:
            return {}
        keys = parts[0].keys if len(parts) == 1 else [key for part in parts for key in part.keys]
        rows = parts[0].rows if len(parts) == 1 else np.concatenate([part.rows for part in parts])
        places: dict[str | int, list[int]] = {}
        for place, key in enumerate(keys):
            if key is not None:
                places.setdefault(key, []).append(place)
        prefix = self.generation.prefix
        return {prefix + entity_key(key): rows[chosen] for key, chosen in places.items()}

    def update(
        self, groups: Mapping[bytes, Words], found: Sequence[bytes | None], *, now_us: int
    ) -> dict[bytes, bytes | None]:
        """The states after their rows, given the states before in the order of `groups`."""
        settled_us = now_us - READ_LAG_S * 1_000_000
        return {
            key: self._codec.update(data, rows, settled_us=settled_us)
            for (key, rows), data in zip(groups.items(), found, strict=True)
        }


def numbers(column: pa.Array) -> npt.NDArray[np.float64]:
    """A column as float64, NaN for null; what is no number counts as 1."""
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        found: npt.NDArray[np.float64] = column.to_numpy(zero_copy_only=False).astype(np.float64)
        return found
    is_bool = pa.types.is_boolean(column.type)
    return numbers(column.cast(pa.int8()) if is_bool else pc.if_else(column.is_valid(), 1.0, None))
