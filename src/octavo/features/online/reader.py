"""Feature values in the request: one batched read for all rows and views."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from octavo.definitions.plans import PlannedView
from octavo.features.defaults import Defaults
from octavo.features.online.keys import composite_key, pointer_key
from octavo.features.online.lookup import Lookup
from octavo.features.values import FeatureStatus, OnlineValues
from octavo.stores.ports import OnlineStore


class Wanted(NamedTuple):
    """What the store is asked for on behalf of some rows.

    Attributes
    ----------
    lookup : Lookup
        Of the generations that the keys are of.
    keys : list of bytes
        The views' pointers first, then states, each once.
    places : list of int
        The place among the states of that of each row, view by view; -1 for none.
    n_rows : int
    """

    lookup: Lookup
    keys: list[bytes]
    places: list[int]
    n_rows: int


class ViewsReader:
    """From rows to keys, and from what stands under these to values; who asks the store is another matter.

    Parameters
    ----------
    views : tuple of PlannedView
        From the model's lookup plan; columns of the answer are their features, in order.
    room : int
        How many columns follow these, for others to fill: of NaN, and marked as present.

    Attributes
    ----------
    entity_keys : tuple of str
        The columns of entity keys that rows need.
    """

    def __init__(self, views: tuple[PlannedView, ...], *, room: int = 0) -> None:
        self.views = views
        self._room = room
        self.entity_keys = tuple(dict.fromkeys(key for view in views for key in view.entity_keys))
        self._entities = [view.entity_keys[0] if len(view.entity_keys) == 1 else view.entity_keys for view in views]
        self._pointers = [pointer_key(view.name) for view in views]
        self._lookup = Lookup([None] * len(views), views, room=room)
        self._defaults = Defaults(f.default for view in views for f in view.features)

    def wanted(self, keys: Mapping[str, Sequence[object]], *, n_rows: int) -> Wanted:
        """What to ask the store for.

        Parameters
        ----------
        keys : mapping of name to sequence
            The entity keys of all rows, by column; a row without one is about an entity that no event was about.
        """
        lookup = self._lookup
        states: dict[bytes, int] = {}
        places: list[int] = []
        for entity, known in zip(self._entities, lookup.state_keys, strict=True):
            names = [None] * n_rows if known is None else [known[key] for key in _by_row(keys, entity)]
            places += [-1 if name is None else states.setdefault(name, len(states)) for name in names]
        return Wanted(lookup, [*self._pointers, *states], places, n_rows)

    def values(self, wanted: Wanted, found: list[bytes | None], *, at_us: int) -> OnlineValues | None:
        """The values, given what stands under the keys; None where the views have other states now: ask again.

        Raises
        ------
        IntegrityError
            If a state is damaged.
        """
        n_views = len(self.views)
        if found[:n_views] != wanted.lookup.pointers:
            self._lookup = Lookup(found[:n_views], self.views, room=self._room)
            return None
        return wanted.lookup.read(found[n_views:], wanted.places, n_rows=wanted.n_rows, at_us=at_us)

    def unread(self, n_rows: int) -> OnlineValues:
        """What stands in for the values when the store cannot be read: declared defaults or NaN, marked as unread."""
        n_features, n_columns = len(self._defaults.values), len(self._defaults.values) + self._room
        ages_s, status = np.full((n_rows, n_columns), np.nan, np.float32), np.zeros((n_rows, n_columns), np.uint8)
        values = ages_s.copy()
        values[:, :n_features], status[:, :n_features] = self._defaults.values, FeatureStatus.UNREAD
        return OnlineValues(values, status, ages_s)


def _by_row(keys: Mapping[str, Sequence[object]], entity: str | tuple[str, ...]) -> Iterable[object]:
    """What the entity is known by, row by row: its key, or several that are joined."""
    if isinstance(entity, str):
        return keys[entity]
    return map(composite_key, zip(*[keys[key] for key in entity], strict=True))


class OnlineReader:
    """Looks up the features of one model's views, for who may wait for the store.

    Parameters
    ----------
    store : OnlineStore
    views : tuple of PlannedView
        From the model's lookup plan; columns of the answer are their features, in order.
    """

    def __init__(self, store: OnlineStore, views: tuple[PlannedView, ...]) -> None:
        self._store = store
        self._views = ViewsReader(views)
        self.is_complete = not views
        """Whether the last read found the states of all views, be they of entities that nothing is known about."""

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
        if not self._views.views:
            return self.unread(len(rows))
        keys, values = {name: [row.get(name) for row in rows] for name in self._views.entity_keys}, None
        while values is None:
            wanted = self._views.wanted(keys, n_rows=len(rows))
            values = self._views.values(wanted, self._store.read(wanted.keys), at_us=at_us)
        self.is_complete = wanted.lookup.is_complete
        return values

    def unread(self, n_rows: int) -> OnlineValues:
        """What stands in for the values when the store cannot be read: declared defaults or NaN, marked as unread."""
        return self._views.unread(n_rows)
