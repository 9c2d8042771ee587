"""Feature values in the request: one batched read for all rows and views."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from octavo.definitions.plans import PlannedView
from octavo.features.keys import entity_key, pointer_key
from octavo.features.lookup import Lookup, ViewValues
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
        self._widths = [len(view.features) for view in views]
        self._n_features = sum(self._widths)

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
        columns = [self._view_values(view, places[view], found, at_us) for view in range(len(self._views))]
        return self._answer(columns, len(rows))

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
                self._lookups[view] = None if pointer is None else Lookup(pointer, self._views[view].features)
                changed = True
        return changed

    def _view_values(
        self, view: int, places: Sequence[int], found: Sequence[bytes | None], at_us: int
    ) -> list[ViewValues]:
        """A view's features for each row; rows about the same entity share them."""
        lookup = self._lookups[view]
        if lookup is None:
            missing = [_NAN] * self._widths[view]
            return [(missing, [FeatureStatus.MISSING] * self._widths[view], missing)] * len(places)
        known: dict[int, ViewValues] = {}
        for place in places:
            if place not in known:
                known[place] = lookup.values(found[place] if place >= 0 else None, at_us)
        return [known[place] for place in places]

    def _answer(self, columns: list[list[ViewValues]], n_rows: int) -> OnlineValues:
        def flat(part: int) -> list[float]:
            return [value for row in range(n_rows) for column in columns for value in column[row][part]]

        numbers = float32([*flat(0), *flat(2)]).reshape(2, n_rows, self._n_features)
        status = np.array(flat(1), np.uint8).reshape(n_rows, self._n_features)
        return OnlineValues(values=numbers[0], status=status, ages_s=numbers[1])


def float32(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Values as a model takes them: one beyond the range of float32 is infinite."""
    with np.errstate(over="ignore"):
        return np.array(values, np.float32)
