"""Feature values in the request: one batched read for all rows and views."""

from collections.abc import Mapping, Sequence

import numpy as np

from octavo.definitions.plans import PlannedView
from octavo.features.defaults import Defaults
from octavo.features.online.compiled import Words
from octavo.features.online.keys import KEYS, composite_key, entity_key, pointer_key
from octavo.features.online.lookup import Lookup
from octavo.features.values import FeatureStatus, OnlineValues
from octavo.stores.ports import OnlineStore


class OnlineReader:
    """Looks up the features of one model's views.

    Parameters
    ----------
    store : OnlineStore
    views : tuple of PlannedView
        From the model's lookup plan; columns of the answer are their features, in order.
    """

    def __init__(self, store: OnlineStore, views: tuple[PlannedView, ...]) -> None:
        self._store = store
        self._views = views
        self._entities = [view.entity_keys[0] if len(view.entity_keys) == 1 else view.entity_keys for view in views]
        self._pointers = [pointer_key(view.name) for view in views]
        self._known: list[bytes | None] = [None] * len(views)
        self._lookup = Lookup(self._known, views)
        self._defaults = Defaults(f.default for view in views for f in view.features)

    @property
    def is_complete(self) -> bool:
        """Whether the last read found the states of all views, be they of entities that nothing is known about."""
        return None not in self._known

    def read(self, rows: Sequence[Mapping[str, object]], *, at_us: int) -> OnlineValues:
        """The values as known at a moment: the present, or a few seconds before at most.

        Parameters
        ----------
        rows : sequence of mapping
            Each holds the entity keys by column; without one, a row is about an entity that no event was about. All
            features of a view that was never materialized are missing.
        at_us : int
            Microseconds since 1970; only events known before it count.

        Raises
        ------
        Unavailable
            If the store cannot be read.
        """
        if not self._views:
            return self.unread(len(rows))
        keys, index = self._keys(rows)
        found = self._store.read(keys)
        while found[: len(self._views)] != self._known:
            self._known = found[: len(self._views)]
            self._lookup = Lookup(self._known, self._views)
            keys, index = self._keys(rows)
            found = self._store.read(keys)
        return self._lookup.read(found[len(self._views) :], index, at_us=at_us)

    def unread(self, n_rows: int) -> OnlineValues:
        """What stands in for the values when the store cannot be read: declared defaults or NaN, marked as unread."""
        shape = (n_rows, len(self._defaults.values))
        return OnlineValues(
            values=np.tile(self._defaults.values, (n_rows, 1)),
            status=np.full(shape, FeatureStatus.UNREAD, np.uint8),
            ages_s=np.full(shape, np.nan, np.float32),
        )

    def _keys(self, rows: Sequence[Mapping[str, object]]) -> tuple[list[bytes], Words]:
        """Keys to read, the views' pointers first, and per row and view the place of its state after those."""
        states: dict[bytes, int] = {}
        index = []
        for row in rows:
            for entity, prefix in zip(self._entities, self._lookup.prefixes, strict=True):
                key = row.get(entity) if isinstance(entity, str) else composite_key(map(row.get, entity))
                if prefix is None or not isinstance(key, KEYS):
                    index.append(-1)
                else:
                    index.append(states.setdefault(prefix + entity_key(key), len(states)))
        return [*self._pointers, *states], np.array(index, np.int64).reshape(len(rows), len(self._views))
