"""Feature values in the request: one batched read for all rows and views."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import PlannedView
from octavo.features.keys import entity_key, pointer_key
from octavo.features.lookup import Lookup
from octavo.features.readings import FOREVER, LONG_AGO, KeptReadings, Reading, ages_s
from octavo.features.values import FeatureStatus
from octavo.stores.ports import OnlineStore

_NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineValues:
    """Feature values of some rows, with what is known about each.

    Attributes
    ----------
    values : ndarray, shape (n_rows, n_features), float32
        NaN where a value is missing or stale.
    status : ndarray, shape (n_rows, n_features), uint8
        `FeatureStatus`.
    ages_s : ndarray, shape (n_rows, n_features), float32
        Seconds since the newest event that the value rests on; NaN where it rests on none.
    """

    values: npt.NDArray[np.float32]
    status: npt.NDArray[np.uint8]
    ages_s: npt.NDArray[np.float32]


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
        self._pointers = [pointer_key(view.name) for view in views]
        self._known: list[bytes | None] = [None] * len(views)
        self._lookups: list[Lookup | None] = [None] * len(views)
        self._readings: list[KeptReadings | None] = [None] * len(views)
        self._missing = [_missing(len(view.features)) for view in views]
        self._n_features = sum(len(view.features) for view in views)

    @property
    def is_complete(self) -> bool:
        """Whether the last read found the states of all views, be they of entities that nothing is known about."""
        return None not in self._lookups

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
        keys, places = self._keys(rows)
        found = self._store.read(keys)
        while self._renew(found):
            keys, places = self._keys(rows)
            found = self._store.read(keys)
        readings = [self._of_view(view, places[view], keys, found, at_us) for view in range(len(self._views))]
        return self._answer(readings, n_rows=len(rows), at_us=at_us)

    def unread(self, n_rows: int) -> OnlineValues:
        """What stands in for the values when the store cannot be read: NaN, marked as default."""
        shape = (n_rows, self._n_features)
        return OnlineValues(
            values=np.full(shape, _NAN, np.float32),
            status=np.full(shape, FeatureStatus.DEFAULT, np.uint8),
            ages_s=np.full(shape, _NAN, np.float32),
        )

    def _keys(self, rows: Sequence[Mapping[str, object]]) -> tuple[list[bytes], list[list[int]]]:
        """Keys to read, the views' pointers first, and per view and row the place of its state; -1 for none."""
        keys, places = list(self._pointers), []
        for view, lookup in zip(self._views, self._lookups, strict=True):
            of_rows: list[int] = []
            known: dict[object, int] = {}
            for row in rows:
                key = row.get(view.entity_key)
                if lookup is None or not isinstance(key, str | int):
                    of_rows.append(-1)
                    continue
                if key not in known:
                    known[key] = len(keys)
                    keys.append(lookup.prefix + entity_key(key))
                of_rows.append(known[key])
            places.append(of_rows)
        return keys, places

    def _renew(self, found: Sequence[bytes | None]) -> bool:
        """Take over pointers that have changed; whether any has."""
        changed = False
        for view, (pointer, known) in enumerate(zip(found, self._known, strict=False)):
            if pointer != known:
                self._known[view] = pointer
                lookup = None if pointer is None else Lookup(pointer, self._views[view].features)
                self._lookups[view] = lookup
                self._readings[view] = None if lookup is None else KeptReadings(lookup.read)
                changed = True
        return changed

    def _of_view(
        self, view: int, places: Sequence[int], keys: Sequence[bytes], found: Sequence[bytes | None], at_us: int
    ) -> list[Reading]:
        """A view's reading for each row."""
        kept = self._readings[view]
        if kept is None:
            return [self._missing[view]] * len(places)
        return [kept.of(keys[at], found[at], at_us) if at >= 0 else kept.of(b"", None, at_us) for at in places]

    def _answer(self, readings: list[list[Reading]], *, n_rows: int, at_us: int) -> OnlineValues:
        """The readings of each view's rows as one table."""
        of_rows = [of_view[row] for row in range(n_rows) for of_view in readings]
        shape = (n_rows, self._n_features)
        newest_us = np.concatenate([reading.newest_us for reading in of_rows])
        return OnlineValues(
            values=np.concatenate([reading.values for reading in of_rows]).reshape(shape),
            status=np.concatenate([reading.status for reading in of_rows]).reshape(shape),
            ages_s=ages_s(newest_us, at_us=at_us).reshape(shape),
        )


def _missing(n_features: int) -> Reading:
    """What is read of a view that was never materialized."""
    return Reading(
        data=None,
        since_us=LONG_AGO,
        until_us=FOREVER,
        values=np.full(n_features, np.nan, np.float32),
        status=np.full(n_features, FeatureStatus.MISSING, np.uint8),
        newest_us=np.full(n_features, np.nan),
    )
